// SPDX-License-Identifier: Apache-2.0
//! Damage to what was synced: always an error that names the place, never a shorter story.

use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use strongroom_store::Error;
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::table::Engine;
use strongroom_testkit::{Fault, FaultPlan, SimDrive, SimRng};

use crate::table_rig::{
    LossyIndex, Model, T, U, all, commit, delete, open, open_with, put, writes,
};

fn log_files(drive: &SimDrive) -> Vec<DrivePath> {
    let mut files = drive.list(Folder::Log).unwrap();
    files.retain(|path| path.number("journal").is_some());
    files.sort();
    files
}

fn log_file(first_seq: u64) -> DrivePath {
    DrivePath::numbered(Folder::Log, "journal", first_seq)
}

fn anchor() -> DrivePath {
    DrivePath::fixed(Folder::Log, "anchor")
}

/// Opens with an index that knows nothing, as after a power loss that took all it had not synced.
fn open_forgetful(drive: &SimDrive) -> Result<Engine, Error> {
    open_with(drive, &LossyIndex::default())
}

/// A log of five records in one file; a mark behind the last one if asked for.
fn five_records(mark: bool) -> (SimDrive, LossyIndex, Model) {
    let (drive, index) = (SimDrive::new(5), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    for at in 0..5_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 20])])).unwrap();
    }
    if mark {
        engine.idle();
    }
    let model = Model::of(&engine);
    drop(engine);
    (drive.kill(), index, model)
}

fn assert_names(error: &Error, path: &DrivePath) {
    assert!(error.is_corruption(), "{error}");
    assert!(
        error.to_string().contains(&path.to_string()),
        "`{error}` does not name {path}"
    );
}

#[test]
fn every_bit_of_a_log_with_a_mark() {
    let (drive, _, model) = five_records(true);
    let path = log_file(1);
    let len = drive.contents(&path).unwrap().len();
    let mark_at = len - 56;
    for offset in 0..len {
        for bit in 0..8 {
            let damaged = drive.kill();
            assert!(damaged.rot(&path, offset, 1 << bit));
            match open_forgetful(&damaged) {
                Err(error) => assert_names(&error, &path),
                // A mark is a witness, not a commit: without it everything is still there.
                Ok(engine) => {
                    assert!(
                        offset >= mark_at,
                        "byte {offset} bit {bit}: silently accepted"
                    );
                    assert_eq!(Model::of(&engine), model);
                }
            }
        }
    }
}

#[test]
fn every_byte_of_a_log_without_a_mark_when_the_index_remembers() {
    let (drive, index, _) = five_records(false);
    let path = log_file(1);
    for offset in 0..drive.contents(&path).unwrap().len() {
        for mask in [1, 0x80, 0xff] {
            let damaged = drive.kill();
            assert!(damaged.rot(&path, offset, mask));
            let error = open_with(&damaged, &index.copy()).unwrap_err();
            assert_names(&error, &path);
        }
    }
}

#[test]
fn every_byte_before_the_last_record_without_any_witness() {
    let (drive, _, model) = five_records(false);
    let path = log_file(1);
    let len = drive.contents(&path).unwrap().len();
    let last = (len - 72) / 5;
    for offset in 0..len {
        let damaged = drive.kill();
        assert!(damaged.rot(&path, offset, 0x10));
        match open_forgetful(&damaged) {
            Err(error) => assert_names(&error, &path),
            // The documented limit: a last record that nothing speaks for cannot be told from
            // one that a crash tore.
            Ok(engine) => {
                assert!(offset >= len - last, "byte {offset}: silently accepted");
                assert_eq!(engine.last_commit().0, model.seq - 1);
                assert!(engine.recovery_report().torn_bytes > 0);
            }
        }
    }
}

