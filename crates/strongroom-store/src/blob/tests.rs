// SPDX-License-Identifier: Apache-2.0
//! The vectors in `vectors/shard/`, which another implementation made from the specification.

use serde_json::Value;

use super::ends::{ShardEnds, fuzzing};
use super::shard::{ShardHeader, ShardTrailer};
use crate::erasure::{Codec, StripeLayout, UnitPlace};
use crate::layout::{BlobId, Redundancy, ShardIndex, UnitLayout};

/// What the specification makes of a vector: its results, or the class of its refusal.
type Expected = Result<Value, &'static str>;

fn replay(file: &str, group: &str, least: (usize, usize), compute: impl Fn(&Value) -> Expected) {
    let path = format!(
        "{}/../../vectors/shard/{file}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut good, mut bad) = (0, 0);
    for vector in document[group].as_array().unwrap() {
        let name = &vector["name"];
        match compute(vector) {
            Ok(results) => {
                assert_eq!(vector["expect"], "ok", "{name}");
                for (field, value) in results.as_object().unwrap() {
                    assert_eq!(&vector[field], value, "{name} {field}");
                }
                good += 1;
            }
            Err(class) => {
                assert_eq!(vector["expect"], class, "{name}");
                bad += 1;
            }
        }
    }
    assert!(good >= least.0 && bad >= least.1, "{good} {bad}");
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn number<N: TryFrom<u64>>(value: &Value) -> Option<N> {
    N::try_from(value.as_u64()?).ok()
}

fn layout_of(vector: &Value) -> Option<StripeLayout> {
    let unit = UnitLayout::new(number(&vector["unit_bytes"])?)?;
    let redundancy = Redundancy::new(number(&vector["k"])?, number(&vector["m"])?).ok()?;
    StripeLayout::new(unit, redundancy, number(&vector["cell_units"])?)
}

fn header_fields(header: &ShardHeader) -> Value {
    let redundancy = header.layout.redundancy();
    serde_json::json!({
        "blob": header.blob.to_string(),
        "k": redundancy.data(),
        "m": redundancy.parity(),
        "shard": header.shard.0,
        "unit_bytes": header.layout.unit().unit_bytes(),
        "cell_units": header.layout.cell_units(),
        "policy": header.policy.number(),
    })
}

#[test]
fn headers() {
    replay("headers", "headers", (8, 80), |vector| {
        let bytes = bytes(&vector["bytes"]).try_into().map_err(|_| "parse")?;
        let header = ShardHeader::parse(&bytes).map_err(|_| "parse")?;
        Ok(header_fields(&header))
    });
}

#[test]
fn trailers() {
    replay("trailers", "trailers", (6, 80), |vector| {
        let unit = UnitLayout::new(number(&vector["unit_bytes"]).unwrap()).unwrap();
        let bytes = bytes(&vector["bytes"]).try_into().map_err(|_| "parse")?;
        let trailer = ShardTrailer::parse(&bytes, unit).map_err(|_| "parse")?;
        let manifest = self::bytes(&vector["manifest"]);
        trailer.check_manifest(&manifest).map_err(|_| "parse")?;
        Ok(serde_json::json!({
            "blob": trailer.blob.to_string(),
            "sealed_bytes": trailer.sealed_bytes,
            "units": trailer.units,
        }))
    });
}

#[test]
fn layouts() {
    replay("layouts", "layouts", (15, 12), |vector| {
        let layout = layout_of(vector).ok_or("error")?;
        let sealed: u64 = number(&vector["sealed_bytes"]).unwrap();
        let units = |shard: ShardIndex| -> Vec<Value> {
            (0..layout.shard_units(sealed, shard).unwrap())
                .map(
                    |row| match layout.unit_at(sealed, UnitPlace { shard, row }) {
                        Some(unit) => unit.into(),
                        None => "parity".into(),
                    },
                )
                .collect()
        };
        let each = layout.redundancy().each_shard();
        Ok(serde_json::json!({
            "shards": each.clone().map(units).collect::<Vec<_>>(),
            "shard_bytes": each.clone().map(|shard| layout.shard_bytes(sealed, shard)).collect::<Vec<_>>(),
            "file_bytes": each.map(|shard| layout.shard_file_bytes(sealed, shard, 0)).collect::<Vec<_>>(),
        }))
    });
}

#[test]
fn parity() {
    replay("code", "rows", (16, 4), |vector| {
        let redundancy = number(&vector["k"])
            .zip(number(&vector["m"]))
            .and_then(|(data, parity)| Redundancy::new(data, parity).ok())
            .ok_or("error")?;
        let data: Vec<Vec<u8>> = vector["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(bytes)
            .collect();
        let longest = data.iter().map(Vec::len).max().unwrap_or(0);
        let mut parity = vec![vec![0xEE; longest]; usize::from(redundancy.parity())];
        let units: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        Codec::new(redundancy)
            .encode(&units, &mut out)
            .map_err(|_| "error")?;
        Ok(serde_json::json!({"parity": parity.iter().map(hex::encode).collect::<Vec<_>>()}))
    });
}

#[test]
fn reconstructions() {
    use crate::erasure::CodecError;
    replay("code", "reconstructions", (11, 9), |vector| {
        let (data, parity) = (number(&vector["k"]), number(&vector["m"]));
        let codec = Codec::new(Redundancy::new(data.unwrap(), parity.unwrap()).unwrap());
        let sources: Vec<(ShardIndex, Vec<u8>)> = vector["sources"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(shard, unit)| (ShardIndex(shard.parse().unwrap()), bytes(unit)))
            .collect();
        let there: Vec<_> = sources
            .iter()
            .map(|(shard, unit)| (*shard, unit.as_slice()))
            .collect();
        let mut out = vec![0xEE; number(&vector["unit_bytes"]).unwrap()];
        let lost = ShardIndex(number(&vector["lost"]).unwrap());
        codec
            .reconstruct(lost, &there, &mut out)
            .map_err(|error| match error {
                CodecError::TooFew { .. } => "too_few",
                CodecError::NotShards | CodecError::NotUnits => "error",
            })?;
        Ok(serde_json::json!({"unit": hex::encode(out)}))
    });
}

/// A whole shard: its ends and its units.
struct Shard {
    ends: ShardEnds,
    units: Vec<Vec<u8>>,
}

fn shard(file: &[u8]) -> Result<Shard, String> {
    let ends = fuzzing::shard_file(file)?;
    let (layout, shard) = (ends.header.layout, ends.header.shard);
    let units = (0..ends.units)
        .map(|row| {
            let at = usize::try_from(layout.unit().file_offset(row).unwrap()).unwrap();
            let len = layout
                .unit_len(ends.trailer.sealed_bytes, shard, row)
                .unwrap();
            file[at..at + usize::try_from(len).unwrap()].to_vec()
        })
        .collect();
    Ok(Shard { ends, units })
}

#[test]
fn files() {
    replay("files", "files", (11, 150), |vector| {
        let file = bytes(&vector["bytes"]);
        fuzzing::shard_ends(&file);
        let Shard { ends, units } = shard(&file).map_err(|_| "damaged")?;
        let mut fields = header_fields(&ends.header);
        fields["sealed_bytes"] = ends.trailer.sealed_bytes.into();
        fields["units"] = units.iter().map(hex::encode).collect::<Vec<_>>().into();
        fields["manifest"] = hex::encode(&ends.manifest).into();
        Ok(fields)
    });
}

#[test]
fn blobs() {
    replay("files", "blobs", (12, 36), |vector| {
        let blob = BlobId(bytes(&vector["blob"]).try_into().unwrap());
        let there: Vec<Shard> = (0..)
            .zip(vector["files"].as_array().unwrap())
            .filter_map(|(place, file)| {
                let found = shard(&hex::decode(file.as_str()?).ok()?).ok()?;
                let header = &found.ends.header;
                (header.blob == blob && header.shard == ShardIndex(place)).then_some(found)
            })
            .collect();
        let ends = &there.first().ok_or("too_few")?.ends;
        let layout = ends.header.layout;
        let sealed_bytes = ends.trailer.sealed_bytes;
        let codec = Codec::new(layout.redundancy());
        let mut sealed = Vec::new();
        // The number of shards tells even where there is nothing to rebuild.
        let present: Vec<_> = there.iter().map(|shard| shard.ends.header.shard).collect();
        if present.len() < usize::from(layout.redundancy().data()) {
            return Err("too_few");
        }
        for unit in 0..ends.trailer.units {
            let place = layout.place_of(sealed_bytes, unit).unwrap();
            let row = usize::try_from(place.row).unwrap();
            if let Some(at) = present.iter().position(|shard| *shard == place.shard) {
                sealed.extend(&there[at].units[row]);
                continue;
            }
            let len = layout
                .unit_len(sealed_bytes, place.shard, place.row)
                .unwrap();
            let mut out = vec![0xEE; usize::try_from(len).unwrap()];
            let sources: Vec<(ShardIndex, &[u8])> = there
                .iter()
                .map(|shard| {
                    let unit = shard.units.get(row).map(Vec::as_slice);
                    (shard.ends.header.shard, unit.unwrap_or_default())
                })
                .collect();
            codec.reconstruct(place.shard, &sources, &mut out).unwrap();
            sealed.extend(out);
        }
        Ok(serde_json::json!({
            "sealed": hex::encode(sealed),
            "manifest": hex::encode(&ends.manifest),
        }))
    });
}

#[test]
fn the_fuzz_corpus_is_replayed() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/shard_ends");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        fuzzing::shard_ends(&bytes);
        // And everything near it.
        for at in 0..bytes.len() {
            let mut near = bytes.clone();
            near[at] ^= 0x41;
            fuzzing::shard_ends(&near);
            fuzzing::shard_ends(&bytes[..at]);
        }
        replayed += 1;
    }
    assert!(replayed >= 8);
}

/// A drive came back with a stale file of a shard that is owed there. Between the look at the row
/// and the removal heal wrote that very shard anew, and the removal took it.
#[test]
fn nobody_writes_a_file_that_is_about_to_be_removed() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::{BlobReclaimer, orphans};
    use crate::drive::{Drive, DriveNo, DrivePath, DriveSet, LocalDrive};

    let dir = tempfile::tempdir().unwrap();
    let drive: Arc<dyn Drive> = Arc::new(LocalDrive::open(dir.path()).unwrap());
    let blob = BlobId([7; 16]);
    let path = DrivePath::blob(blob);
    drive.create(&path).unwrap();
    let reclaimer = BlobReclaimer::new(DriveSet::single(Arc::clone(&drive)), true, 100);
    let number = DriveNo::FIRST;
    let is_free = || reclaimer.admit_shard(blob, number, None).is_some();
    let row = |of| {
        assert_eq!(of, blob);
        assert!(!is_free(), "it would be removed");
        assert!(reclaimer.is_in_flight(blob, number));
        Ok(None)
    };
    let stop = AtomicBool::new(false);
    let collect = || orphans::collect(number, drive.as_ref(), &reclaimer, row, &stop).unwrap();
    // Whoever writes it was first: it is left alone, and the row is not even looked at.
    let flight = reclaimer.admit_shard(blob, number, None).unwrap();
    assert!(reclaimer.claim(blob, number).is_none());
    assert_eq!(reclaimer.writes_to(number), 1);
    assert_eq!(collect().removed, 0);
    flight.reached(super::Landing::Kept);
    drop(flight);
    assert_eq!(collect().removed, 1);
    assert_eq!(reclaimer.writes_to(number), 0);
    assert!(is_free() && drive.list(path.folder()).unwrap().is_empty());
}
