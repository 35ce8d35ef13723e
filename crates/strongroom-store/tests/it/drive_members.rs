// SPDX-License-Identifier: Apache-2.0
//! Which drives a store takes, which it refuses, and what it remembers of them. On directories.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use strongroom_store::blob::BlobOptions;
use strongroom_store::drive::{DriveNo, DrivePath, DriveState, LocalDrive, SetMember, Standing};
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::layout::{Redundancy, ShardIndex};
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_store::table::TableOptions;
use strongroom_store::{
    AtRest, BlobId, BlobProof, Error, GivenDrive, LocalOpener, Protection, Store, StoreDrives,
    StoreOptions, Wish, Write,
};
use strongroom_testkit::TestSealer;

use crate::stage;

/// Directories for drives, and one for the witness.
pub(crate) struct Yard {
    dir: tempfile::TempDir,
    key: u8,
    pub(crate) tables: TableOptions,
}

impl Yard {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tables = TableOptions {
            inline: true,
            ..TableOptions::default()
        };
        Self {
            dir,
            key: 1,
            tables,
        }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn given(&self, named: &[&str]) -> Vec<GivenDrive> {
        let named = named.iter().map(|named| {
            let (facility, name) = named.split_once(':').unwrap();
            GivenDrive {
                facility: facility.to_owned(),
                place: self.path(name).display().to_string(),
            }
        });
        named.collect()
    }

    /// Threads of the store before may still hold its drives: they are waited for.
    async fn open_with(&self, named: &[&str], wish: Wish) -> Result<Store, Error> {
        let start = std::time::Instant::now();
        loop {
            match self.try_to_open(named, wish).await {
                Err(error)
                    if error.to_string().contains("in use by")
                        && start.elapsed() < std::time::Duration::from_mins(2) =>
                {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                done => return done,
            }
        }
    }

    pub(crate) fn drives(&self, named: &[&str], wish: Wish) -> Result<StoreDrives, Error> {
        let witness = LocalDrive::open(&self.path("witness"))?;
        Ok(StoreDrives {
            given: self.given(named),
            otherwise: self.given(&["main:drive"]).pop(),
            wish,
            witness: Some(Arc::new(witness)),
            opener: Arc::new(LocalOpener),
        })
    }

    pub(crate) fn sealer(&self) -> Arc<dyn AtRest> {
        Arc::new(TestSealer::new(self.key))
    }

    async fn try_to_open(&self, named: &[&str], wish: Wish) -> Result<Store, Error> {
        let drives = self.drives(named, wish)?;
        let at_rest = self.sealer();
        let options = StoreOptions {
            blobs: BlobOptions {
                layout: stage::layout(),
                inline: true,
                ..BlobOptions::default()
            },
            tables: self.tables,
            ..StoreOptions::default()
        };
        Store::open_set(drives, at_rest, options).await
    }

    pub(crate) async fn open(&self, named: &[&str]) -> Result<Store, Error> {
        self.open_with(named, Wish::AsBefore).await
    }

    /// A store that was made and closed again.
    pub(crate) async fn made(named: &[&str]) -> Self {
        let yard = Self::new();
        yard.open(named).await.unwrap().close().await.unwrap();
        yard
    }

    pub(crate) async fn refused(&self, named: &[&str]) -> String {
        self.open(named).await.unwrap_err().to_string()
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }
}

pub(crate) const SIX: [&str; 6] = ["a:a1", "a:a2", "b:b1", "b:b2", "c:c1", "c:c2"];

pub(crate) async fn protection(store: &Store) -> Protection {
    store.protection().await.unwrap().unwrap()
}

pub(crate) fn states(store: &Store) -> Vec<DriveState> {
    let view = store.drives().view();
    view.members().iter().map(SetMember::state).collect()
}

fn tree(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_store_remembers_its_drives() {
    let yard = Yard::new();
    let store = yard.open(&SIX).await.unwrap();
    let cluster = store.cluster_id();
    assert_eq!(states(&store), [DriveState::Online; 6]);
    let found = protection(&store).await;
    assert_eq!(found.redundancy, Redundancy::new(4, 2).unwrap());
    assert_eq!(found.drives[5].facility, "c");
    store.close().await.unwrap();
    drop(store);
    // By their places in the data directory's memory, or by the one that is named.
    for named in [&[][..], &["c:c2"], &SIX] {
        let store = yard.open(named).await.unwrap();
        assert_eq!(store.cluster_id(), cluster);
        assert_eq!(states(&store), [DriveState::Online; 6]);
        store.close().await.unwrap();
    }
    // Without that memory the drives that are named know the others.
    fs::remove_dir_all(yard.path("witness")).unwrap();
    let store = yard.open(&["b:b2"]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 6]);
    assert_eq!(store.cluster_id(), cluster);
}

#[tokio::test]
async fn one_drive_is_as_it_always_was() {
    let yard = Yard::made(&[]).await;
    let names = tree(&yard.path("drive"));
    assert!(names.contains(&"superblock".to_owned()), "{names:?}");
    let store = yard.open(&[]).await.unwrap();
    let found = protection(&store).await;
    assert_eq!(found.redundancy, Redundancy::SINGLE);
    assert_eq!(found.drives.len(), 1);
    assert_eq!(found.shortcomings(), [""; 0]);
}

#[tokio::test]
async fn a_store_from_before_there_were_members_is_taken_over() {
    let yard = Yard::new();
    let drive = Arc::new(LocalDrive::open(&yard.path("drive")).unwrap());
    let store = stage::open(drive).await.unwrap();
    let cluster = store.cluster_id();
    store.close().await.unwrap();
    drop(store);
    let text = yard.refused(&["a:a1", "main:drive"]).await;
    assert!(text.contains("strongroom drive add"), "{text}");
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(store.cluster_id(), cluster);
    assert_eq!(states(&store), [DriveState::Online]);
}

#[tokio::test]
async fn dur_d9_a_drive_is_known_in_another_place() {
    let yard = Yard::made(&SIX).await;
    yard.rename("a1", "moved");
    yard.rename("b1", "a1");
    let store = yard.open(&["a:moved", "b:a1", "c:c1"]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 6]);
    let places: Vec<_> = protection(&store).await.drives;
    assert!(places[0].place.ends_with("moved"));
    assert!(places[2].place.ends_with("a1"));
    store.close().await.unwrap();
    drop(store);
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 6]);
}

