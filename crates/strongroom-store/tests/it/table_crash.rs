// SPDX-License-Identifier: Apache-2.0
//! Power loss and I/O errors at every operation of the drive, one after the other.

use strongroom_store::table::Engine;
use strongroom_store::{CommitError, Error};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, SimRng};

use crate::table_rig::{LossyIndex, Model, ModelBatch, ModelWrite, T, U, open, open_with};

/// How a short story ended.
pub(crate) struct Ended {
    /// What was answered as committed.
    pub(crate) acknowledged: Model,
    /// The same and the group whose outcome is unknown.
    pub(crate) in_doubt: Model,
    pub(crate) failed: bool,
}

/// Groups of one to three commits over three log files, two checkpoints, some idling.
pub(crate) fn tell(engine: &mut Engine) -> Ended {
    let mut model = Model::default();
    for step in 0_u8..18 {
        let size = usize::from(step % 3) + 1;
        let batches: Vec<ModelBatch> = (0..size)
            .map(|at| {
                let name = vec![b'k', step % 5, u8::try_from(at).unwrap()];
                let writes = vec![
                    ModelWrite::Put(T, name.clone(), vec![step; 300]),
                    ModelWrite::Stamped(U, name, vec![step]),
                    ModelWrite::Delete(T, vec![b'k', (step + 2) % 5, 0]),
                ];
                ModelBatch {
                    preconditions: Vec::new(),
                    writes,
                }
            })
            .collect();
        let mut after = model.clone();
        for batch in &batches {
            after.commit(batch).unwrap();
        }
        let outcomes = engine.commit_group(batches.iter().map(ModelBatch::to_batch).collect());
        if outcomes.iter().any(Result::is_err) {
            assert!(outcomes.iter().all(Result::is_err), "one record, one fate");
            return Ended {
                acknowledged: model,
                in_doubt: after,
                failed: true,
            };
        }
        model = after;
        if step % 4 == 1 {
            engine.idle();
        }
        if (step == 8 || step == 15) && engine.checkpoint().is_err() {
            return Ended {
                acknowledged: model.clone(),
                in_doubt: model,
                failed: true,
            };
        }
    }
    engine.idle();
    Ended {
        acknowledged: model.clone(),
        in_doubt: model,
        failed: false,
    }
}

pub(crate) fn check(seed: u64, at: u64, engine: &Engine, ended: &Ended) {
    let found = Model::of(engine);
    assert!(
        found == ended.acknowledged || found == ended.in_doubt,
        "seed {seed}, operation {at}: found {} commits, {} acknowledged, {} in doubt",
        found.seq,
        ended.acknowledged.seq,
        ended.in_doubt.seq,
    );
}

#[test]
fn power_loss_at_every_operation_loses_nothing_acknowledged() {
    for seed in 0..12 {
        for at in 0.. {
            let drive = SimDrive::new(seed * 1_000 + at);
            drive.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
            let (mut rng, index) = (SimRng::new(seed), LossyIndex::default());
            let ended = if let Ok(mut engine) = open_with(&drive, &index) {
                tell(&mut engine)
            } else {
                let (acknowledged, in_doubt) = Default::default();
                Ended {
                    acknowledged,
                    in_doubt,
                    failed: true,
                }
            };
            if !drive.has_crashed() {
                assert!(at > 50, "the story is too short");
                break;
            }
            let (drive, index) = (drive.crash(), index.restart(&mut rng));
            let engine = open_with(&drive, &index)
                .unwrap_or_else(|error| panic!("seed {seed}, operation {at}: {error}"));
            check(seed, at, &engine, &ended);
        }
    }
}

#[test]
fn power_loss_while_opening_after_a_power_loss() {
    for seed in 0..4 {
        for at in (0..200).step_by(3) {
            let first = SimDrive::new(seed * 1_000 + at);
            first.set_plan(FaultPlan::new([Fault::CrashAt(at)]));
            let Ok(mut engine) = open(&first) else {
                continue;
            };
            let ended = tell(&mut engine);
            drop(engine);
            if !first.has_crashed() {
                break;
            }
            for again in 0.. {
                let second = first.crash();
                second.set_plan(FaultPlan::new([Fault::CrashAt(again)]));
                let opened = open(&second);
                if !second.has_crashed() {
                    check(seed, at, &opened.unwrap(), &ended);
                    break;
                }
                drop(opened);
                let engine = open(&second.crash()).unwrap();
                check(seed, at, &engine, &ended);
            }
        }
    }
}

