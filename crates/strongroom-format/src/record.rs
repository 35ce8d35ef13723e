// SPDX-License-Identifier: Apache-2.0
//! OSK1, the sealed-key record: the object key wrapped by an external key, committed to that key
//! and bound to everything that gives the object its identity.
//!
//! ```text
//! 0  "OSK1"  4 version  5 suite  6 sse_mode  7 flags  8 wrap_salt 32  40 COMM 32
//! 72 nonce 12  84 wrapped OEK 32  116 tag 16  132 u16 n  134 ek_ref n
//! ```

use aws_lc_rs::constant_time;
use zeroize::Zeroizing;

use crate::aead::{NONCE_BYTES, OpenKey, SealKey, TAG_BYTES};
use crate::bind::BindDigest;
use crate::bucket_key::BucketKeyRef;
use crate::cursor::Cursor;
use crate::error::{ParseError, SealError, UnwrapError};
use crate::kdf;
use crate::key::{ExternalKey, ObjectKey};

/// How the external key is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SseMode {
    /// By this server's own key hierarchy.
    S3 = 1,
    /// By the key service.
    Kms = 2,
    /// By the client with each request.
    C = 3,
    /// Two layers. Reserved: this version neither wraps nor parses it.
    Dsse = 4,
}

/// Facts about the record that readers need before they have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordFlags {
    /// The external key comes from a bucket key: ek_ref is a [`BucketKeyRef`].
    pub bucket_key: bool,
    /// The object consists of parts.
    pub multipart: bool,
    /// The record belongs to an upload that is not completed.
    pub pending: bool,
}

/// A record in the right form. Nothing in it is authenticated before it is unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKeyRecord {
    mode: SseMode,
    flags: RecordFlags,
    wrap_salt: [u8; 32],
    commitment: [u8; 32],
    nonce: [u8; NONCE_BYTES],
    wrapped: [u8; 32],
    tag: [u8; TAG_BYTES],
    ek_ref: Box<[u8]>,
}

/// Wraps the object key. `wrap_salt` must be 32 bytes of the cryptographic module's generator that
/// are used for nothing else.
pub fn wrap_object_key(
    ek: &ExternalKey,
    oek: &ObjectKey,
    mode: SseMode,
    flags: RecordFlags,
    ek_ref: &[u8],
    bind: &BindDigest,
    wrap_salt: [u8; 32],
) -> Result<SealedKeyRecord, SealError> {
    if let Some(field) = forbidden_field(mode, flags, ek_ref) {
        return Err(SealError::NotAllowed { field });
    }
    let keys = WrapKeys::derive(ek, mode, &wrap_salt);
    let mut record = SealedKeyRecord {
        mode,
        flags,
        wrap_salt,
        commitment: keys.commitment,
        nonce: [0; NONCE_BYTES],
        wrapped: [0; 32],
        tag: [0; TAG_BYTES],
        ek_ref: ek_ref.into(),
    };
    let mut text = Zeroizing::new(*oek.expose_secret());
    let (nonce, tag) = SealKey::new(&keys.kek)?.seal(&record.aad(bind), text.as_mut_slice())?;
    record.nonce = nonce;
    record.wrapped = *text;
    record.tag = tag;
    Ok(record)
}

/// Unwraps the object key: first the commitment to the key, then the binding.
//= docs/spec/object-format.md#the-sealed-key-record
//# A reader MUST compare COMM in constant time before it opens the wrapped key.
pub fn unwrap_object_key(
    ek: &ExternalKey,
    record: &SealedKeyRecord,
    bind: &BindDigest,
) -> Result<ObjectKey, UnwrapError> {
    let keys = WrapKeys::derive(ek, record.mode, &record.wrap_salt);
    if !keys.match_commitment(record) {
        return Err(UnwrapError::WrongKey);
    }
    let mut text = Zeroizing::new(record.wrapped);
    OpenKey::new(&keys.kek)?.open(
        record.nonce,
        &record.aad(bind),
        &record.tag,
        text.as_mut_slice(),
    )?;
    Ok(ObjectKey::from_bytes(*text))
}

/// Whether the record was sealed with this external key; what HEAD of an SSE-C object needs.
///
/// A match authenticates nothing but the key.
#[must_use]
pub fn commitment_matches(ek: &ExternalKey, record: &SealedKeyRecord) -> bool {
    WrapKeys::derive(ek, record.mode, &record.wrap_salt).match_commitment(record)
}

