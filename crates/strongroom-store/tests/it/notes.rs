// SPDX-License-Identifier: Apache-2.0
//! Blobs without units: they are kept, looked after and released as any other, and any one of their
//! files tells all that they say.

use std::convert::Infallible;
use std::sync::Arc;

use strongroom_store::blob::{SurveyedBlob, survey};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, Folder};
use strongroom_store::env::Clock;
use strongroom_store::heal::{HealOptions, Healer};
use strongroom_store::layout::NOTE_BYTES_MAX;
use strongroom_store::scrub::{ScrubOptions, Scrubber};
use strongroom_store::{BlobId, BlobLocation, Error, Store, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive};

use crate::blob_drives::{Cluster, code};
use crate::stage;

const NOTE: BlobId = BlobId([0x4E; 16]);

fn says(len: usize) -> Vec<u8> {
    (0..251_u8).cycle().take(len).collect()
}

async fn put_note(store: &Store, blob: BlobId, manifest: Vec<u8>) -> BlobLocation {
    let written = store.blobs().write_note(blob, manifest).await.unwrap();
    let proof = written.unwrap();
    let location = proof.location();
    assert_eq!(location, store.blobs().note_location(blob));
    stage::commit(store, Write::AdoptBlob(proof)).await;
    location
}

async fn scrub_and_heal(store: &Store) -> u64 {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1_700_000_000_000));
    let options = ScrubOptions::default();
    let mut scrubber = Scrubber::new(store, Arc::clone(&clock), options).unwrap();
    let found = scrubber.run_pass().await.unwrap().totals.damaged_shards;
    let mut healer = Healer::new(store, clock, HealOptions::default());
    healer.run().await.unwrap();
    store.blobs().reclaimed().await.unwrap();
    found
}

fn surveyed(drives: &[SimDrive]) -> Vec<SurveyedBlob> {
    let numbered = drives.iter().zip(0_u16..);
    let shared: Vec<(DriveNo, Arc<dyn Drive>)> = numbered
        .map(|(drive, number)| (DriveNo(number), Arc::new(drive.clone()) as Arc<dyn Drive>))
        .collect();
    let mut found = Vec::new();
    let report = survey(&shared, |blob| {
        found.push(blob);
        Ok::<_, Infallible>(())
    });
    report.unwrap();
    found
}

fn in_blobs(folder: Folder) -> bool {
    matches!(folder, Folder::Blobs(_) | Folder::Temporary)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_whole_in_each_of_its_files_and_healed_from_any() {
    for (data, parity) in [(1, 2), (2, 2), (4, 2)] {
        let cluster = Cluster::new(u64::from(data + parity), code(data, parity)).await;
        let store = &cluster.store;
        let location = put_note(store, NOTE, says(20_000)).await;
        let path = DrivePath::blob(NOTE);
        let good: Vec<_> = cluster
            .drives
            .iter()
            .map(|drive| drive.contents(&path).unwrap())
            .collect();
        assert!(good.iter().all(|file| file.len() == 128 + 20_000));
        let report = store.blobs().verify(&location).await.unwrap();
        assert_eq!((report.units, report.shards), (0, data + parity));
        assert_eq!(scrub_and_heal(store).await, 0);
        // Of all files but one.
        for kept in 0..cluster.drives.len() {
            for (number, drive) in cluster.drives.iter().enumerate() {
                match number % 3 {
                    _ if number == kept => {}
                    0 => assert!(drive.remove(&path).unwrap()),
                    1 => assert!(drive.rot(&path, 100, 1)),
                    _ => drive.plant(&path, &good[number][..good[number].len() - 1]),
                }
            }
            let found = surveyed(&cluster.drives);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].manifest, says(20_000), "any one tells");
            assert_eq!(scrub_and_heal(store).await, u64::from(data + parity) - 1);
            for (drive, good) in cluster.drives.iter().zip(&good) {
                assert_eq!(drive.contents(&path).as_ref(), Some(good));
            }
            store.blobs().verify(&location).await.unwrap();
        }
        assert_eq!(scrub_and_heal(store).await, 0);
    }
}

/// A note has no unit that a healer could miss: without this it made files that say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_is_lost_is_not_made_up() {
    let cluster = Cluster::new(3, code(1, 2)).await;
    let store = &cluster.store;
    put_note(store, NOTE, says(300)).await;
    let path = DrivePath::blob(NOTE);
    for drive in &cluster.drives {
        assert!(drive.remove(&path).unwrap());
    }
    assert_eq!(scrub_and_heal(store).await, 3);
    for drive in &cluster.drives {
        assert!(drive.contents(&path).is_none(), "nothing to make it of");
    }
    // It can go all the same.
    stage::commit(store, Write::ReleaseBlob(NOTE)).await;
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(scrub_and_heal(store).await, 0);
    assert!(store.damaged_blobs(None, 10).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d2_notes_stay_at_a_start_and_go_with_their_release() {
    let drive = SimDrive::new(1);
    let shared: Arc<dyn Drive> = Arc::new(drive.clone());
    let path = DrivePath::blob(NOTE);
    let files = || {
        let files = drive.files().into_iter();
        files.filter(|path| in_blobs(path.folder())).count()
    };
    let store = stage::open(Arc::clone(&shared)).await.unwrap();
    let location = put_note(&store, NOTE, says(300)).await;
    // One that was written and not adopted goes.
    let other = store.blobs().write_note(BlobId([9; 16]), says(300)).await;
    assert_eq!(files(), 2);
    drop(other);
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(files(), 1);
    store.close().await.unwrap();
    drop(store);
    let store = stage::open(Arc::clone(&shared)).await.unwrap();
    store.orphans_collected().await.unwrap();
    assert!(drive.contents(&path).is_some());
    store.blobs().verify(&location).await.unwrap();
    stage::commit(&store, Write::ReleaseBlob(NOTE)).await;
    store.blobs().reclaimed().await.unwrap();
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn what_is_no_note_is_refused_and_what_does_not_fit_is_left_out() {
    let drive = SimDrive::new(1);
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    let blobs = store.blobs();
    let nothing = blobs.write_note(NOTE, Vec::new()).await;
    assert!(matches!(nothing, Err(Error::Misuse { .. })));
    let most = NOTE_BYTES_MAX as usize;
    assert!(
        blobs
            .write_note(NOTE, says(most + 1))
            .await
            .unwrap()
            .is_none()
    );
    let longest = put_note(&store, NOTE, says(most)).await;
    blobs.verify(&longest).await.unwrap();
    let twice = blobs.write_note(NOTE, says(300)).await;
    assert!(twice.is_err(), "{twice:?}");
    let full = Fault::Capacity(128 + u64::from(NOTE_BYTES_MAX));
    drive.set_plan(FaultPlan::new([full]).within(in_blobs));
    let other = BlobId([9; 16]);
    assert!(blobs.write_note(other, says(300)).await.unwrap().is_none());
    drive.set_plan(FaultPlan::default());
    blobs.reclaimed().await.unwrap();
    assert_eq!(
        drive
            .files()
            .iter()
            .filter(|of| in_blobs(of.folder()))
            .count(),
        1
    );
}
