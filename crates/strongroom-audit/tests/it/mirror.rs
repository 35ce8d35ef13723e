// SPDX-License-Identifier: Apache-2.0
//! The log on three drives that have separate fates.

use std::sync::Arc;
use std::time::Duration;

use strongroom_audit::{
    Audit, AuditFiles, AuditOptions, Durability, Error as AuditError, verify_chain,
};
use strongroom_store::Error;
use strongroom_store::drive::{Drive, DriveNo};
use strongroom_store::mirror::{
    CopyLedger, DriveIndexes, FileJudge, Mirror, MirrorCopies, MirrorOptions, Patience,
};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, TestSealer};

use crate::world::{NOON_MS, World, facts, lines, object_keys, put_object};

/// Nobody is fenced: what fails here fails with the power of all.
#[derive(Debug)]
struct NoFences;

impl CopyLedger for NoFences {
    fn fence(&self, _: &[DriveNo]) -> Result<(), Error> {
        Err(Error::Closed)
    }

    fn caught_up(&self, _: DriveNo) -> Result<(), Error> {
        Err(Error::Closed)
    }

    fn only(&self, _: &[DriveNo]) -> Result<(), Error> {
        Ok(())
    }
}

async fn open(drives: &[SimDrive]) -> Result<World, strongroom_audit::Error> {
    Ok(open_mirror(drives).await?.0)
}

async fn open_mirror(drives: &[SimDrive]) -> Result<(World, Mirror), strongroom_audit::Error> {
    let live = drives.iter().zip(0..).map(|(drive, no)| {
        let drive: Arc<dyn Drive> = Arc::new(drive.clone());
        (DriveNo(no), drive)
    });
    let copies = MirrorCopies {
        live: live.collect(),
        ..MirrorCopies::default()
    };
    let options = MirrorOptions {
        ledger: Arc::new(NoFences),
        indexes: Arc::new(DriveIndexes { cache_bytes: 0 }),
        audit: Some(Arc::new(AuditFiles)),
        inline: false,
        // No drive of these tests is slow, however slow the machine is.
        patience: Patience {
            hang: Duration::from_mins(5),
            persist: Duration::from_mins(10),
        },
    };
    let mirror = Mirror::open(copies, Arc::new(TestSealer::new(1)), options)?;
    let clock = Arc::new(strongroom_testkit::SimClock::new(NOON_MS));
    let options = AuditOptions {
        account_id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
    };
    let audit = Audit::open(mirror.drive(), clock.clone(), options).await?;
    let world = World {
        drive: drives[0].clone(),
        clock,
        audit,
    };
    Ok((world, mirror))
}

