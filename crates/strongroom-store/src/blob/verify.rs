// SPDX-License-Identifier: Apache-2.0
//! Reading all of a blob: every shard that is there, to its last byte, and parity against data.

use std::sync::Arc;

use super::Inner;
use super::buffer::UnitBuffer;
use super::catalog::Keeping;
use super::damage::DamageKind;
use super::open_shard::OpenShard;
use super::read::{OpenBlob, Refusal};
use super::shard::{HEADER_LEN, ShardHeader};
use crate::drive::{Access, DrivePath};
use crate::error::Error;
use crate::layout::{BlobId, BlobLocation, ShardIndex};

/// What a full read of a blob found: nothing wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyReport {
    /// Units of the blob.
    pub units: u64,
    /// Sealed bytes in them.
    pub sealed_bytes: u64,
    /// Shards that were read and compared.
    pub shards: u8,
    /// Shards that are owed, or on drives that are not there.
    pub away: u8,
}

/// Reads and compares a whole blob: headers, lengths, every unit, trailers, parity.
pub(super) async fn verify(
    blobs: &Arc<Inner>,
    location: BlobLocation,
) -> Result<VerifyReport, Error> {
    let of_job = Arc::clone(blobs);
    blobs
        .coders
        .run(move || {
            let blob = OpenBlob::find(&of_job, location)?;
            let shards = open_all(&of_job, &blob)?;
            compare_units(&of_job, &blob, &shards)?;
            compare_trailers(&of_job, &blob, &shards)?;
            let read = u8::try_from(shards.len()).unwrap_or(u8::MAX);
            let all = blob.keeping.stripes.redundancy().shards();
            Ok(VerifyReport {
                units: location.layout.unit_count(location.sealed_bytes),
                sealed_bytes: location.sealed_bytes,
                shards: read,
                away: all.saturating_sub(read),
            })
        })
        .await
}

/// The same of a blob that no row stands for yet: every shard that was written is what was to be
/// written.
pub(super) async fn read_back(
    blobs: &Arc<Inner>,
    location: BlobLocation,
    keeping: Keeping,
) -> Result<(), Error> {
    let of_job = Arc::clone(blobs);
    blobs
        .coders
        .run(move || {
            let blob = OpenBlob::new(location, keeping);
            let shards = open_all(&of_job, &blob)?;
            compare_units(&of_job, &blob, &shards)?;
            compare_trailers(&of_job, &blob, &shards)
        })
        .await
}

/// Compares what reading a blob's units leaves out: the trailers. Headers and lengths are compared
/// by opening.
pub(super) async fn verify_trailers(
    blobs: &Arc<Inner>,
    location: BlobLocation,
) -> Result<(), Error> {
    let of_job = Arc::clone(blobs);
    blobs
        .coders
        .run(move || {
            let blob = OpenBlob::find(&of_job, location)?;
            let shards = open_all(&of_job, &blob)?;
            compare_trailers(&of_job, &blob, &shards)
        })
        .await
}

/// What the header of a shard file says, for inspection.
pub(super) async fn header(blobs: &Arc<Inner>, blob: BlobId) -> Result<ShardHeader, Error> {
    let inner = Arc::clone(blobs);
    blobs
        .coders
        .run(move || {
            let row = inner.row(blob)?.ok_or(Error::BlobNotFound { blob })?;
            let mut found = Err(Error::BlobNotFound { blob });
            for (_, number) in row.placement.each() {
                let Some(drive) = inner.drive(number) else {
                    continue;
                };
                found = header_on(drive.as_ref(), blob);
                if found.is_ok() {
                    break;
                }
            }
            found
        })
        .await
}

fn header_on(drive: &dyn crate::drive::Drive, blob: BlobId) -> Result<ShardHeader, Error> {
    let file = drive
        .open(&DrivePath::blob(blob), Access::Read)?
        .ok_or(Error::BlobNotFound { blob })?;
    let mut bytes = [0; HEADER_LEN];
    if file.read_at(0, &mut bytes)? != HEADER_LEN {
        return Err(Error::CorruptedShard {
            blob,
            reason: "the header is cut",
        });
    }
    ShardHeader::parse(&bytes).map_err(|reason| Error::CorruptedShard { blob, reason })
}

