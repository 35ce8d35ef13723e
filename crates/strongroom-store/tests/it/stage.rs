// SPDX-License-Identifier: Apache-2.0
//! A store on a drive, with small units, for the tests beside.

use std::sync::Arc;

use strongroom_store::blob::{BlobOptions, Patience};
use strongroom_store::drive::{Drive, DriveNo, DriveSet, SetMember};
use strongroom_store::layout::{BlobPolicy, DriveUid, Redundancy, UnitLayout};
use strongroom_store::table::TableOptions;
use strongroom_store::{
    AtRest, Batch, BlobId, BlobLocation, BlobProof, Error, Store, StoreOptions, Write,
};
use strongroom_testkit::{SimRng, TestSealer, UnsealedUnits};

/// Units of this many bytes: small enough to flip each of their bits.
pub(crate) const UNIT: usize = 64;

pub(crate) fn layout() -> UnitLayout {
    UnitLayout::new(u32::try_from(UNIT).unwrap()).unwrap()
}

pub(crate) async fn open(drive: Arc<dyn Drive>) -> Result<Store, Error> {
    let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(1));
    let blobs = BlobOptions {
        layout: layout(),
        ..BlobOptions::default()
    };
    Store::open(
        drive,
        at_rest,
        StoreOptions {
            blobs,
            ..StoreOptions::default()
        },
    )
    .await
}

/// Drives of one cluster, in facilities of `per_facility` drives each.
pub(crate) fn set_of(drives: &[Arc<dyn Drive>], per_facility: usize) -> DriveSet {
    let members = drives.iter().zip(0_u8..).map(|(drive, number)| {
        let facility = usize::from(number) / per_facility;
        SetMember::online(
            DriveNo(u16::from(number)),
            DriveUid([number; 16]),
            format!("f{facility}"),
            Arc::clone(drive),
        )
    });
    DriveSet::new(members.collect()).unwrap()
}

/// Opens a store whose blobs are spread over a set.
pub(crate) async fn open_on(
    set: DriveSet,
    redundancy: Redundancy,
    patience: Patience,
    inline: bool,
) -> Result<Store, Error> {
    let at_rest: Arc<dyn AtRest> = Arc::new(TestSealer::new(1));
    let blobs = BlobOptions {
        layout: layout(),
        patience,
        inline,
        ..BlobOptions::default()
    };
    let tables = TableOptions {
        inline,
        ..TableOptions::default()
    };
    let options = StoreOptions {
        redundancy,
        blobs,
        tables,
        ..StoreOptions::default()
    };
    Store::open_over(set, at_rest, options).await
}

pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SimRng::new(seed).fill(&mut bytes);
    bytes
}

/// Writes a blob in buffers of `units_per_buffer` units.
pub(crate) async fn write(
    store: &Store,
    blob: BlobId,
    bytes: &[u8],
    units_per_buffer: usize,
) -> Result<BlobProof, Error> {
    write_units(store, blob, store.blobs().layout(), bytes, units_per_buffer).await
}

/// The same with units of another length than the store's.
pub(crate) async fn write_units(
    store: &Store,
    blob: BlobId,
    layout: UnitLayout,
    bytes: &[u8],
    units_per_buffer: usize,
) -> Result<BlobProof, Error> {
    let standard = BlobPolicy::Standard;
    write_as(store, standard, blob, layout, bytes, units_per_buffer).await
}

/// The same under a policy.
pub(crate) async fn write_as(
    store: &Store,
    policy: BlobPolicy,
    blob: BlobId,
    layout: UnitLayout,
    bytes: &[u8],
    units_per_buffer: usize,
) -> Result<BlobProof, Error> {
    let unit = usize::try_from(layout.unit_bytes()).unwrap();
    let blobs = store.blobs();
    let mut writer = blobs
        .create_with(blob, layout, policy, UnsealedUnits)
        .await?;
    for run in bytes.chunks(unit * units_per_buffer) {
        let mut buffer = store.blobs().buffer(layout, units_per_buffer);
        let mut used = 0;
        for piece in run.chunks(unit) {
            buffer.slot_mut(used)[..piece.len()].copy_from_slice(piece);
            used += 1;
            if piece.len() < unit {
                buffer.set_last_len(u32::try_from(piece.len()).unwrap());
            }
        }
        writer.write(buffer, used).await?;
    }
    writer.finish_with(manifest(blob)).await
}

/// What the files of a blob end with: for some blobs nothing.
pub(crate) fn manifest(blob: BlobId) -> Vec<u8> {
    let times = usize::from(blob.0[0] % 4);
    format!("what the tables say about {blob}; ")
        .repeat(times)
        .into_bytes()
}

/// Writes a blob and adopts it.
pub(crate) async fn put(store: &Store, blob: BlobId, bytes: &[u8]) -> BlobLocation {
    let proof = write(store, blob, bytes, 3).await.unwrap();
    let location = proof.location();
    commit(store, Write::AdoptBlob(proof)).await;
    location
}

pub(crate) async fn commit(store: &Store, write: Write) {
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    store.tables().commit(batch).await.unwrap();
}

/// Reads units of a blob back as plain bytes.
pub(crate) async fn read(
    store: &Store,
    location: &BlobLocation,
    first_unit: u64,
    units: u32,
) -> Result<Vec<u8>, Error> {
    let buffer = store.blobs().read(location, first_unit, units).await?;
    assert_eq!(buffer.capacity_units(), usize::try_from(units).unwrap());
    Ok((0..buffer.capacity_units())
        .flat_map(|unit| buffer.slot(unit).to_vec())
        .collect())
}

pub(crate) async fn read_all(store: &Store, location: &BlobLocation) -> Result<Vec<u8>, Error> {
    match u32::try_from(location.layout.unit_count(location.sealed_bytes)).unwrap() {
        0 => store.blobs().verify(location).await.map(|_| Vec::new()),
        units => read(store, location, 0, units).await,
    }
}
