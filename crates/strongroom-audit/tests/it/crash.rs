// SPDX-License-Identifier: Apache-2.0
//! Power loss at every operation of the drive.

use strongroom_audit::verify_chain;
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::world::{World, lines, object_keys, open};

/// Records until the drive is gone; the object keys that were acknowledged as durable.
async fn record_until_gone(world: &World, prefix: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        for number in 0..3 {
            // Buffered: may or may not survive, but never out of order.
            let _ = world.get(&format!("{prefix}-{round}-{number}")).await;
        }
        let object_key = format!("{prefix}-{round}-durable");
        match world.put(&object_key).await {
            Ok(_) => acknowledged.push(object_key),
            Err(_) => break,
        }
    }
    acknowledged
}

fn assert_sound(drive: &SimDrive, acknowledged: &[String], what: &str) {
    let lines = lines(drive);
    let summary = verify_chain(lines.iter().map(Vec::as_slice)).expect(what);
    assert_eq!(summary.before.seq, 0, "{what}");
    let keys = object_keys(drive);
    let mut rest = keys.iter();
    for object_key in acknowledged {
        assert!(
            rest.any(|key| key == object_key),
            "{what}: {object_key} of {keys:?}"
        );
    }
}

#[tokio::test]
async fn acknowledged_records_survive_in_order() {
    for seed in 0..40 {
        for crash_at in 0..14 {
            let what = format!("seed {seed}, crash at {crash_at}");
            let drive = SimDrive::new(seed);
            drive.set_plan(FaultPlan::new([Fault::CrashAt(crash_at)]));
            let mut acknowledged = record_until_gone(&open(&drive).await.unwrap(), "first").await;
            let survivor = drive.crash();
            // A second crash, which may strike while the first one is repaired.
            survivor.set_plan(FaultPlan::new([Fault::CrashAt(crash_at % 5)]));
            if let Ok(world) = open(&survivor).await {
                acknowledged.extend(record_until_gone(&world, "second").await);
            }
            let last = survivor.crash();
            let world = open(&last).await.expect(&what);
            assert_sound(&last, &acknowledged, &what);
            world.put("after").await.unwrap();
            acknowledged.push("after".to_owned());
            assert_sound(&last, &acknowledged, &what);
        }
    }
}

#[tokio::test]
async fn killed_process_loses_nothing_that_was_acknowledged() {
    let drive = SimDrive::new(3);
    let world = open(&drive).await.unwrap();
    let acknowledged = record_until_gone(&world, "first").await;
    let survivor = drive.kill();
    open(&survivor).await.unwrap();
    assert_eq!(acknowledged.len(), 6);
    assert_sound(&survivor, &acknowledged, "kill");
}