#[tokio::test]
async fn dur_d9_a_drive_of_another_cluster_is_refused() {
    let yard = Yard::made(&SIX).await;
    let mut other = Yard::made(&["a:x1"]).await;
    fs::rename(other.path("x1"), yard.path("x1")).unwrap();
    let before = fs::read(yard.path("x1/superblock")).unwrap();
    let text = yard.refused(&["a:x1"]).await;
    assert!(text.contains("another cluster"), "{text}");
    assert_eq!(fs::read(yard.path("x1/superblock")).unwrap(), before);
    // In the place of a drive that is known and not named it is no reason not to start.
    yard.rename("c2", "away");
    yard.rename("x1", "c2");
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Missing);
    let note = protection(&store).await.drives[5].note.clone().unwrap();
    assert!(note.contains("another cluster"), "{note}");
    let text = store.add_drive(yard.given(&["c:c2"]).pop().unwrap()).await;
    assert!(text.unwrap_err().to_string().contains("another cluster"));
    drop(store);
    // Drives of a store with other keys, without its data directory.
    other.key = 2;
    fs::rename(yard.path("a1"), other.path("a1")).unwrap();
    fs::remove_dir_all(other.path("witness")).unwrap();
    let text = other.refused(&["a:a1"]).await;
    assert!(text.contains("does not open"), "{text}");
}

#[tokio::test]
async fn dur_d9_two_drives_with_one_uid_are_refused() {
    let yard = Yard::made(&SIX).await;
    fs::create_dir(yard.path("twin")).unwrap();
    for name in ["superblock", "members"] {
        fs::copy(yard.path("c2").join(name), yard.path("twin").join(name)).unwrap();
    }
    let text = yard.refused(&["c:c2", "c:twin"]).await;
    assert!(text.contains("one is a copy of the other"), "{text}");
    let store = yard.open(&SIX).await.unwrap();
    let added = store
        .add_drive(yard.given(&["c:twin"]).pop().unwrap())
        .await;
    let text = added.unwrap_err().to_string();
    assert!(text.contains("one is a copy of the other"), "{text}");
}

#[tokio::test]
async fn dur_d9_a_folder_of_something_else_is_refused_and_left_alone() {
    let yard = Yard::new();
    fs::create_dir(yard.path("photos")).unwrap();
    fs::write(yard.path("photos/cat.jpg"), b"cat").unwrap();
    let text = yard.refused(&["a:photos"]).await;
    assert!(text.contains("no drive of Strongroom"), "{text}");
    assert_eq!(tree(&yard.path("photos")), ["cat.jpg"]);
    let yard = Yard::made(&SIX).await;
    fs::create_dir(yard.path("photos")).unwrap();
    fs::write(yard.path("photos/cat.jpg"), b"cat").unwrap();
    let store = yard.open(&[]).await.unwrap();
    for refused in [
        store
            .add_drive(yard.given(&["a:photos"]).pop().unwrap())
            .await
            .err(),
        store
            .replace_drive(yard.given(&["a:photos"]).pop().unwrap(), None)
            .await
            .err(),
    ] {
        assert!(refused.is_some());
    }
    assert_eq!(tree(&yard.path("photos")), ["cat.jpg"]);
    // Blobs without a superblock are somebody's, too.
    fs::create_dir_all(yard.path("bare/blobs")).unwrap();
    let added = store
        .add_drive(yard.given(&["a:bare"]).pop().unwrap())
        .await;
    assert!(
        added
            .unwrap_err()
            .to_string()
            .contains("no drive of Strongroom")
    );
}

