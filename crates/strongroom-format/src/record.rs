// SPDX-License-Identifier: Apache-2.0
//! OSK1, the sealed-key record: the object key wrapped by an external key, committed to that key
//! and bound to everything that gives the object its identity.
//!
//! ```text
//! 0  "OSK1"  4 version  5 suite  6 sse_mode  7 flags  8 wrap_salt 32  40 COMM 32
//! 72 nonce 12  84 wrapped OEK 32  116 tag 16  132 u16 n  134 ek_ref n
//! ```
//!
//! An object under two layers has two records of mode 4, one for the object key of each layer,
//! under external keys of different origin. They are two structures: each is parsed by itself.

use zeroize::Zeroizing;

use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::bind::BindDigest;
use crate::body::Layer;
use crate::bucket_key::BucketKeyRef;
use crate::cursor::Cursor;
use crate::error::{OpenError, ParseError, SealError, UnwrapError};
use crate::kdf;
use crate::key::{ExternalKey, ObjectKey, OuterObjectKey};
use crate::primitives::{AwsLc, Primitives, RustCrypto};

/// How the external key is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SseMode {
    /// By this server's own key hierarchy.
    S3 = 1,
    /// By the key service.
    Kms = 2,
    /// By the client with each request.
    C = 3,
    /// By the key service for the inner of two layers, by this server's own hierarchy for the outer.
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
    layer: Layer,
    wrap_salt: [u8; 32],
    commitment: [u8; 32],
    nonce: [u8; NONCE_BYTES],
    wrapped: [u8; 32],
    tag: [u8; TAG_BYTES],
    ek_ref: Box<[u8]>,
}

/// Wraps the object key: the only one, or that of the inner of two layers. `wrap_salt` must be 32
/// bytes of the cryptographic module's generator that are used for nothing else.
pub fn wrap_object_key(
    ek: &ExternalKey,
    oek: &ObjectKey,
    mode: SseMode,
    flags: RecordFlags,
    ek_ref: &[u8],
    bind: &BindDigest,
    wrap_salt: [u8; 32],
) -> Result<SealedKeyRecord, SealError> {
    let record = SealedKeyRecord::unsealed(mode, flags, Layer::Inner, ek_ref, wrap_salt)?;
    record.wrap::<AwsLc>(ek, oek.expose_secret(), bind)
}

/// Wraps the object key of the outer of two layers, with the second implementation. `wrap_salt` as
/// above, and not that of the inner record.
pub fn wrap_outer_object_key(
    ek: &ExternalKey,
    oek: &OuterObjectKey,
    flags: RecordFlags,
    ek_ref: &[u8],
    bind: &BindDigest,
    wrap_salt: [u8; 32],
) -> Result<SealedKeyRecord, SealError> {
    let record = SealedKeyRecord::unsealed(SseMode::Dsse, flags, Layer::Outer, ek_ref, wrap_salt)?;
    record.wrap::<RustCrypto>(ek, oek.expose_secret(), bind)
}

/// Unwraps the object key: first the commitment to the key, then the binding. The record of an
/// outer layer is refused.
pub fn unwrap_object_key(
    ek: &ExternalKey,
    record: &SealedKeyRecord,
    bind: &BindDigest,
) -> Result<ObjectKey, UnwrapError> {
    let text = record.unwrap::<AwsLc>(Layer::Inner, ek, bind)?;
    Ok(ObjectKey::copied_from(&text))
}

/// Unwraps the object key of an outer layer. The record of an inner layer is refused.
pub fn unwrap_outer_object_key(
    ek: &ExternalKey,
    record: &SealedKeyRecord,
    bind: &BindDigest,
) -> Result<OuterObjectKey, UnwrapError> {
    let text = record.unwrap::<RustCrypto>(Layer::Outer, ek, bind)?;
    Ok(OuterObjectKey::copied_from(&text))
}

/// Whether the record was sealed with this external key; what HEAD of an SSE-C object needs.
///
/// A match authenticates nothing but the key.
#[must_use]
pub fn commitment_matches(ek: &ExternalKey, record: &SealedKeyRecord) -> bool {
    match record.layer {
        Layer::Inner => WrapKeys::derive::<AwsLc>(ek, record).commitment_matches::<AwsLc>(record),
        Layer::Outer => {
            WrapKeys::derive::<RustCrypto>(ek, record).commitment_matches::<RustCrypto>(record)
        }
    }
}

impl SealedKeyRecord {
    /// A record that holds no key yet.
    fn unsealed(
        mode: SseMode,
        flags: RecordFlags,
        layer: Layer,
        ek_ref: &[u8],
        wrap_salt: [u8; 32],
    ) -> Result<Self, SealError> {
        if let Some(field) = forbidden_field(mode, flags, layer, ek_ref) {
            return Err(SealError::NotAllowed { field });
        }
        Ok(Self {
            mode,
            flags,
            layer,
            wrap_salt,
            commitment: [0; 32],
            nonce: [0; NONCE_BYTES],
            wrapped: [0; 32],
            tag: [0; TAG_BYTES],
            ek_ref: ek_ref.into(),
        })
    }