#[test]
fn a_log_cut_at_every_length_before_its_mark() {
    let (drive, index, model) = five_records(true);
    let path = log_file(1);
    let bytes = drive.contents(&path).unwrap();
    for len in 0..bytes.len() {
        let cut = drive.kill();
        cut.plant(&path, &bytes[..len]);
        // With the index as witness, only the mark can be missing.
        match open_with(&cut, &index.copy()) {
            Err(error) => assert!(error.is_corruption(), "{error}"),
            Ok(engine) => {
                assert!(len >= bytes.len() - 56, "cut at {len}: silently shorter");
                assert_eq!(Model::of(&engine), model);
            }
        }
    }
}

#[test]
fn records_exchanged_repeated_or_left_out() {
    let (drive, _, _) = five_records(true);
    let path = log_file(1);
    let bytes = drive.contents(&path).unwrap();
    let record = (bytes.len() - 72 - 56) / 5;
    let part = |at: usize| bytes[72 + at * record..72 + (at + 1) * record].to_vec();
    let (head, mark) = (bytes[..72].to_vec(), bytes[bytes.len() - 56..].to_vec());
    let stories: [&[usize]; 6] = [
        &[0, 2, 1, 3, 4],
        &[0, 1, 2, 2, 3, 4],
        &[0, 1, 3, 4],
        &[1, 2, 3, 4],
        &[0, 1, 2, 3],
        &[0, 1, 2, 3, 4, 4],
    ];
    for story in stories {
        let forged = drive.kill();
        let mut file = head.clone();
        for at in story {
            file.extend(part(*at));
        }
        file.extend(&mark);
        forged.plant(&path, &file);
        assert_names(&open_forgetful(&forged).unwrap_err(), &path);
    }
}