#[tokio::test]
async fn dur_d9_an_empty_folder_in_the_place_of_a_drive_is_not_taken_for_it() {
    let yard = Yard::made(&SIX).await;
    yard.rename("c2", "away");
    fs::create_dir(yard.path("c2")).unwrap();
    let store = yard.open(&SIX).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Missing);
    let found = protection(&store).await;
    assert!(!found.is_full());
    let note = found.drives[5].note.clone().unwrap();
    assert!(note.contains("strongroom drive replace"), "{note}");
    assert!(tree(&yard.path("c2")).is_empty(), "and is left alone");
    let added = store.add_drive(yard.given(&["c:c2"]).pop().unwrap()).await;
    let text = added.unwrap_err().to_string();
    assert!(text.contains("strongroom drive replace"), "{text}");
    drop(store);
    let text = yard.refused(&["c:elsewhere"]).await;
    assert!(text.contains("strongroom drive add"), "{text}");
    assert!(!yard.path("elsewhere").exists());
}

#[tokio::test]
async fn dur_d9_a_drive_that_was_away_is_brought_up_to_date() {
    let yard = Yard::made(&SIX).await;
    yard.rename("c2", "away");
    let store = yard.open(&[]).await.unwrap();
    let number = store.add_drive(yard.given(&["c:c3"]).pop().unwrap()).await;
    assert_eq!(number.unwrap(), DriveNo(6));
    assert_eq!(store.look_for_drives().await.unwrap(), 0);
    let stale = fs::read(yard.path("away/members")).unwrap();
    yard.rename("away", "c2");
    assert_eq!(store.look_for_drives().await.unwrap(), 1);
    assert_eq!(states(&store), [DriveState::Online; 7]);
    assert_ne!(fs::read(yard.path("c2/members")).unwrap(), stale);
    store.close().await.unwrap();
    drop(store);
    // An older members file on a drive takes nothing back, at a start neither.
    fs::write(yard.path("c2/members"), stale).unwrap();
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 7]);
}

#[tokio::test]
async fn dur_d9_without_a_majority_of_the_copies_nothing_is_served() {
    let yard = Yard::made(&SIX).await;
    for name in ["a1", "b1"] {
        yard.rename(name, &format!("{name}-away"));
    }
    let text = yard.refused(&["a:a2", "b:b2", "c:c1"]).await;
    assert!(text.contains("no majority"), "{text}");
    assert!(text.contains("drive 0 of facility a"), "{text}");
    yard.rename("a1-away", "a1");
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store)[2], DriveState::Missing);
}

#[tokio::test]
async fn a_drive_in_another_facility_than_before_is_refused() {
    let yard = Yard::made(&SIX).await;
    let text = yard.refused(&["b:a1"]).await;
    assert!(text.contains("in facility `a`, not `b`"), "{text}");
    for bad in ["A:a1", ":a1", "a b:a1"] {
        let text = yard.refused(&[bad]).await;
        assert!(text.contains("a-z, 0-9"), "{text}");
    }
    let text = yard.refused(&["a:a1", "a:a1"]).await;
    assert!(text.contains("named twice"), "{text}");
}

#[tokio::test]
async fn damaged_members_files_are_written_again() {
    let yard = Yard::made(&SIX).await;
    for name in ["a2/members", "b2/members", "witness/members"] {
        fs::write(yard.path(name), b"SRMEMB01 nonsense").unwrap();
    }
    let store = yard.open(&["a:a1"]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 6]);
    let good = fs::read(yard.path("a1/members")).unwrap();
    assert_eq!(
        fs::read(yard.path("witness/members")).unwrap().len(),
        good.len()
    );
    store.close().await.unwrap();
    drop(store);
    for name in ["a1", "a2", "b1", "b2", "c1", "c2", "witness"] {
        fs::write(yard.path(name).join("members"), b"SRMEMB01 nonsense").unwrap();
    }
    let text = yard.refused(&SIX).await;
    assert!(text.contains("does not open"), "{text}");
}

#[tokio::test]
async fn a_founding_that_was_cut_short_goes_on() {
    let yard = Yard::made(&SIX).await;
    let founded = fs::read(yard.path("b1/superblock")).unwrap();
    drop(yard);
    let yard = Yard::new();
    // The third place cannot be made, so the founding ends in the middle.
    std::os::unix::fs::symlink("later", yard.path("file")).unwrap();
    yard.open(&["a:a1", "b:b1", "c:file/c1"]).await.unwrap_err();
    let first = fs::read(yard.path("a1/superblock")).unwrap();
    assert_ne!(first, founded);
    fs::create_dir(yard.path("later")).unwrap();
    let store = yard.open(&["a:a1", "b:b1", "c:file/c1"]).await.unwrap();
    assert_eq!(states(&store), [DriveState::Online; 3]);
    assert_eq!(fs::read(yard.path("a1/superblock")).unwrap(), first);
    store.close().await.unwrap();
    drop(store);
    // Founded once, an empty folder gets no identity any more.
    fs::remove_dir_all(yard.path("b1")).unwrap();
    fs::create_dir(yard.path("b1")).unwrap();
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store)[1], DriveState::Missing);
}

