// SPDX-License-Identifier: Apache-2.0
//! Bucket keys: one data key of the key service from which the external keys of many objects come.
//!
//! ```text
//!   bucket key (KMS data key) --HKDF, random salt, bucket--> EK of one object
//!   ek_ref = 0x01 || salt || KMS ciphertext of the bucket key
//! ```

use crate::cursor::Cursor;
use crate::error::{ParseError, SealError};
use crate::kdf;
use crate::key::ExternalKey;
use crate::record::{EK_REF_BYTES_MAX, SUITE};

/// The reference to an external key that comes from a bucket key. Nothing in it is authenticated
/// before the record that holds it is unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketKeyRef<'a> {
    salt: [u8; BUCKET_KEY_SALT_BYTES],
    blob: &'a [u8],
}

impl<'a> BucketKeyRef<'a> {
    /// For a new object. `salt` must be bytes of the cryptographic module's generator that are
    /// used for nothing else.
    //= docs/spec/object-format.md#bucket-keys
    //# A writer MUST draw a new bk_salt for every object version and every multipart upload.
    pub fn new(salt: [u8; BUCKET_KEY_SALT_BYTES], blob: &'a [u8]) -> Result<Self, SealError> {
        let field = "ek_ref";
        if blob.is_empty() {
            return Err(SealError::NotAllowed { field });
        }
        if blob.len() > EK_REF_BYTES_MAX.saturating_sub(HEAD_BYTES) {
            return Err(SealError::TooLong { field });
        }
        Ok(Self { salt, blob })
    }

    /// Reads the stored form. Accepts exactly what [`Self::to_bytes`] makes.
    //= docs/spec/object-format.md#bucket-keys
    //# A reader MUST reject a record with the bucket-key flag whose ek_ref has another version or no ciphertext.
    pub fn parse(ek_ref: &'a [u8]) -> Result<Self, ParseError> {
        if ek_ref.len() > EK_REF_BYTES_MAX {
            return Err(ParseError::TooLong);
        }
        let mut cursor = Cursor::new(ek_ref);
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(ParseError::Version(version));
        }
        let salt = cursor.array()?;
        let blob = cursor.rest();
        if blob.is_empty() {
            return Err(ParseError::Truncated);
        }
        Ok(Self { salt, blob })
    }

    /// The stored form: the ek_ref of a record with the bucket-key flag.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [[VERSION].as_slice(), &self.salt, self.blob].concat()
    }

    /// The bucket key, encrypted by the key service.
    #[must_use]
    pub fn blob(&self) -> &'a [u8] {
        self.blob
    }

    /// The external key of the one object that has this reference.
    //= docs/spec/object-format.md#bucket-keys
    //# PRK_b = HKDF-Extract-SHA-384(salt = bk_salt, IKM = BK)
    //# EK = HKDF-Expand(PRK_b, "strongroom/1/bucket-key" || 0x00 || u8 suite || bucket_uid, 32)
    #[must_use]
    pub fn external_key(&self, bucket_key: &[u8; 32], bucket_uid: &[u8; 16]) -> ExternalKey {
        let prk = kdf::extract(&self.salt, bucket_key);
        let info: [&[u8]; 3] = [b"strongroom/1/bucket-key\0", &[SUITE], bucket_uid];
        ExternalKey::copied_from(&kdf::expand(&prk, &info))
    }
}

/// Length of the salt that makes the external key of an object its own.
pub const BUCKET_KEY_SALT_BYTES: usize = 32;
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + BUCKET_KEY_SALT_BYTES;
