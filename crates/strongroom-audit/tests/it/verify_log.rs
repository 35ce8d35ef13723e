// SPDX-License-Identifier: Apache-2.0
//! The whole log read again: what is found, where, and what is no damage.

use std::ops::ControlFlow;

use strongroom_audit::{ChainHead, LogReport, verify_log};

use crate::world::{World, files, lines, new_world};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Three files of three lines each, open.
async fn three_days() -> World {
    let world = new_world().await;
    for _ in 0..3 {
        for object_key in ["a", "b", "c"] {
            world.put(object_key).await.unwrap();
        }
        world.clock.advance_ms(DAY_MS);
    }
    assert_eq!(files(&world.drive).len(), 3);
    world
}

fn verify(world: &World) -> LogReport {
    verify_log(&world.drive, |_| ControlFlow::Continue(())).unwrap()
}

#[tokio::test]
async fn a_sound_log_is_counted_to_its_end() {
    let world = three_days().await;
    let report = verify(&world);
    assert!(report.damaged.is_empty(), "{:?}", report.damaged);
    assert_eq!((report.files, report.lines), (3, 9));
    assert_eq!(report.before, ChainHead::START);
    assert_eq!(report.head.seq, 9);
    let bytes: usize = lines(&world.drive).iter().map(|line| line.len() + 1).sum();
    assert_eq!(report.bytes, bytes as u64);
    let mut seen = 0;
    let stopped = verify_log(&world.drive, |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert_eq!((stopped.unwrap().lines, seen), (1, 1));
}

#[tokio::test]
async fn an_empty_log_has_nothing_wrong() {
    let world = new_world().await;
    let report = verify(&world);
    assert_eq!(
        (report.files, report.lines, report.damaged.len()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn every_changed_byte_but_of_the_last_line_is_found_in_its_file_or_the_next() {
    let world = three_days().await;
    let files = files(&world.drive);
    for (at_file, path) in files.iter().enumerate() {
        let bytes = world.drive.contents(path).unwrap();
        let last_line = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap();
        let newest = at_file + 1 == files.len();
        let until = if newest { last_line } else { bytes.len() };
        for at in (0..until).step_by(7) {
            world.drive.rot(path, at, 1);
            let damaged = verify(&world).damaged;
            world.drive.rot(path, at, 1);
            assert_eq!(damaged.len(), 1, "{path}, byte {at}");
            let told = damaged[0].to_string();
            let next = files.get(at_file + 1).map(ToString::to_string);
            assert!(
                told.contains(&path.to_string()) || next.is_some_and(|next| told.contains(&next)),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn lines_and_files_that_are_missing() {
    let world = three_days().await;
    let files = files(&world.drive);
    let bytes = world.drive.contents(&files[1]).unwrap();
    let first_end = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let last_start = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for (kept, what) in [
        (&bytes[first_end..], "first line gone"),
        (&bytes[..last_start], "last line gone"),
        (&bytes[..bytes.len() - 1], "newline gone"),
        (&bytes[..0], "all lines gone"),
    ] {
        world.drive.plant(&files[1], kept);
        assert_eq!(verify(&world).damaged.len(), 1, "{what}");
    }
    let removed = |path| {
        use strongroom_store::drive::Drive as _;
        assert!(world.drive.remove(path).unwrap());
    };
    removed(&files[1]);
    assert_eq!(verify(&world).damaged.len(), 1, "a file in the middle gone");
    // Old files may be taken away; the report says where the log begins now.
    removed(&files[0]);
    let report = verify(&world);
    assert!(report.damaged.is_empty(), "{:?}", report.damaged);
    assert_eq!(
        (report.before.seq, report.head.seq, report.lines),
        (6, 9, 3)
    );
}

#[tokio::test]
async fn a_line_that_is_being_written_is_no_damage() {
    let world = three_days().await;
    let files = files(&world.drive);
    let mut bytes = world.drive.contents(&files[2]).unwrap();
    bytes.extend_from_slice(b"{\"eventVersion\":\"1.1");
    world.drive.plant(&files[2], &bytes);
    let report = verify(&world);
    assert_eq!((report.lines, report.damaged.len()), (9, 0));
    // In an older file nothing is written any more.
    let mut bytes = world.drive.contents(&files[0]).unwrap();
    bytes.extend_from_slice(b"{\"eventVersion\":\"1.1");
    world.drive.plant(&files[0], &bytes);
    assert_eq!(verify(&world).damaged.len(), 1);
}
