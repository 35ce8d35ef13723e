// SPDX-License-Identifier: Apache-2.0
//! Scrub finds every fault that was put there, and none that was not.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::env::Clock;
use strongroom_store::scrub::{FinishedPass, ScrubOptions, ScrubPhase, Scrubber, Stepped};
use strongroom_store::{Batch, BlobId, Store, TableId, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive, SimRng};

use crate::drive_members::Yard;
use crate::stage::{self, UNIT};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn clock() -> Arc<SimClock> {
    Arc::new(SimClock::new(1_700_000_000_000))
}

fn scrubber(store: &Store, clock: &Arc<SimClock>, options: ScrubOptions) -> Scrubber {
    let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(clock);
    Scrubber::new(store, clock, options).unwrap()
}

async fn pass(store: &Store) -> FinishedPass {
    let mut scrubber = scrubber(store, &clock(), ScrubOptions::default());
    scrubber.run_pass().await.unwrap()
}

fn blob(number: u8) -> BlobId {
    BlobId([number.wrapping_mul(37).wrapping_add(11); 16])
}

async fn simulated(blobs: u8) -> (SimDrive, Store) {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    for number in 0..blobs {
        let size = usize::from(number) * UNIT / 2 + usize::from(number % 3);
        let bytes = stage::bytes(u64::from(number), size);
        stage::put(&store, blob(number), &bytes).await;
    }
    store.orphans_collected().await.unwrap();
    (drive, store)
}

