// SPDX-License-Identifier: Apache-2.0
//! Key derivation: HKDF-SHA-384 (RFC 5869) and KBKDF in counter mode (SP 800-108r1 section 4.1).

use aws_lc_rs::digest;
use aws_lc_rs::hkdf::{HKDF_SHA384, KeyType, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA384};
use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
use zeroize::Zeroizing;

/// SHA-384 of `bytes`.
#[must_use]
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    let mut out = [0; 48];
    for (to, from) in out
        .iter_mut()
        .zip(digest::digest(&digest::SHA384, bytes).as_ref())
    {
        *to = *from;
    }
    out
}

/// HKDF-Extract-SHA-384, for one key. `salt` must not be empty (a condition of the approved mode);
/// every caller passes a constant label or a 32-byte salt.
///
/// The module extracts when it expands, and anew each time: see [`extract_for_many`].
pub(crate) fn extract(salt: &[u8], secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA384, salt).extract(secret)
}

/// HKDF-Extract-SHA-384, done once for all keys that come from the same secret. `salt` must not be
/// empty.
///
/// RFC 5869 section 2.2: `PRK = HMAC-Hash(salt, IKM)`.
#[expect(
    clippy::expect_used,
    reason = "signing fails only into a buffer that is too short, which has the length of a tag"
)]
pub(crate) fn extract_for_many(salt: &[u8], secret: &[u8]) -> KeptPrk {
    let mut bytes = Box::new(Zeroizing::new([0; 48]));
    let key = hmac::Key::new(HMAC_SHA384, salt);
    hmac::sign_to_buffer(&key, secret, bytes.as_mut_slice()).expect("HMAC of a constant length");
    KeptPrk(bytes)
}

/// A pseudorandom key from which several keys come. It is as secret as they are: on the heap, wiped
/// on drop.
pub(crate) struct KeptPrk(Box<Zeroizing<[u8; 48]>>);

impl KeptPrk {
    /// As the module takes it.
    pub(crate) fn prk(&self) -> Prk {
        let bytes: &[u8; 48] = &self.0;
        prk(bytes)
    }

    /// HKDF-Expand-SHA-384 of the concatenation of `info` to `N` bytes.
    pub(crate) fn expand<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        expand(&self.prk(), info)
    }
}

/// A uniformly random key taken as the pseudorandom key of HKDF-Expand, as FLOE does.
pub(crate) fn prk<const N: usize>(key: &[u8; N]) -> Prk {
    const { assert!(N >= 32 && N <= 64, "aws-lc-rs takes at most 64 bytes") }
    Prk::new_less_safe(HKDF_SHA384, key)
}

/// HKDF-Expand-SHA-384 of the concatenation of `info` to `N` bytes.
#[expect(
    clippy::expect_used,
    reason = "expand fails only beyond 255 * 48 bytes, which the compiler checks here"
)]
pub(crate) fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N > 0 && N <= 255 * 48, "RFC 5869 section 2.3") }
    let mut out = Zeroizing::new([0; N]);
    prk.expand(info, OutputBytes(N))
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .expect("HKDF-Expand of a constant length");
    out
}

/// KBKDF-CTR-HMAC-SHA-256 to 32 bytes, with
/// `fixed_info = label || 0x00 || context || u32 output bits`.
pub(crate) fn kbkdf_sha256(
    secret: &[u8; 32],
    label: &[u8],
    context: &[u8],
) -> Option<Zeroizing<[u8; 32]>> {
    let fixed_info = [label, &[0], context, &256_u32.to_be_bytes()].concat();
    let mut out = Zeroizing::new([0; 32]);
    let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256)?;
    kbkdf_ctr_hmac(algorithm, secret, &fixed_info, out.as_mut_slice()).ok()?;
    Some(out)
}

struct OutputBytes(usize);

impl KeyType for OutputBytes {
    fn len(&self) -> usize {
        self.0
    }
}