#[tokio::test]
async fn wishes_are_kept_and_impossible_ones_refused() {
    let yard = Yard::made(&SIX).await;
    let wish = |data, parity| Wish::Exactly(Redundancy::new(data, parity).unwrap());
    let refused = yard.open_with(&[], wish(8, 4)).await.unwrap_err();
    assert!(refused.to_string().contains("needs 12 drives"), "{refused}");
    let refused = yard.open_with(&[], wish(5, 1)).await.unwrap_err();
    assert!(
        refused.to_string().contains("loss of a facility"),
        "{refused}"
    );
    let redundancy = async |wish| {
        let store = yard.open_with(&[], wish).await.unwrap();
        let found = protection(&store).await.redundancy;
        store.close().await.unwrap();
        (found.data(), found.parity())
    };
    assert_eq!(redundancy(wish(2, 2)).await, (2, 2));
    assert_eq!(redundancy(Wish::AsBefore).await, (2, 2));
    assert_eq!(redundancy(Wish::Usual).await, (4, 2));
    assert_eq!(redundancy(Wish::AsBefore).await, (4, 2));
}

#[tokio::test]
async fn dur_d12_a_lost_drive_is_replaced_by_an_empty_folder() {
    let yard = Yard::made(&SIX).await;
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    let refused = store.replace_drive(given("c:c2"), None).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("no drive of facility `c` is missing")
    );
    yard.rename("c2", "away");
    assert_eq!(store.look_for_drives().await.unwrap(), 0);
    assert_eq!(states(&store)[5], DriveState::Missing);
    let refused = store
        .replace_drive(given("c:c2"), Some(DriveNo(0)))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("facility `a`, not `c`"),
        "{refused}"
    );
    let refused = store
        .replace_drive(given("c:c9"), Some(DriveNo(4)))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("drive 4 is online"),
        "{refused}"
    );
    assert!(!yard.path("c9").exists());
    let replaced = store.replace_drive(given("c:c2"), None).await.unwrap();
    assert_eq!(replaced, (DriveNo(5), DriveNo(6)));
    assert_eq!(states(&store)[5], DriveState::Lost);
    assert_eq!(states(&store)[6], DriveState::Online);
    // Nothing was on it: it is forgotten at the next look.
    store.look_for_drives().await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Removed);
    let refused = store.add_drive(given("c:away")).await.unwrap_err();
    assert!(
        refused.to_string().contains("drive 6 has replaced"),
        "{refused}"
    );
    store.close().await.unwrap();
    drop(store);
    let text = yard.refused(&["c:away"]).await;
    assert!(text.contains("drive 6 has replaced"), "{text}");
    let store = yard.open(&[]).await.unwrap();
    assert!(protection(&store).await.drives[6].place.ends_with("c2"));
}

#[tokio::test]
async fn with_two_drives_missing_it_has_to_be_said_which_is_replaced() {
    let yard = Yard::made(&SIX).await;
    yard.rename("c1", "away1");
    yard.rename("c2", "away2");
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    let refused = store.replace_drive(given("c:c3"), None).await.unwrap_err();
    assert!(refused.to_string().contains("drives 4, 5"), "{refused}");
    let replaced = store.replace_drive(given("c:c3"), Some(DriveNo(5))).await;
    assert_eq!(replaced.unwrap(), (DriveNo(5), DriveNo(6)));
}

#[tokio::test]
async fn drives_are_added_drained_and_removed() {
    let yard = Yard::made(&SIX).await;
    let store = yard
        .open_with(&[], Wish::Exactly(Redundancy::new(4, 2).unwrap()))
        .await;
    let store = store.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    let refused = store.drain_drive(DriveNo(5)).await.unwrap_err();
    assert!(
        refused.to_string().contains("do not suffice for 4+2"),
        "{refused}"
    );
    assert_eq!(store.add_drive(given("c:c3")).await.unwrap(), DriveNo(6));
    let refused = store.remove_drive(DriveNo(5)).await.unwrap_err();
    assert!(refused.to_string().contains("drive drain 5"), "{refused}");
    for unknown in [DriveNo(7), DriveNo::NOWHERE] {
        assert!(store.drain_drive(unknown).await.is_err());
        assert!(store.remove_drive(unknown).await.is_err());
        assert!(store.keep_drive(unknown).await.is_err());
    }
    store.drain_drive(DriveNo(5)).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Draining);
    assert!(
        store.drain_drive(DriveNo(5)).await.is_err(),
        "is draining already"
    );
    store.keep_drive(DriveNo(5)).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Online);
    assert!(store.keep_drive(DriveNo(5)).await.is_err());
    store.drain_drive(DriveNo(5)).await.unwrap();
    store.remove_drive(DriveNo(5)).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Removed);
    assert!(store.remove_drive(DriveNo(5)).await.is_err());
    assert_eq!(
        store.drives().view().members()[5].standing,
        Standing::Removed
    );
    store.close().await.unwrap();
    drop(store);
    let text = yard.refused(&["c:c2"]).await;
    assert!(text.contains("was removed"), "{text}");
    let store = yard.open(&[]).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Removed);
    assert_eq!(states(&store)[6], DriveState::Online);
}

