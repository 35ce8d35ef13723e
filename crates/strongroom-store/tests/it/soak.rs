// SPDX-License-Identifier: Apache-2.0
//! Several clients put, share, overwrite and delete at once until the power fails somewhere; then each
//! finds what it was told. The rows, the catalogue and the files must agree to the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use strongroom_store::drive::{DrivePath, Folder};
use strongroom_store::{Batch, BlobId, CommitError, Precondition, Store, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, SimRng};

use crate::stage::{self, UNIT};

const NAMES: TableId = TableId(21);
const CLIENTS: u8 = 4;
const SLOTS: u64 = 3;

/// What a client may find at a name: one state when it was told, two when it was not.
type Known = BTreeMap<[u8; 2], Vec<Option<BlobId>>>;

/// The bytes of a blob follow from its id.
fn body(blob: BlobId) -> Vec<u8> {
    let mut rng = SimRng::new(u64::from_le_bytes(*blob.0.first_chunk().unwrap()));
    let mut bytes = vec![0; rng.index(4 * UNIT)];
    rng.fill(&mut bytes);
    bytes
}

/// One random change; `false` when the drive has failed.
async fn change(store: &Store, client: u8, rng: &mut SimRng, known: &mut Known) -> bool {
    let name = [client, u8::try_from(rng.below(SLOTS)).unwrap()];
    let now = known.get(&name).and_then(|states| states[0]);
    let mut batch = Batch::default();
    if rng.one_in(4) {
        return share(store, name, now, rng, known).await;
    }
    let next = if rng.one_in(4) {
        None
    } else {
        Some(BlobId(rng.id()))
    };
    match next {
        Some(blob) => {
            let units = 1 + rng.index(3);
            let Ok(proof) = stage::write(store, blob, &body(blob), units).await else {
                return false;
            };
            if rng.one_in(8) {
                drop(proof);
                return true;
            }
            batch.writes.push(Write::AdoptBlob(proof));
            let (key, value) = (name.to_vec(), blob.0.to_vec());
            batch.writes.push(Write::Put {
                table: NAMES,
                key,
                value,
            });
        }
        None => batch.writes.push(Write::Delete {
            table: NAMES,
            key: name.to_vec(),
        }),
    }
    batch.writes.extend(now.map(Write::ReleaseBlob));
    if rng.one_in(10) {
        let refused = Precondition::Present {
            table: NAMES,
            key: b"nothing has this name".to_vec(),
        };
        batch.preconditions.push(refused);
        // A refusal; or the drive failed, and nothing happened either.
        return store.tables().commit(batch).await.is_err();
    }
    let done = store.tables().commit(batch).await.is_ok();
    let may_be = if done { vec![next] } else { vec![now, next] };
    known.insert(name, may_be);
    done
}

/// The name gets the blob of another name, of any client, who may take it away meanwhile.
async fn share(
    store: &Store,
    name: [u8; 2],
    now: Option<BlobId>,
    rng: &mut SimRng,
    known: &mut Known,
) -> bool {
    let other = [
        u8::try_from(rng.below(CLIENTS.into())).unwrap(),
        u8::try_from(rng.below(SLOTS)).unwrap(),
    ];
    let Ok(found) = store.tables().get(NAMES, &other) else {
        return false;
    };
    let Some(row) = found else {
        return true;
    };
    let blob = BlobId(<[u8; 16]>::try_from(row.value.as_slice()).unwrap());
    let mut batch = Batch {
        preconditions: vec![Precondition::SeqIs {
            table: NAMES,
            key: other.to_vec(),
            seq: row.seq,
        }],
        writes: vec![
            Write::ShareBlob(blob),
            Write::Put {
                table: NAMES,
                key: name.to_vec(),
                value: row.value,
            },
        ],
    };
    batch.writes.extend(now.map(Write::ReleaseBlob));
    let outcome = store.tables().commit(batch).await;
    if matches!(outcome, Err(CommitError::Precondition { .. })) {
        return true;
    }
    let done = outcome.is_ok();
    let may_be = if done {
        vec![Some(blob)]
    } else {
        vec![now, Some(blob)]
    };
    known.insert(name, may_be);
    done
}

