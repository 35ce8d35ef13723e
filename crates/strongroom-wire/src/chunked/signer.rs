// SPDX-License-Identifier: Apache-2.0
//! The chain of chunk signatures.

use crate::sigv4::{Scope, SigningKey, Timestamp};

/// Computes the signature of one chunk after the other, each over the one before it.
///
/// The client sends what it computes; the server compares. Seeded by the signature of the request,
/// so only a verified request (or a client's own signing) can make one.
#[derive(Debug)]
pub struct ChunkSigner {
    key: SigningKey,
    time_and_scope: String,
    previous: String,
}

impl ChunkSigner {
    pub(crate) fn new(
        key: SigningKey,
        timestamp: Timestamp,
        scope: &Scope,
        seed_signature: String,
    ) -> Self {
        Self {
            key,
            time_and_scope: format!("{timestamp}\n{scope}"),
            previous: seed_signature,
        }
    }

    /// The signature of the next chunk, whose data has this SHA-256; 64 lower-case hex digits.
    pub fn sign_chunk(&mut self, sha256: &[u8; 32]) -> &str {
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{SHA256_OF_NOTHING}\n{}",
            self.time_and_scope,
            self.previous,
            hex::encode(sha256),
        );
        self.previous = self.key.sign_hex(string_to_sign.as_bytes());
        &self.previous
    }

    /// The signature of the trailer, whose lines (`name:value\n` each) have this SHA-256.
    pub fn sign_trailer(&mut self, sha256: &[u8; 32]) -> &str {
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}",
            self.time_and_scope,
            self.previous,
            hex::encode(sha256),
        );
        self.previous = self.key.sign_hex(string_to_sign.as_bytes());
        &self.previous
    }
}

const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
