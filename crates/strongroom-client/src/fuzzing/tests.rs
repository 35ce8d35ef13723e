// SPDX-License-Identifier: Apache-2.0
//! Replays the seed corpora, and short, cut and changed forms of every seed.

use std::path::Path;

use super::{client_envelope, client_instruction_file, fields};
use crate::envelope::{Detected, Partial, detect};

fn replay(target: &str, body: fn(&[u8]), is_good: fn(&[u8]) -> bool) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let seed = std::fs::read(&path).unwrap();
        body(&seed);
        for at in 0..seed.len().min(300) {
            body(&seed[..at]);
            let mut changed = seed.clone();
            for value in [0, b'=', b'"', b'1', 0xff] {
                changed[at] = value;
                body(&changed);
            }
        }
        // Seeds called `good_..` get the fuzzer past the form.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(is_good(&seed), name.starts_with("good_"), "{name}");
        seeds += 1;
    }
    assert!(seeds > 10, "{} holds too few seeds", dir.display());
}

#[test]
fn envelopes() {
    replay("client_envelope", client_envelope, |seed| {
        matches!(detect(&fields(seed)), Ok(Detected::Here(_)))
    });
}

#[test]
fn instruction_files() {
    replay("client_instruction_file", client_instruction_file, |seed| {
        let v3 = Partial::V3 {
            commitment: [1; 28],
            message_id: [2; 28],
        };
        Partial::Nothing.complete(seed).is_ok() || v3.complete(seed).is_ok()
    });
}
