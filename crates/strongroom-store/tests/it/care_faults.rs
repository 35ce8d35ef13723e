// SPDX-License-Identifier: Apache-2.0
//! Scrub, heal and the removal of files go on where a drive does not answer, where a row of their
//! tables is damaged, and where a source is wrong though its checksums hold.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strongroom_store::blob::{BlobOptions, Damage, DamageKind, Keeping, Patience, ShardSet};
use strongroom_store::drive::{Drive, DriveNo, DrivePath};
use strongroom_store::env::{Clock, SystemClock};
use strongroom_store::heal::{HealOptions, Healer, Obstacle};
use strongroom_store::layout::{Redundancy, ShardIndex};
use strongroom_store::scrub::{FinishedPass, ScrubOptions, Scrubber, Stepped};
use strongroom_store::{
    AtRest, AtRestError, BlobId, CareOptions, Store, StoreOptions, TableId, Write,
};
use strongroom_testkit::{SimClock, TestSealer};

use crate::blob_slow::Hanging;
use crate::stage::{self, UNIT};

/// How long a drive is waited for that hangs: for one that answers far longer than any takes.
const CARE: Duration = Duration::from_millis(100);
const REMOVALS_MAX: usize = 10;
const LEFT_BEHIND: TableId = TableId(34);

/// A store over drives that may hang, and rows that may not open.
struct House {
    drives: Vec<Hanging>,
    sealer: Arc<Spoiler>,
    store: Store,
    clock: Arc<SimClock>,
}

/// A place, and which commit's row does not open there.
type Spoiled = (Vec<u8>, Option<[u8; 8]>);

/// Opens nothing that a commit wrote at some places.
#[derive(Debug)]
struct Spoiler {
    inner: TestSealer,
    /// Places, and which commit's row does not open there: the first that is looked at.
    bad: Mutex<Vec<Spoiled>>,
}

const ROW: &[u8] = b"strongroom row v1";

impl AtRest for Spoiler {
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
        self.inner.seal(stream, aad, plain)
    }

    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
        if let Some((seq, key)) = aad
            .strip_prefix(ROW)
            .and_then(|rest| rest.split_first_chunk::<8>())
        {
            for (place, bad) in self.bad.lock().unwrap().iter_mut() {
                if place == key && bad.get_or_insert(*seq) == seq {
                    return Err(AtRestError::Open);
                }
            }
        }
        self.inner.open(stream, aad, sealed)
    }
}

impl House {
    async fn new(count: u64, redundancy: (u8, u8)) -> Self {
        let drives: Vec<_> = (0..count).map(Hanging::new).collect();
        let shared: Vec<Arc<dyn Drive>> = drives
            .iter()
            .map(|drive| Arc::new(drive.clone()) as Arc<dyn Drive>)
            .collect();
        let sealer = Arc::new(Spoiler {
            inner: TestSealer::new(1),
            bad: Mutex::default(),
        });
        let long = Duration::from_mins(5);
        let options = StoreOptions {
            redundancy: Redundancy::new(redundancy.0, redundancy.1).unwrap(),
            blobs: BlobOptions {
                layout: stage::layout(),
                patience: Patience {
                    write: long,
                    quorum: long,
                    read: long,
                    avoid: Duration::ZERO,
                    care: long,
                },
                removals_max: REMOVALS_MAX,
                ..BlobOptions::default()
            },
            ..StoreOptions::default()
        };
        let set = stage::set_of(&shared, shared.len().div_ceil(2));
        let at_rest: Arc<dyn AtRest> = Arc::<Spoiler>::clone(&sealer);
        let store = Store::open_over(set, at_rest, options).await.unwrap();
        store.orphans_collected().await.unwrap();
        Self {
            drives,
            sealer,
            store,
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
        }
    }

    async fn fill(&self, blobs: u8) -> BTreeMap<(usize, BlobId), Vec<u8>> {
        for number in 0..blobs {
            let bytes = stage::bytes(u64::from(number), 20 * UNIT + usize::from(number));
            stage::put(&self.store, blob(number), &bytes).await;
        }
        self.store.blobs().reclaimed().await.unwrap();
        self.files()
    }

