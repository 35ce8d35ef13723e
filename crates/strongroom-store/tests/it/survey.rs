// SPDX-License-Identifier: Apache-2.0
//! The last resort: blobs found again by their shards alone.

use std::convert::Infallible;
use std::sync::Arc;

use strongroom_store::BlobId;
use strongroom_store::blob::{
    ShardHeader, ShardTrailer, SurveyReport, SurveyedBlob, UnitSums, survey,
};
use strongroom_store::drive::{Drive, DriveNo, DrivePath, Folder};
use strongroom_store::erasure::{Codec, StripeLayout, UnitPlace};
use strongroom_store::layout::{BlobPolicy, Redundancy, ShardIndex, UnitLayout};
use strongroom_testkit::SimDrive;

use crate::stage;

const UNIT: u32 = 16;

#[derive(Clone)]
struct Blob {
    id: BlobId,
    layout: StripeLayout,
    policy: BlobPolicy,
    sealed: Vec<u8>,
    manifest: Vec<u8>,
}

impl Blob {
    fn new(seed: u8, data: u8, parity: u8, bytes: usize) -> Self {
        let redundancy = Redundancy::new(data, parity).unwrap();
        Self {
            id: BlobId([seed; 16]),
            layout: StripeLayout::for_new_blobs(UnitLayout::new(UNIT).unwrap(), redundancy),
            policy: BlobPolicy::Standard,
            sealed: stage::bytes(u64::from(seed), bytes),
            manifest: format!("manifest of blob {seed}").into_bytes(),
        }
    }

    fn unit(&self, shard: ShardIndex, row: u64) -> Vec<u8> {
        let sealed_bytes = self.sealed.len() as u64;
        let len = self.layout.unit_len(sealed_bytes, shard, row).unwrap_or(0) as usize;
        if let Some(unit) = self.layout.unit_at(sealed_bytes, UnitPlace { shard, row }) {
            let at = usize::try_from(unit).unwrap() * UNIT as usize;
            return self.sealed[at..at + len].to_vec();
        }
        let redundancy = self.layout.redundancy();
        if redundancy.is_data(shard) {
            return Vec::new();
        }
        let data: Vec<Vec<u8>> = (0..redundancy.data())
            .map(|data| self.unit(ShardIndex(data), row))
            .collect();
        let there: Vec<_> = (0..)
            .map(ShardIndex)
            .zip(data.iter().map(Vec::as_slice))
            .collect();
        let mut out = vec![0; len];
        Codec::new(redundancy)
            .reconstruct(shard, &there, &mut out)
            .unwrap();
        out
    }

    fn file(&self, shard: u8) -> Vec<u8> {
        let (shard, blob) = (ShardIndex(shard), self.id);
        let sealed_bytes = self.sealed.len() as u64;
        let (layout, policy) = (self.layout, self.policy);
        let mut file = ShardHeader {
            blob,
            shard,
            layout,
            policy,
        }
        .to_bytes()
        .to_vec();
        for row in 0..layout.shard_units(sealed_bytes, shard).unwrap() {
            let mut slot = self.unit(shard, row);
            slot.extend([0; 8]);
            UnitSums::new(blob, shard).write(layout.unit(), row, &mut slot);
            file.extend(slot);
        }
        file.extend(&self.manifest);
        let trailer = ShardTrailer::new(blob, layout.unit(), sealed_bytes, &self.manifest);
        file.extend(trailer.unwrap().to_bytes());
        let manifest_bytes = u32::try_from(self.manifest.len()).unwrap();
        let expected = layout.shard_file_bytes(sealed_bytes, shard, manifest_bytes);
        assert_eq!(Some(file.len() as u64), expected);
        file
    }

    /// Puts shard `i` on drive `at[i]`.
    fn plant(&self, drives: &[SimDrive], at: &[usize]) {
        for (shard, drive) in (0..self.layout.redundancy().shards()).zip(at) {
            drives[*drive].plant(&DrivePath::blob(self.id), &self.file(shard));
        }
    }
}

fn drives(count: u64) -> Vec<SimDrive> {
    (0..count).map(SimDrive::new).collect()
}

fn surveyed(drives: &[SimDrive]) -> (Vec<SurveyedBlob>, SurveyReport) {
    let numbered: Vec<(DriveNo, Arc<dyn Drive>)> = (0..)
        .map(DriveNo)
        .zip(drives)
        .map(|(number, drive)| (number, Arc::new(drive.clone()) as Arc<dyn Drive>))
        .collect();
    let mut found = Vec::new();
    let report = survey(&numbered, |blob| {
        found.push(blob);
        Ok::<_, Infallible>(())
    });
    (found, report.unwrap())
}

#[test]
fn every_blob_is_handed_out_once_with_its_manifest() {
    let drives = drives(6);
    let blobs = [
        Blob::new(3, 4, 2, 1000),
        Blob::new(9, 1, 1, 77),
        Blob::new(200, 2, 2, 0),
    ];
    blobs[0].plant(&drives, &[5, 4, 3, 2, 1, 0]);
    blobs[1].plant(&drives, &[2, 4]);
    blobs[2].plant(&drives, &[0, 1, 2, 3]);
    let (found, report) = surveyed(&drives);
    assert_eq!(
        report,
        SurveyReport {
            readable: 3,
            ..SurveyReport::default()
        }
    );
    for (blob, found) in blobs.iter().zip(&found) {
        assert_eq!(found.blob, blob.id);
        assert_eq!(found.sealed_bytes, blob.sealed.len() as u64);
        assert_eq!(found.layout, blob.layout);
        assert_eq!(found.manifest, blob.manifest);
        assert_eq!(found.missing().count(), 0);
    }
    let numbers: Vec<u16> = found[0].drives.iter().map(|drives| drives[0].0).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1, 0]);
    assert_eq!(found.len(), 3);
}