impl SealedKeyRecord {
    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // INVARIANT: ek_ref is at most EK_REF_BYTES_MAX long (checked by wrap and parse), so its
        // length fits; another value would make a record that does not parse.
        let ek_ref_len = u16::try_from(self.ek_ref.len()).unwrap_or(u16::MAX);
        [
            self.head().as_slice(),
            &self.nonce,
            &self.wrapped,
            &self.tag,
            &ek_ref_len.to_be_bytes(),
            &self.ek_ref,
        ]
        .concat()
    }

    /// Reads the stored form. Accepts exactly what [`Self::to_bytes`] makes.
    //= docs/spec/object-format.md#the-sealed-key-record
    //# A reader MUST reject a record with an unknown version, suite, mode or flag, with a flag or ek_ref that its mode does not allow, or with any byte after ek_ref.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.array()? != MAGIC {
            return Err(ParseError::Magic);
        }
        match (cursor.u8()?, cursor.u8()?) {
            (VERSION, SUITE) => {}
            (VERSION, suite) => return Err(ParseError::Suite(suite)),
            (version, _) => return Err(ParseError::Version(version)),
        }
        let mode = SseMode::from_byte(cursor.u8()?).ok_or(value("sse_mode"))?;
        let flags = RecordFlags::from_byte(cursor.u8()?).ok_or(value("flags"))?;
        let wrap_salt = cursor.array()?;
        let commitment = cursor.array()?;
        let nonce = cursor.array()?;
        let wrapped = cursor.array()?;
        let tag = cursor.array()?;
        let ek_ref_len = usize::from(cursor.u16()?);
        let ek_ref = cursor.slice(ek_ref_len)?;
        cursor.end()?;
        if let Some(field) = forbidden_field(mode, flags, ek_ref) {
            return Err(value(field));
        }
        Ok(Self {
            mode,
            flags,
            wrap_salt,
            commitment,
            nonce,
            wrapped,
            tag,
            ek_ref: ek_ref.into(),
        })
    }

    /// How the external key is provided.
    pub fn mode(&self) -> SseMode {
        self.mode
    }

    /// The flags. Not authenticated before the record is unwrapped.
    pub fn flags(&self) -> RecordFlags {
        self.flags
    }

    /// What the provider of the external key needs to find it; empty for a customer key.
    pub fn ek_ref(&self) -> &[u8] {
        &self.ek_ref
    }

    /// Bytes 0..72, the part of the record that is authenticated as it stands.
    fn head(&self) -> Vec<u8> {
        [
            MAGIC.as_slice(),
            &[VERSION, SUITE, self.mode.byte(), self.flags.byte()],
            &self.wrap_salt,
            &self.commitment,
        ]
        .concat()
    }

    //= docs/spec/object-format.md#the-sealed-key-record
    //# AAD = "strongroom/1/wrap" || record[0..72) || SHA-384(ek_ref) || SHA-384(BIND)
    fn aad(&self, bind: &BindDigest) -> Vec<u8> {
        [
            b"strongroom/1/wrap".as_slice(),
            &self.head(),
            &kdf::sha384(&self.ek_ref),
            bind.as_bytes(),
        ]
        .concat()
    }
}

impl SseMode {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::S3 => 1,
            Self::Kms => 2,
            Self::C => 3,
            Self::Dsse => 4,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::S3),
            2 => Some(Self::Kms),
            3 => Some(Self::C),
            4 => Some(Self::Dsse),
            _ => None,
        }
    }
}

impl RecordFlags {
    fn byte(self) -> u8 {
        u8::from(self.bucket_key) | u8::from(self.multipart) << 1 | u8::from(self.pending) << 2
    }

    fn from_byte(byte: u8) -> Option<Self> {
        (byte & !0b111 == 0).then_some(Self {
            bucket_key: byte & 0b001 != 0,
            multipart: byte & 0b010 != 0,
            pending: byte & 0b100 != 0,
        })
    }
}

/// What wrapping and unwrapping derive from the external key.
struct WrapKeys {
    kek: Zeroizing<[u8; 32]>,
    commitment: [u8; 32],
}

impl WrapKeys {
    //= docs/spec/object-format.md#the-sealed-key-record
    //# KEK = HKDF-Expand(PRK_w, "strongroom/1/wrap-kek" || 0x00 || u8 suite || u8 sse_mode, 32)
    //# COMM = HKDF-Expand(PRK_w, "strongroom/1/wrap-commit" || 0x00 || u8 suite || u8 sse_mode, 32)
    fn derive(ek: &ExternalKey, mode: SseMode, wrap_salt: &[u8; 32]) -> Self {
        let prk = kdf::extract(wrap_salt, ek.expose_secret());
        let tail = [0, SUITE, mode.byte()];
        let commitment: Zeroizing<[u8; 32]> =
            kdf::expand(&prk, &[b"strongroom/1/wrap-commit", &tail]);
        Self {
            kek: kdf::expand(&prk, &[b"strongroom/1/wrap-kek", &tail]),
            commitment: *commitment,
        }
    }

    fn match_commitment(&self, record: &SealedKeyRecord) -> bool {
        constant_time::verify_slices_are_equal(&self.commitment, &record.commitment).is_ok()
    }
}

/// The first field that the mode does not allow, if any.
//= docs/spec/object-format.md#the-sealed-key-record
//# ek_ref MUST be empty for mode 3 and MUST NOT be empty for modes 1 and 2; the bucket-key flag MUST NOT be set for another mode than 2.
fn forbidden_field(mode: SseMode, flags: RecordFlags, ek_ref: &[u8]) -> Option<&'static str> {
    match mode {
        SseMode::Dsse => Some("sse_mode"),
        SseMode::S3 | SseMode::C if flags.bucket_key => Some("flags"),
        SseMode::C if !ek_ref.is_empty() => Some("ek_ref"),
        SseMode::S3 | SseMode::Kms if !(1..=EK_REF_BYTES_MAX).contains(&ek_ref.len()) => {
            Some("ek_ref")
        }
        SseMode::Kms if flags.bucket_key && BucketKeyRef::parse(ek_ref).is_err() => Some("ek_ref"),
        SseMode::S3 | SseMode::Kms | SseMode::C => None,
    }
}

fn value(field: &'static str) -> ParseError {
    ParseError::Value { field }
}

/// The longest reference to an external key: the longest KMS ciphertext blob.
pub const EK_REF_BYTES_MAX: usize = 6_144;

const MAGIC: [u8; 4] = *b"OSK1";
const VERSION: u8 = 1;
pub(crate) const SUITE: u8 = 1;

const _: () = {
    assert!(
        MAGIC.len() + 4 + 32 + 32 + NONCE_BYTES + 32 + TAG_BYTES == 132,
        "offset of u16 n"
    );
    assert!(EK_REF_BYTES_MAX == crate::kms_blob::KMS_BLOB_BYTES_MAX && EK_REF_BYTES_MAX <= 65_535);
};