#[tokio::test]
async fn dur_d8_a_drive_that_is_taken_away_and_put_back_is_missed_and_found() {
    let yard = Yard::made(&SIX).await;
    let store = yard.open(&[]).await.unwrap();
    assert!(protection(&store).await.is_full());
    yard.rename("b2", "away");
    store.look_for_drives().await.unwrap();
    assert_eq!(states(&store)[3], DriveState::Missing);
    let owed = protection(&store).await.shortcomings();
    assert!(
        owed[0].contains("drive 3 of facility b is missing"),
        "{owed:?}"
    );
    // Moved to another place meanwhile, it is taken back by naming it.
    let given = yard.given(&["b:away"]).pop().unwrap();
    assert_eq!(store.add_drive(given).await.unwrap(), DriveNo(3));
    assert_eq!(states(&store), [DriveState::Online; 6]);
    assert!(protection(&store).await.is_full());
}

/// Writes a blob of some stripes and leaves its commit to the caller.
pub(crate) async fn written(store: &Store, blob: BlobId) -> BlobProof {
    let proof = stage::write(store, blob, &stage::bytes(5, 40 * stage::UNIT), 8).await;
    proof.unwrap()
}

/// A drive was removed while an upload that had begun before was still writing to it.
#[tokio::test]
async fn dur_d8_a_drive_is_not_removed_under_an_upload() {
    let yard = Yard::made(&SIX).await;
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    store.add_drive(given("c:c3")).await.unwrap();
    let refused = async || {
        let refused = store.remove_drive(DriveNo(5)).await;
        refused.unwrap_err().to_string()
    };
    let mut blob = BlobId([0; 16]);
    let proof = loop {
        blob.0[0] += 1;
        let proof = written(&store, blob).await;
        if proof.keeping().placement.shard_on(DriveNo(5)).is_some() {
            break proof;
        }
    };
    store.drain_drive(DriveNo(5)).await.unwrap();
    let text = refused().await;
    assert!(text.contains("1 uploads that began"), "{text}");
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    let text = refused().await;
    assert!(text.contains("1 shards are still on drive 5"), "{text}");
    // What is given up is waited for no longer than until its files are gone.
    stage::commit(&store, Write::ReleaseBlob(blob)).await;
    store.remove_drive(DriveNo(5)).await.unwrap();
    assert_eq!(states(&store)[5], DriveState::Removed);
}

/// The last good shards of a body were on a drive that had failed a flush; `drive replace` gave the
/// drive up for ever without a word.
#[tokio::test]
async fn dur_d8_a_drive_that_bodies_need_is_not_given_up_unasked() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    let proof = written(&store, BlobId([1; 16])).await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    yard.rename("b1", "away");
    store.look_for_drives().await.unwrap();
    // One copy of this one, and both of the other, are there.
    let proof = written(&store, BlobId([2; 16])).await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    yard.rename("away", "b1");
    store.look_for_drives().await.unwrap();
    store.catch_up_copies().await.unwrap();
    yard.rename("a1", "gone");
    store.look_for_drives().await.unwrap();
    let text = store.replace_drive(given("a:a2"), None).await;
    let text = text.unwrap_err().to_string();
    assert!(
        text.contains("1 bodies cannot be read without drive 0"),
        "{text}"
    );
    assert!(text.contains("--accept-loss"), "{text}");
    assert_eq!(states(&store)[0], DriveState::Missing);
    assert!(!yard.path("a2").exists(), "nothing was touched");
    yard.rename("gone", "a1");
    store.look_for_drives().await.unwrap();
    store.catch_up_copies().await.unwrap();
    assert_eq!(states(&store)[0], DriveState::Online);
    // The other drive is needed by none.
    yard.rename("b1", "gone");
    store.look_for_drives().await.unwrap();
    let replaced = store.replace_drive(given("b:b2"), None).await.unwrap();
    assert_eq!(replaced, (DriveNo(1), DriveNo(2)));
    // And whoever knows what is lost may say so.
    yard.rename("a1", "a1-gone");
    store.look_for_drives().await.unwrap();
    let given_up = store
        .replace_drive_and_accept_loss(given("a:a2"), None)
        .await;
    let text = given_up.unwrap_err().to_string();
    assert!(text.contains("only whole copy of the tables"), "{text}");
}

