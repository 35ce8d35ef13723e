// SPDX-License-Identifier: Apache-2.0
//! Long random stories against the reference model: groups, reads, idling, checkpoints, kills,
//! power losses, and an index that loses what it may.

use std::ops::Bound;

use strongroom_store::table::Engine;
use strongroom_store::{CommitError, Precondition, TableId};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, SimRng};

use crate::table_rig::{LossyIndex, Model, ModelBatch, ModelWrite, T, U, open_with};

/// Operations of one run, over all seeds: preconditions, writes, gets and rows scanned for.
const OPERATIONS: u64 = 600_000;

#[test]
fn random_stories_end_as_the_model_says() {
    let base = std::env::var("STRONGROOM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let mut seed: u64 = base.unwrap_or(1);
    let mut operations = 0;
    while operations < OPERATIONS {
        let told = std::panic::catch_unwind(|| story(seed));
        match told {
            Ok(done) => operations += done,
            Err(panic) => {
                eprintln!("the story of STRONGROOM_SEED={seed} went wrong");
                std::panic::resume_unwind(panic);
            }
        }
        seed += 1;
    }
}

fn story(seed: u64) -> u64 {
    let mut rng = SimRng::new(seed);
    let mut drive = SimDrive::new(seed);
    let mut index = LossyIndex::default();
    let mut engine = open_with(&drive, &index).unwrap();
    let mut model = Model::default();
    let mut operations = 0;
    for _ in 0..400 {
        match rng.below(100) {
            0..70 => operations += group(&mut rng, &mut engine, &mut model),
            70..90 => operations += reads(&mut rng, &engine, &model),
            90..95 => engine.idle(),
            95..97 => engine.checkpoint().unwrap(),
            97 => {
                // A kill: what was written stays, the index loses nothing or something.
                drop(engine);
                drive = drive.kill();
                index = index.restart(&mut rng);
                engine = open_with(&drive, &index).unwrap();
                assert_eq!(engine.recovery_report().torn_bytes, 0);
                assert_eq!(Model::of(&engine), model);
            }
            _ => {
                let crash_at = rng.below(6);
                drive.set_plan(FaultPlan::new([Fault::CrashAt(crash_at)]));
                let candidates = until_crash(&mut rng, &drive, &mut engine, &mut model);
                drop(engine);
                (drive, index, engine) = reopen(&mut rng, &drive, &index);
                let found = Model::of(&engine);
                assert!(
                    candidates.contains(&found),
                    "neither all nor nothing of a group"
                );
                model = found;
            }
        }
    }
    assert_eq!(Model::of(&engine), model);
    operations
}

/// Goes on until the power fails, and returns what may be there afterwards.
fn until_crash(
    rng: &mut SimRng,
    drive: &SimDrive,
    engine: &mut Engine,
    model: &mut Model,
) -> Vec<Model> {
    loop {
        if rng.one_in(5) {
            engine.idle();
        } else if rng.one_in(8) {
            let _ = engine.checkpoint();
        } else {
            let batches = batches(rng, model);
            let mut after = model.clone();
            let expected: Vec<_> = batches.iter().map(|batch| after.commit(batch)).collect();
            let outcomes = engine.commit_group(batches.iter().map(ModelBatch::to_batch).collect());
            if outcomes
                .iter()
                .zip(&expected)
                .all(|(outcome, expected)| agrees(outcome, expected))
            {
                *model = after;
            } else {
                assert!(drive.has_crashed());
                assert!(outcomes.iter().all(Result::is_err), "answered in doubt");
                return vec![model.clone(), after];
            }
        }
        if drive.has_crashed() {
            return vec![model.clone()];
        }
    }
}

/// Opens after a power loss, with another power loss on the way now and then.
fn reopen(
    rng: &mut SimRng,
    drive: &SimDrive,
    index: &LossyIndex,
) -> (SimDrive, LossyIndex, Engine) {
    let mut drive = drive.crash();
    let mut index = index.restart(rng);
    while rng.one_in(3) {
        drive.set_plan(FaultPlan::new([Fault::CrashAt(rng.below(5))]));
        let opened = open_with(&drive, &index);
        if !drive.has_crashed() {
            drive.set_plan(FaultPlan::default());
            return (drive, index, opened.unwrap());
        }
        drop(opened);
        drive = drive.crash();
        index = index.restart(rng);
    }
    let engine = open_with(&drive, &index).unwrap();
    (drive, index, engine)
}

fn group(rng: &mut SimRng, engine: &mut Engine, model: &mut Model) -> u64 {
    let batches = batches(rng, model);
    let outcomes = engine.commit_group(batches.iter().map(ModelBatch::to_batch).collect());
    let mut operations = 0;
    for (batch, outcome) in batches.iter().zip(&outcomes) {
        let expected = model.commit(batch);
        assert!(
            agrees(outcome, &expected),
            "{batch:?}: {outcome:?}, not {expected:?}"
        );
        operations += u64::try_from(batch.preconditions.len() + batch.writes.len()).unwrap();
    }
    operations
}

fn agrees(
    outcome: &Result<strongroom_store::CommitSeq, CommitError>,
    expected: &Result<u64, usize>,
) -> bool {
    match (outcome, expected) {
        (Ok(seq), Ok(expected)) => seq.0 == *expected,
        (Err(CommitError::Precondition { index, .. }), Err(expected)) => index == expected,
        _ => false,
    }
}

fn batches(rng: &mut SimRng, model: &Model) -> Vec<ModelBatch> {
    (0..=rng.below(6)).map(|_| batch(rng, model)).collect()
}

fn batch(rng: &mut SimRng, model: &Model) -> ModelBatch {
    let mut batch = ModelBatch::default();
    for _ in 0..rng.below(3) {
        let (table, key) = (table(rng), key(rng));
        batch.preconditions.push(match rng.below(4) {
            0 => Precondition::Absent { table, key },
            1 => Precondition::Present { table, key },
            2 => {
                let row = model.rows.get(&(table, key.clone()));
                let seq = row.map_or(1, |row| row.1).saturating_sub(rng.below(10) / 9);
                Precondition::SeqIs { table, key, seq }
            }
            _ => Precondition::RangeEmpty {
                table,
                start: key,
                end: self::key(rng),
            },
        });
    }
    let mut stamped = false;
    for _ in 0..rng.below(5) {
        let (table, key) = (table(rng), key(rng));
        let mut value = vec![0; rng.index(120)];
        rng.fill(&mut value);
        batch.writes.push(match rng.below(10) {
            0..6 => ModelWrite::Put(table, key, value),
            9 if !stamped => {
                stamped = true;
                ModelWrite::Stamped(table, key, value)
            }
            _ => ModelWrite::Delete(table, key),
        });
    }
    batch
}

fn reads(rng: &mut SimRng, engine: &Engine, model: &Model) -> u64 {
    let mut operations = 0;
    for _ in 0..10 {
        let (table, key) = (table(rng), key(rng));
        let row = engine
            .get(table, &key)
            .unwrap()
            .map(|row| (row.value, row.seq));
        assert_eq!(row.as_ref(), model.rows.get(&(table, key)));
        operations += 1;
    }
    let (table, limit, reverse) = (table(rng), rng.index(12), rng.one_in(2));
    let (start, end) = (bound(rng), bound(rng));
    let found = engine
        .scan(table, as_slice(&start), as_slice(&end), limit, reverse)
        .unwrap()
        .into_iter()
        .map(|(key, row)| (key, row.value, row.seq));
    let inside = |key: &Vec<u8>| {
        (match &start {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        }) && (match &end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        })
    };
    let mut expected: Vec<_> = model
        .rows
        .iter()
        .filter(|((of, key), _)| *of == table && inside(key))
        .map(|((_, key), (value, seq))| (key.clone(), value.clone(), *seq))
        .collect();
    if reverse {
        expected.reverse();
    }
    expected.truncate(limit);
    operations += u64::try_from(expected.len()).unwrap();
    assert_eq!(found.collect::<Vec<_>>(), expected);
    operations
}

fn table(rng: &mut SimRng) -> TableId {
    if rng.one_in(2) { T } else { U }
}

/// Few keys, some of them prefixes of others, some empty, some with the highest byte.
fn key(rng: &mut SimRng) -> Vec<u8> {
    let alphabet = [0_u8, 1, b'a', b'b', 0xff];
    (0..rng.below(4))
        .map(|_| alphabet[rng.index(alphabet.len())])
        .collect()
}

fn bound(rng: &mut SimRng) -> Bound<Vec<u8>> {
    match rng.below(4) {
        0 => Bound::Unbounded,
        1 => Bound::Excluded(key(rng)),
        _ => Bound::Included(key(rng)),
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
