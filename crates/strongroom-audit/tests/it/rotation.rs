// SPDX-License-Identifier: Apache-2.0
//! Files of the log.

use strongroom_audit::{Error, verify_chain};

use crate::world::{NOON_MS, files, lines, new_world, open};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn one_file_per_day_and_one_chain() {
    let world = new_world().await;
    for day in 0..3 {
        world.clock.set_ms(NOON_MS + day * DAY_MS);
        world.put("a").await.unwrap();
        world.put("b").await.unwrap();
    }
    let names: Vec<String> = files(&world.drive)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "audit/events-2026112100000001",
            "audit/events-2026112200000001",
            "audit/events-2026112300000001"
        ]
    );
    let lines = lines(&world.drive);
    assert_eq!(
        verify_chain(lines.iter().map(Vec::as_slice)).unwrap().lines,
        6
    );
}

#[tokio::test]
async fn clock_set_back_goes_on_in_the_newest_file() {
    let world = new_world().await;
    world.put("a").await.unwrap();
    world.clock.set_ms(NOON_MS - 3 * DAY_MS);
    world.put("b").await.unwrap();
    assert_eq!(files(&world.drive).len(), 1);
}

#[tokio::test]
async fn goes_on_after_opening_again() {
    let world = new_world().await;
    world.put("a").await.unwrap();
    world.audit.close().await.unwrap();
    let again = open(&world.drive).await.unwrap();
    again.put("b").await.unwrap();
    assert_eq!(files(&world.drive).len(), 1);
    let lines = lines(&world.drive);
    assert_eq!(
        verify_chain(lines.iter().map(Vec::as_slice)).unwrap().lines,
        2
    );
}

#[tokio::test]
async fn newest_file_without_a_line_continues_the_chain_of_the_one_before() {
    let world = new_world().await;
    world.put("a").await.unwrap();
    world.audit.close().await.unwrap();
    let path = files(&world.drive)[0].clone();
    let drive = strongroom_testkit::SimDrive::new(4);
    drive.plant(&path, &world.drive.contents(&path).unwrap());
    let number = path.number("events").unwrap();
    let next = strongroom_store::drive::DrivePath::numbered(path.folder(), "events", number + 1);
    drive.plant(&next, b"{\"eventVersion\":\"1.1");
    let world = open(&drive).await.unwrap();
    world.put("b").await.unwrap();
    assert_eq!(files(&drive).len(), 2);
    let lines = lines(&drive);
    assert_eq!(
        verify_chain(lines.iter().map(Vec::as_slice)).unwrap().lines,
        2
    );
}

#[tokio::test]
async fn newest_file_that_begins_with_damage_to_acknowledged_lines() {
    let world = new_world().await;
    world.put("a").await.unwrap();
    world.clock.advance_ms(DAY_MS);
    world.put("b").await.unwrap();
    world.put("c").await.unwrap();
    world.audit.close().await.unwrap();
    for at in 10..30 {
        assert!(world.drive.rot(&files(&world.drive)[1], at, 0xff));
    }
    let drive = strongroom_testkit::SimDrive::new(5);
    for path in files(&world.drive) {
        let mut bytes = world.drive.contents(&path).unwrap();
        if path == files(&world.drive)[1] {
            bytes[10..30].fill(0);
        }
        drive.plant(&path, &bytes);
    }
    assert!(matches!(open(&drive).await, Err(Error::Corrupted { .. })));
}