    fn wrap<P: Primitives>(
        mut self,
        ek: &ExternalKey,
        oek: &[u8; 32],
        bind: &BindDigest,
    ) -> Result<Self, SealError> {
        let keys = WrapKeys::derive::<P>(ek, &self);
        self.commitment = keys.commitment;
        let mut text = Zeroizing::new(*oek);
        let kek = P::seal_key(&keys.kek)?;
        (self.nonce, self.tag) = P::seal(&kek, &self.aad(bind), text.as_mut_slice())?;
        self.wrapped = *text;
        Ok(self)
    }

    //= docs/spec/object-format.md#the-sealed-key-record
    //# A reader MUST compare COMM in constant time before it opens the wrapped key.
    fn unwrap<P: Primitives>(
        &self,
        layer: Layer,
        ek: &ExternalKey,
        bind: &BindDigest,
    ) -> Result<Zeroizing<[u8; 32]>, UnwrapError> {
        if self.layer != layer {
            return Err(OpenError.into());
        }
        let keys = WrapKeys::derive::<P>(ek, self);
        if !keys.commitment_matches::<P>(self) {
            return Err(UnwrapError::WrongKey);
        }
        let mut text = Zeroizing::new(self.wrapped);
        let kek = P::open_key(&keys.kek)?;
        P::open(
            &kek,
            self.nonce,
            &self.aad(bind),
            &self.tag,
            text.as_mut_slice(),
        )?;
        Ok(text)
    }

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
        let (flags, layer) = split_flags(cursor.u8()?).ok_or(value("flags"))?;
        let wrap_salt = cursor.array()?;
        let commitment = cursor.array()?;
        let nonce = cursor.array()?;
        let wrapped = cursor.array()?;
        let tag = cursor.array()?;
        let ek_ref_len = usize::from(cursor.u16()?);
        let ek_ref = cursor.slice(ek_ref_len)?;
        cursor.end()?;
        if let Some(field) = forbidden_field(mode, flags, layer, ek_ref) {
            return Err(value(field));
        }
        Ok(Self {
            mode,
            flags,
            layer,
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

    /// Which layer's object key it holds. Not authenticated before the record is unwrapped.
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// What the provider of the external key needs to find it; empty for a customer key.
    pub fn ek_ref(&self) -> &[u8] {
        &self.ek_ref
    }

    /// Bytes 0..72, the part of the record that is authenticated as it stands.
    fn head(&self) -> Vec<u8> {
        [
            MAGIC.as_slice(),
            &[
                VERSION,
                SUITE,
                self.mode.byte(),
                joined_flags(self.flags, self.layer),
            ],
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

/// The byte of flags and layer.
fn joined_flags(flags: RecordFlags, layer: Layer) -> u8 {
    u8::from(flags.bucket_key)
        | u8::from(flags.multipart) << 1
        | u8::from(flags.pending) << 2
        | u8::from(layer == Layer::Outer) << 3
}

/// The inverse of [`joined_flags`].
fn split_flags(byte: u8) -> Option<(RecordFlags, Layer)> {
    let flags = RecordFlags {
        bucket_key: byte & 0b0001 != 0,
        multipart: byte & 0b0010 != 0,
        pending: byte & 0b0100 != 0,
    };
    let layer = match byte & 0b1000 {
        0 => Layer::Inner,
        _ => Layer::Outer,
    };
    (byte & !0b1111 == 0).then_some((flags, layer))
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
    //= docs/spec/object-format.md#dual-layer-encryption
    //# In the derivations of KEK and COMM of a record of mode 4, u8 layer follows sse_mode.
    fn derive<P: Primitives>(ek: &ExternalKey, record: &SealedKeyRecord) -> Self {
        let prk = P::extract(&record.wrap_salt, ek.expose_secret());
        let tail: &[u8] = match record.mode {
            SseMode::Dsse => &[0, SUITE, record.mode.byte(), record.layer.byte()],
            SseMode::S3 | SseMode::Kms | SseMode::C => &[0, SUITE, record.mode.byte()],
        };
        let commitment: Zeroizing<[u8; 32]> = P::expand(&prk, &[b"strongroom/1/wrap-commit", tail]);
        Self {
            kek: P::expand(&prk, &[b"strongroom/1/wrap-kek", tail]),
            commitment: *commitment,
        }
    }

    fn commitment_matches<P: Primitives>(&self, record: &SealedKeyRecord) -> bool {
        P::are_equal(&self.commitment, &record.commitment)
    }
}

/// The first field that the mode does not allow, if any.
//= docs/spec/object-format.md#the-sealed-key-record
//# ek_ref MUST be empty for mode 3 and MUST NOT be empty for the others; the bucket-key flag MUST NOT be set for another mode than 2, the outer flag not for another mode than 4.
fn forbidden_field(
    mode: SseMode,
    flags: RecordFlags,
    layer: Layer,
    ek_ref: &[u8],
) -> Option<&'static str> {
    let is_ek_ref_allowed = match mode {
        SseMode::C => ek_ref.is_empty(),
        SseMode::Kms if flags.bucket_key => BucketKeyRef::parse(ek_ref).is_ok(),
        SseMode::S3 | SseMode::Kms | SseMode::Dsse => {
            (1..=EK_REF_BYTES_MAX).contains(&ek_ref.len())
        }
    };
    if (flags.bucket_key && mode != SseMode::Kms)
        || (layer == Layer::Outer && mode != SseMode::Dsse)
    {
        return Some("flags");
    }
    (!is_ek_ref_allowed).then_some("ek_ref")
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
