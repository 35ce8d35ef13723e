// SPDX-License-Identifier: Apache-2.0
//! The algorithms of suite 1, by two implementations that share no code.
//!
//! Everything sealed once is sealed by [`AwsLc`]. A body under dual-layer encryption is sealed a
//! second time by [`RustCrypto`], so that a flaw in one implementation of AES-GCM or HKDF leaves
//! the other layer whole. The choice is made by types, when compiling; nothing chooses at run time.
//! What lies above, FLOE and the sealed-key record, is one code for both, and the published known
//! answers run through it with each.

use aws_lc_rs::constant_time;
use aws_lc_rs::hkdf::Prk;
use zeroize::Zeroizing;

use crate::aead::{KEY_BYTES, NONCE_BYTES, OpenKey, SealKey, TAG_BYTES};
use crate::error::{OpenError, SealError};
use crate::kdf;

pub(crate) use crate::rust_crypto::RustCrypto;

/// AES-256-GCM with random nonces, HKDF-SHA-384, comparison in constant time.
pub(crate) trait Primitives {
    /// A pseudorandom key of HKDF. Wiped on drop where the implementation can.
    type Prk;
    /// An AES-256-GCM key that only seals.
    type SealKey: Send + Sync;
    /// An AES-256-GCM key that only opens.
    type OpenKey: Send + Sync;

    /// HKDF-Extract-SHA-384. `salt` must not be empty.
    fn extract(salt: &[u8], secret: &[u8]) -> Self::Prk;

    /// A uniformly random key taken as the pseudorandom key of HKDF-Expand, as FLOE does.
    fn prk<const N: usize>(key: &[u8; N]) -> Self::Prk;

    /// HKDF-Expand-SHA-384 of the concatenation of `info`.
    fn expand<const N: usize>(prk: &Self::Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]>;

    fn seal_key(key: &[u8; KEY_BYTES]) -> Result<Self::SealKey, SealError>;

    fn open_key(key: &[u8; KEY_BYTES]) -> Result<Self::OpenKey, OpenError>;

    /// Turns `in_out` into ciphertext under a new random nonce, and returns nonce and tag. After
    /// an error `in_out` holds zeros only.
    fn seal(
        key: &Self::SealKey,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<([u8; NONCE_BYTES], [u8; TAG_BYTES]), SealError>;

    /// Turns `in_out` into plaintext if the tag is right; otherwise leaves zeros in it.
    fn open(
        key: &Self::OpenKey,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        tag: &[u8; TAG_BYTES],
        in_out: &mut [u8],
    ) -> Result<(), OpenError>;

    /// Compares in time that does not depend on the bytes.
    fn are_equal(a: &[u8], b: &[u8]) -> bool;
}

/// aws-lc, everywhere but in the outer layer.
#[derive(Debug)]
pub(crate) enum AwsLc {}

impl Primitives for AwsLc {
    type Prk = Prk;
    type SealKey = SealKey;
    type OpenKey = OpenKey;

    fn extract(salt: &[u8], secret: &[u8]) -> Prk {
        kdf::extract_for_many(salt, secret).prk()
    }

    fn prk<const N: usize>(key: &[u8; N]) -> Prk {
        kdf::prk(key)
    }

    fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        kdf::expand(prk, info)
    }

    fn seal_key(key: &[u8; KEY_BYTES]) -> Result<SealKey, SealError> {
        SealKey::new(key)
    }

    fn open_key(key: &[u8; KEY_BYTES]) -> Result<OpenKey, OpenError> {
        OpenKey::new(key)
    }

    fn seal(
        key: &SealKey,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<([u8; NONCE_BYTES], [u8; TAG_BYTES]), SealError> {
        key.seal(aad, in_out)
    }

    fn open(
        key: &OpenKey,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        tag: &[u8; TAG_BYTES],
        in_out: &mut [u8],
    ) -> Result<(), OpenError> {
        key.open(nonce, aad, tag, in_out)
    }

    fn are_equal(a: &[u8], b: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(a, b).is_ok()
    }
}
