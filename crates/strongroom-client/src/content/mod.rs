// SPDX-License-Identifier: Apache-2.0
//! The ciphertext: whole streams, parts in any order, ranges. No I/O.
//!
//! AES-GCM is AES-CTR and GHASH. As a library's one call it needs the whole message in memory, so
//! here the two are run side by side over pieces: CTR by `aws-lc-rs`, GHASH out of its tags (ADR
//! 0040), and where that is not worth it by the `ghash` crate.
//! A part of a message can be encrypted without those before it, since the counter of its first
//! block is known; its share of GHASH is put together with the others' at the end
//! ([`combine`]). What comes out is what one call would have given.
//!
//! ```text
//!   content key ---> Encryptor: update*, finish -> tag                       one stream
//!              \---> part_encryptor(first byte): update*, finish -> PartDigest
//!               \                         combine([digest]) -> tag           parts, in parallel
//!                \-> Decryptor: update*, finish -> Ok, or nothing of it may be believed
//!                 \> decrypt_range                                           never authenticated
//! ```

mod cbc;
mod committed;
mod gcm;
mod ghash_parts;
mod range;

pub use cbc::{CbcDecryptor, decrypt_cbc};
pub use committed::MessageId;
pub use gcm::{Decryptor, Encryptor, PartDecryptor, PartEncryptor};
pub use ghash_parts::{PartDigest, combine, verify};
pub use range::{CiphertextRange, RangeDecryptor, decrypt_range, range_of};

use crate::error::Error;
use crate::secret::AesKey;

/// The longest plaintext of one object, bytes: what the 32-bit block counter of GCM allows.
pub const PLAINTEXT_BYTES_MAX: u64 = 68_719_476_704;
/// Bytes of the tag behind the ciphertext.
pub const TAG_BYTES: usize = 16;

/// The key of an object's content, with the nonce and the associated data that belong to it.
#[derive(Debug)]
pub struct ContentKey {
    key: AesKey,
    nonce: [u8; 12],
    aad: &'static [u8],
}

impl ContentKey {
    /// Format V2: the data key itself, with a random nonce.
    pub fn v2(data_key: &AesKey, nonce: [u8; 12]) -> Self {
        Self {
            key: data_key.duplicate(),
            nonce,
            aad: &[],
        }
    }

    /// A new random nonce for format V2.
    pub fn generate_nonce() -> Result<[u8; 12], Error> {
        let mut nonce = [0; 12];
        aws_lc_rs::rand::fill(&mut nonce)?;
        Ok(nonce)
    }

    /// Authenticates the record of an upload of this object: a key derived from the content key
    /// for this use alone.
    #[cfg(feature = "s3")]
    pub(crate) fn record_key(&self) -> aws_lc_rs::hmac::Key {
        use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
        let mut context = Context::with_key(&Key::new(HMAC_SHA256, self.key.expose()));
        context.update(b"strongroom-client: record of an upload, 2");
        context.update(&self.nonce);
        context.update(self.aad);
        Key::new(HMAC_SHA256, context.sign().as_ref())
    }
}
