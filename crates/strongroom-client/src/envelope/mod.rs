// SPDX-License-Identifier: Apache-2.0
//! What lies beside the ciphertext: how it was encrypted, under which wrapped key.
//!
//! The envelope is user metadata of the object, or partly a JSON file beside it (the *instruction
//! file*). [`detect`] decides which of the three message formats it is, in an order that leaves no
//! room for a mixture: a bucket's writer who adds the fields of one format to an object of another
//! gets an error, not a choice.
//!
//! ```text
//!   fields of the object --detect--> Detected::Here(envelope)
//!                              \---> Detected::Elsewhere(partial) --complete(file)--> envelope
//! ```

mod encoded_words;
mod json;
mod read;
mod write;

pub use json::TextMap;
pub use read::{Detected, Partial, detect};
#[cfg(feature = "s3")]
pub(crate) use write::instruction_metadata;
pub use write::{Instruction, Stored};

use crate::error::Error;

/// User metadata of an object: names without `x-amz-meta-`, in lower case.
pub type Fields = TextMap;

/// How the data key was wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrap {
    /// A key service, with an encryption context that names the content cipher.
    KmsContext,
    /// AES-GCM under a wrapping key, the content cipher authenticated along.
    AesGcm,
    /// RSA-OAEP with SHA-1, the content cipher encrypted along.
    RsaOaepSha1,
    /// Legacy: a key service, without the content cipher in its context.
    Kms,
    /// Legacy: RFC 3394.
    AesWrap,
    /// Legacy: RSA-OAEP with SHA-256.
    RsaOaepSha256,
    /// Legacy, format V1: AES-ECB.
    AesEcb,
    /// Legacy, format V1: RSA PKCS#1 v1.5.
    RsaPkcs1,
}

/// How the content was encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cipher {
    /// AES-CBC with padding: not authenticated.
    Cbc,
    /// AES-GCM under the data key.
    Gcm,
    /// AES-256-GCM under a key derived from the data key, which the object commits to.
    GcmCommitted,
}

impl Wrap {
    /// The algorithm's name, as format V2 has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KmsContext => "kms+context",
            Self::AesGcm => "AES/GCM",
            Self::RsaOaepSha1 => "RSA-OAEP-SHA1",
            Self::Kms => "kms",
            Self::AesWrap => "AESWrap",
            Self::RsaOaepSha256 => "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
            Self::AesEcb => "AES",
            Self::RsaPkcs1 => "RSA",
        }
    }
}

impl Cipher {
    /// The name that wraps bind the data key to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cbc => "AES/CBC/PKCS5Padding",
            Self::Gcm => "AES/GCM/NoPadding",
            Self::GcmCommitted => "115",
        }
    }
}

/// A whole envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Envelope {
    /// Legacy: AES-CBC, wrap implied.
    V1(V1),
    /// AES-GCM (or AES-CBC, by old clients).
    V2(V2),
    /// AES-256-GCM with key commitment.
    V3(V3),
}

/// Format V1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V1 {
    /// The wrapped data key.
    pub wrapped: Vec<u8>,
    /// The IV of AES-CBC.
    pub iv: [u8; 16],
    /// Which wrapping key, in the writer's words.
    pub description: TextMap,
}

/// Format V2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V2 {
    /// The wrapped data key.
    pub wrapped: Vec<u8>,
    /// How it was wrapped.
    pub wrap: Wrap,
    /// The nonce or IV, with the cipher it belongs to.
    pub content: V2Content,
    /// Materials description, or the whole encryption context under a key service.
    pub description: TextMap,
}

/// The content of format V2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum V2Content {
    /// AES-GCM with this nonce.
    Gcm([u8; 12]),
    /// AES-CBC with this IV.
    Cbc([u8; 16]),
}

/// Format V3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V3 {
    /// The wrapped data key.
    pub wrapped: Vec<u8>,
    /// How it was wrapped: [`Wrap::KmsContext`], [`Wrap::AesGcm`] or [`Wrap::RsaOaepSha1`].
    pub wrap: Wrap,
    /// Materials description, or the whole encryption context under a key service.
    pub description: TextMap,
    /// What the object commits to its data key with.
    pub commitment: [u8; 28],
    /// The salt that makes the content key one of this object alone.
    pub message_id: [u8; 28],
}

impl Envelope {
    /// How the data key was wrapped.
    pub fn wrap(&self) -> Wrap {
        match self {
            // A wrap of AES has at most 48 bytes; the shortest RSA key in use gives 128.
            Self::V1(v1) if v1.wrapped.len() > 48 => Wrap::RsaPkcs1,
            Self::V1(_) => Wrap::AesEcb,
            Self::V2(v2) => v2.wrap,
            Self::V3(v3) => v3.wrap,
        }
    }