/// A kill between a new drive's identity and the members that name it left a folder that no
/// command took and no start went past.
#[tokio::test]
async fn a_drive_that_was_half_taken_in_is_as_good_as_an_empty_folder() {
    let yard = Yard::made(&SIX).await;
    let keepers = ["a1", "a2", "b1", "b2", "c1", "c2", "witness"];
    let file = |name: &str| yard.path(name).join("members");
    let before = keepers.map(|name| fs::read(file(name)).unwrap());
    let store = yard.open(&[]).await.unwrap();
    let given = |named| yard.given(&[named]).pop().unwrap();
    store.add_drive(given("c:c3")).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    for (name, bytes) in keepers.into_iter().zip(before) {
        fs::write(file(name), bytes).unwrap();
    }
    fs::remove_file(file("c3")).unwrap();
    let identity = fs::read(yard.path("c3/superblock")).unwrap();
    let text = yard.refused(&["c:c3"]).await;
    assert!(text.contains("strongroom drive add"), "{text}");
    assert_eq!(fs::read(yard.path("c3/superblock")).unwrap(), identity);
    let store = yard.open(&[]).await.unwrap();
    // Another's identity, or something beside it, is somebody's.
    fs::create_dir_all(yard.path("c3/blobs/aa")).unwrap();
    let body = yard.path("c3/blobs/aa").join("aa".repeat(16));
    fs::write(&body, b"x").unwrap();
    let text = store
        .add_drive(given("c:c3"))
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("does not know it"), "{text}");
    fs::remove_file(&body).unwrap();
    assert_eq!(store.add_drive(given("c:c3")).await.unwrap(), DriveNo(6));
    assert_ne!(fs::read(yard.path("c3/superblock")).unwrap(), identity);
    assert_eq!(states(&store), [DriveState::Online; 7]);
}

