// SPDX-License-Identifier: Apache-2.0
//! HKDF-SHA-384 (RFC 5869), the only derivation between the root key and the key material.

use aws_lc_rs::hkdf::{HKDF_SHA384, KeyType, Prk, Salt};
use zeroize::Zeroizing;

/// HKDF-Extract. `salt` is a label and never empty (a condition of the approved mode).
pub(crate) fn extract(salt: &[u8], secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA384, salt).extract(secret)
}

/// HKDF-Expand of the concatenation of `info` to 32 bytes.
#[expect(
    clippy::expect_used,
    reason = "expand fails only beyond 255 * 48 bytes, and the length is 32"
)]
pub(crate) fn expand(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    prk.expand(info, ThirtyTwo)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .expect("HKDF-Expand of 32 bytes");
    out
}

struct ThirtyTwo;

impl KeyType for ThirtyTwo {
    fn len(&self) -> usize {
        32
    }
}
