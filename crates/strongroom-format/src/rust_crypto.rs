// SPDX-License-Identifier: Apache-2.0
//! The second implementation: the crates of the RustCrypto project, for the outer layer.
//!
//! They share nothing with aws-lc but the generator of nonces, and what BIND is hashed with. Keyed
//! states lie on the heap and are wiped on drop; what `hmac` puts on the stack while it takes a key
//! (that of one object) is not.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use aws_lc_rs::rand;
use hmac::{Hmac, Mac};
use sha2::Sha384;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aead::{KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::error::{OpenError, SealError};
use crate::primitives::Primitives;

/// RustCrypto, in the outer layer only.
#[derive(Debug)]
pub(crate) enum RustCrypto {}

impl Primitives for RustCrypto {
    /// HMAC keyed with the pseudorandom key: all that HKDF-Expand does with it.
    type Prk = Box<Hmac<Sha384>>;
    type SealKey = Box<Aes256Gcm>;
    type OpenKey = Box<Aes256Gcm>;

    fn extract(salt: &[u8], secret: &[u8]) -> Self::Prk {
        Self::prk(&hmac(&keyed(salt), &[secret]))
    }

    fn prk<const N: usize>(key: &[u8; N]) -> Self::Prk {
        keyed(key)
    }

    /// RFC 5869 section 2.3: `T(i) = HMAC(PRK, T(i - 1) || info || u8 i)`, from `i = 1` on.
    fn expand<const N: usize>(prk: &Self::Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        const { assert!(N > 0 && N <= 255 * HASH_BYTES, "RFC 5869 section 2.3") }
        let mut out = Zeroizing::new([0; N]);
        let mut last: Option<Zeroizing<[u8; HASH_BYTES]>> = None;
        for (i, piece) in (1_u8..=255).zip(out.chunks_mut(HASH_BYTES)) {
            let previous: &[u8] = last.as_ref().map_or(&[], |block| block.as_slice());
            let block = hmac(prk, &[&[previous], info, &[&[i]]].concat());
            for (to, from) in piece.iter_mut().zip(block.iter()) {
                *to = *from;
            }
            last = Some(block);
        }
        out
    }

    fn seal_key(key: &[u8; KEY_BYTES]) -> Result<Self::SealKey, SealError> {
        Ok(Box::new(Aes256Gcm::new(key.into())))
    }

    fn open_key(key: &[u8; KEY_BYTES]) -> Result<Self::OpenKey, OpenError> {
        Ok(Box::new(Aes256Gcm::new(key.into())))
    }

    fn seal(
        key: &Self::SealKey,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<([u8; NONCE_BYTES], [u8; TAG_BYTES]), SealError> {
        let mut nonce = [0; NONCE_BYTES];
        let tag = rand::fill(&mut nonce).ok().and_then(|()| {
            key.encrypt_inout_detached((&nonce).into(), aad, (&mut *in_out).into())
                .ok()
        });
        if tag.is_none() {
            in_out.fill(0);
        }
        tag.map(|tag| (nonce, tag.into())).ok_or(SealError::Module)
    }

    fn open(
        key: &Self::OpenKey,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        tag: &[u8; TAG_BYTES],
        in_out: &mut [u8],
    ) -> Result<(), OpenError> {
        let opened =
            key.decrypt_inout_detached((&nonce).into(), aad, (&mut *in_out).into(), tag.into());
        opened.map_err(|_| {
            in_out.fill(0);
            OpenError
        })
    }

    fn are_equal(a: &[u8], b: &[u8]) -> bool {
        a.ct_eq(b).into()
    }
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes keys of any length; the error type is that of ciphers"
)]
fn keyed(key: &[u8]) -> Box<Hmac<Sha384>> {
    Box::new(KeyInit::new_from_slice(key).expect("a key for HMAC"))
}

fn hmac(keyed: &Hmac<Sha384>, message: &[&[u8]]) -> Zeroizing<[u8; HASH_BYTES]> {
    let mut mac = keyed.clone();
    for piece in message {
        mac.update(piece);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

const HASH_BYTES: usize = 48;