/// A longer log: several files, an anchor in the middle.
fn several_files() -> (SimDrive, LossyIndex, Model) {
    let (drive, index) = (SimDrive::new(6), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    for at in 0..60_u8 {
        commit(
            &mut engine,
            writes(vec![put(T, &[at], &[at; 200]), delete(U, &[at])]),
        )
        .unwrap();
        if at == 20 {
            engine.checkpoint().unwrap();
        }
    }
    engine.idle();
    let model = Model::of(&engine);
    drop(engine);
    assert!(log_files(&drive.kill()).len() >= 4);
    (drive.kill(), index, model)
}

#[test]
fn every_byte_behind_the_anchor_in_several_files() {
    let (drive, index, model) = several_files();
    // Whatever the index has beyond the anchor must come from the log.
    let index_at_anchor = index.restart(&mut NeverKeeps::rng());
    let mut refused = 0;
    for path in log_files(&drive) {
        let len = drive.contents(&path).unwrap().len();
        for offset in (0..len).step_by(5) {
            let damaged = drive.kill();
            assert!(damaged.rot(&path, offset, 0x04));
            match open_with(&damaged, &index_at_anchor.copy()) {
                Err(error) => {
                    assert_names(&error, &path);
                    refused += 1;
                }
                Ok(engine) => assert_eq!(Model::of(&engine), model, "{path} byte {offset}"),
            }
        }
    }
    assert!(refused > 1_000, "only {refused} places mattered");
}

/// A generator whose first number makes the index keep nothing.
struct NeverKeeps;

impl NeverKeeps {
    fn rng() -> SimRng {
        (0..1_000)
            .map(SimRng::new)
            .find(|rng| rng.clone().below(5) == 0)
            .unwrap()
    }
}

#[test]
fn a_missing_log_file() {
    let (drive, index, _) = several_files();
    let files = log_files(&drive);
    // The first ones are only retained; from the anchor's file on each is needed.
    let mut refused = 0;
    for path in &files {
        let without = drive.kill();
        without.remove(path).unwrap();
        match open_with(&without, &index.copy()) {
            Err(error) => {
                assert!(error.is_corruption(), "{error}");
                refused += 1;
            }
            Ok(_) => assert!(path < files.iter().nth_back(1).unwrap()),
        }
    }
    assert!(refused >= 3);
}

#[test]
fn log_files_of_another_store() {
    let (drive, index, _) = several_files();
    let (other, _, _) = several_files();
    for path in log_files(&drive).iter().rev().take(3) {
        let mixed = drive.kill();
        mixed.plant(path, &other.contents(path).unwrap());
        let error = open_with(&mixed, &index.copy()).unwrap_err();
        assert_names(&error, path);
    }
    let mixed = drive.kill();
    mixed.plant(&anchor(), &other.contents(&anchor()).unwrap());
    assert!(
        open_with(&mixed, &index.copy())
            .unwrap_err()
            .is_corruption()
    );
}

#[test]
fn every_bit_of_the_anchor() {
    let (drive, index, _) = several_files();
    let len = drive.contents(&anchor()).unwrap().len();
    for offset in 0..len {
        for bit in 0..8 {
            let damaged = drive.kill();
            assert!(damaged.rot(&anchor(), offset, 1 << bit));
            let error = open_with(&damaged, &index.copy()).unwrap_err();
            assert_names(&error, &anchor());
        }
    }
}

#[test]
fn an_anchor_that_is_gone() {
    let (drive, index, _) = several_files();
    drive.remove(&anchor()).unwrap();
    assert_names(&open_with(&drive, &index).unwrap_err(), &anchor());
    assert_names(&open_forgetful(&drive).unwrap_err(), &anchor());
}

#[test]
fn an_older_anchor_whose_files_are_gone() {
    let drive = SimDrive::new(7);
    let mut engine = open(&drive).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    engine.checkpoint().unwrap();
    let old = drive.contents(&anchor()).unwrap();
    for at in 0..100_u8 {
        commit(&mut engine, writes(vec![put(T, &[at], &[at; 200])])).unwrap();
        if at % 20 == 0 {
            engine.checkpoint().unwrap();
        }
    }
    drop(engine);
    let drive = drive.kill();
    drive.plant(&anchor(), &old);
    assert!(open(&drive).unwrap_err().is_corruption());
}

#[test]
fn an_index_that_lost_what_a_checkpoint_had_saved() {
    let (drive, index) = (SimDrive::new(8), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    let old = index.copy();
    commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
    engine.checkpoint().unwrap();
    drop(engine);
    let drive = drive.kill();
    for index in [old, LossyIndex::default()] {
        let error = open_with(&drive, &index).unwrap_err();
        assert!(error.to_string().contains("table index"), "{error}");
        assert!(error.is_corruption());
    }
    assert_eq!(all(&open_with(&drive, &index).unwrap(), T).len(), 2);
}

#[test]
fn an_index_ahead_of_the_log_or_of_another_store() {
    let (short, _, _) = five_records(true);
    let (other, other_index, _) = five_records(true);
    assert!(open_with(&short, &other_index).unwrap_err().is_corruption());

    // The drive lied about one flush: without the index the commit would be gone without a word.
    let (drive, index) = (SimDrive::new(3), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    let mut lied = 0;
    for seed in 0..20 {
        let drive = SimDrive::new(seed);
        let index = LossyIndex::default();
        let mut engine = open_with(&drive, &index).unwrap();
        commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
        drive.set_plan(FaultPlan::new([Fault::LoseFlushAt(1)]));
        commit(&mut engine, writes(vec![put(T, b"b", b"2")])).unwrap();
        drop(engine);
        match open_with(&drive.crash(), &index) {
            Err(error) => {
                assert!(error.is_corruption(), "{error}");
                lied += 1;
            }
            Ok(engine) => assert_eq!(all(&engine, T).len(), 2),
        }
    }
    assert!(lied > 5);
    drop(other);
}

#[test]
fn every_bit_of_a_stored_row() {
    let (drive, index) = (SimDrive::new(4), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    commit(
        &mut engine,
        writes(vec![put(T, b"name", b"a value of some length")]),
    )
    .unwrap();
    let key = [&20_u16.to_be_bytes()[..], b"name"].concat();
    let mut good = Bytes::new();
    index.edit(|rows| good = rows[&key].clone());
    for offset in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[offset] ^= 1 << bit;
            index.edit(|rows| drop(rows.insert(key.clone(), Bytes::from(bad))));
            assert_row_refused(&mut engine);
        }
    }
    for len in 0..good.len() {
        index.edit(|rows| drop(rows.insert(key.clone(), good.slice(..len))));
        assert_row_refused(&mut engine);
    }
    index.edit(|rows| drop(rows.insert(key.clone(), good.clone())));
    assert_eq!(
        engine.get(T, b"name").unwrap().unwrap().value,
        b"a value of some length"
    );
}

fn assert_row_refused(engine: &mut Engine) {
    let error = engine.get(T, b"name").unwrap_err();
    assert!(error.is_corruption());
    assert!(error.to_string().contains("table 20"), "{error}");
    assert!(
        !error.to_string().contains("name"),
        "the key is told: {error}"
    );
    let scanned = engine.scan(T, Bound::Unbounded, Bound::Unbounded, 10, false);
    assert!(scanned.unwrap_err().is_corruption());
    let asked = strongroom_store::Precondition::Present {
        table: T,
        key: b"name".to_vec(),
    };
    let batch = crate::table_rig::when(asked, put(T, b"other", b"x"));
    assert!(
        commit(engine, batch).is_err(),
        "a damaged row decided a commit"
    );
}

#[test]
fn a_row_moved_to_another_place() {
    let (drive, index) = (SimDrive::new(4), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"value")])).unwrap();
    index.edit(|rows| {
        let row = rows[&[&20_u16.to_be_bytes()[..], b"a"].concat()].clone();
        rows.insert([&20_u16.to_be_bytes()[..], b"b"].concat(), row.clone());
        rows.insert([&21_u16.to_be_bytes()[..], b"a"].concat(), row);
    });
    assert!(engine.get(T, b"a").is_ok());
    assert!(engine.get(T, b"b").unwrap_err().is_corruption());
    assert!(engine.get(U, b"a").unwrap_err().is_corruption());
}

