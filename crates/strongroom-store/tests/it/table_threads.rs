// SPDX-License-Identifier: Apache-2.0
//! The tables with their threads, on simulated and real drives.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_store::drive::Drive;
use strongroom_store::table::{TableOptions, Tables};
use strongroom_store::{CommitError, Error, Precondition};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::table_rig::{T, U, ignore_released, put, sealer, small, when, writes};

fn open(drive: &Arc<dyn Drive>, options: TableOptions) -> Result<Tables, Error> {
    Tables::open(Arc::clone(drive), sealer(), options, ignore_released())
}

fn local(dir: &tempfile::TempDir) -> Arc<dyn Drive> {
    Arc::new(strongroom_testkit::local_drive(&dir.path().join("drive")).unwrap())
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

/// Adds one to a counter as often as it takes.
async fn increment(tables: &Tables, counter: &[u8]) {
    loop {
        let row = tables.get(T, counter).unwrap();
        let (precondition, next) = match row {
            Some(row) => {
                let precondition = Precondition::SeqIs {
                    table: T,
                    key: counter.to_vec(),
                    seq: row.seq,
                };
                (precondition, number(&row.value) + 1)
            }
            None => (
                Precondition::Absent {
                    table: T,
                    key: counter.to_vec(),
                },
                1,
            ),
        };
        match tables
            .commit(when(precondition, put(T, counter, &next.to_be_bytes())))
            .await
        {
            Ok(_) => return,
            Err(CommitError::Precondition { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn increments_lose_nothing(drive: Arc<dyn Drive>) {
    let tables = open(
        &drive,
        TableOptions {
            background_checkpoints: true,
            ..small()
        },
    )
    .unwrap();
    let tasks: Vec<_> = (0..16_u8)
        .map(|task| {
            let tables = tables.clone();
            tokio::spawn(async move {
                for _ in 0..40 {
                    increment(&tables, &[task % 3]).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let sum: u64 = (0..3)
        .map(|counter| number(&tables.get(T, &[counter]).unwrap().unwrap().value))
        .sum();
    assert_eq!(sum, 16 * 40);
    assert_eq!(tables.last_commit().0, 16 * 40);
    tables.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_lose_no_update_on_a_simulated_drive() {
    increments_lose_nothing(Arc::new(SimDrive::new(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_lose_no_update_on_a_local_drive() {
    let dir = tempfile::tempdir().unwrap();
    increments_lose_nothing(local(&dir)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_an_answer_sees_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let tables = open(&local(&dir), small()).unwrap();
    let tasks: Vec<_> = (0..8_u8)
        .map(|task| {
            let tables = tables.clone();
            tokio::spawn(async move {
                for round in 0..50_u8 {
                    let batch = writes(vec![put(T, &[task], &[round]), put(U, &[task], &[round])]);
                    let seq = tables.commit(batch).await.unwrap().0;
                    assert!(tables.last_commit().0 >= seq);
                    assert_eq!(tables.get(T, &[task]).unwrap().unwrap().value, [round]);
                }
            })
        })
        .collect();
    // Scans see both rows of a commit or none, whatever is going on.
    for _ in 0..300 {
        let scan = |table| {
            tables
                .scan(table, Bound::Unbounded, Bound::Unbounded, 100, false)
                .unwrap()
        };
        let (before, after) = (scan(T), scan(U));
        for (key, row) in before {
            let other = after.iter().find(|(other, _)| *other == key).unwrap();
            assert!(other.1.seq >= row.seq);
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_flush_fails_everyone_who_waits() {
    let sim = SimDrive::new(1);
    let drive: Arc<dyn Drive> = Arc::new(sim.clone());
    let tables = open(&drive, small()).unwrap();
    tables
        .commit(writes(vec![put(T, b"kept", b"1")]))
        .await
        .unwrap();
    // The committer leaves its mark before or behind this.
    sim.set_plan(FaultPlan::new([Fault::FailFlushes]));
    let tasks: Vec<_> = (0..64_u8)
        .map(|task| {
            let tables = tables.clone();
            tokio::spawn(async move { tables.commit(writes(vec![put(T, &[task], b"x")])).await })
        })
        .collect();
    let mut unknown = 0;
    for task in tasks {
        match task.await.unwrap() {
            Err(CommitError::Unknown) => unknown += 1,
            Err(CommitError::Store(Error::DriveOutOfService { .. })) => {}
            outcome => panic!("{outcome:?}"),
        }
    }
    assert!(unknown > 0);
    assert!(!tables.is_in_service());
    assert!(
        tables
            .commit(writes(vec![put(T, b"a", b"x")]))
            .await
            .is_err()
    );
    assert!(tables.get(T, b"kept").is_err());
    drop(tables);
    let drive: Arc<dyn Drive> = Arc::new(sim.crash());
    let tables = open(&drive, small()).unwrap();
    assert_eq!(tables.get(T, b"kept").unwrap().unwrap().value, b"1");
}

#[tokio::test]
async fn a_closed_store_refuses_commits_and_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    let tables = open(&drive, small()).unwrap();
    tables
        .commit(writes(vec![put(T, b"a", b"1")]))
        .await
        .unwrap();
    tables.close().await.unwrap();
    tables.close().await.unwrap();
    let outcome = tables.commit(writes(vec![put(T, b"b", b"2")])).await;
    assert!(
        matches!(outcome, Err(CommitError::Store(Error::Closed))),
        "{outcome:?}"
    );
    assert!(tables.get(T, b"a").unwrap().is_some());
    drop(tables);
    let tables = open(&drive, small()).unwrap();
    // Closing took a checkpoint: nothing is left to replay.
    assert_eq!(tables.recovery_report().replayed_commits, 0);
    assert_eq!(tables.get(T, b"a").unwrap().unwrap().value, b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_in_the_background_let_old_log_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    let options = TableOptions {
        background_checkpoints: true,
        ..small()
    };
    let tables = open(&drive, options).unwrap();
    for at in 0..200_u8 {
        tables
            .commit(writes(vec![put(T, &[at], &[at; 400])]))
            .await
            .unwrap();
    }
    let files = || {
        let folder = drive.list(strongroom_store::drive::Folder::Log).unwrap();
        folder
            .iter()
            .filter(|path| path.number("journal").is_some())
            .count()
    };
    let start = Instant::now();
    while files() > 2 {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "{} log files left",
            files()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(tables);
    let tables = open(&drive, options).unwrap();
    assert!(tables.recovery_report().replayed_commits < 50);
    for at in 0..200_u8 {
        assert_eq!(tables.get(T, &[at]).unwrap().unwrap().value, [at; 400]);
    }
}

/// The index's journal is not trusted: whatever happens to it, the log brings everything back.
#[tokio::test]
async fn an_index_whose_own_journal_is_cut_damaged_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    for round in 0..8_u8 {
        let tables = open(&drive, small()).unwrap();
        for at in 0..60_u8 {
            let value = vec![round; 300];
            tables
                .commit(writes(vec![put(T, &[round, at], &value)]))
                .await
                .unwrap();
            if at == 20 && round < 6 {
                tables.checkpoint().unwrap();
            }
        }
        drop(tables);
        for entry in std::fs::read_dir(drive.index_dir().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jnl") {
                let bytes = std::fs::read(&path).unwrap();
                match round {
                    // Damage in the middle, which fjall refuses.
                    0 => flip(&path, bytes.len() / 2),
                    1 => std::fs::write(&path, b"").unwrap(),
                    2 => std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
                    // A batch whose start marker is gone: taken for a torn tail.
                    3 => std::fs::write(&path, &bytes[7..]).unwrap(),
                    4 => flip(&path, bytes.len() / 3),
                    5 => flip(&path, 1),
                    _ => {}
                }
            }
        }
        let tables = open(&drive, small()).unwrap();
        for earlier in 0..=round {
            for at in 0..60_u8 {
                let row = tables.get(T, &[earlier, at]).unwrap();
                assert_eq!(row.unwrap().value, vec![earlier; 300], "round {round}");
            }
        }
    }
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

/// Without any journal file fjall starts counting anew and shows nothing, without an error.
#[tokio::test]
async fn an_index_whose_journal_files_are_gone_is_an_error_and_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    let tables = open(&drive, small()).unwrap();
    tables
        .commit(writes(vec![put(T, b"a", b"1")]))
        .await
        .unwrap();
    tables.close().await.unwrap();
    drop(tables);
    for entry in std::fs::read_dir(drive.index_dir().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(open(&drive, small()).unwrap_err().is_corruption());
}

#[tokio::test]
async fn an_index_directory_that_is_gone_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    let tables = open(&drive, small()).unwrap();
    tables
        .commit(writes(vec![put(T, b"a", b"1")]))
        .await
        .unwrap();
    tables.close().await.unwrap();
    drop(tables);
    std::fs::remove_dir_all(drive.index_dir().unwrap()).unwrap();
    let error = open(&drive, small()).unwrap_err();
    assert!(
        error.is_corruption() && error.to_string().contains("table index"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_several_mebibytes_and_many_waiters_fit_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    let tables = open(&drive, TableOptions::default()).unwrap();
    let tasks: Vec<_> = (0..24_u8)
        .map(|task| {
            let tables = tables.clone();
            let value = vec![task; 5 << 20];
            tokio::spawn(async move { tables.commit(writes(vec![put(T, &[task], &value)])).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    drop(tables);
    let tables = open(&drive, TableOptions::default()).unwrap();
    for task in 0..24_u8 {
        assert_eq!(
            tables.get(T, &[task]).unwrap().unwrap().value.len(),
            5 << 20
        );
    }
}

/// `cargo test -p strongroom-store --test it --release -- --ignored table_speed --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a test"]
async fn table_speed() {
    let dir = tempfile::tempdir().unwrap();
    let drive = local(&dir);
    let tables = open(&drive, TableOptions::default()).unwrap();
    for (waiters, bytes) in [
        (1_u32, 200_usize),
        (16, 200),
        (64, 200),
        (256, 200),
        (64, 33_000),
    ] {
        let per_waiter = if bytes > 1_000 {
            100
        } else {
            40_000 / waiters.max(16)
        };
        let start = Instant::now();
        let tasks: Vec<_> = (0..waiters)
            .map(|waiter| {
                let tables = tables.clone();
                tokio::spawn(async move {
                    for round in 0..per_waiter {
                        let key = [waiter.to_be_bytes(), round.to_be_bytes()].concat();
                        let batch = writes(vec![put(T, &key, &vec![7; bytes])]);
                        tables.commit(batch).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let commits = f64::from(waiters * per_waiter);
        let rate = commits / start.elapsed().as_secs_f64();
        println!("{waiters} waiters, {bytes} bytes: {rate:.0} commits/s");
    }
    let start = Instant::now();
    for round in 0..200_000_u32 {
        let key = [(round % 64).to_be_bytes(), (round * 7 % 600).to_be_bytes()].concat();
        assert!(tables.get(T, &key).unwrap().is_some());
    }
    println!(
        "{:.0} gets/s on one thread",
        200_000.0 / start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let mut rows = 0_u32;
    for waiter in 0..64_u32 {
        let from = waiter.to_be_bytes();
        let found = tables
            .scan(T, Bound::Included(&from), Bound::Unbounded, 1_000, false)
            .unwrap();
        rows += u32::try_from(found.len()).unwrap();
    }
    println!(
        "{:.0} rows/s scanned",
        f64::from(rows) / start.elapsed().as_secs_f64()
    );
    drop(tables);
    let start = Instant::now();
    let tables = open(&drive, TableOptions::default()).unwrap();
    let report = tables.recovery_report();
    println!("opened in {:?}: {report:?}", start.elapsed());
}
