// SPDX-License-Identifier: Apache-2.0
//! Replays the seed corpora, and short and cut forms of every seed.

use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        body(&seed);
        for len in 0..seed.len().min(300) {
            body(&seed[..len]);
        }
        for at in 0..seed.len().min(300) {
            let mut changed = seed.clone();
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                changed[at] = value;
                body(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds > 0, "{} holds no seed", dir.display());
}

#[test]
fn osk1_record() {
    replay("osk1_record", super::osk1_record);
}

#[test]
fn kms_blob() {
    replay("kms_blob", super::kms_blob);
}

#[test]
fn part_table() {
    replay("part_table", super::part_table);
}

#[test]
fn floe_opener() {
    replay("floe_opener", super::floe_opener);
}

#[test]
fn range_plan() {
    replay("range_plan", super::range_plan);
}