#[test]
fn another_key_opens_nothing() {
    use std::sync::Arc;
    use strongroom_store::table::MemoryIndex;
    use strongroom_testkit::TestSealer;
    let (drive, _, _) = five_records(true);
    let drive: Arc<dyn Drive> = Arc::new(drive);
    let index = Arc::new(MemoryIndex::open(Arc::clone(&drive)).unwrap());
    let opened = Engine::open(
        drive,
        Arc::new(TestSealer::new(2)),
        index,
        crate::table_rig::small(),
        crate::table_rig::ignore_released(),
    );
    assert_names(&opened.unwrap_err(), &anchor());
}

#[test]
fn nothing_readable_reaches_the_drive() {
    let drive = SimDrive::new(2);
    let mut engine = open(&drive).unwrap();
    let secret = b"a value that must not be seen";
    commit(
        &mut engine,
        writes(vec![put(T, b"the key of the row", secret)]),
    )
    .unwrap();
    let in_files = |drive: &SimDrive, words: &[u8]| {
        drive.files().iter().any(|path| {
            drive
                .contents(path)
                .unwrap()
                .windows(words.len())
                .any(|window| window == words)
        })
    };
    // The log hides keys and values; the saved index hides the values.
    assert!(!in_files(&drive, secret) && !in_files(&drive, b"the key of the row"));
    engine.checkpoint().unwrap();
    assert!(!in_files(&drive, secret));
}