#[tokio::test]
async fn status_is_not_full_while_known_damage_waits() {
    let yard = Yard::made(&SIX).await;
    let store = yard.open(&[]).await.unwrap();
    let proof = written(&store, BlobId([1; 16])).await;
    let location = proof.location();
    let drive = proof.keeping().placement.drive(ShardIndex(0)).unwrap();
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    assert!(protection(&store).await.is_full());
    let path = DrivePath::blob(location.blob).to_string();
    let place = store.drives().get(drive).unwrap().label();
    let path = Path::new(&place).join(path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[70] ^= 1;
    fs::write(&path, bytes).unwrap();
    stage::read_all(&store, &location).await.unwrap();
    assert_eq!(store.blobs().damage().len(), 1, "nobody has taken it down");
    let found = protection(&store).await;
    assert_eq!((found.damaged_blobs, found.is_full()), (1, false));
    let clock = Arc::new(strongroom_testkit::SimClock::new(1));
    Healer::new(&store, clock, HealOptions::default())
        .run()
        .await
        .unwrap();
    assert!(protection(&store).await.is_full());
    // What scrub found in the tables: the last pass of this row has three places.
    let mut pass = vec![0x86, 1, 0, 0xF6, 0, 0, 0x89];
    pass.extend([0, 0, 0, 0, 0, 0, 0, 0, 3]);
    let write = Write::Put {
        table: strongroom_store::TableId(29),
        key: vec![0],
        value: pass,
    };
    stage::commit(&store, write).await;
    let found = protection(&store).await;
    assert_eq!((found.damaged_rows, found.is_full()), (3, false));
    let said = found.shortcomings();
    assert!(said[0].contains("3 places of the tables"), "{said:?}");
}

/// A drive of as many as a body has shards was drained: one data shard and the parity need as many
/// drives as before, so it was never empty, and new bodies were owed a shard for ever.
#[tokio::test]
async fn dur_d8_a_drive_is_not_drained_where_fewer_would_stay_than_there_are_shards() {
    for (named, parity) in [(&["a:a1", "b:b1"][..], 1), (&["a:a1", "b:b1", "c:c1"], 2)] {
        let yard = Yard::new();
        let wish = Redundancy::new(1, parity).unwrap();
        let store = yard.open_with(named, Wish::Exactly(wish)).await.unwrap();
        let refused = store.drain_drive(DriveNo(0)).await.unwrap_err().to_string();
        let expected = format!("do not suffice for 1+{parity}");
        assert!(refused.contains(&expected), "{refused}");
        let more = yard.given(&["a:a2"]).pop().unwrap();
        store.add_drive(more).await.unwrap();
        store.drain_drive(DriveNo(0)).await.unwrap();
    }
}

/// A byte of the log changed on one drive. Scrub put it right from another, and counted it for the
/// whole time until the next pass as damage that could not be put right.
#[tokio::test]
async fn dur_d13_damage_in_one_copy_of_the_log_that_was_put_right_is_not_owed() {
    let yard = Yard::made(&["a:a1", "b:b1", "c:c1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let proof = written(&store, BlobId([1; 16])).await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    for name in ["a1", "b1", "c1"] {
        let log = yard.path(name).join("log");
        let journal = tree(&log).into_iter().find(|of| of.starts_with("journal-"));
        let journal = log.join(journal.unwrap());
        let mut bytes = fs::read(&journal).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let mut file = fs::OpenOptions::new().write(true).open(&journal).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let clock = Arc::new(strongroom_testkit::SimClock::new(1));
        let scrubber = Scrubber::new(&store, clock, ScrubOptions::default());
        let pass = scrubber.unwrap().run_pass().await.unwrap();
        assert_eq!(pass.totals.damaged_rows, 0, "{name}");
        let copies = ["a1", "b1", "c1"].map(|of| {
            let log = yard.path(of).join("log");
            fs::read(log.join(journal.file_name().unwrap())).unwrap()
        });
        assert!(copies.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
        let owed = protection(&store).await.shortcomings();
        assert_eq!(owed, [""; 0], "{name}");
    }
}

/// A drive lost its power and was back before anybody had looked. What had been removed, but not
/// durably, was there again and stayed.
#[tokio::test]
async fn dur_d9_a_drive_that_is_missed_and_found_by_the_same_look_loses_what_does_not_count() {
    let yard = Yard::made(&["a:a1", "b:b1"]).await;
    let store = yard.open(&[]).await.unwrap();
    let blob = BlobId([1; 16]);
    let proof = written(&store, blob).await;
    stage::commit(&store, Write::AdoptBlob(proof)).await;
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([yard.path("b1"), yard.path("again")])
        .status();
    assert!(copied.unwrap().success());
    stage::commit(&store, Write::ReleaseBlob(blob)).await;
    store.blobs().reclaimed().await.unwrap();
    let file = DrivePath::blob(blob).to_string();
    assert!(!yard.path("b1").join(&file).exists());
    yard.rename("b1", "away");
    yard.rename("again", "b1");
    assert!(yard.path("b1").join(&file).exists());
    assert_eq!(store.look_for_drives().await.unwrap(), 1);
    assert!(!yard.path("b1").join(&file).exists());
}

/// In the seconds before a drive is missed every read of it, and scrub, called its shards missing:
/// they were made anew when it came back.
#[tokio::test]
async fn a_drive_that_is_taken_away_is_no_damage() {
    for scrubs in [false, true] {
        let yard = Yard::made(&SIX).await;
        let store = yard.open(&[]).await.unwrap();
        let proof = written(&store, BlobId([1; 16])).await;
        let location = proof.location();
        let drive = proof.keeping().placement.drive(ShardIndex(0)).unwrap();
        stage::commit(&store, Write::AdoptBlob(proof)).await;
        let place = store.drives().get(drive).unwrap().label();
        fs::rename(&place, yard.path("away")).unwrap();
        if scrubs {
            let clock = Arc::new(strongroom_testkit::SimClock::new(1));
            let scrubber = Scrubber::new(&store, clock, ScrubOptions::default());
            let pass = scrubber.unwrap().run_pass().await.unwrap();
            assert_eq!(
                (pass.totals.damaged_shards, pass.totals.absent_shards),
                (0, 1)
            );
        } else {
            stage::read_all(&store, &location).await.unwrap();
        }
        let view = store.drives().view();
        assert_eq!(view.state(drive), DriveState::Missing);
        assert!(store.blobs().damage().is_empty());
        assert!(store.damaged_blobs(None, 9).unwrap().is_empty());
    }
}

/// The only drive's members file was damaged, and the store did not start until somebody copied
/// the other one by hand.
#[tokio::test]
async fn dur_d7_the_members_file_of_the_only_drive_is_mended_from_the_data_directory() {
    let yard = Yard::made(&[]).await;
    let path = yard.path("drive/members");
    let good = fs::read(&path).unwrap();
    let cut = good[..good.len() / 2].to_vec();
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    let elsewhere = b"SRMEMB01 nonsense".to_vec();
    for (story, bytes) in [
        ("cut", Some(cut)),
        ("flipped", Some(flipped)),
        ("empty", Some(Vec::new())),
        ("gone", None),
    ] {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let store = yard.open(&[]).await.unwrap();
        assert_eq!(states(&store), [DriveState::Online], "{story}");
        store.close().await.unwrap();
        drop(store);
        assert_eq!(fs::read(&path).unwrap().len(), good.len(), "{story}");
    }
    // A number that is higher than what is remembered says that something newer was lost.
    fs::write(&path, elsewhere).unwrap();
    let text = yard.refused(&[]).await;
    assert!(text.contains("no majority"), "{text}");
}

#[tokio::test]
async fn dur_d7_a_foreign_or_old_memory_mends_no_members_file() {
    let yard = Yard::made(&[]).await;
    let path = yard.path("drive/members");
    let old = fs::read(yard.path("witness/members")).unwrap();
    // Another cluster's memory, with the same keys.
    let other = Yard::made(&[]).await;
    fs::write(&path, b"damaged").unwrap();
    let own = fs::read(yard.path("witness/members")).unwrap();
    let foreign = fs::read(other.path("witness/members")).unwrap();
    fs::write(yard.path("witness/members"), foreign).unwrap();
    let text = yard.refused(&["main:drive"]).await;
    assert!(text.contains("another cluster"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"damaged");
    // Another store's keys.
    fs::write(yard.path("witness/members"), own).unwrap();
    let mut keys = yard;
    keys.key = 2;
    let text = keys.refused(&[]).await;
    assert!(text.contains("does not open"), "{text}");
    keys.key = 1;
    // Several drives with copies: the others have to know.
    let store = keys.open(&[]).await.unwrap();
    for name in ["main:two", "main:three"] {
        let given = keys.given(&[name]).pop().unwrap();
        store.add_drive(given).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    for name in ["drive", "two"] {
        fs::write(keys.path(name).join("members"), b"damaged").unwrap();
    }
    let text = keys.refused(&["main:three"]).await;
    assert!(text.contains("no majority"), "{text}");
    // An old memory is known by the number at the beginning of what is damaged.
    let newer = Yard::made(&[]).await;
    let old_memory = fs::read(newer.path("witness/members")).unwrap();
    assert_ne!(old, old_memory);
    for _ in 0..3 {
        let store = newer.open_with(&[], Wish::Usual).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let wish = Wish::Exactly(Redundancy::SINGLE);
        newer
            .open_with(&[], wish)
            .await
            .unwrap()
            .close()
            .await
            .unwrap();
    }
    let path = newer.path("drive/members");
    let mut damaged = fs::read(&path).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&path, damaged).unwrap();
    fs::write(newer.path("witness/members"), old_memory).unwrap();
    let text = newer.refused(&[]).await;
    assert!(text.contains("no majority"), "{text}");
}

pub(crate) async fn write_row(
    store: &Store,
    key: &[u8],
) -> Result<(), strongroom_store::CommitError> {
    let put = Write::Put {
        table: strongroom_store::TableId(20),
        key: key.to_vec(),
        value: b"value".to_vec(),
    };
    let batch = strongroom_store::Batch {
        preconditions: Vec::new(),
        writes: vec![put],
    };
    store.tables().commit(batch).await.map(drop)
}

/// After the loss of two of three copies one was brought back, and every write was refused until
/// somebody restarted the server.
#[tokio::test]
async fn dur_d8_writes_go_on_when_one_of_two_lost_copies_is_back() {
    const THREE: [&str; 3] = ["a:a1", "b:b1", "c:c1"];
    for back in ["a1", "b1"] {
        let yard = Yard::new();
        let store = yard.open(&THREE).await.unwrap();
        write_row(&store, b"before").await.unwrap();
        for name in ["a1", "b1"] {
            yard.rename(name, &format!("{name}-away"));
            store.look_for_drives().await.unwrap();
        }
        write_row(&store, b"refused").await.unwrap_err();
        assert!(!store.revive_copies().await.unwrap());
        let owed = protection(&store).await.shortcomings();
        assert!(
            owed.iter().any(|of| of.contains("writes are refused")),
            "{owed:?}"
        );
        write_row(&store, b"refused").await.unwrap_err();
        yard.rename(&format!("{back}-away"), back);
        assert_eq!(store.look_for_drives().await.unwrap(), 1);
        assert!(store.revive_copies().await.unwrap(), "{back}");
        write_row(&store, b"after").await.unwrap();
        // Two of three are whole, durably: a start with these two finds both rows.
        store.close().await.unwrap();
        drop(store);
        let store = yard.open(&[]).await.unwrap();
        for key in [&b"before"[..], b"after"] {
            let row = store.tables().get(strongroom_store::TableId(20), key);
            assert!(row.unwrap().is_some(), "{back}");
        }
        let table = strongroom_store::TableId(20);
        assert!(store.tables().get(table, b"refused").unwrap().is_none());
        let other = if back == "a1" { "b1" } else { "a1" };
        yard.rename(&format!("{other}-away"), other);
        assert_eq!(store.look_for_drives().await.unwrap(), 1);
        assert_eq!(store.catch_up_copies().await.unwrap(), 1);
        assert_eq!(protection(&store).await.shortcomings(), [""; 0], "{back}");
    }
}
