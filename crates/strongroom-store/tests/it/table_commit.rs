// SPDX-License-Identifier: Apache-2.0
//! What one commit does, case by case.

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use strongroom_store::drive::Drive;
use strongroom_store::table::{
    COMMIT_BYTES_MAX, Engine, KEY_BYTES_MAX, MemoryIndex, ROWS_PER_COMMIT_MAX, VALUE_BYTES_MAX,
};
use strongroom_store::{Batch, BlobId, CommitError, Error, Precondition, Row, TableId, Write};
use strongroom_testkit::{SimDrive, UnsealedUnits};

use crate::stage;
use crate::table_rig::{T, U, all, commit, delete, open, put, sealer, small, when, writes};

fn engine() -> Engine {
    open(&SimDrive::new(1)).unwrap()
}

fn absent(key: &[u8]) -> Precondition {
    Precondition::Absent {
        table: T,
        key: key.to_vec(),
    }
}

fn present(key: &[u8]) -> Precondition {
    Precondition::Present {
        table: T,
        key: key.to_vec(),
    }
}

fn seq_is(key: &[u8], seq: u64) -> Precondition {
    Precondition::SeqIs {
        table: T,
        key: key.to_vec(),
        seq,
    }
}

fn range_empty(start: &[u8], end: &[u8]) -> Precondition {
    Precondition::RangeEmpty {
        table: T,
        start: start.to_vec(),
        end: end.to_vec(),
    }
}

#[test]
fn the_matrix_of_preconditions() {
    // Rows before: b (commit 1), d (commit 2), and b in another table.
    let cases: Vec<(Precondition, bool)> = vec![
        (absent(b"a"), true),
        (absent(b"b"), false),
        (absent(b""), true),
        (present(b"a"), false),
        (present(b"b"), true),
        (present(b"bb"), false),
        (seq_is(b"b", 1), true),
        (seq_is(b"b", 2), false),
        (seq_is(b"b", 0), false),
        (seq_is(b"a", 0), false),
        (seq_is(b"d", 2), true),
        (range_empty(b"a", b"b"), true),
        (range_empty(b"a", b"b\0"), false),
        (range_empty(b"b", b"b"), true),
        (range_empty(b"b\0", b"d"), true),
        (range_empty(b"b\0", b"e"), false),
        (range_empty(b"z", b"a"), true),
        (range_empty(b"", b"\xff"), false),
        (range_empty(b"e", b"\xff"), true),
    ];
    for (precondition, holds) in cases {
        let mut engine = engine();
        commit(
            &mut engine,
            writes(vec![put(T, b"b", b"1"), put(U, b"a", b"1")]),
        )
        .unwrap();
        commit(&mut engine, writes(vec![put(T, b"d", b"2")])).unwrap();
        let outcome = commit(
            &mut engine,
            when(precondition.clone(), put(T, b"new", b"3")),
        );
        match outcome {
            Ok(seq) => assert!(holds && seq.0 == 3, "{precondition:?} held"),
            Err(CommitError::Precondition { index: 0, batch }) => {
                assert!(!holds, "{precondition:?} did not hold");
                // The batch comes back, so that it can be tried again.
                assert_eq!(batch.writes.len(), 1);
            }
            Err(error) => panic!("{precondition:?}: {error}"),
        }
        assert_eq!(engine.get(T, b"new").unwrap().is_some(), holds);
        // A refused commit takes no number.
        assert_eq!(engine.last_commit().0, if holds { 3 } else { 2 });
    }
}

#[test]
fn the_first_precondition_that_does_not_hold_is_named() {
    let mut engine = engine();
    let batch = Batch {
        preconditions: vec![absent(b"a"), present(b"b"), present(b"c")],
        writes: vec![put(T, b"x", b"y")],
    };
    let outcome = commit(&mut engine, batch);
    assert!(
        matches!(outcome, Err(CommitError::Precondition { index: 1, .. })),
        "{outcome:?}"
    );
}