    /// How the content was encrypted.
    pub fn cipher(&self) -> Cipher {
        match self {
            Self::V1(_) => Cipher::Cbc,
            Self::V2(v2) => match v2.content {
                V2Content::Gcm(_) => Cipher::Gcm,
                V2Content::Cbc(_) => Cipher::Cbc,
            },
            Self::V3(_) => Cipher::GcmCommitted,
        }
    }

    /// The wrapped data key.
    pub fn wrapped(&self) -> &[u8] {
        match self {
            Self::V1(v1) => &v1.wrapped,
            Self::V2(v2) => &v2.wrapped,
            Self::V3(v3) => &v3.wrapped,
        }
    }

    /// Materials description, or the whole encryption context under a key service.
    pub fn description(&self) -> &TextMap {
        match self {
            Self::V1(v1) => &v1.description,
            Self::V2(v2) => &v2.description,
            Self::V3(v3) => &v3.description,
        }
    }

    /// The message format: `V1`, `V2` or `V3`.
    pub fn format(&self) -> &'static str {
        match self {
            Self::V1(_) => "V1",
            Self::V2(_) => "V2",
            Self::V3(_) => "V3",
        }
    }

    /// The same content under another wrap of the same data key. Format V1 has no wrap that is
    /// written today.
    pub fn with_wrap(
        &self,
        wrapped: Vec<u8>,
        wrap: Wrap,
        description: TextMap,
    ) -> Result<Self, Error> {
        Ok(match self {
            Self::V1(_) => return Err(Error::Config("the format V1 is not written")),
            Self::V2(v2) => Self::V2(V2 {
                wrapped,
                wrap,
                content: v2.content,
                description,
            }),
            Self::V3(v3) => Self::V3(V3 {
                wrapped,
                wrap,
                description,
                commitment: v3.commitment,
                message_id: v3.message_id,
            }),
        })
    }

    /// Bytes of plaintext in `stored` bytes of content; `None` where the padding hides it, and an
    /// error when no content has that length.
    pub fn plaintext_len(&self, stored: u64) -> Result<Option<u64>, Error> {
        match self.cipher() {
            Cipher::Cbc if stored > 0 && stored.is_multiple_of(16) => Ok(None),
            Cipher::Cbc => Err(Error::Content),
            Cipher::Gcm | Cipher::GcmCommitted => {
                stored.checked_sub(16).map(Some).ok_or(Error::Content)
            }
        }
    }
}

/// A map as people are shown it: JSON, in ASCII.
pub(crate) fn shown(map: &TextMap) -> String {
    json::write(map, json::Spaces::Plain)
}

/// Whether user metadata of this name belongs to envelopes, and so to nobody else.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == field::INSTRUCTION || name == field::PLAIN_MD5 || read::KNOWN.contains(&name.as_str())
}

/// Whether no two objects that were encrypted have the same value in this field.
#[cfg(feature = "s3")]
pub(crate) fn is_unique(name: &str) -> bool {
    [field::V1_KEY, field::V2_KEY, field::V3_MESSAGE_ID].contains(&name)
}

/// The length that the writer of an object says its plaintext has. Nothing authenticates it.
pub fn claimed_plaintext_len(metadata: &Fields) -> Option<u64> {
    let claims = |name: &String| name.eq_ignore_ascii_case(field::PLAIN_LEN);
    metadata
        .iter()
        .find_map(|(name, value)| claims(name).then(|| value.parse().ok())?)
}

/// Names of the fields.
mod field {
    pub(super) const V1_KEY: &str = "x-amz-key";
    pub(super) const V2_KEY: &str = "x-amz-key-v2";
    pub(super) const IV: &str = "x-amz-iv";
    pub(super) const CEK_ALG: &str = "x-amz-cek-alg";
    pub(super) const WRAP_ALG: &str = "x-amz-wrap-alg";
    pub(super) const MATDESC: &str = "x-amz-matdesc";
    pub(super) const TAG_LEN: &str = "x-amz-tag-len";
    pub(super) const PLAIN_LEN: &str = "x-amz-unencrypted-content-length";
    /// Written by clients with a known weakness: a hash of the plaintext. Never written here.
    pub(super) const PLAIN_MD5: &str = "x-amz-unencrypted-content-md5";
    pub(super) const V3_KEY: &str = "x-amz-3";
    pub(super) const V3_CIPHER: &str = "x-amz-c";
    pub(super) const V3_WRAP: &str = "x-amz-w";
    pub(super) const V3_COMMITMENT: &str = "x-amz-d";
    pub(super) const V3_MESSAGE_ID: &str = "x-amz-i";
    pub(super) const V3_CONTEXT: &str = "x-amz-t";
    pub(super) const V3_MATDESC: &str = "x-amz-m";
    pub(super) const INSTRUCTION: &str = "x-amz-crypto-instr-file";
}