#[test]
fn a_store_that_crashed_goes_on_where_it_was() {
    for seed in 0..40 {
        let drive = SimDrive::new(seed);
        drive.set_plan(FaultPlan::new([Fault::CrashAt(20 + seed)]));
        let index = LossyIndex::default();
        let ended = tell(&mut open_with(&drive, &index).unwrap());
        assert!(ended.failed);
        let mut rng = SimRng::new(seed);
        let (drive, index) = (drive.crash(), index.restart(&mut rng));
        let mut engine = open_with(&drive, &index).unwrap();
        let before = Model::of(&engine);
        let mut after = before.clone();
        let writes = vec![ModelWrite::Put(T, b"next".to_vec(), b"story".to_vec())];
        let batch = ModelBatch {
            preconditions: Vec::new(),
            writes,
        };
        after.commit(&batch).unwrap();
        let seq = engine
            .commit_group(vec![batch.to_batch()])
            .pop()
            .unwrap()
            .unwrap();
        assert_eq!(seq.0, before.seq + 1);
        drop(engine);
        let (drive, index) = (drive.crash(), index.restart(&mut rng));
        assert_eq!(
            Model::of(&open_with(&drive, &index).unwrap()),
            after,
            "seed {seed}"
        );
    }
}

#[test]
fn after_a_failed_operation_nothing_succeeds_and_nothing_is_lost() {
    for at in 0.. {
        let drive = SimDrive::new(at);
        drive.set_plan(FaultPlan::new([Fault::FailAt(at)]));
        let index = LossyIndex::default();
        let Ok(mut engine) = open_with(&drive, &index) else {
            continue;
        };
        let ended = tell(&mut engine);
        let operations = drive.operations();
        if operations <= at {
            assert!(!ended.failed);
            break;
        }
        // The mark at idle and the removal of old files may be what failed: then nobody was told
        // yet, and the next commit is.
        let batch = || ModelBatch {
            preconditions: Vec::new(),
            writes: vec![ModelWrite::Put(T, b"late".to_vec(), b"no".to_vec())],
        };
        for _ in 0..3 {
            let outcome = engine.commit_group(vec![batch().to_batch()]).pop().unwrap();
            assert!(
                matches!(
                    outcome,
                    Err(CommitError::Store(Error::DriveOutOfService { .. }))
                ),
                "operation {at}: {outcome:?}"
            );
            assert!(matches!(
                engine.get(T, b"late"),
                Err(Error::DriveOutOfService { .. })
            ));
            assert!(engine.checkpoint().is_err());
        }
        drop(engine);
        let mut rng = SimRng::new(at);
        for (drive, index) in [
            (drive.kill(), index.copy()),
            (drive.crash(), index.restart(&mut rng)),
        ] {
            let engine =
                open_with(&drive, &index).unwrap_or_else(|error| panic!("operation {at}: {error}"));
            check(0, at, &engine, &ended);
        }
    }
}

#[test]
fn a_commit_whose_flush_failed_is_unknown_and_those_behind_it_are_refused() {
    let drive = SimDrive::new(9);
    let mut engine = open(&drive).unwrap();
    let batch = |name: &[u8]| ModelBatch {
        preconditions: Vec::new(),
        writes: vec![ModelWrite::Put(T, name.to_vec(), b"v".to_vec())],
    };
    assert!(
        engine
            .commit_group(vec![batch(b"first").to_batch()])
            .pop()
            .unwrap()
            .is_ok()
    );
    // The next operations are the write of the record and its flush.
    drive.set_plan(FaultPlan::new([Fault::FailAt(1)]));
    let group = vec![batch(b"a").to_batch(), batch(b"b").to_batch()];
    for outcome in engine.commit_group(group) {
        assert!(matches!(outcome, Err(CommitError::Unknown)), "{outcome:?}");
    }
    let outcome = engine
        .commit_group(vec![batch(b"c").to_batch()])
        .pop()
        .unwrap();
    assert!(matches!(
        outcome,
        Err(CommitError::Store(Error::DriveOutOfService { .. }))
    ));
}

#[test]
fn a_full_drive_is_an_error_and_loses_nothing() {
    for room in (1_500..12_000).step_by(97) {
        let drive = SimDrive::new(room);
        drive.set_plan(FaultPlan::new([Fault::Capacity(room)]));
        let index = LossyIndex::default();
        let Ok(mut engine) = open_with(&drive, &index) else {
            continue;
        };
        let ended = tell(&mut engine);
        drop(engine);
        let drive = drive.kill();
        let engine = open_with(&drive, &index.copy()).unwrap();
        check(room, 0, &engine, &ended);
    }
}
