// SPDX-License-Identifier: Apache-2.0
//! Events on the way that share the flush of their request's own event.

use std::pin::pin;

use strongroom_audit::{Durability, Error, Receipt};
use strongroom_testkit::{Fault, FaultPlan, poll_once};

use crate::world::{World, facts, new_world, object_keys, put_object};

/// A receipt on which another service's event was recorded.
async fn with_inner_event(world: &World) -> Receipt {
    let receipt = world.audit.begin(facts());
    let inner = receipt.record_internal_before_answer(put_object("inner"));
    inner.await.unwrap();
    receipt
}

/// The keys that a power loss leaves.
fn survivors(world: &World) -> Vec<String> {
    object_keys(&world.drive.crash())
}

#[tokio::test]
async fn a_plain_read_waits_for_what_was_recorded_on_the_way() {
    let world = new_world().await;
    let receipt = with_inner_event(&world).await;
    receipt
        .finish(put_object("read"), Durability::Buffered)
        .await
        .unwrap();
    assert_eq!(survivors(&world), ["inner", "read"]);
}

#[tokio::test]
async fn both_share_one_flush() {
    let world = new_world().await;
    world.put("the file and its name").await.unwrap();
    let before = world.drive.operations();
    // Whatever waits while an earlier one is on its way to the drive is the next batch.
    world.drive.hold();
    let mut earlier = pin!(world.put("earlier"));
    assert!(poll_once(earlier.as_mut()).is_pending());
    world.drive.wait_for_somebody().unwrap();
    let receipt = with_inner_event(&world).await;
    let mut put = pin!(receipt.finish(put_object("put"), Durability::Durable));
    assert!(poll_once(put.as_mut()).is_pending());
    world.drive.let_go();
    earlier.await.unwrap();
    put.await.unwrap();
    let operations = world.drive.operations() - before;
    assert_eq!(operations, 4, "one write, one sync, for each batch");
    let expected = ["the file and its name", "earlier", "inner", "put"];
    assert_eq!(survivors(&world), expected);
}

/// A read on whose way another service's event was recorded; what it waits for is written meanwhile.
async fn read_with_inner_event(world: &World) -> Receipt {
    let receipt = world.audit.begin(facts());
    receipt.reads_only();
    let inner = receipt.record_internal_before_answer(put_object("inner"));
    inner.await.unwrap();
    receipt
}

/// The event of a key's use is written while the read goes on; its own is not waited for.
#[tokio::test]
async fn what_a_read_owes_is_written_while_it_goes_on() {
    let world = new_world().await;
    world.put("the file and its name").await.unwrap();
    world.drive.hold();
    let receipt = read_with_inner_event(&world).await;
    world.drive.wait_for_somebody().unwrap();
    let mut finished = pin!(receipt.finish(put_object("read"), Durability::Buffered));
    assert!(poll_once(finished.as_mut()).is_pending(), "not durable yet");
    world.drive.let_go();
    finished.await.unwrap();
    let survivors = survivors(&world);
    assert_eq!(survivors[..2], ["the file and its name", "inner"]);
}

#[tokio::test]
async fn a_read_waits_for_nothing_when_what_it_owes_is_written() {
    let world = new_world().await;
    let receipt = read_with_inner_event(&world).await;
    world.put("behind it").await.unwrap();
    world.drive.hold();
    receipt
        .finish(put_object("read"), Durability::Buffered)
        .await
        .unwrap();
    world.drive.let_go();
    world.audit.flush().await.unwrap();
    assert_eq!(survivors(&world), ["inner", "behind it", "read"]);
}

#[tokio::test]
async fn a_refused_read_is_durable_with_what_it_owes() {
    let world = new_world().await;
    let receipt = read_with_inner_event(&world).await;
    let refused = receipt.finish(put_object("refused"), Durability::Durable);
    refused.await.unwrap();
    assert_eq!(survivors(&world), ["inner", "refused"]);
}

#[tokio::test]
async fn a_read_is_not_answered_when_what_it_owes_is_lost() {
    for durability in [Durability::Buffered, Durability::Durable] {
        let world = new_world().await;
        world.put("good").await.unwrap();
        world.drive.set_plan(FaultPlan::new([Fault::FailAt(1)]));
        let receipt = read_with_inner_event(&world).await;
        let finished = receipt.finish(put_object("late"), durability).await;
        assert!(matches!(finished, Err(Error::OutOfService)));
    }
}

#[tokio::test]
async fn without_such_an_event_a_plain_read_waits_for_nothing() {
    let world = new_world().await;
    world.drive.hold();
    world.get("read").await.unwrap();
    let left = survivors(&world);
    world.drive.let_go();
    assert!(left.is_empty());
}

#[tokio::test]
async fn nothing_is_answered_when_the_flush_fails() {
    for durability in [Durability::Buffered, Durability::Durable] {
        let world = new_world().await;
        world.put("good").await.unwrap();
        let receipt = with_inner_event(&world).await;
        world.drive.set_plan(FaultPlan::new([Fault::FailAt(1)]));
        let finished = receipt.finish(put_object("late"), durability).await;
        assert!(matches!(finished, Err(Error::OutOfService)));
    }
}

#[tokio::test]
async fn an_abandoned_request_still_tells_what_was_used() {
    let world = new_world().await;
    drop(with_inner_event(&world).await);
    drop(read_with_inner_event(&world).await);
    world.audit.flush().await.unwrap();
    assert_eq!(survivors(&world), ["inner", "inner"]);
    let text = String::from_utf8(crate::world::lines(&world.drive).concat()).unwrap();
    assert_eq!(text.matches("AbortRequest").count(), 2);
}
