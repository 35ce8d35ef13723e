// SPDX-License-Identifier: Apache-2.0
//! Replays the seed corpora, and short, cut and changed forms of every seed.

use std::path::Path;

use crate::{Policy, PolicyKind};

#[test]
fn policy() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/policy");
    let mut seeds = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let seed = std::fs::read(&path).unwrap();
        super::policy(&seed);
        for len in 0..seed.len().min(600) {
            super::policy(&seed[..len]);
        }
        for at in 0..seed.len().min(600) {
            let mut changed = seed.clone();
            for value in [0, b'"', b'{', b'*', b'$', 0xff] {
                changed[at] = value;
                super::policy(&changed);
            }
        }
        // Seeds called `good_..` get the fuzzer past the grammar.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&seed);
        let kinds = [PolicyKind::Identity, PolicyKind::Resource];
        let is_good = kinds.iter().any(|kind| Policy::parse(&text, *kind).is_ok());
        assert_eq!(is_good, name.starts_with("good_"), "{name}");
        seeds += 1;
    }
    assert!(seeds > 0, "{} holds no seed", dir.display());
}