#[test]
fn commits_of_one_group_see_those_before_them() {
    let mut engine = engine();
    let outcomes = engine.commit_group(vec![
        when(absent(b"a"), put(T, b"a", b"1")),
        when(absent(b"a"), put(T, b"a", b"2")),
        when(seq_is(b"a", 1), put(T, b"a", b"3")),
        when(seq_is(b"a", 1), put(T, b"a", b"4")),
        when(range_empty(b"", b"b"), put(T, b"b", b"5")),
        when(present(b"a"), delete(T, b"a")),
        when(range_empty(b"", b"b"), put(T, b"c", b"6")),
        when(present(b"a"), put(T, b"a", b"7")),
    ]);
    let done: Vec<Option<u64>> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().ok().map(|seq| seq.0))
        .collect();
    assert_eq!(
        done,
        [Some(1), None, Some(2), None, None, Some(3), Some(4), None]
    );
    assert_eq!(all(&engine, T), [(b"c".to_vec(), b"6".to_vec(), 4)]);
}

#[test]
fn the_last_write_of_a_key_counts() {
    let mut engine = engine();
    let batch = writes(vec![
        put(T, b"a", b"1"),
        put(T, b"a", b"2"),
        delete(T, b"b"),
        put(T, b"b", b"3"),
        put(T, b"c", b"4"),
        delete(T, b"c"),
    ]);
    commit(&mut engine, batch).unwrap();
    let rows = [
        (b"a".to_vec(), b"2".to_vec(), 1),
        (b"b".to_vec(), b"3".to_vec(), 1),
    ];
    assert_eq!(all(&engine, T), rows);
}

#[test]
fn stamped_rows_come_newest_first() {
    let mut engine = engine();
    for at in 0..300_u16 {
        let prefix = b"object\0".to_vec();
        let write = Write::PutStamped {
            table: T,
            prefix,
            value: at.to_be_bytes().to_vec(),
        };
        let seq = commit(&mut engine, writes(vec![write])).unwrap().0;
        let key = [b"object\0".as_slice(), &(u64::MAX - seq).to_be_bytes()].concat();
        let row = Row {
            value: at.to_be_bytes().to_vec(),
            seq,
        };
        assert_eq!(engine.get(T, &key).unwrap(), Some(row));
    }
    let values: Vec<Vec<u8>> = all(&engine, T)
        .into_iter()
        .map(|(_, value, _)| value)
        .collect();
    let newest_first: Vec<Vec<u8>> = (0..300_u16)
        .rev()
        .map(|at| at.to_be_bytes().to_vec())
        .collect();
    assert_eq!(values, newest_first);
}

#[test]
fn two_stamped_rows_of_one_prefix_in_one_commit_are_refused() {
    let mut engine = engine();
    let stamped = |value: &[u8]| Write::PutStamped {
        table: T,
        prefix: b"p".to_vec(),
        value: value.to_vec(),
    };
    let outcome = commit(&mut engine, writes(vec![stamped(b"1"), stamped(b"2")]));
    assert!(matches!(
        outcome,
        Err(CommitError::Store(Error::InvalidBatch { .. }))
    ));
    assert!(all(&engine, T).is_empty());
}

#[test]
fn a_commit_without_writes_only_asks() {
    let mut engine = engine();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    let ask = |precondition| Batch {
        preconditions: vec![precondition],
        writes: Vec::new(),
    };
    assert_eq!(commit(&mut engine, ask(present(b"a"))).unwrap().0, 1);
    assert!(commit(&mut engine, ask(absent(b"a"))).is_err());
    assert_eq!(engine.last_commit().0, 1);
}

#[test]
fn scans_keep_to_their_table_bounds_and_limit() {
    let mut engine = engine();
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"b", b"\xff\xff"];
    for key in keys {
        commit(
            &mut engine,
            writes(vec![put(T, key, b"t"), put(U, key, b"u")]),
        )
        .unwrap();
    }
    let scan = |start, end, limit, reverse| -> Vec<Vec<u8>> {
        let rows = engine.scan(T, start, end, limit, reverse).unwrap();
        assert!(rows.iter().all(|(_, row)| row.value == b"t"));
        rows.into_iter().map(|(key, _)| key).collect()
    };
    let none: [&[u8]; 0] = [];
    let (open, a) = (Bound::Unbounded, b"a".as_slice());
    assert_eq!(scan(open, open, usize::MAX, false), keys);
    assert_eq!(scan(open, open, 2, false), keys[..2]);
    assert_eq!(scan(open, open, 2, true), [keys[5], keys[4]]);
    assert_eq!(scan(open, open, 0, false), none);
    assert_eq!(scan(Bound::Included(a), open, 9, false), keys[2..]);
    assert_eq!(scan(Bound::Excluded(a), open, 9, false), keys[3..]);
    assert_eq!(
        scan(open, Bound::Included(a), 9, true),
        [keys[2], keys[1], keys[0]]
    );
    assert_eq!(scan(open, Bound::Excluded(a), 9, false), keys[..2]);
    assert_eq!(scan(Bound::Included(a), Bound::Included(a), 9, false), [a]);
    assert_eq!(scan(Bound::Excluded(a), Bound::Excluded(a), 9, false), none);
    assert_eq!(
        scan(Bound::Included(b"b"), Bound::Excluded(a), 9, false),
        none
    );
}

