// SPDX-License-Identifier: Apache-2.0
//! The words of the conductor: names, requests and facts, free of any protocol.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_format::{EncryptionContext, ExternalKey};
use strongroom_iam::Caller;

use crate::error::{BodyError, Error};
use crate::lifecycle::ObjectExpiry;
use crate::restore::RestoreStatus;
use crate::storage_class::StorageClass;
use crate::version_id::VersionId;

/// Largest body of one PUT, part or copy, plaintext bytes (5 GiB).
pub const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Largest object, plaintext bytes (50 TB as S3 counts it: 10,000 parts of 5 GiB).
pub const OBJECT_BYTES_MAX: u64 = PUT_BYTES_MAX * 10_000;
/// Smallest part but the last, plaintext bytes (5 MiB).
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Highest part number.
pub const PART_NUMBER_MAX: u16 = 10_000;

/// On whose behalf an operation runs and where it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The authenticated principal.
    pub caller: &'a Caller,
    /// The request's audit entry; key uses are recorded through it.
    pub receipt: &'a Receipt,
}

/// A bucket name that obeys the naming rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

impl BucketName {
    /// Parse a name: 3-63 of `a-z0-9.-`, letter or digit at both ends, no `..`, no IP address,
    /// none of the reserved prefixes and suffixes (AWS: "Bucket naming rules").
    pub fn parse(name: &str) -> Result<Self, Error> {
        let refused = || Error::InvalidBucketName {
            bucket: name.to_owned(),
        };
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = name.as_bytes();
        let shape = (3..=63).contains(&bytes.len())
            && bytes.iter().copied().all(allowed)
            && edge(bytes.first())
            && edge(bytes.last());
        let reserved = ["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|p| name.starts_with(p))
            || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
                .iter()
                .any(|s| name.ends_with(s));
        let dotted = name.contains("..") || name.contains(".-") || name.contains("-.");
        let ip = name.parse::<std::net::Ipv4Addr>().is_ok();
        if !shape || reserved || dotted || ip {
            Err(refused())
        } else {
            Ok(Self(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object's name: 1 to 1,024 bytes of UTF-8 without NUL; opaque, never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// Parse a name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        if name.len() > 1024 {
            return Err(Error::KeyTooLong {
                size_bytes: name.len(),
            });
        }
        if name.is_empty() || name.as_bytes().contains(&0) {
            return Err(Error::InvalidObjectName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A customer key (SSE-C) as sent with one request; never stored.
#[derive(Debug)]
pub struct CustomerKey {
    /// The 256-bit key.
    pub secret: ExternalKey,
    /// Base64 of the MD5 of the raw key, verified by the adapter; echoed in the answer.
    pub md5_base64: String,
}

/// What the request says about encryption of a new object.
#[derive(Debug)]
pub enum EncryptionRequest {
    /// Nothing: the bucket's default applies.
    Default {
        /// Whether a bucket key is wanted where that is SSE-KMS; `None`: what the bucket says.
        bucket_key: Option<bool>,
    },
    /// SSE-S3.
    S3,
    /// SSE-KMS.
    Kms {
        /// Key id, ARN, alias or alias ARN; `None` is `alias/aws/s3`.
        key_id: Option<String>,
        /// The caller's encryption context.
        context: EncryptionContext,
        /// Whether a bucket key is wanted; `None`: what the bucket says.
        bucket_key: Option<bool>,
    },
    /// DSSE-KMS: two layers. Bucket keys never apply.
    Dsse {
        /// Key id, ARN, alias or alias ARN; `None` is `alias/aws/s3`.
        key_id: Option<String>,
        /// The caller's encryption context.
        context: EncryptionContext,
    },
    /// SSE-C.
    Customer(CustomerKey),
}

/// How a stored object is sealed, as answers report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// SSE-S3.
    S3,
    /// SSE-KMS.
    Kms {
        /// Full key ARN.
        key_arn: String,
        /// The caller's own encryption context (answers to writes echo it).
        context: Option<EncryptionContext>,
        /// Whether a bucket key stands between the object's key and the KMS key.
        bucket_key: bool,
    },
    /// DSSE-KMS.
    Dsse {
        /// Full key ARN.
        key_arn: String,
        /// The caller's own encryption context (answers to writes echo it).
        context: Option<EncryptionContext>,
    },
    /// SSE-C.
    Customer {
        /// Base64 MD5 of the key of *this* request; `None` where the request carried no key.
        md5_base64: Option<String>,
    },
}

/// System and user properties given at PUT and returned with the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Content-Type.
    pub content_type: Option<String>,
    /// Content-Encoding (without `aws-chunked`).
    pub content_encoding: Option<String>,
    /// Content-Disposition.
    pub content_disposition: Option<String>,
    /// Content-Language.
    pub content_language: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// Expires, as sent.
    pub expires: Option<String>,
    /// Website redirect location.
    pub website_redirect_location: Option<String>,
    /// User metadata: lower-case names without the protocol's prefix.
    pub user: BTreeMap<String, String>,
}

/// Checksum algorithms over plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// What a checksum of a multipart object covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// The object's bytes.
    FullObject,
    /// The parts' checksums.
    Composite,
}

/// A checksum of an object or part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub checksum_type: ChecksumType,
    /// Big-endian digest.
    pub value: Vec<u8>,
    /// Parts, for COMPOSITE (answers show `value-N`).
    pub parts: Option<u32>,
}

/// What the request says about the checksum of its body.
#[derive(Debug, Clone, Default)]
pub struct ChecksumRequest {
    /// Algorithm asked for or implied by the value or the trailer's name; `None`: CRC64NVME is
    /// computed.
    pub algorithm: Option<ChecksumAlgorithm>,
    /// Value announced before the body.
    pub expected: Option<Vec<u8>>,
    /// Content-MD5.
    pub content_md5: Option<[u8; 16]>,
}

/// How long a body is, plaintext bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// This long: a body that ends elsewhere is refused.
    Exactly(u64),
    /// Nobody knows before it ends; longer than this it must not be.
    AtMost(u64),
}

impl BodyLength {
    /// Refuses what is announced to be longer than one PUT may bring; what is not announced is
    /// cut off there.
    pub(crate) fn within_one_put(self) -> Result<Self, Error> {
        match self {
            Self::Exactly(proposed_size) if proposed_size > PUT_BYTES_MAX => {
                Err(Error::EntityTooLarge {
                    proposed_size,
                    max_size: PUT_BYTES_MAX,
                })
            }
            Self::Exactly(_) => Ok(self),
            Self::AtMost(bytes) => Ok(Self::AtMost(bytes.min(PUT_BYTES_MAX))),
        }
    }
}

/// A request body: verified framing, plaintext bytes.
///
/// The end of the stream (`None`) means that signature, length and payload hash of the request
/// were verified; an error means that nothing may be committed.
pub trait BodySource: Send {
    /// The next piece.
    fn poll_data(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>>;
    /// The checksum announced in a trailer; meaningful after the end of the stream.
    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)>;
}

/// A boxed request body.
pub type Body = Pin<Box<dyn BodySource>>;

/// Conditions of a write or a delete.
#[derive(Debug, Clone, Default)]
pub struct WriteConditions {
    /// The current ETag must be this one (without quotes; `*`: any object must exist).
    pub if_match: Option<String>,
    /// No object may exist.
    pub if_none_match_any: bool,
    /// What is there, if anything, must be of this time, Unix seconds. Deletes only.
    pub if_last_modified: Option<u64>,
    /// What is there, if anything, must have this many plaintext bytes. Deletes only.
    pub if_size: Option<u64>,
}

/// Conditions of a read or of a copy source. ETags without quotes, `*` for any.
#[derive(Debug, Clone, Default)]
pub struct ReadConditions {
    /// One of these ETags.
    pub if_match: Option<Vec<String>>,
    /// None of these ETags.
    pub if_none_match: Option<Vec<String>>,
    /// Unix seconds.
    pub if_modified_since: Option<u64>,
    /// Unix seconds.
    pub if_unmodified_since: Option<u64>,
}

/// A byte range over plaintext, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// First to last, inclusive.
    FromTo(u64, u64),
    /// From an offset to the end.
    From(u64),
    /// The last N bytes.
    Suffix(u64),
}

/// What a bucket does with what is replaced, once somebody has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketVersioning {
    /// Every write makes a version of its own.
    Enabled,
    /// Writes make and replace the null version; other versions stay.
    Suspended,
}