/// Opens every shard that is there. An error when one of them is not what was written, or when
/// there are too few.
fn open_all(blobs: &Inner, blob: &OpenBlob) -> Result<Vec<OpenShard>, Error> {
    let redundancy = blob.keeping.stripes.redundancy();
    let mut shards = Vec::with_capacity(usize::from(redundancy.shards()));
    for shard in redundancy.each_shard() {
        if blob.refused(shard).is_some() {
            continue;
        }
        match blob.shard(blobs, shard) {
            Ok(open) => shards.push(open),
            Err(error) if redundancy.shards() == 1 => return Err(error),
            Err(_) if blob.refused(shard) == Some(Refusal::Away) => {}
            Err(error) => return Err(error),
        }
    }
    let there = u8::try_from(shards.len()).unwrap_or(u8::MAX);
    let needed = redundancy.data();
    if there < needed {
        return Err(Error::TooFewShards {
            blob: blob.location.blob,
            there,
            needed,
        });
    }
    Ok(shards)
}

fn compare_units(blobs: &Inner, blob: &OpenBlob, shards: &[OpenShard]) -> Result<(), Error> {
    let BlobLocation {
        layout,
        sealed_bytes,
        ..
    } = blob.location;
    let rows = blob.keeping.stripes.row_count(sealed_bytes);
    let mut first = 0_u64;
    while first < rows {
        let end = first.saturating_add(ROWS_AT_ONCE).min(rows);
        let mut read: Vec<(ShardIndex, UnitBuffer)> = Vec::with_capacity(shards.len());
        for open in shards {
            let end = end.min(open.units());
            let Some(last) = end.checked_sub(1).filter(|last| *last >= first) else {
                continue;
            };
            let units = usize::try_from(end.saturating_sub(first)).unwrap_or(0);
            let mut buffer = blobs.pool.take(layout, units);
            buffer.set_last_len(open.unit_len(last).unwrap_or(0));
            open.read(first, &mut buffer)
                .inspect_err(|error| blob.report(blobs, open.shard(), error))?;
            read.push((open.shard(), buffer));
        }
        for row in first..end {
            compare_parity(blobs, blob, shards, &read, first, row)?;
        }
        first = end;
    }
    Ok(())
}

/// Computes the parity of a row again, if its data is all there.
fn compare_parity(
    blobs: &Inner,
    blob: &OpenBlob,
    shards: &[OpenShard],
    read: &[(ShardIndex, UnitBuffer)],
    first: u64,
    row: u64,
) -> Result<(), Error> {
    let stripes = blob.keeping.stripes;
    let redundancy = stripes.redundancy();
    let slot = usize::try_from(row.saturating_sub(first)).unwrap_or(usize::MAX);
    let unit = |shard: ShardIndex| {
        let found = read.iter().find(|(of, _)| *of == shard);
        found.map_or(&[][..], |(_, buffer)| buffer.slot(slot))
    };
    let is_there = |shard: ShardIndex| shards.iter().any(|open| open.shard() == shard);
    let (data, parity): (Vec<_>, Vec<_>) = redundancy
        .each_shard()
        .partition(|shard| redundancy.is_data(*shard));
    if parity.is_empty() || !data.iter().all(|shard| is_there(*shard)) {
        return Ok(());
    }
    let units: Vec<&[u8]> = data.into_iter().map(unit).collect();
    let longest = units.first().map_or(0, |unit| unit.len());
    let mut computed = vec![vec![0; longest]; parity.len()];
    let mut out: Vec<&mut [u8]> = computed.iter_mut().map(Vec::as_mut_slice).collect();
    let coded = blob.codec().encode(&units, &mut out);
    coded.map_err(|_| Error::CorruptedShard {
        blob: blob.location.blob,
        reason: "its units are not those of the code",
    })?;
    for (shard, computed) in parity.into_iter().zip(computed) {
        if is_there(shard) && unit(shard) != computed {
            blob.damaged(blobs, shard, DamageKind::Unit);
            return Err(Error::CorruptedShard {
                blob: blob.location.blob,
                reason: "the parity is not that of the data",
            });
        }
    }
    Ok(())
}

fn compare_trailers(blobs: &Inner, blob: &OpenBlob, shards: &[OpenShard]) -> Result<(), Error> {
    let mut first: Option<Vec<u8>> = None;
    for open in shards {
        let manifest = open
            .check_trailer()
            .inspect_err(|error| blob.report(blobs, open.shard(), error))?;
        if first.get_or_insert_with(|| manifest.clone()) != &manifest {
            return Err(Error::CorruptedShard {
                blob: blob.location.blob,
                reason: "its shards have different manifests",
            });
        }
    }
    Ok(())
}

/// Rows in memory at once.
const ROWS_AT_ONCE: u64 = 16;