#[test]
fn sizes_up_to_the_limits_and_not_beyond() {
    let drive = SimDrive::new(1);
    let mut engine = open(&drive).unwrap();
    let key = vec![7; KEY_BYTES_MAX];
    let value = vec![9; VALUE_BYTES_MAX];
    commit(
        &mut engine,
        writes(vec![put(T, &key, b""), put(T, b"large", &value)]),
    )
    .unwrap();
    let many = (0..ROWS_PER_COMMIT_MAX).map(|at| put(U, &at.to_be_bytes(), b"v"));
    commit(&mut engine, writes(many.collect())).unwrap();
    drop(engine);
    let mut engine = open(&drive.kill()).unwrap();
    assert_eq!(engine.get(T, &key).unwrap().unwrap().value, b"");
    assert_eq!(engine.get(T, b"large").unwrap().unwrap().value, value);
    assert_eq!(all(&engine, U).len(), 4_096);

    let long_key = vec![7; KEY_BYTES_MAX + 1];
    let long_value = vec![9; VALUE_BYTES_MAX + 1];
    let too_many = (0..=ROWS_PER_COMMIT_MAX).map(|at| put(U, &at.to_be_bytes(), b"v"));
    let half = vec![1; COMMIT_BYTES_MAX / 2];
    let refused = [
        writes(vec![put(T, &long_key, b"")]),
        writes(vec![put(T, b"k", &long_value)]),
        writes(vec![delete(T, &long_key)]),
        when(present(&long_key), put(T, b"k", b"v")),
        when(range_empty(b"", &long_key), put(T, b"k", b"v")),
        writes(too_many.collect()),
        writes(vec![put(T, b"a", &half), put(T, b"b", &half)]),
        writes(vec![put(TableId(30), b"a", b"v")]),
        writes(vec![delete(TableId(30), b"a")]),
        writes(vec![put(TableId(u16::MAX), b"applied", b"v")]),
    ];
    for batch in refused {
        let outcome = commit(&mut engine, batch);
        assert!(
            matches!(
                outcome,
                Err(CommitError::Store(
                    Error::TooLarge { .. } | Error::InvalidBatch { .. }
                ))
            ),
            "{outcome:?}"
        );
    }
    assert!(engine.get(TableId(u16::MAX), b"applied").is_err());
}

#[tokio::test]
async fn blobs_are_adopted_and_released_with_the_commit() {
    let drive: Arc<dyn Drive> = Arc::new(SimDrive::new(1));
    let store = stage::open(Arc::clone(&drive)).await.unwrap();
    let tables = store.tables();
    let write = async |blob| {
        let mut writer = store
            .blobs()
            .create(blob, stage::layout(), UnsealedUnits)
            .await
            .unwrap();
        let mut buffer = store.blobs().buffer(stage::layout(), 1);
        buffer.slot_mut(0).fill(7);
        writer.write(buffer, 1).await.unwrap();
        writer.finish().await.unwrap()
    };
    let (kept, refused) = (BlobId([1; 16]), BlobId([2; 16]));
    let proof = write(kept).await;
    let location = proof.location();
    let batch = writes(vec![
        Write::AdoptBlob(proof),
        put(T, b"version", b"of the blob"),
    ]);
    tables.commit(batch).await.unwrap();
    assert_eq!(tables.blob(kept).unwrap(), Some(location));

    // A refused commit leaves no row, and the file of the proof that nobody takes back goes.
    let proof = write(refused).await;
    let outcome = tables
        .commit(when(absent(b"version"), Write::AdoptBlob(proof)))
        .await;
    assert!(matches!(outcome, Err(CommitError::Precondition { .. })));
    drop(outcome);
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(tables.blob(refused).unwrap(), None);
    let unknown = tables
        .commit(writes(vec![Write::ReleaseBlob(refused)]))
        .await;
    assert!(matches!(
        unknown,
        Err(CommitError::Store(Error::BlobNotFound { .. }))
    ));

    // Twice in one commit is once too often.
    let twice = writes(vec![Write::ReleaseBlob(kept), Write::ReleaseBlob(kept)]);
    assert!(tables.commit(twice).await.is_err());
    assert_eq!(tables.blob(kept).unwrap(), Some(location));
    let release = writes(vec![Write::ReleaseBlob(kept), delete(T, b"version")]);
    tables.commit(release).await.unwrap();
    assert_eq!(tables.blob(kept).unwrap(), None);
    store.blobs().reclaimed().await.unwrap();
    assert!(store.blobs().open(&location).await.is_err());
}

