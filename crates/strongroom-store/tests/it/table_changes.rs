// SPDX-License-Identifier: Apache-2.0
//! The count of changes, by which others keep what they read: every way by which a row can change
//! moves it, before the change can be seen and again before anybody is told.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strongroom_store::drive::Drive;
use strongroom_store::table::{
    ChangeCount, Engine, Index, IndexMoment, IndexOp, IndexRow, TableOptions, Tables,
};
use strongroom_store::{Error, Precondition, TableId};
use strongroom_testkit::SimDrive;

use crate::mirror_rig::{World, no};
use crate::table_rig::{
    LossyIndex, T, U, commit, delete, ignore_released, open, put, sealer, small, when, writes,
};

/// An index that lets a test look on while changes are made.
#[derive(Clone, Default)]
struct Watched {
    inner: LossyIndex,
    look: Arc<Mutex<Option<Look>>>,
    fails: Arc<AtomicBool>,
}

/// Called before and after the changes are made, with what is the case.
type Look = Box<dyn FnMut(bool) + Send>;

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Watched {
    fn look(&self, is_applied: bool) {
        if let Some(look) = self.look.lock().unwrap().as_mut() {
            look(is_applied);
        }
    }
}

impl Index for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn range(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<IndexRow>, Error> {
        self.inner.range(start, end, limit, reverse)
    }

    fn apply(&self, ops: Vec<IndexOp>) -> Result<(), Error> {
        self.look(false);
        self.inner.apply(ops)?;
        self.look(true);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        Ok(())
    }

    fn persist(&self) -> Result<(), Error> {
        self.inner.persist()
    }

    fn moment(&self) -> Result<Box<dyn IndexMoment>, Error> {
        self.inner.moment()
    }
}

fn watched() -> (Tables, Watched) {
    let index = Watched::default();
    let tables = Tables::open_with_index(
        Arc::new(SimDrive::new(1)),
        sealer(),
        Arc::new(index.clone()),
        small(),
        ignore_released(),
    );
    (tables.unwrap(), index)
}

fn counts(engine: &Engine) -> (Option<ChangeCount>, Option<ChangeCount>) {
    (engine.change_count(T), engine.change_count(U))
}

#[test]
fn commits_move_the_counts_of_the_tables_they_change() {
    let mut engine = open(&SimDrive::new(1)).unwrap();
    let start = counts(&engine);
    assert!(start.0.is_some() && start.1.is_some());
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    let after_put = counts(&engine);
    assert_ne!(after_put.0, start.0);
    assert_eq!(after_put.1, start.1);
    commit(&mut engine, writes(vec![delete(T, b"a")])).unwrap();
    let after_delete = counts(&engine);
    assert_ne!(after_delete.0, after_put.0);
    assert_eq!(after_delete.1, start.1);
    let both = vec![
        writes(vec![put(T, b"a", b"1")]),
        writes(vec![put(U, b"a", b"1")]),
    ];
    engine.commit_group(both).into_iter().for_each(|outcome| {
        outcome.unwrap();
    });
    assert_ne!(counts(&engine).0, after_delete.0);
    assert_ne!(counts(&engine).1, after_delete.1);
    // What is refused changes nothing.
    let before = counts(&engine);
    let absent = Precondition::Absent {
        table: T,
        key: b"a".to_vec(),
    };
    commit(&mut engine, when(absent, put(T, b"a", b"2"))).unwrap_err();
    assert_eq!(counts(&engine), before);
}

#[tokio::test]
async fn commits_move_the_counts_with_threads_and_inline_and_on_a_real_drive() {
    let dir = tempfile::tempdir().unwrap();
    let local = strongroom_testkit::local_drive(&dir.path().join("drive")).unwrap();
    let drives: [(Arc<dyn Drive>, bool); 3] = [
        (Arc::new(SimDrive::new(1)), false),
        (Arc::new(SimDrive::new(2)), true),
        (Arc::new(local), false),
    ];
    for (drive, inline) in drives {
        let options = TableOptions {
            inline,
            ..TableOptions::default()
        };
        let tables = Tables::open(drive, sealer(), options, ignore_released()).unwrap();
        for _ in 0..3 {
            let before = tables.change_count(T);
            assert!(before.is_some());
            let batch = writes(vec![put(T, b"a", b"1")]);
            tables.commit(batch).await.unwrap();
            assert!(tables.change_count(T).is_some());
            assert_ne!(tables.change_count(T), before, "inline {inline}");
        }
        tables.close().await.unwrap();
    }
}

