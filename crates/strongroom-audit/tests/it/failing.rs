// SPDX-License-Identifier: Apache-2.0
//! A drive that refuses: nothing is acknowledged, then or later.

use std::time::{Duration, Instant};

use strongroom_audit::{Durability, Error};
use strongroom_testkit::{Fault, FaultPlan, SimDrive, poll_once};

use crate::world::{facts, new_world, object_keys, open, put_object};

/// The operations of the first batch are: create, write, sync, sync of the folder.
#[tokio::test]
async fn any_failure_closes_the_log() {
    for fail_at in 0..4 {
        let drive = SimDrive::new(1);
        drive.set_plan(FaultPlan::new([Fault::FailAt(fail_at)]));
        let world = open(&drive).await.unwrap();
        assert!(
            matches!(world.put("first").await, Err(Error::OutOfService)),
            "at {fail_at}"
        );
        drive.set_plan(FaultPlan::default());
        assert!(
            matches!(world.put("later").await, Err(Error::OutOfService)),
            "at {fail_at}"
        );
        assert!(
            matches!(world.get("read").await, Err(Error::OutOfService)),
            "at {fail_at}"
        );
        assert!(
            matches!(world.audit.flush().await, Err(Error::OutOfService)),
            "at {fail_at}"
        );
    }
}

#[tokio::test]
async fn everybody_who_waited_for_a_failed_fsync_hears_of_it() {
    let world = new_world().await;
    world.put("good").await.unwrap();
    world.drive.set_plan(FaultPlan::new([Fault::FailAt(1)]));
    let puts: Vec<_> = (0..20)
        .map(|number| {
            let receipt = world.audit.begin(facts());
            tokio::spawn(async move {
                let detail = put_object(&format!("k{number}"));
                receipt.finish(detail, Durability::Durable).await
            })
        })
        .collect();
    for put in puts {
        assert!(matches!(put.await.unwrap(), Err(Error::OutOfService)));
    }
}

#[tokio::test]
async fn full_drive_closes_the_log_and_opens_again() {
    let world = new_world().await;
    world.put("good").await.unwrap();
    world
        .drive
        .set_plan(FaultPlan::new([Fault::Capacity(1500)]));
    assert!(world.put("bad").await.is_err());
    let drive = world.drive.kill();
    let world = open(&drive).await.unwrap();
    world.put("better").await.unwrap();
    assert_eq!(object_keys(&drive), ["good", "better"]);
}

#[tokio::test]
async fn closed_log_takes_nothing() {
    let world = new_world().await;
    world.get("k").await.unwrap();
    world.audit.close().await.unwrap();
    assert_eq!(object_keys(&world.drive), ["k"]);
    assert!(matches!(world.put("later").await, Err(Error::Closed)));
}

/// That it takes no longer than a second is said beside the writer.
#[tokio::test]
async fn buffered_records_are_written_though_nobody_asks() {
    let world = new_world().await;
    world.get("k").await.unwrap();
    until(|| object_keys(&world.drive) == ["k"]).await;
}

#[tokio::test]
async fn order_of_recording_is_order_of_the_file() {
    let world = new_world().await;
    let mut expected = Vec::new();
    for number in 0..50 {
        let object_key = format!("k{number}");
        if number % 7 == 0 {
            world.put(&object_key).await.unwrap();
        } else {
            world.get(&object_key).await.unwrap();
        }
        expected.push(object_key);
    }
    world.audit.flush().await.unwrap();
    assert_eq!(object_keys(&world.drive), expected);
}

#[tokio::test]
async fn waiting_records_share_a_sync() {
    let world = new_world().await;
    world.put("first").await.unwrap();
    let before = world.drive.operations();
    // While the first of them is on its way to the drive, the others come.
    world.drive.hold();
    let put = |number| {
        let receipt = world.audit.begin(facts());
        let detail = put_object(&format!("k{number}"));
        let mut put = Box::pin(receipt.finish(detail, Durability::Durable));
        // Queued by this.
        assert!(poll_once(put.as_mut()).is_pending());
        put
    };
    let mut puts = vec![put(0)];
    world.drive.wait_for_somebody().unwrap();
    puts.extend((1..200).map(put));
    world.drive.let_go();
    for put in puts {
        put.await.unwrap();
    }
    assert_eq!(
        world.drive.operations() - before,
        4,
        "two writes, two syncs"
    );
    assert_eq!(object_keys(&world.drive).len(), 201);
}

/// Waits for what must come.
async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_mins(2), "it does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn dropping_the_log_writes_what_waits() {
    let world = new_world().await;
    world.get("k").await.unwrap();
    let drive = world.drive.clone();
    drop(world);
    until(|| !object_keys(&drive).is_empty()).await;
}
