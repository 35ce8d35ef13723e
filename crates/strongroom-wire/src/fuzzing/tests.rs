// SPDX-License-Identifier: Apache-2.0
//! Replays the seed corpora, and short, cut and changed forms of every seed.

use std::path::{Path, PathBuf};

use crate::chunked::{ChunkMode, encode_body};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

fn replay(target: &str, body: fn(&[u8])) {
    let dir = corpus(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        body(&seed);
        for len in 0..seed.len().min(400) {
            body(&seed[..len]);
        }
        for at in 0..seed.len().min(400) {
            let mut changed = seed.clone();
            for value in [0, b'\n', b'\r', b'0', b'%', 0xff] {
                changed[at] = value;
                body(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds > 0, "{} holds no seed", dir.display());
}

#[test]
fn sigv4_request() {
    replay("sigv4_request", super::sigv4_request);
}

#[test]
fn chunk_decoder() {
    replay("chunk_decoder", super::chunk_decoder);
}

#[test]
fn form_decoder() {
    replay("form_decoder", super::form_decoder);
}

/// The seeds of good bodies are what the encoder makes of the fixed request: were they refused,
/// the fuzzer would never get past the first signature.
#[test]
fn good_bodies_of_the_corpus_decode() {
    let data = b"0123456789abcdefghij";
    for (number, mode, name) in [
        (0, ChunkMode::Signed, "signed"),
        (1, ChunkMode::SignedTrailer, "signed_trailer"),
        (2, ChunkMode::UnsignedTrailer, "unsigned_trailer"),
    ] {
        let trailers: &[(&str, &str)] = if mode.has_trailer() {
            &[("x-amz-checksum-crc32", "AAAAAA==")]
        } else {
            &[]
        };
        let body = encode_body(mode, super::signer(mode), data, 8, trailers).unwrap();
        let (outcome, decoded, _) = super::decode(mode, &body, 3);
        assert_eq!((outcome, decoded.as_slice()), (Ok(()), data.as_slice()));
        let seed = std::fs::read(corpus("chunk_decoder").join(name)).unwrap();
        assert_eq!(seed, [&[number, 5], body.as_slice()].concat(), "{name}");
    }
}