#[tokio::test]
async fn shared_blob_goes_with_its_last_reference() {
    let drive: Arc<dyn Drive> = Arc::new(SimDrive::new(1));
    let store = stage::open(Arc::clone(&drive)).await.unwrap();
    let tables = store.tables();
    let blob = BlobId([3; 16]);
    let location = stage::put(&store, blob, &stage::bytes(3, 100)).await;
    let refs = || store.catalogued(blob).unwrap().map(|entry| entry.refs);
    let share = || Write::ShareBlob(blob);
    let release = || Write::ReleaseBlob(blob);
    assert_eq!(refs(), Some(1));

    let since = tables.last_commit().0;
    tables.commit(writes(vec![share()])).await.unwrap();
    let entry = store.catalogued(blob).unwrap().unwrap();
    assert_eq!(entry.refs, 2);
    assert!(entry.changed_seq > since && entry.created_seq <= since);
    // A self-copy: the new row comes before the old one goes.
    tables
        .commit(writes(vec![share(), release()]))
        .await
        .unwrap();
    assert_eq!(refs(), Some(2));
    tables.commit(writes(vec![share()])).await.unwrap();
    let refused = tables.commit(when(present(b"no"), share())).await;
    assert!(matches!(refused, Err(CommitError::Precondition { .. })));
    assert_eq!(refs(), Some(3), "a refused commit shares nothing");
    tables
        .commit(writes(vec![release(), release()]))
        .await
        .unwrap();
    assert_eq!(refs(), Some(1));
    store.blobs().reclaimed().await.unwrap();
    store.blobs().verify(&location).await.unwrap();

    // The other way round the blob is gone before it is shared.
    let reversed = tables.commit(writes(vec![release(), share()])).await;
    assert!(matches!(
        reversed,
        Err(CommitError::Store(Error::BlobNotFound { .. }))
    ));
    assert_eq!(refs(), Some(1), "a batch that fails changes nothing");
    tables.commit(writes(vec![release()])).await.unwrap();
    assert_eq!(refs(), None);
    store.blobs().reclaimed().await.unwrap();
    assert!(store.blobs().open(&location).await.is_err());
    let gone = tables.commit(writes(vec![share()])).await;
    assert!(matches!(
        gone,
        Err(CommitError::Store(Error::BlobNotFound { .. }))
    ));
}

#[test]
fn released_blobs_are_told_only_after_the_flush() {
    use strongroom_store::blob::Release;
    use strongroom_testkit::{Fault, FaultPlan};
    let drive = SimDrive::new(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let shared: Arc<dyn Drive> = Arc::new(drive.clone());
    let index = Arc::new(MemoryIndex::open(Arc::clone(&shared)).unwrap());
    let mut engine = Engine::open(
        shared,
        sealer(),
        index,
        small(),
        Arc::new(move |release| {
            if let Release::Durable(departure) = release {
                hear.lock().unwrap().push(departure);
            }
        }),
    )
    .unwrap();
    let outcome = commit(
        &mut engine,
        writes(vec![Write::ReleaseBlob(BlobId([9; 16]))]),
    );
    assert!(matches!(
        outcome,
        Err(CommitError::Store(Error::BlobNotFound { .. }))
    ));
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    drive.set_plan(FaultPlan::new([Fault::FailAt(1)]));
    assert!(commit(&mut engine, writes(vec![put(T, b"b", b"1")])).is_err());
    assert!(told.lock().unwrap().is_empty());
}
