// SPDX-License-Identifier: Apache-2.0
//! The ciphertext of the key service: opaque to clients, self-describing to the service.
//!
//! ```text
//! 0 version  1 algorithm  2 key_uid 16  18 u32 version  22 N 16  38 nonce 12  50 ciphertext  tag 16
//! ```
//!
//! Each blob has its own AES key, derived from the key material and the random N: no limit on the
//! number of encryptions under one KMS key, and a nonce accident would concern one blob only.

use zeroize::Zeroizing;

use crate::aead::{NONCE_BYTES, OpenKey, SealKey, TAG_BYTES};
use crate::context::EncryptionContext;
use crate::cursor::Cursor;
use crate::error::{OpenError, ParseError, SealError};
use crate::kdf;
use crate::key::KeyMaterial;

/// Randomness of one blob.
#[derive(Debug)]
pub struct KmsBlobRandom {
    /// 16 bytes of the cryptographic module's generator that are used for nothing else.
    pub n: [u8; 16],
}

/// Which key material opens a blob. Not authenticated before the blob is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmsBlobHeader {
    /// The KMS key.
    pub key_uid: [u8; 16],
    /// The version of its material.
    pub version: u32,
}

/// Seals `plaintext` under one version of key material.
pub fn kms_blob_seal(
    material: &KeyMaterial,
    key_uid: [u8; 16],
    version: u32,
    random: &KmsBlobRandom,
    plaintext: &[u8],
    ctx: &EncryptionContext,
) -> Result<Vec<u8>, SealError> {
    if plaintext.len() > KMS_BLOB_BYTES_MAX - KMS_BLOB_OVERHEAD_BYTES {
        return Err(SealError::TooLong { field: "plaintext" });
    }
    let parts = BlobParts {
        header: KmsBlobHeader { key_uid, version },
        n: random.n,
    };
    let key = parts.derive_key(material).ok_or(SealError::Module)?;
    let mut text = Zeroizing::new(plaintext.to_vec());
    let (nonce, tag) = SealKey::new(&key)?.seal(&parts.aad(ctx), &mut text)?;
    Ok([parts.head().as_slice(), &nonce, &text, &tag].concat())
}

/// Says which key material a blob needs.
pub fn kms_blob_parse(blob: &[u8]) -> Result<KmsBlobHeader, ParseError> {
    BlobParts::parse(blob).map(|(parts, ..)| parts.header)
}

/// Opens a blob that was sealed under `material` for the same context.
///
/// The caller must take the material that [`kms_blob_parse`] names.
//= docs/spec/kms-ciphertext.md#opening
//# The encryption context MUST be compared by the AEAD only.
pub fn kms_blob_open(
    material: &KeyMaterial,
    blob: &[u8],
    ctx: &EncryptionContext,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (parts, nonce, text, tag) = BlobParts::parse(blob).map_err(|_| OpenError)?;
    let key = parts.derive_key(material).ok_or(OpenError)?;
    let mut text = Zeroizing::new(text.to_vec());
    OpenKey::new(&key)?.open(nonce, &parts.aad(ctx), tag, &mut text)?;
    Ok(text)
}

/// The first 38 bytes of a blob.
struct BlobParts {
    header: KmsBlobHeader,
    n: [u8; 16],
}

type ParsedBlob<'a> = (BlobParts, [u8; NONCE_BYTES], &'a [u8], &'a [u8; TAG_BYTES]);

impl BlobParts {
    //= docs/spec/kms-ciphertext.md#opening
    //# A reader MUST reject a blob of more than 6,144 bytes or of less than 66 bytes, and one with an unknown version or algorithm.
    fn parse(blob: &[u8]) -> Result<ParsedBlob<'_>, ParseError> {
        if blob.len() > KMS_BLOB_BYTES_MAX {
            return Err(ParseError::TooLong);
        }
        let mut cursor = Cursor::new(blob);
        match (cursor.u8()?, cursor.u8()?) {
            (VERSION, ALGORITHM) => {}
            (VERSION, algorithm) => return Err(ParseError::Suite(algorithm)),
            (version, _) => return Err(ParseError::Version(version)),
        }
        let header = KmsBlobHeader {
            key_uid: cursor.array()?,
            version: cursor.u32()?,
        };
        let n = cursor.array()?;
        let nonce = cursor.array()?;
        let (text, tag) = cursor
            .rest()
            .split_last_chunk()
            .ok_or(ParseError::Truncated)?;
        Ok((Self { header, n }, nonce, text, tag))
    }

    //= docs/spec/kms-ciphertext.md#sealing
    //# K = KBKDF-CTR-HMAC-SHA-256(HBK, label = "strongroom/1/kms-enc", context = N, 32)
    fn derive_key(&self, material: &KeyMaterial) -> Option<Zeroizing<[u8; 32]>> {
        kdf::kbkdf_sha256(material.expose_secret(), b"strongroom/1/kms-enc", &self.n)
    }

    fn head(&self) -> Vec<u8> {
        [
            [VERSION, ALGORITHM].as_slice(),
            &self.header.key_uid,
            &self.header.version.to_be_bytes(),
            &self.n,
        ]
        .concat()
    }

    //= docs/spec/kms-ciphertext.md#sealing
    //# AAD = blob[0..38) || canonical encryption context
    fn aad(&self, ctx: &EncryptionContext) -> Vec<u8> {
        [self.head(), ctx.canonical_bytes()].concat()
    }
}

/// Longest blob.
pub const KMS_BLOB_BYTES_MAX: usize = 6_144;
/// What a blob adds to its plaintext.
pub const KMS_BLOB_OVERHEAD_BYTES: usize = 66;

const VERSION: u8 = 1;
const ALGORITHM: u8 = 1;

const _: () = assert!(1 + 1 + 16 + 4 + 16 + NONCE_BYTES + TAG_BYTES == KMS_BLOB_OVERHEAD_BYTES);