async fn client(store: Store, number: u8, seed: u64, mut known: Known) -> Known {
    let mut rng = SimRng::new(seed.wrapping_mul(1000) + u64::from(number));
    for _ in 0..25 {
        if !change(&store, number, &mut rng, &mut known).await {
            break;
        }
    }
    known
}

/// Compares everything that is there with what the clients know; returns what is there.
async fn check(store: &Store, drive: &SimDrive, known: &Known, note: &str) -> Known {
    store.orphans_collected().await.expect(note);
    store.blobs().reclaimed().await.unwrap();
    let rows = store
        .tables()
        .scan(NAMES, Bound::Unbounded, Bound::Unbounded, 1000, false)
        .unwrap();
    let mut found = Known::new();
    for (key, row) in rows {
        let blob = BlobId(<[u8; 16]>::try_from(row.value.as_slice()).unwrap());
        found.insert(
            <[u8; 2]>::try_from(key.as_slice()).unwrap(),
            vec![Some(blob)],
        );
    }
    for (name, states) in known {
        let state = found.get(name).and_then(|states| states[0]);
        assert!(
            states.contains(&state),
            "{note}: {name:?} is {state:?}, not of {states:?}"
        );
    }
    assert!(
        found.keys().all(|name| known.contains_key(name)),
        "{note}: a name from nowhere"
    );
    let blobs: BTreeSet<_> = found.values().filter_map(|states| states[0]).collect();
    let catalogue = store.catalogue(None, 1000).unwrap();
    let listed: BTreeSet<_> = catalogue.iter().map(|entry| entry.location.blob).collect();
    assert_eq!(listed, blobs, "{note}: rows and catalogue differ");
    for entry in catalogue {
        let blob = entry.location.blob;
        let stand_on_it = found.values().filter(|states| states[0] == Some(blob));
        let count = u32::try_from(stand_on_it.count()).unwrap();
        assert_eq!(entry.refs, count, "{note}: references of {blob}");
        assert_eq!(
            stage::read_all(store, &entry.location).await.unwrap(),
            body(blob),
            "{note}"
        );
        store.blobs().verify(&entry.location).await.unwrap();
    }
    let of_blobs = |path: &DrivePath| matches!(path.folder(), Folder::Blobs(_) | Folder::Temporary);
    let files: BTreeSet<_> = drive.files().into_iter().filter(of_blobs).collect();
    let expected: BTreeSet<_> = blobs.into_iter().map(DrivePath::blob).collect();
    assert_eq!(files, expected, "{note}: files and catalogue differ");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_find_what_they_were_told_after_any_crash() {
    for seed in 0..150 {
        let mut rng = SimRng::new(seed);
        let mut drive = SimDrive::new(seed);
        let mut known = Known::new();
        for life in 0..4 {
            let note = format!("seed {seed}, life {life}");
            let store = stage::open(Arc::new(drive.clone())).await.unwrap();
            known = check(&store, &drive, &known, &note).await;
            drive.set_plan(FaultPlan::new([Fault::CrashAt(rng.below(700))]));
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let own = known.iter().filter(|(name, _)| name[0] == number);
                    let own = own.map(|(name, states)| (*name, states.clone())).collect();
                    let seed = seed * 10 + life;
                    tokio::spawn(client(store.clone(), number, seed, own))
                })
                .collect();
            known = Known::new();
            for client in clients {
                known.extend(client.await.unwrap());
            }
            let after = if rng.one_in(3) {
                drive.kill()
            } else {
                drive.crash()
            };
            drop(store);
            drive = after;
        }
        let store = stage::open(Arc::new(drive.clone())).await.unwrap();
        check(&store, &drive, &known, &format!("seed {seed}, the end")).await;
    }
}