#[test]
fn verification_opens_every_row_and_names_the_bad_ones() {
    use std::sync::Arc;
    use strongroom_store::table::Tables;
    let (drive, index) = (SimDrive::new(4), LossyIndex::default());
    let mut engine = open_with(&drive, &index).unwrap();
    for at in 0..200_u8 {
        commit(
            &mut engine,
            writes(vec![put(T, &[at], b"t"), put(U, &[at], b"u")]),
        )
        .unwrap();
    }
    drop(engine);
    let tables = Tables::open_with_index(
        Arc::new(drive.kill()),
        crate::table_rig::sealer(),
        Arc::new(index.clone()),
        crate::table_rig::small(),
        crate::table_rig::ignore_released(),
    )
    .unwrap();
    let mut seen = 0;
    let count = |bytes| {
        seen += bytes;
        ControlFlow::Continue(())
    };
    let report = tables.verify(count).unwrap();
    assert_eq!(
        (report.rows, report.bytes, report.damaged.len()),
        (400, seen, 0)
    );
    index.edit(|rows| {
        for key in [[0, 20, 7], [0, 21, 199]] {
            let mut row = rows[&key.to_vec()].to_vec();
            row[12] ^= 1;
            rows.insert(key.to_vec(), Bytes::from(row));
        }
    });
    let damaged = tables
        .verify(|_| ControlFlow::Continue(()))
        .unwrap()
        .damaged;
    assert_eq!(damaged.len(), 2);
    assert!(damaged[0].to_string().contains("table 20"));
    assert!(damaged[1].to_string().contains("table 21"));
    let each = tables.scan_each(T, Bound::Unbounded, Bound::Unbounded, 300, false);
    let each = each.unwrap();
    assert_eq!(each.len(), 200, "a damaged row hides no other");
    for (key, row) in each {
        assert_eq!(row.is_err(), key == [7], "{key:?}");
    }
    let mut seen = 0;
    let stopped = tables.verify(|_| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(stopped.unwrap().rows, 3);
}

#[tokio::test]
async fn the_log_is_read_again_while_it_is_open() {
    use std::sync::Arc;
    use strongroom_store::table::Tables;
    let (drive, index) = (SimDrive::new(5), LossyIndex::default());
    let tables = Tables::open_with_index(
        Arc::new(drive.clone()),
        crate::table_rig::sealer(),
        Arc::new(index),
        crate::table_rig::small(),
        crate::table_rig::ignore_released(),
    )
    .unwrap();
    let verify = || tables.verify_log(|_| ControlFlow::Continue(())).unwrap();
    let empty = verify();
    assert_eq!((empty.files, empty.commits, empty.damaged.len()), (0, 0, 0));
    for at in 0..40_u8 {
        let batch = writes(vec![put(T, &[at], &[at; 400])]);
        tables.commit(batch).await.unwrap();
    }
    let files = log_files(&drive);
    assert!(files.len() > 2, "{files:?}");
    let sound = verify();
    assert!(sound.damaged.is_empty(), "{:?}", sound.damaged);
    assert_eq!((sound.files, sound.commits), (files.len() as u64, 40));
    let mut stopped = 0;
    let first = tables.verify_log(|_| {
        stopped += 1;
        ControlFlow::Break(())
    });
    assert_eq!((first.unwrap().files, stopped), (1, 1));

    for path in &files {
        let bytes = drive.contents(path).unwrap();
        for at in (0..bytes.len()).step_by(61) {
            drive.rot(path, at, 0x10);
            let damaged = verify().damaged;
            // The mark behind the last record says nothing that the index does not say.
            if path == files.last().unwrap() && at >= bytes.len() - 56 && damaged.is_empty() {
                drive.rot(path, at, 0x10);
                continue;
            }
            assert_eq!(damaged.len(), 1, "{path}, byte {at}");
            assert_names(&damaged[0], path);
            drive.rot(path, at, 0x10);
        }
        // Cut, and gone.
        drive.plant(path, &bytes[..bytes.len() / 2]);
        assert!(!verify().damaged.is_empty(), "{path}");
        if path != &files[0] {
            assert!(drive.remove(path).unwrap());
            assert!(!verify().damaged.is_empty(), "{path}");
        }
        drive.plant(path, &bytes);
        assert!(verify().damaged.is_empty(), "{path}");
    }
    // A file of another place.
    let (one, two) = (&files[0], &files[1]);
    let bytes = drive.contents(two).unwrap();
    drive.plant(two, &drive.contents(one).unwrap());
    assert_names(&verify().damaged[0], two);
    drive.plant(two, &bytes);

    // A checkpoint lets files go; what is left is still one story.
    tables.checkpoint().unwrap();
    assert!(log_files(&drive).len() < files.len());
    let left = verify();
    assert!(left.damaged.is_empty() && left.files > 0, "{left:?}");
}