/// After the loss of a majority the log refused everything until the next start.
#[tokio::test]
async fn dur_d8_the_log_goes_on_when_a_majority_of_its_copies_is_back() {
    for at in 0..3 {
        let drives: Vec<_> = (0..2).map(SimDrive::new).collect();
        let (world, mirror) = open_mirror(&drives).await.unwrap();
        world.put("before").await.unwrap();
        drives[1].set_plan(FaultPlan::new([Fault::FailAt(at)]));
        let failed = world.put("in doubt").await;
        if drives[1].operations() <= at {
            assert!(failed.is_ok() && at > 0);
            break;
        }
        assert!(failed.is_err());
        assert!(world.put("refused").await.is_err(), "nobody is back");
        let back = drives[1].kill();
        let there: Arc<dyn Drive> = Arc::new(back.clone());
        assert!(mirror.revive(&[(DriveNo(1), there)]).unwrap());
        let mut tries = 0;
        while world.put("after").await.is_err() {
            tries += 1;
            assert!(tries < 6000, "the log stays out of service");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.audit.flush().await.unwrap();
        let expected = lines(&drives[0]);
        verify_chain(expected.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(lines(&back), expected);
        let keys = object_keys(&back);
        let has = |wanted: &str| keys.iter().any(|key| key == wanted);
        assert!(has("before") && has("after") && !has("refused"), "{keys:?}");
    }
}

/// The log lost the event of a key's use with a batch that failed, went on, and took the request's
/// own event: the request was answered though nothing tells of the use.
#[tokio::test]
async fn what_was_owed_when_the_log_failed_is_never_answered() {
    for reads_only in [false, true] {
        let drives: Vec<_> = (0..2).map(SimDrive::new).collect();
        let (world, mirror) = open_mirror(&drives).await.unwrap();
        world.put("before").await.unwrap();
        drives[1].set_plan(FaultPlan::new([Fault::FailAt(0)]));
        let receipt = world.audit.begin(facts());
        if reads_only {
            receipt.reads_only();
        }
        let inner = receipt.record_internal_before_answer(put_object("inner"));
        inner.await.unwrap();
        assert!(world.put("in doubt").await.is_err());
        let there: Arc<dyn Drive> = Arc::new(drives[1].kill());
        assert!(mirror.revive(&[(DriveNo(1), there)]).unwrap());
        let mut tries = 0;
        while world.put("after").await.is_err() {
            tries += 1;
            assert!(tries < 6000, "the log stays out of service");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let later = receipt.record_internal_before_answer(put_object("later"));
        assert!(matches!(later.await, Err(AuditError::OutOfService)));
        let finished = receipt.finish(put_object("own"), Durability::Durable);
        assert!(matches!(finished.await, Err(AuditError::OutOfService)));
        let keys = object_keys(&drives[0]);
        assert!(!keys.iter().any(|key| key == "own"), "{keys:?}");
    }
}

/// A drive alone that failed does not come back by itself.
#[tokio::test]
async fn a_log_on_one_drive_that_failed_stays_out_of_service() {
    let drives = [SimDrive::new(5)];
    let (world, mirror) = open_mirror(&drives).await.unwrap();
    world.put("before").await.unwrap();
    drives[0].set_plan(FaultPlan::new([Fault::FailAt(0)]));
    assert!(world.put("in doubt").await.is_err());
    assert!(!mirror.refuses_changes());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(world.put("refused").await.is_err());
}

#[tokio::test]
async fn dur_d1_the_log_survives_power_loss_of_three_copies() {
    for seed in 0..12 {
        for crash_at in 0..10 {
            let what = format!("seed {seed}, crash at {crash_at}");
            let drives: Vec<_> = (0..3).map(|at| SimDrive::new(seed * 3 + at)).collect();
            for drive in &drives {
                drive.set_plan(FaultPlan::new([Fault::CrashAt(crash_at)]));
            }
            let mut acknowledged = Vec::new();
            let world = open(&drives).await.unwrap();
            for round in 0..6 {
                let _ = world.get(&format!("{round}")).await;
                let object_key = format!("{round}-durable");
                if world.put(&object_key).await.is_err() {
                    break;
                }
                acknowledged.push(object_key);
            }
            drop(world);
            let survivors: Vec<_> = drives.iter().map(SimDrive::crash).collect();
            let world = open(&survivors).await.expect(&what);
            world.put("after").await.unwrap();
            acknowledged.push("after".to_owned());
            for drive in &survivors {
                let lines = lines(drive);
                verify_chain(lines.iter().map(Vec::as_slice)).expect(&what);
                assert_eq!(lines, crate::world::lines(&survivors[0]), "{what}");
                let keys = object_keys(drive);
                let mut rest = keys.iter();
                for object_key in &acknowledged {
                    assert!(rest.any(|key| key == object_key), "{what}: {object_key}");
                }
            }
        }
    }
}

#[tokio::test]
async fn dur_d7_every_damaged_line_but_the_last_is_mended_from_another_copy() {
    let drives: Vec<_> = (0..3).map(SimDrive::new).collect();
    let world = open(&drives).await.unwrap();
    for round in 0..5 {
        world.put(&format!("{round}")).await.unwrap();
    }
    drop(world);
    let path = drives[0]
        .files()
        .into_iter()
        .find(|path| path.number("events").is_some());
    let path = path.unwrap();
    let good = drives[0].contents(&path).unwrap();
    let last = good[..good.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for offset in (0..last).step_by(7) {
        let damaged: Vec<_> = drives.iter().map(SimDrive::kill).collect();
        assert!(damaged[offset % 3].rot(&path, offset, 0x08));
        // The first and the second have different damage: only the third is whole.
        assert!(damaged[(offset + 1) % 3].rot(&path, (offset + last / 2) % last, 0x01));
        let world = open(&damaged)
            .await
            .unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        drop(world);
        for drive in &damaged {
            assert!(drive.contents(&path).unwrap() == good, "byte {offset}");
        }
    }
    // The same line damaged in all copies is the error of one drive.
    for offset in (40..last).step_by(61) {
        let damaged: Vec<_> = drives.iter().map(SimDrive::kill).collect();
        for (at, drive) in damaged.iter().enumerate() {
            assert!(drive.rot(&path, offset, 1 << at));
        }
        assert!(open(&damaged).await.is_err(), "byte {offset}");
    }
}

#[test]
fn a_line_is_proven_by_the_one_behind_it() {
    let drive = SimDrive::new(1);
    let path = strongroom_store::drive::DrivePath::numbered(
        strongroom_store::drive::Folder::Audit,
        "events",
        1,
    );
    let judge = |bytes: &[u8]| {
        drive.plant(&path, bytes);
        let file = drive.open(&path, strongroom_store::drive::Access::Read);
        let found = AuditFiles.judge(&path, file.unwrap().unwrap().as_ref());
        let found = found.unwrap();
        (found.proven, found.plausible)
    };
    assert_eq!(judge(b""), (0, 0));
    assert_eq!(judge(b"no record\n"), (0, 0));
    assert_eq!(judge(&[0; 500]), (0, 0));
}
