// SPDX-License-Identifier: Apache-2.0
//! Replays the seed corpora, and short, cut and changed forms of every seed.

use std::path::Path;

#[test]
fn keyring() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/keyring");
    let mut seeds = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        super::keyring(&seed);
        for len in 0..seed.len() {
            super::keyring(&seed[..len]);
        }
        for at in 0..seed.len() {
            let mut changed = seed.clone();
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                changed[at] = value;
                super::keyring(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds > 0, "{} holds no seed", dir.display());
}