#[test]
fn blobs_are_found_while_losses_can_be_borne_and_named_when_not() {
    let blob = Blob::new(7, 4, 2, 500);
    for lost in 0_u32..1 << 6 {
        let drives = drives(6);
        for shard in (0..6).filter(|shard| lost >> shard & 1 == 0) {
            drives[usize::from(shard)].plant(&DrivePath::blob(blob.id), &blob.file(shard));
        }
        let (found, report) = surveyed(&drives);
        let bearable = lost.count_ones() <= 2;
        assert_eq!(found.len(), usize::from(bearable), "{lost:b}");
        let told = found.iter().chain(&report.unreadable).next();
        assert_eq!(told.is_some(), lost != (1 << 6) - 1);
        if let Some(told) = told {
            let missing = told.missing().fold(0, |set, shard| set | 1 << shard.0);
            assert_eq!(missing, lost);
            assert_eq!(told.is_readable(), bearable);
        }
        assert!(report.contradicted.is_empty() && report.damaged.is_empty());
    }
}

#[test]
fn damaged_ends_are_told_and_their_shards_do_not_count() {
    let blob = Blob::new(7, 1, 1, 100);
    let good = blob.file(0);
    let path = DrivePath::blob(blob.id);
    let ends = (0..64).chain(good.len() - 64 - blob.manifest.len()..good.len());
    for at in ends {
        let drives = drives(2);
        blob.plant(&drives, &[0, 1]);
        drives[0].rot(&path, at, 1 << (at % 8));
        let (found, report) = surveyed(&drives);
        assert_eq!(found.len(), 1, "byte {at}");
        assert_eq!(found[0].missing().collect::<Vec<_>>(), [ShardIndex(0)]);
        let damage = &report.damaged;
        assert_eq!(damage.len(), 1, "byte {at}");
        assert_eq!(
            (damage[0].drive, damage[0].place.clone()),
            (DriveNo(0), path.to_string())
        );
    }
    for bytes in [
        &[][..],
        &good[..64],
        &good[..good.len() - 1],
        &good[1..],
        &[0; 500],
    ] {
        let drives = drives(2);
        blob.plant(&drives, &[0, 1]);
        drives[0].plant(&path, bytes);
        let (found, report) = surveyed(&drives);
        assert_eq!((found.len(), report.damaged.len()), (1, 1));
    }
}

#[test]
fn files_under_other_names_are_not_taken_for_shards() {
    let blob = Blob::new(7, 1, 1, 100);
    let drives = drives(2);
    blob.plant(&drives, &[0, 1]);
    let swapped = BlobId([8; 16]);
    drives[0].plant(&DrivePath::blob(swapped), &blob.file(0));
    drives[1].plant(
        &DrivePath::listed(Folder::Blobs(7), "notes".to_owned()),
        b"x",
    );
    let (found, report) = surveyed(&drives);
    assert_eq!(found.len(), 1);
    assert_eq!(report.damaged.len(), 2);
    assert!(report.unreadable.is_empty());
}

#[test]
fn a_shard_that_was_moved_and_came_back_is_on_two_drives() {
    let blob = Blob::new(7, 2, 1, 100);
    let drives = drives(4);
    blob.plant(&drives, &[0, 1, 2]);
    drives[3].plant(&DrivePath::blob(blob.id), &blob.file(1));
    let (found, _) = surveyed(&drives);
    assert_eq!(found[0].drives[1], [DriveNo(1), DriveNo(3)]);
}

#[test]
fn shards_that_tell_different_stories_are_not_mixed() {
    let blob = Blob::new(7, 2, 2, 100);
    let mut shorter = blob.clone();
    shorter.sealed.truncate(60);
    let mut other_manifest = blob.clone();
    other_manifest.manifest = b"another".to_vec();
    let mut other_policy = blob.clone();
    other_policy.policy = BlobPolicy::Archive;
    for other in [shorter, other_manifest, other_policy] {
        // Three shards of one, one of the other: only the first can be read.
        let drives = drives(4);
        blob.plant(&drives, &[0, 1, 2, 3]);
        drives[3].plant(&DrivePath::blob(blob.id), &other.file(3));
        let (found, report) = surveyed(&drives);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].missing().collect::<Vec<_>>(), [ShardIndex(3)]);
        assert!(report.contradicted.is_empty());
        // Two of each: nothing says which.
        drives[2].plant(&DrivePath::blob(blob.id), &other.file(2));
        let (found, report) = surveyed(&drives);
        assert!(found.is_empty());
        let [accounts] = report.contradicted.as_slice() else {
            panic!("one blob is told of in two ways");
        };
        assert_eq!(accounts.len(), 2);
        assert!(accounts.iter().all(|account| account.blob == blob.id));
    }
}