    /// What every finished file holds.
    fn files(&self) -> BTreeMap<(usize, BlobId), Vec<u8>> {
        let mut files = BTreeMap::new();
        for (number, drive) in self.drives.iter().enumerate() {
            for path in drive.drive.files() {
                if let Some(blob) = (0..100).map(blob).find(|of| path == DrivePath::blob(*of)) {
                    files.insert((number, blob), drive.drive.contents(&path).unwrap());
                }
            }
        }
        files
    }

    fn keeping(&self, blob: BlobId) -> Keeping {
        self.store.catalogued(blob).unwrap().unwrap().keeping
    }

    fn healer(&self) -> Healer {
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        Healer::new(&self.store, clock, HealOptions::default())
    }

    fn scrubber(&self) -> Scrubber {
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        Scrubber::new(&self.store, clock, ScrubOptions::default()).unwrap()
    }

    async fn scrub(&self) -> FinishedPass {
        self.scrubber().run_pass().await.unwrap()
    }

    /// Heals, again and again as a server does, until something holds.
    async fn heal_until(&self, healer: &mut Healer, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        loop {
            healer.run().await.unwrap();
            if holds(self) {
                return;
            }
            assert!(start.elapsed() < Duration::from_mins(2), "{what}");
            self.clock.advance_ms(61_000);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The drive begins to hang, or answers again.
    fn hang(&self, drive: u16, hangs: bool) {
        let at_most = hangs.then_some(CARE);
        self.store.wait_no_longer_for(DriveNo(drive), at_most);
        self.drives[usize::from(drive)].hang(hangs);
    }

    fn owes_nothing(&self) -> bool {
        self.store.damaged_blobs(None, 10).unwrap().is_empty()
            && self.store.owed(None, 10).unwrap().is_empty()
    }

    /// Has the blob owe its first shard, whose file goes.
    async fn owe(&self, blob: BlobId) -> Vec<u8> {
        let keeping = self.keeping(blob);
        let (shard, drive) = keeping.placement.each().next().unwrap();
        let write = Write::MoveShards {
            blob,
            expected: (keeping.placement, keeping.owed),
            to: (keeping.placement, ShardSet::EMPTY.with(shard)),
        };
        stage::commit(&self.store, write).await;
        let drive = &self.drives[usize::from(drive.0)].drive;
        assert!(drive.remove(&DrivePath::blob(blob)).unwrap());
        let spare = keeping.stripes.redundancy().parity() - 1;
        [vec![spare], blob.0.to_vec()].concat()
    }

    /// The row as it is now does not open any more.
    fn spoil(&self, table: TableId, key: &[u8]) {
        let place = [table.0.to_be_bytes().as_slice(), key].concat();
        self.sealer.bad.lock().unwrap().push((place, None));
    }

    fn damaged_rows(&self) -> u64 {
        let healer = self.healer();
        healer.look().unwrap();
        healer.status().damaged_rows
    }

    fn left_behind(&self) -> Vec<u64> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let rows = self
            .store
            .tables()
            .scan(LEFT_BEHIND, all.0, all.1, 100, false);
        let count = |row: Vec<u8>| u64::from_be_bytes(row.try_into().unwrap());
        rows.unwrap()
            .into_iter()
            .map(|(_, row)| count(row.value))
            .collect()
    }
}

fn blob(number: u8) -> BlobId {
    BlobId([number.wrapping_mul(37).wrapping_add(11); 16])
}

/// The place of what scrub knows of a damaged blob.
fn damage_key(blob: BlobId) -> Vec<u8> {
    [vec![1], blob.0.to_vec()].concat()
}

const SCRUB: TableId = TableId(29);

#[tokio::test(flavor = "multi_thread")]
async fn dur_d10_a_hanging_drive_stops_neither_scrub_nor_heal() {
    let house = House::new(4, (2, 2)).await;
    let before = house.fill(8).await;
    let path = |number| DrivePath::blob(blob(number));
    // Damage on one drive is known, on another it is not, when a third begins to hang.
    for number in 0..4 {
        assert!(house.drives[1].drive.rot(&path(number), 70, 1));
    }
    assert_eq!(house.scrub().await.totals.damaged_shards, 4);
    for number in 4..8 {
        assert!(house.drives[3].drive.rot(&path(number), 70, 1));
        assert!(house.drives[2].drive.rot(&path(number), 70, 1));
    }
    house.hang(2, true);
    let mut healer = house.healer();
    house
        .heal_until(&mut healer, "healed without the one that hangs", |house| {
            house.store.damaged_blobs(None, 10).unwrap().is_empty()
        })
        .await;
    let on = |drive: usize| {
        let files = house.files();
        let of = move |((number, _), _): &(&(usize, BlobId), &Vec<u8>)| *number == drive;
        let all = files.iter().filter(of);
        all.map(|(at, bytes)| (*at, bytes.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let whole = |drive: usize| on(drive).iter().all(|(at, bytes)| before[at] == *bytes);
    assert!(whole(1) && on(1).len() == 8);
    // What is on the drive that hangs is not taken for damaged, and the others are looked at.
    let found = house.scrub().await.totals;
    assert_eq!((found.damaged_shards, found.blobs), (4, 8), "{found:?}");
    assert_eq!(found.absent_shards, 8);
    house
        .heal_until(&mut healer, "healed what was found", |house| {
            house.store.damaged_blobs(None, 10).unwrap().is_empty()
        })
        .await;
    assert!(whole(3));
    // It answers again: everything there is looked at, too.
    house.hang(2, false);
    let start = Instant::now();
    loop {
        let found = house.scrub().await.totals;
        if found.absent_shards == 0 {
            assert_eq!(found.damaged_shards, 4);
            break;
        }
        assert!(start.elapsed() < Duration::from_mins(2));
    }
    house
        .heal_until(&mut healer, "all is healed", House::owes_nothing)
        .await;
    assert_eq!(house.files(), before);
}

/// Whatever heal was about to do there: when the drive does it at last, nobody is harmed.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d10_a_drive_that_hangs_while_heal_writes_to_it_is_healed_later() {
    for steps in [1, 3, 5, 7] {
        let house = House::new(3, (1, 2)).await;
        let before = house.fill(3).await;
        for number in 0..3 {
            let path = DrivePath::blob(blob(number));
            assert!(house.drives[1].drive.rot(&path, 70, 1));
        }
        assert_eq!(house.scrub().await.totals.damaged_shards, 3);
        let mut healer = house.healer();
        let mut worked = 0;
        while worked < steps {
            match healer.step().await.unwrap() {
                Stepped::Worked { .. } => worked += 1,
                Stepped::Wait { ms } => house.clock.advance_ms(ms),
            }
        }
        house.hang(1, true);
        healer.run().await.unwrap();
        assert!(!house.owes_nothing(), "{steps}");
        let status = healer.status();
        assert!(
            status
                .unhealed
                .iter()
                .all(|of| of.obstacle == Obstacle::Waiting),
            "{steps}: {status:?}"
        );
        house.hang(1, false);
        house
            .heal_until(&mut healer, "healed later", House::owes_nothing)
            .await;
        house.store.blobs().reclaimed().await.unwrap();
        assert_eq!(house.files(), before, "{steps}");
        assert_eq!(house.scrub().await.totals.stray_files, 0, "{steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_closed_while_heal_waits_for_a_drive() {
    let house = House::new(3, (1, 2)).await;
    house.fill(2).await;
    let path = DrivePath::blob(blob(1));
    assert!(house.drives[1].drive.rot(&path, 70, 1));
    house.scrub().await;
    house.drives[1].hang(true);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    house
        .store
        .start_care(&clock, CareOptions::default())
        .unwrap();
    let closed = tokio::time::timeout(Duration::from_mins(2), house.store.close()).await;
    closed.expect("it waits for the drive").unwrap();
    house.drives[1].hang(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_a_damaged_row_of_what_is_owed_is_made_anew_and_holds_up_nothing() {
    let house = House::new(4, (2, 2)).await;
    let before = house.fill(6).await;
    let mut keys = Vec::new();
    for number in 0..5 {
        keys.push(house.owe(blob(number)).await);
    }
    house.spoil(TableId::OWED_SHARDS, &keys[2]);
    assert_eq!(house.damaged_rows(), 1);
    assert_eq!(house.store.owed(None, 10).unwrap().len(), 4);
    let mut healer = house.healer();
    house
        .heal_until(&mut healer, "all are healed", House::owes_nothing)
        .await;
    assert_eq!(house.damaged_rows(), 0);
    assert_eq!(house.files(), before);
    // Scrub finds such a row, too, by what the catalogue says.
    let key = house.owe(blob(5)).await;
    house.spoil(TableId::OWED_SHARDS, &key);
    assert_eq!(house.damaged_rows(), 1);
    house.scrub().await;
    assert_eq!(house.damaged_rows(), 0);
    assert_eq!(house.store.owed(None, 10).unwrap().len(), 1);
}

/// The row of the catalogue is damaged, too: then nobody knows what the blob is owed.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_what_cannot_be_made_anew_is_named_and_the_rest_is_healed() {
    let house = House::new(4, (2, 2)).await;
    house.fill(4).await;
    let mut keys = Vec::new();
    for number in 0..4 {
        keys.push(house.owe(blob(number)).await);
    }
    house.spoil(TableId::OWED_SHARDS, &keys[1]);
    house.spoil(TableId::BLOB_CATALOGUE, &blob(1).0);
    // And one whose place in the list is whole.
    house.spoil(TableId::BLOB_CATALOGUE, &blob(3).0);
    let mut healer = house.healer();
    healer.run().await.unwrap();
    healer.look().unwrap();
    let status = healer.status();
    assert_eq!(
        (status.owed_blobs, status.damaged_rows),
        (1, 1),
        "{status:?}"
    );
    assert_eq!(status.healed_shards, 2);
    let named: Vec<_> = status
        .unhealed
        .iter()
        .map(|of| (of.blob, of.obstacle))
        .collect();
    let mut expected = vec![
        (blob(1), Obstacle::DamagedRow),
        (blob(3), Obstacle::DamagedRow),
    ];
    expected.sort_by_key(|(blob, _)| *blob);
    assert_eq!(named, expected);
    assert!(house.scrub().await.totals.damaged_rows >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_a_damaged_row_of_what_is_damaged_is_made_anew_by_scrub() {
    let house = House::new(4, (2, 2)).await;
    let before = house.fill(5).await;
    for number in 0..4 {
        let path = DrivePath::blob(blob(number));
        assert!(house.drives[1].drive.rot(&path, 70, 1));
    }
    assert_eq!(house.scrub().await.totals.damaged_shards, 4);
    house.spoil(SCRUB, &damage_key(blob(2)));
    let mut healer = house.healer();
    healer.run().await.unwrap();
    let left = house.store.damaged_blobs(None, 10).unwrap();
    assert_eq!(left.iter().map(|of| of.blob).collect::<Vec<_>>(), [blob(2)]);
    assert_eq!(house.damaged_rows(), 1);
    assert_eq!(healer.status().unhealed[0].obstacle, Obstacle::DamagedRow);
    // What reads come upon is no reason to stop, either.
    let damage = Damage {
        blob: blob(2),
        shard: ShardIndex(0),
        drive: DriveNo(0),
        kind: DamageKind::Unit,
    };
    assert!(house.store.blobs().damage().push(damage));
    healer.run().await.unwrap();
    house.scrub().await;
    assert_eq!(house.damaged_rows(), 0);
    house
        .heal_until(&mut healer, "healed", House::owes_nothing)
        .await;
    assert_eq!(house.files(), before);
    assert!(house.drives[1].drive.rot(&DrivePath::blob(blob(4)), 70, 1));
    house.scrub().await;
    house.spoil(SCRUB, &damage_key(blob(4)));
    stage::commit(&house.store, Write::ReleaseBlob(blob(4))).await;
    house
        .heal_until(&mut healer, "forgotten", House::owes_nothing)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_of_scrub_begins_anew_where_its_row_is_damaged() {
    let house = House::new(3, (1, 2)).await;
    house.fill(2).await;
    house.scrub().await;
    house.spoil(SCRUB, &[0]);
    let totals = house.scrub().await.totals;
    assert_eq!((totals.blobs, totals.damaged_rows), (2, 0));
    assert!(house.scrubber().status().last.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_of_a_drive_that_hangs_are_counted_durably_and_carried_out_later() {
    let house = House::new(3, (1, 2)).await;
    house.fill(60).await;
    house.hang(1, true);
    for number in 0..60 {
        stage::commit(&house.store, Write::ReleaseBlob(blob(number))).await;
    }
    let mut healer = house.healer();
    let bound = 60 - u64::try_from(REMOVALS_MAX).unwrap();
    house
        .heal_until(&mut healer, "it is written down", |house| {
            house.left_behind() == [bound]
        })
        .await;
    // While it hangs the others are empty, and nothing is begun.
    house
        .heal_until(&mut healer, "the others", |house| {
            !house.drives[0].has_files() && !house.drives[2].has_files()
        })
        .await;
    assert_eq!(house.left_behind(), [bound]);
    house.hang(1, false);
    house
        .heal_until(&mut healer, "all are gone", |house| {
            house.left_behind().is_empty() && !house.drives[1].has_files()
        })
        .await;
    // What an earlier process wrote down is seen to as well.
    house.drives[1]
        .drive
        .plant(&DrivePath::blob(blob(3)), b"left");
    let write = Write::Put {
        table: LEFT_BEHIND,
        key: vec![0, 1],
        value: 7_u64.to_be_bytes().to_vec(),
    };
    stage::commit(&house.store, write).await;
    let mut healer = house.healer();
    house
        .heal_until(&mut healer, "after a restart", |house| {
            house.left_behind().is_empty() && !house.drives[1].has_files()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_drive_whose_collection_fails_holds_up_no_other() {
    let house = House::new(3, (1, 2)).await;
    house.fill(2).await;
    for drive in 0..3_u8 {
        let write = Write::Put {
            table: LEFT_BEHIND,
            key: vec![0, drive],
            value: 7_u64.to_be_bytes().to_vec(),
        };
        stage::commit(&house.store, write).await;
    }
    house.drives[0].lose_folders();
    let mut healer = house.healer();
    house
        .heal_until(&mut healer, "the other two", |house| {
            house.left_behind().len() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_that_shards_contradict_each_other_is_not_forgotten_while_one_is_away() {
    let house = House::new(2, (1, 1)).await;
    house.fill(1).await;
    let forged = forge(&house, blob(0), 0);
    let is_doubtful = |house: &House| {
        let found = house.store.damaged_blobs(None, 2).unwrap();
        found.first().is_some_and(|of| of.is_doubtful)
    };
    house.scrub().await;
    assert!(is_doubtful(&house));
    let other = DriveNo(1 - forged.0);
    house.hang(other.0, true);
    let found = house.scrub().await.totals;
    assert_eq!((found.absent_shards, found.damaged_shards), (1, 0));
    assert!(
        is_doubtful(&house),
        "a look that saw one of the two knows no more"
    );
    house.hang(other.0, false);
    let mut healer = house.healer();
    healer.run().await.unwrap();
    assert_eq!(healer.status().unhealed[0].obstacle, Obstacle::Doubtful);
    // Seen together again, and alike: then it is over.
    let right = house.drives[usize::from(other.0)]
        .drive
        .contents(&DrivePath::blob(blob(0)));
    assert!(right.is_some());
    let on = &house.drives[usize::from(forged.0)].drive;
    assert!(on.remove(&DrivePath::blob(blob(0))).unwrap());
    let start = Instant::now();
    while house.scrub().await.totals.absent_shards > 0 {
        assert!(start.elapsed() < Duration::from_mins(2));
    }
    house
        .heal_until(&mut healer, "healed", House::owes_nothing)
        .await;
}

/// With more parity than one unit there may be a good source more than it takes although one of those
/// that were read first is not good.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_a_wrong_source_is_found_out_though_others_are_damaged() {
    let house = House::new(7, (4, 3)).await;
    house.fill(1).await;
    forge(&house, blob(0), 4);
    let keeping = house.keeping(blob(0));
    let drive = |shard| usize::from(keeping.placement.drive(ShardIndex(shard)).unwrap().0);
    let path = DrivePath::blob(blob(0));
    assert!(house.drives[drive(1)].drive.rot(&path, 70, 1));
    assert!(house.drives[drive(0)].drive.remove(&path).unwrap());
    let damage = Damage {
        blob: blob(0),
        shard: ShardIndex(0),
        drive: keeping.placement.drive(ShardIndex(0)).unwrap(),
        kind: DamageKind::Missing,
    };
    assert!(house.store.blobs().damage().push(damage));
    let before = house.files();
    let mut healer = house.healer();
    healer.run().await.unwrap();
    assert_eq!(
        house.files(),
        before,
        "nothing is made of a source that is wrong"
    );
    assert!(house.store.damaged_blobs(None, 2).unwrap()[0].is_doubtful);
}

/// Writes a unit of a shard anew, with a checksum that holds.
fn forge(house: &House, blob: BlobId, shard: u8) -> DriveNo {
    let drive = house
        .keeping(blob)
        .placement
        .drive(ShardIndex(shard))
        .unwrap();
    let on = &house.drives[usize::from(drive.0)].drive;
    let path = DrivePath::blob(blob);
    let mut forged = on.contents(&path).unwrap();
    forged[64 + 3] ^= 1;
    let place: Vec<u8> = blob.0.into_iter().chain([shard]).collect();
    let base = twox_hash::XxHash3_64::oneshot_with_seed(0x5352_554E_4900_0001, &place);
    let sum = twox_hash::XxHash3_64::oneshot_with_seed(base, &forged[64..64 + UNIT]);
    forged[64 + UNIT..64 + UNIT + 8].copy_from_slice(&sum.to_le_bytes());
    on.plant(&path, &forged);
    drive
}

/// One shard was wrong, each shard healed from it was wrong with it, and in the end the wrong ones
/// were the majority.
#[tokio::test(flavor = "multi_thread")]
async fn dur_d12_a_source_that_is_wrong_with_right_checksums_is_not_copied_into_others() {
    let house = House::new(4, (2, 2)).await;
    let before = house.fill(1).await;
    for (wrong, lost) in [(0, 1), (1, 3), (2, 0), (3, 0)] {
        let forged = forge(&house, blob(0), wrong);
        let drive = house
            .keeping(blob(0))
            .placement
            .drive(ShardIndex(lost))
            .unwrap();
        let on = &house.drives[usize::from(drive.0)].drive;
        assert!(on.remove(&DrivePath::blob(blob(0))).unwrap());
        let damage = Damage {
            blob: blob(0),
            shard: ShardIndex(lost),
            drive,
            kind: DamageKind::Missing,
        };
        assert!(house.store.blobs().damage().push(damage));
        let as_it_was = house.files();
        let mut healer = house.healer();
        healer.run().await.unwrap();
        assert_eq!(healer.status().unhealed[0].obstacle, Obstacle::Doubtful);
        assert!(house.store.damaged_blobs(None, 2).unwrap()[0].is_doubtful);
        assert_eq!(house.files(), as_it_was, "{wrong}, {lost}");
        // The operator knows by the keys which it is, takes it away and has it looked at: the same
        // healer goes on.
        let on = &house.drives[usize::from(forged.0)].drive;
        assert!(on.remove(&DrivePath::blob(blob(0))).unwrap());
        house.scrub().await;
        house
            .heal_until(&mut healer, "healed", House::owes_nothing)
            .await;
        assert_eq!(house.files(), before, "{wrong}, {lost}");
    }
}