/// Bumped only before the change, a count was there while the row of before could still be read,
/// and held for ever. Bumped only after it, what was kept counted beside readers that saw the new
/// row.
#[tokio::test]
async fn there_is_no_count_from_before_a_change_is_seen_until_all_see_it() {
    let (tables, index) = watched();
    let start = tables.change_count(T);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mine, watching) = (Arc::clone(&seen), tables.clone());
    *index.look.lock().unwrap() = Some(Box::new(move |is_applied| {
        let row = watching.get(T, b"a").unwrap().is_some();
        let counts = (watching.change_count(T), watching.change_count(U));
        mine.lock().unwrap().push((is_applied, row, counts));
    }));
    let untouched = tables.change_count(U);
    tables
        .commit(writes(vec![put(T, b"a", b"1")]))
        .await
        .unwrap();
    *index.look.lock().unwrap() = None;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (false, false, (None, untouched)),
            (true, true, (None, untouched))
        ]
    );
    assert!(tables.change_count(T).is_some());
    assert_ne!(tables.change_count(T), start);
}

#[tokio::test]
async fn nothing_counts_once_a_change_failed_half_way() {
    let (tables, index) = watched();
    tables
        .commit(writes(vec![put(T, b"a", b"1")]))
        .await
        .unwrap();
    let kept = tables.change_count(U);
    assert!(kept.is_some());
    index.fails.store(true, Ordering::SeqCst);
    let batch = writes(vec![put(T, b"a", b"2")]);
    tables.commit(batch).await.unwrap_err();
    index.fails.store(false, Ordering::SeqCst);
    assert_eq!(tables.change_count(T), None);
    assert!(tables.get(T, b"a").is_err());
    // As reads of all tables are refused, so is what was kept of any.
    assert_eq!(tables.change_count(U), None);
}

/// Readers that keep a number under the count, as the key service keeps its rows, while it is
/// changed as fast as it goes. None may use one that is older than what was answered before, or
/// than what any reader has seen.
#[test]
fn what_is_kept_is_never_older_than_what_was_answered_or_seen() {
    let drive: Arc<dyn Drive> = Arc::new(SimDrive::new(1));
    let options = TableOptions::default();
    let tables = Tables::open(drive, sealer(), options, ignore_released()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let commit = |number: u64| {
        let batch = writes(vec![put(T, b"n", &number.to_be_bytes())]);
        runtime.block_on(tables.commit(batch)).unwrap();
    };
    commit(0);
    let (floor, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (kept_uses, read_uses) = (AtomicU64::new(0), AtomicU64::new(0));
    let reader = || {
        let mut kept: Option<(ChangeCount, u64)> = None;
        while !done.load(Ordering::SeqCst) {
            let at_least = floor.load(Ordering::SeqCst);
            let count = tables.change_count(T);
            let number = match kept {
                Some((of, number)) if count == Some(of) => {
                    kept_uses.fetch_add(1, Ordering::Relaxed);
                    number
                }
                _ => {
                    read_uses.fetch_add(1, Ordering::Relaxed);
                    let row = tables.get(T, b"n").unwrap().unwrap();
                    let number = u64::from_be_bytes(row.value.try_into().unwrap());
                    kept = count.map(|count| (count, number));
                    number
                }
            };
            assert!(number >= at_least, "{number} was used behind {at_least}");
            floor.fetch_max(number, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(reader);
        }
        let begun = Instant::now();
        // Until the readers came to use both what they kept and what they read again.
        let has_shown =
            || kept_uses.load(Ordering::Relaxed) > 0 && read_uses.load(Ordering::Relaxed) > 3;
        let mut number = 0;
        while number < 3_000 || !(has_shown() || begun.elapsed() > Duration::from_mins(2)) {
            number += 1;
            commit(number);
            floor.fetch_max(number, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(kept_uses.load(Ordering::Relaxed) > 0);
    assert!(read_uses.load(Ordering::Relaxed) > 3);
}

/// Which copy is asked changes when one comes back. It has the same rows; but whoever kept one
/// reads again.
#[test]
fn a_copy_that_comes_back_and_one_that_is_mended_move_all_counts() {
    let world = World::new(3, 8);
    let (mirror, mut engine) = world.open().unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"1")])).unwrap();
    mirror.fence(no(1)).unwrap();
    commit(&mut engine, writes(vec![put(T, b"a", b"2")])).unwrap();
    let before = (counts(&engine), engine.change_count(TableId(7)));
    mirror.catch_up(no(1), &world.drive(1)).unwrap();
    let after = (counts(&engine), engine.change_count(TableId(7)));
    assert!(after.0.0.is_some() && after.1.is_some());
    assert_ne!(after.0.0, before.0.0);
    assert_ne!(after.0.1, before.0.1);
    assert_ne!(after.1, before.1);
    // A row that does not open in the copy that is asked first.
    world.indexes.of(no(0)).edit(|rows| {
        for (key, row) in rows.iter_mut() {
            if key.starts_with(&T.0.to_be_bytes()) {
                let mut damaged = row.to_vec();
                damaged[12] ^= 1;
                *row = Bytes::from(damaged);
            }
        }
    });
    let before = engine.change_count(T);
    assert_eq!(engine.get(T, b"a").unwrap().unwrap().value, b"2");
    assert!(engine.change_count(T).is_some());
    assert_ne!(engine.change_count(T), before);
}