/// Everything an answer says about an object.
#[derive(Debug, Clone)]
pub struct ObjectHead {
    /// Id of the version; `None` in a bucket that never had versions.
    pub version_id: Option<VersionId>,
    /// Without quotes.
    pub etag: String,
    /// Plaintext bytes.
    pub size: u64,
    /// Unix time in milliseconds.
    pub last_modified_ms: u64,
    /// System and user properties.
    pub properties: Properties,
    /// How it is sealed.
    pub encryption: Encryption,
    /// Opened only when asked for and allowed.
    pub checksum: Option<Checksum>,
    /// Parts, for objects made by multipart upload.
    pub parts_count: Option<u32>,
    /// Its class.
    pub storage_class: StorageClass,
    /// How far the restore of an archived object is.
    pub restore: Option<RestoreStatus>,
    /// When a rule deletes it.
    pub expiry: Option<ObjectExpiry>,
}

/// The bytes an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
    /// Whether the answer is partial (206).
    pub partial: bool,
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct BucketInfo {
    /// Name.
    pub name: String,
    /// Unix time in milliseconds.
    pub created_ms: u64,
}

/// Which encryption a bucket gives to objects that ask for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultAlgorithm {
    /// SSE-S3.
    S3,
    /// SSE-KMS.
    Kms,
    /// DSSE-KMS.
    Dsse,
}

/// The encryption rule of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEncryption {
    /// For objects that ask for none.
    pub algorithm: DefaultAlgorithm,
    /// Key id, ARN, alias or alias ARN, as it was configured; `None` is `alias/aws/s3`.
    pub kms_key_id: Option<String>,
    /// Whether SSE-KMS uses bucket keys where the request does not say.
    pub bucket_key: bool,
    /// Whether uploads under customer keys are refused.
    pub blocks_customer_keys: bool,
}

/// One row of a listing.
#[derive(Debug, Clone)]
pub struct ListedObject {
    /// Name.
    pub object_key: String,
    /// Without quotes.
    pub etag: String,
    /// Plaintext bytes.
    pub size: u64,
    /// Unix time in milliseconds.
    pub last_modified_ms: u64,
    /// Algorithm of the stored checksum, where there is one.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// Its class.
    pub storage_class: StorageClass,
    /// How far the restore of an archived object is.
    pub restore: Option<RestoreStatus>,
}
