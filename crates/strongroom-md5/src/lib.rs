// SPDX-License-Identifier: Apache-2.0
//! MD5 (RFC 1321) as the cryptographic module computes it, for `ETag`s and `Content-MD5`.
//!
//! `aws-lc-rs` does not offer it; the module has it in assembly, about 1.3 times as fast as the same in
//! Rust. It is broken as a hash for security and is used for none.
#![allow(
    unsafe_code,
    reason = "calls the module's MD5; docs/adr/0048-md5-of-the-module.md"
)]

use std::fmt;

use aws_lc_sys::{MD5_CTX, MD5_Final, MD5_Init, MD5_Update};
use zeroize::Zeroize as _;

/// Length of a digest, bytes.
pub const DIGEST_BYTES: usize = 16;

/// A digest under way.
///
/// It holds up to 64 bytes of what it was given, until it is dropped. Where those are secret, it is
/// kept in a `Box`, so that no move leaves a copy.
pub struct Md5 {
    state: MD5_CTX,
}

impl Md5 {
    /// Of no bytes yet.
    pub fn new() -> Self {
        let mut md5 = Self {
            state: MD5_CTX {
                h: [0; 4],
                Nl: 0,
                Nh: 0,
                data: [0; 64],
                num: 0,
            },
        };
        md5.start();
        md5
    }

    fn start(&mut self) {
        // SAFETY: the state is a whole `MD5_CTX` that nobody else has.
        let done = unsafe { MD5_Init(&raw mut self.state) };
        debug_assert_eq!(done, 1, "cannot fail");
    }

    /// Take in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // SAFETY: the state was initialized; the bytes are alive for as long as the call
        // takes, and are only read.
        let done = unsafe { MD5_Update(&raw mut self.state, bytes.as_ptr().cast(), bytes.len()) };
        debug_assert_eq!(done, 1, "cannot fail");
    }

    /// The digest of all bytes that were taken in. It begins anew, and keeps nothing of them.
    pub fn finish(&mut self) -> [u8; DIGEST_BYTES] {
        let mut digest = [0; DIGEST_BYTES];
        // SAFETY: the state was initialized; the function writes 16 bytes, which are there.
        let done = unsafe { MD5_Final(digest.as_mut_ptr(), &raw mut self.state) };
        debug_assert_eq!(done, 1, "cannot fail");
        self.state.data.zeroize();
        self.start();
        digest
    }
}

impl Default for Md5 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5")
    }
}

impl Drop for Md5 {
    fn drop(&mut self) {
        self.state.h.zeroize();
        self.state.data.zeroize();
    }
}

/// The digest of bytes at hand.
pub fn digest(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut md5 = Md5::new();
    md5.update(bytes);
    md5.finish()
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;

    use super::*;

    /// RFC 1321, appendix A.5.
    #[test]
    fn known_answers() {
        for (bytes, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "c3fcd3d76192e4007dfb496cca67e13b",
            ),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "d174ab98d277d9f5a5611c2c9f419d9f",
            ),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(hex::encode(digest(bytes.as_bytes())), expected);
        }
    }

    /// Against an implementation that shares no code, for every length around three blocks and every
    /// place where the bytes may be divided.
    #[test]
    fn every_division_digests_like_another_implementation() {
        let bytes: Vec<u8> = (0_u8..251).collect();
        for len in 0..=200 {
            let all = &bytes[..len];
            let expected: [u8; 16] = md5::Md5::digest(all).into();
            for at in 0..=len {
                let (one, two) = all.split_at(at);
                let mut md5 = Md5::new();
                md5.update(one);
                md5.update(two);
                assert_eq!(md5.finish(), expected, "{len} bytes, divided at {at}");
            }
        }
    }

    #[test]
    fn megabytes_in_uneven_pieces_digest_like_another_implementation() {
        let bytes: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected: [u8; 16] = md5::Md5::digest(&bytes).into();
        for piece in [1, 63, 64, 65, 4_095, 65_536, 1_048_577] {
            let mut md5 = Md5::new();
            for part in bytes.chunks(piece) {
                md5.update(part);
            }
            assert_eq!(md5.finish(), expected, "pieces of {piece}");
        }
    }

    /// A count of bits that only its low half holds would repeat after 512 MiB.
    #[test]
    fn more_than_four_gigabits_are_counted() {
        let mib = vec![0x5A; 1 << 20];
        let (mut ours, mut other) = (Md5::new(), md5::Md5::new());
        for _ in 0..513 {
            ours.update(&mib);
            other.update(&mib);
        }
        let expected: [u8; 16] = other.finalize().into();
        assert_eq!(ours.finish(), expected);
    }

    #[test]
    fn a_finished_state_begins_anew_and_keeps_nothing() {
        let mut md5 = Md5::new();
        md5.update(b"secret");
        assert_eq!(md5.finish(), digest(b"secret"));
        assert_eq!(md5.state.data, [0; 64]);
        md5.update(b"abc");
        assert_eq!(md5.finish(), digest(b"abc"));
    }

    #[test]
    fn a_state_says_nothing_of_its_bytes() {
        let mut md5 = Md5::new();
        md5.update(b"secret");
        assert_eq!(format!("{md5:?}"), "Md5");
    }
}