/// One fault put into the file of a blob. `false` when the file is too short for it.
pub(crate) fn damage(drive: &SimDrive, path: &DrivePath, kind: u64, rng: &mut SimRng) -> bool {
    let bytes = drive.contents(path).unwrap();
    let (header, trailer) = (64, 64);
    let Some(middle) = bytes.len().checked_sub(header + trailer) else {
        // It was cut before.
        return drive.remove(path).unwrap();
    };
    let within = |rng: &mut SimRng, from: usize, len: usize| from + rng.index(len);
    match kind {
        0 => drive.rot(path, within(rng, 0, header), 1 << rng.below(8)),
        1 if middle > 0 => drive.rot(path, within(rng, header, middle), 1 << rng.below(8)),
        2 => {
            let at = within(rng, bytes.len() - trailer, trailer);
            drive.rot(path, at, 1 << rng.below(8))
        }
        3 => drive.remove(path).unwrap(),
        4 => {
            let cut = rng.index(bytes.len());
            drive.plant(path, &bytes[..cut]);
            true
        }
        5 => {
            let more = 1 + rng.index(200);
            drive.plant(path, &[bytes, vec![0; more]].concat());
            true
        }
        6 => {
            drive.plant(path, &vec![0; bytes.len()]);
            true
        }
        7 if middle > 0 => {
            // A sector of zeros.
            let mut bytes = bytes;
            let from = within(rng, header, middle);
            let to = (from + 512).min(header + middle);
            bytes[from..to].fill(0);
            drive.plant(path, &bytes);
            true
        }
        8 if middle >= 2 * (UNIT + 8) => {
            // Two units written to each other's place.
            let mut bytes = bytes;
            let (one, other) = bytes[header..].split_at_mut(UNIT + 8);
            one.swap_with_slice(&mut other[..UNIT + 8]);
            drive.plant(path, &bytes);
            true
        }
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d13_every_seeded_fault_on_one_drive_is_found() {
    let mut seeded_in_all = 0;
    for seed in 0..40 {
        let (drive, store) = simulated(24).await;
        let mut rng = SimRng::new(seed);
        let mut seeded = BTreeMap::new();
        for number in 0..24 {
            let kind = rng.below(9);
            if rng.one_in(2) && damage(&drive, &DrivePath::blob(blob(number)), kind, &mut rng) {
                seeded.insert(blob(number), kind);
            }
        }
        let finished = pass(&store).await;
        let found: Vec<_> = store.damaged_blobs(None, 100).unwrap();
        let found: Vec<_> = found.into_iter().map(|damaged| damaged.blob).collect();
        let expected: Vec<_> = seeded.keys().copied().collect();
        assert_eq!(found, expected, "seed {seed}: {seeded:?}");
        let count = u64::try_from(seeded.len()).unwrap();
        assert_eq!(finished.totals.damaged_shards, count, "seed {seed}");
        assert_eq!((finished.totals.blobs, finished.totals.shards), (24, 24));
        assert_eq!(
            (finished.totals.stray_files, finished.totals.damaged_rows),
            (0, 0)
        );
        seeded_in_all += count;
    }
    assert!(seeded_in_all > 300, "{seeded_in_all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d13_every_flipped_byte_of_a_file_is_found() {
    let (drive, store) = simulated(4).await;
    let path = DrivePath::blob(blob(3));
    let good = drive.contents(&path).unwrap();
    for at in 0..good.len() {
        assert!(drive.rot(&path, at, 0x10));
        assert_eq!(pass(&store).await.totals.damaged_shards, 1, "byte {at}");
        drive.plant(&path, &good);
    }
    for cut in 0..good.len() {
        drive.plant(&path, &good[..cut]);
        assert_eq!(pass(&store).await.totals.damaged_shards, 1, "cut at {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d13_two_files_in_each_others_place_are_found() {
    let (drive, store) = simulated(6).await;
    let (one, other) = (DrivePath::blob(blob(2)), DrivePath::blob(blob(5)));
    let (first, second) = (
        drive.contents(&one).unwrap(),
        drive.contents(&other).unwrap(),
    );
    drive.plant(&one, &second);
    drive.plant(&other, &first);
    let mut scrubber = scrubber(&store, &clock(), ScrubOptions::default());
    let finished = scrubber.run_pass().await.unwrap();
    assert_eq!(finished.totals.damaged_shards, 2);
    let words = scrubber.status().found.join("\n");
    assert!(
        words.contains(&format!("is shard 0 of blob {}", blob(5))),
        "{words}"
    );
    assert!(
        words.contains(&format!("is shard 0 of blob {}", blob(2))),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_store_gives_no_findings() {
    let (_, store) = simulated(30).await;
    for _ in 0..3 {
        let finished = pass(&store).await;
        assert_eq!((finished.totals.blobs, finished.totals.shards), (30, 30));
        assert_eq!(finished.totals.damaged_shards, 0);
        assert_eq!(
            finished.totals.foreign_files + finished.totals.stray_files,
            0
        );
        assert_eq!(
            finished.totals.damaged_rows + finished.totals.absent_shards,
            0
        );
        assert!(finished.totals.rows >= 30);
    }
    assert!(store.damaged_blobs(None, 100).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_belong_nowhere_are_told_and_left() {
    let (drive, store) = simulated(3).await;
    let stray = DrivePath::blob(BlobId([0xEE; 16]));
    let foreign = DrivePath::listed(Folder::Blobs(0x01), "notes.txt".to_owned());
    let misplaced = DrivePath::listed(Folder::Blobs(0x02), "01".repeat(16));
    for path in [&stray, &foreign, &misplaced] {
        drive.plant(path, b"something");
    }
    let finished = pass(&store).await;
    assert_eq!(
        (finished.totals.stray_files, finished.totals.foreign_files),
        (1, 2)
    );
    for path in [&stray, &foreign, &misplaced] {
        assert!(drive.contents(path).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_on_their_way_are_no_findings() {
    let (_, store) = simulated(3).await;
    let bytes = stage::bytes(1, 5 * UNIT);
    let proof = stage::write(&store, blob(100), &bytes, 2).await.unwrap();
    let finished = pass(&store).await;
    assert_eq!(
        (finished.totals.stray_files, finished.totals.damaged_shards),
        (0, 0)
    );
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    assert_eq!(pass(&store).await.totals.blobs, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_goes_while_it_is_read_is_no_finding() {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    let bytes = stage::bytes(1, 100 * UNIT);
    stage::put(&store, blob(1), &bytes).await;
    let clock = clock();
    let mut scrubber = scrubber(&store, &clock, ScrubOptions::default());
    while scrubber.status().phase != ScrubPhase::Blobs {
        scrubber.step().await.unwrap();
        clock.advance_ms(1);
    }
    assert!(drive.rot(&DrivePath::blob(blob(1)), 200, 1));
    stage::commit(&store, Write::ReleaseBlob(blob(1))).await;
    let finished = scrubber.run_pass().await.unwrap();
    assert_eq!(finished.totals.damaged_shards, 0);
    assert!(store.damaged_blobs(None, 100).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_log_is_found() {
    let (drive, store) = simulated(3).await;
    let log = drive.files().into_iter();
    let log = log.filter(|path| path.folder() == Folder::Log && path.number("journal").is_some());
    let log = log.max().unwrap();
    assert!(drive.rot(&log, 200, 4));
    assert!(pass(&store).await.totals.damaged_rows > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_fail_are_damage_of_that_shard_only() {
    for read in 0..6 {
        let (drive, store) = simulated(5).await;
        let of_blobs = |folder| matches!(folder, Folder::Blobs(_));
        drive.set_plan(FaultPlan::new([Fault::FailReadAt(read)]).within(of_blobs));
        let finished = pass(&store).await;
        assert!(finished.totals.damaged_shards <= 1, "read {read}");
        assert_eq!(finished.totals.blobs, 5, "read {read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_pass_was() {
    let (drive, store) = simulated(40).await;
    let clock = clock();
    let options = ScrubOptions::default();
    let mut first = scrubber(&store, &clock, options);
    let started_ms = clock.now_ms();
    while first.status().totals.blobs < 20 {
        first.step().await.unwrap();
        clock.advance_ms(61_000);
    }
    let before = first.status();
    drop(first);
    store.close().await.unwrap();
    drop(store);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    let mut second = scrubber(&store, &clock, options);
    let after = second.status();
    assert_eq!(
        (after.phase, after.started_ms),
        (ScrubPhase::Blobs, started_ms)
    );
    assert!(after.totals.blobs + 1 >= before.totals.blobs, "{after:?}");
    assert!(drive.rot(&DrivePath::blob(last_blob(&store)), 100, 1));
    let finished = second.run_pass().await.unwrap();
    assert_eq!(finished.started_ms, started_ms);
    assert_eq!(
        (finished.totals.blobs, finished.totals.damaged_shards),
        (40, 1)
    );
}

fn last_blob(store: &Store) -> BlobId {
    store
        .catalogue(None, 1000)
        .unwrap()
        .last()
        .unwrap()
        .location
        .blob
}

/// Drives a scrubber by the clock, as its thread would.
async fn drive_for(scrubber: &mut Scrubber, clock: &SimClock, ms: u64) -> u64 {
    let end = clock.running_ms() + ms;
    let mut bytes = 0;
    while clock.running_ms() < end {
        match scrubber.step().await.unwrap() {
            Stepped::Worked { bytes: more } => bytes += more,
            Stepped::Wait { ms } => clock.advance_ms(ms.min(60_000)),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_obeyed_and_the_pass_is_through_in_time() {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive)).await.unwrap();
    for number in 0..60 {
        stage::put(&store, blob(number), &stage::bytes(1, 400 * UNIT)).await;
    }
    let clock = clock();
    // 60 blobs of 28 KiB in 40 seconds (of 50 s): some 43 KiB each second.
    let options = ScrubOptions {
        period_ms: 50_000,
        bytes_per_s_min: 1,
        bytes_per_s_max: 1 << 20,
    };
    let mut scrubber = scrubber(&store, &clock, options);
    let half = drive_for(&mut scrubber, &clock, 20_000).await;
    assert!((500_000..1_500_000).contains(&half), "{half}");
    drive_for(&mut scrubber, &clock, 25_000).await;
    let status = scrubber.status();
    let last = status.last.unwrap();
    assert_eq!(last.totals.blobs, 60);
    assert!(last.ended_ms - last.started_ms <= 50_000, "{last:?}");
    assert!(
        last.ended_ms - last.started_ms >= 20_000,
        "not all at once: {last:?}"
    );

    // Too slow to be in time: late, and no faster than allowed.
    let options = ScrubOptions {
        period_ms: 1_000,
        bytes_per_s_min: 1,
        bytes_per_s_max: 20_000,
    };
    let mut slow = self::scrubber(&store, &clock, options);
    drive_for(&mut slow, &clock, 2_000).await;
    let bytes = drive_for(&mut slow, &clock, 30_000).await;
    assert!(bytes <= 20_000 * 31 + 60_000, "{bytes}");
    assert!(
        slow.status().due_ms < clock.now_ms(),
        "it is late, and says so"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_follow_each_other_within_the_period() {
    let (_, store) = simulated(5).await;
    let clock = clock();
    let mut scrubber = scrubber(&store, &clock, ScrubOptions::default());
    drive_for(&mut scrubber, &clock, DAY_MS).await;
    let first = scrubber.status().last.unwrap();
    assert_eq!(scrubber.status().phase, ScrubPhase::Resting);
    drive_for(&mut scrubber, &clock, 4 * DAY_MS).await;
    assert_eq!(scrubber.status().last, Some(first), "it rests");
    drive_for(&mut scrubber, &clock, DAY_MS).await;
    let second = scrubber.status().last.unwrap();
    let apart = second.started_ms - first.started_ms;
    assert!(apart > 5 * DAY_MS && apart < 6 * DAY_MS, "{apart}");

    // An operator need not wait, and a clock that was set back delays nothing.
    store.request_scrub();
    drive_for(&mut scrubber, &clock, 1_000).await;
    let third = scrubber.status().last.unwrap();
    assert!(third.started_ms > second.started_ms && third.started_ms < second.started_ms + DAY_MS);
    clock.set_ms(1_000_000_000);
    drive_for(&mut scrubber, &clock, 120_000).await;
    assert!(scrubber.status().last.unwrap().started_ms < 1_100_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn scrub_on_its_thread_finds_damage_and_ends_with_the_store() {
    let (drive, store) = simulated(8).await;
    assert!(drive.rot(&DrivePath::blob(blob(7)), 80, 1));
    let clock: Arc<dyn Clock> = Arc::new(strongroom_store::env::SystemClock);
    store
        .start_care(&clock, strongroom_store::CareOptions::default())
        .unwrap();
    assert!(store.request_scrub());
    while store.scrub_status().last.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(store.damaged_blobs(None, 10).unwrap().len(), 1);
    store.close().await.unwrap();
    drop(store);
    let again = stage::open(Arc::new(drive.clone())).await.unwrap();
    assert_eq!(
        again.damaged_blobs(None, 10).unwrap().len(),
        1,
        "it is not forgotten"
    );
}

/// A block of the index that cannot be read ended each phase of every pass, and all that comes after
/// it in the order of keys was never looked at.
#[tokio::test]
async fn dur_d7_a_place_of_the_tables_that_cannot_be_read_is_left_behind_and_the_rest_is_read() {
    const ROWS: u64 = 3000;
    let yard = Yard::made(&[]).await;
    let store = yard.open(&[]).await.unwrap();
    for page in 0..ROWS / 100 {
        let row = |at: u64| Write::Put {
            table: TableId(20),
            key: stage::bytes(page * 100 + at, 40),
            value: stage::bytes(at, 2000),
        };
        let batch = Batch {
            preconditions: Vec::new(),
            writes: (0..100).map(row).collect(),
        };
        store.tables().commit(batch).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let mut files = Vec::new();
    let mut folders = vec![yard.path("drive/index")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((fs::metadata(&path).unwrap().len(), path));
            }
        }
    }
    let (len, path) = files.into_iter().max().unwrap();
    assert!(len > ROWS * 1000, "{path:?} has {len} bytes");
    let mut bytes = fs::read(&path).unwrap();
    let quarter = bytes.len() / 4;
    bytes[quarter] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = yard.open(&[]).await.unwrap();
    let clock = Arc::new(SimClock::new(1));
    let mut scrubber = Scrubber::new(&store, clock, ScrubOptions::default()).unwrap();
    let mut failed = 0;
    let pass = loop {
        match scrubber.run_pass().await {
            Ok(pass) => break pass,
            Err(_) => failed += 1,
        }
    };
    assert!(failed > 0 && pass.totals.damaged_rows > 0);
    let read = pass.totals.rows;
    assert!((ROWS / 2..ROWS).contains(&read), "{read} rows were read");
}

/// A leap over a place that cannot be read may end behind the last table.
#[tokio::test]
async fn behind_the_last_table_there_are_no_rows() {
    let (_, store) = simulated(2).await;
    for after in [vec![0xFF, 0xFF], vec![0xFF; 32]] {
        let (read, last) = store.tables().verify_page(Some(&after), 16).unwrap();
        assert_eq!((read.rows, last), (0, None));
    }
}
