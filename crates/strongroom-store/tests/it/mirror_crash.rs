// SPDX-License-Identifier: Apache-2.0
//! Power loss of all copies at once, at every change of any of them. What each had not flushed is
//! there or not on its own.

use strongroom_testkit::SimRng;

use crate::mirror_rig::{Power, World, no};
use crate::table_crash::{Ended, check, tell};
use crate::table_rig::{Model, ModelBatch, ModelWrite, T};

fn run(world: &World) -> Ended {
    match world.open() {
        Ok((_, mut engine)) => tell(&mut engine),
        Err(_) => Ended {
            acknowledged: Model::default(),
            in_doubt: Model::default(),
            failed: true,
        },
    }
}

#[test]
fn dur_d1_power_loss_at_every_change_of_three_copies() {
    for seed in 0..4 {
        for at in 0.. {
            let world = World::with_power(3, seed * 10_000 + at, Power::failing_at(at));
            let ended = run(&world);
            if !world.power.is_off() {
                assert!(at > 150, "the story is too short");
                break;
            }
            let mut rng = SimRng::new(seed * 10_000 + at);
            let next = world.after_power_loss(&mut rng);
            let (mirror, engine) = next
                .open()
                .unwrap_or_else(|error| panic!("seed {seed}, change {at}: {error}"));
            check(seed, at, &engine, &ended);
            next.assert_level(&format!("seed {seed}, change {at}"));
            assert!(mirror.report().fenced.is_empty());
        }
    }
}

#[test]
fn dur_d1_power_loss_of_two_copies_and_a_witness() {
    for at in 0.. {
        let world = World::with_power(2, 31_000 + at, Power::failing_at(at));
        let ended = run(&world);
        if !world.power.is_off() {
            break;
        }
        let next = world.after_power_loss(&mut SimRng::new(at));
        // Only one of them comes back: it has everything that was answered.
        let alone = usize::from(at.is_multiple_of(2));
        let mirror = strongroom_store::mirror::Mirror::open(
            next.copies(&[alone]),
            crate::table_rig::sealer(),
            next.options(),
        )
        .unwrap();
        let mut engine = crate::mirror_rig::engine(&mirror).unwrap();
        check(0, at, &engine, &ended);
        let mut model = Model::of(&engine);
        let batch = ModelBatch {
            preconditions: Vec::new(),
            writes: vec![ModelWrite::Put(T, b"alone".to_vec(), vec![7; 40])],
        };
        model.commit(&batch).unwrap();
        engine.commit_group(vec![batch.to_batch()])[0]
            .as_ref()
            .unwrap();
        // The other one comes back later, perhaps with a record that was never answered.
        let other = no(1 - alone);
        mirror.catch_up(other, &next.drive(1 - alone)).unwrap();
        next.assert_level(&format!("change {at}"));
        assert_eq!(Model::of(&engine), model);
    }
}

#[test]
fn dur_d1_power_loss_while_opening_after_a_power_loss() {
    for at in (0..220).step_by(7) {
        let world = World::with_power(3, at, Power::failing_at(at));
        let ended = run(&world);
        if !world.power.is_off() {
            break;
        }
        for again in 0.. {
            let mut rng = SimRng::new(at);
            let mut second = world.after_power_loss(&mut rng);
            second.set_power(Power::failing_at(again));
            let opened = second.open();
            if !second.power.is_off() {
                check(0, at, &opened.unwrap().1, &ended);
                break;
            }
            drop(opened);
            let third = second.after_power_loss(&mut rng);
            let (_, engine) = third.open().unwrap();
            check(again, at, &engine, &ended);
            third.assert_level(&format!("changes {at} and {again}"));
        }
    }
}

#[test]
fn dur_d12_power_loss_while_a_copy_is_caught_up() {
    for at in 0.. {
        let world = World::new(3, 500 + at);
        let (mirror, mut engine) = world.open().unwrap();
        mirror.fence(no(2)).unwrap();
        let ended = tell(&mut engine);
        drop((mirror, engine));
        let mut next = world.after_kill();
        next.set_power(Power::failing_at(at));
        let cut_off = match next.open() {
            Ok((mirror, _engine)) => mirror.catch_up(no(2), &next.drive(2)).is_err(),
            Err(_) => true,
        };
        if !next.power.is_off() {
            assert!(!cut_off && at > 5);
            next.assert_level("caught up");
            break;
        }
        let last = next.after_power_loss(&mut SimRng::new(at));
        let (mirror, engine) = last.open().unwrap();
        check(0, at, &engine, &ended);
        if !last.ledger.is_live(no(2)) {
            mirror.catch_up(no(2), &last.drive(2)).unwrap();
        }
        last.assert_level(&format!("change {at}"));
        drop((mirror, engine));
        let only = last.indexes.of(no(2)).copy();
        let alone = crate::table_rig::open_with(&last.drives[2].kill(), &only).unwrap();
        check(1, at, &alone, &ended);
    }
}
