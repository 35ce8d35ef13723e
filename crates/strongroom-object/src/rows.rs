// SPDX-License-Identifier: Apache-2.0
//! What the object tables hold: CBOR maps with numbered fields, sealed by the store.
//!
//! Numbers are never reused; a new field gets a new number and a default.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use strongroom_format::{
    EncryptionContext, FloeHeader, Layer, ObjectDataId, PartRow, PartUid, SealedKeyRecord, SseMode,
};
use strongroom_store::{BlobId, BlobLocation};

use crate::error::Error;
use crate::model::{
    BucketEncryption, Checksum, ChecksumAlgorithm, ChecksumType, DefaultAlgorithm, Properties,
};
use crate::restore::RestoreRow;
use crate::storage_class::StorageClass;
use crate::version_id::VersionId;

/// A bucket.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct BucketRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub uid: [u8; 16],
    #[n(1)]
    pub created_ms: u64,
    #[n(2)]
    pub owner_account: String,
    #[n(3)]
    pub region: String,
    #[n(4)]
    pub versioning: Versioning,
}

/// Whether a bucket keeps what is replaced. Nothing leads back to `Off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Versioning {
    /// One null version for each name, replaced by the next.
    #[n(0)]
    Off,
    /// Every write makes a version of its own.
    #[n(1)]
    Enabled,
    /// Writes make and replace the null version; others stay.
    #[n(2)]
    Suspended,
}

/// What stands under one name at one place in the order of commits.
///
/// INVARIANT: of all entries of a name at most one is the null version, and every newer entry has
/// its stamp in `null_at`. A write keeps it: it looks at the newest entry, and takes from there
/// what it says, in a commit that fails if that entry is not the newest any more.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) enum VersionEntry {
    /// An object's bytes.
    #[n(0)]
    Object(#[n(0)] Box<VersionRow>),
    /// The name was deleted here, and what is older is kept.
    #[n(1)]
    DeleteMarker(#[n(0)] DeleteMarkerRow),
}

/// A delete marker.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct DeleteMarkerRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub version_uid: [u8; 16],
    #[n(1)]
    pub created_ms: u64,
    #[n(2)]
    pub null_version: bool,
    /// As in [`VersionRow`].
    #[n(3)]
    pub null_at: Option<u64>,
}

/// The encryption rule of a bucket, in a row of its own.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct BucketEncryptionRow {
    /// See [`DefaultAlgorithm`].
    #[n(0)]
    pub algorithm: u8,
    /// As configured.
    #[n(1)]
    pub kms_key_id: Option<String>,
    #[n(2)]
    pub bucket_key: bool,
    #[n(3)]
    pub blocks_customer_keys: bool,
    /// Whether the rule named an algorithm; one that is there for what it blocks alone did not.
    #[n(4)]
    pub names_default: bool,
}

/// One version of an object.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct VersionRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub version_uid: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub odi: [u8; 16],
    #[n(2)]
    pub size: u64,
    #[n(3)]
    pub created_ms: u64,
    #[n(4)]
    pub etag: String,
    #[n(5)]
    pub properties: PropertiesRow,
    #[n(6)]
    pub key: KeyRow,
    #[n(7)]
    pub checksum: Option<ChecksumRow>,
    /// Parts of a multipart object, else 0.
    #[n(8)]
    pub parts: u16,
    /// The only part of an object made by one PUT; multipart objects have a part table.
    #[n(9)]
    pub body: Option<StoredPart>,
    #[n(10)]
    pub null_version: bool,
    /// The stamp of the null version behind this one, as it was when this one was committed. If
    /// no row stands there any more, there is no null version behind this one.
    #[n(11)]
    pub null_at: Option<u64>,
    /// Not bound by the record: it changes without the object's key.
    #[n(12)]
    #[cbor(default)]
    pub class: StorageClass,
    /// Of an archived object: when it can be read. Not bound either.
    #[n(13)]
    pub restore: Option<RestoreRow>,
    /// Of an object in parts: the blob that tells, without tables, that it is one (`note.rs`). Not
    /// bound: nothing is read from it while there are tables, and it is released as a note only.
    #[n(14)]
    pub note: Option<BlobLocation>,
    /// Whether the object was put under another KMS key after its bodies were written: their
    /// manifests have the key of before, so no other object is to stand on them. Not bound either.
    #[n(15)]
    #[cbor(default)]
    pub older_bodies: bool,
    /// The upload that became this version; not of a copy. Not bound: all that it does is to let who
    /// completes that upload once more, with the same parts, hear of this version.
    #[n(16)]
    pub completed: Option<CompletedRow>,
}

/// An upload that was completed.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CompletedRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub upload_uid: [u8; 16],
    /// As [`UploadRow::conditions`]: policies see the same when it is completed once more.
    #[n(1)]
    pub conditions: BTreeMap<String, String>,
}

/// How the object key is wrapped.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct KeyRow {
    /// The sealed-key record.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    /// Full KMS key ARN, empty for other modes.
    #[n(1)]
    pub kms_arn: String,
    /// The encryption context given to the key service, with what Strongroom added.
    #[n(2)]
    pub context: BTreeMap<String, String>,
    /// Which of its pairs the caller gave.
    #[n(3)]
    pub caller_context: BTreeMap<String, String>,
    /// For uploads completed without the customer key at hand: the tag that binds the finished
    /// object to the record of the upload.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub completion_tag: Option<Vec<u8>>,
    /// The upload whose BIND the record was wrapped over, where there is a completion tag.
    #[n(5)]
    pub upload: Option<UploadBindRow>,
    /// The sealed-key record of the outer of two layers.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub outer_record: Option<Vec<u8>>,
}

/// What BIND of an upload was made of.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct UploadBindRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub upload_uid: [u8; 16],
    #[n(1)]
    pub initiated_ms: u64,
}

/// Where the sealed bytes of a part are.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) enum Place {
    /// In the table of small bodies, under the part's uid.
    #[n(0)]
    Inline,
    /// In a blob.
    #[n(1)]
    Blob(#[n(0)] BlobLocation),
}

/// One sealed body: of a PUT, or of a part.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct StoredPart {
    #[n(0)]
    pub part_number: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub part_uid: [u8; 16],
    #[n(2)]
    pub plain_len: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub floe_header: [u8; 74],
    #[n(4)]
    pub place: Place,
    /// Header of the outer layer, for a body under two.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub outer_floe_header: Option<[u8; 74]>,
}

impl StoredPart {
    /// The blob that its bytes are in, if they are in one. Its name is the part's when it is
    /// written; bytes that were moved to another class lie under a new one.
    pub(crate) fn blob(&self) -> Option<BlobId> {
        match &self.place {
            Place::Inline => None,
            Place::Blob(location) => Some(location.blob),
        }
    }

    /// How many bytes it is sealed, under one layer or two; `None` for a length that no body has.
    pub(crate) fn sealed_bytes(&self) -> Option<u64> {
        match self.outer_floe_header {
            None => strongroom_format::sealed_bytes(self.plain_len),
            Some(_) => strongroom_format::dual_sealed_bytes(self.plain_len),
        }
    }

    pub(crate) fn uid(&self) -> PartUid {
        PartUid(self.part_uid)
    }

    pub(crate) fn header(&self) -> FloeHeader {
        FloeHeader::from_bytes(self.floe_header)
    }

    pub(crate) fn outer_header(&self) -> Option<FloeHeader> {
        self.outer_floe_header.map(FloeHeader::from_bytes)
    }

    /// The row that BIND covers.
    pub(crate) fn bound(&self) -> PartRow {
        PartRow {
            part_no: self.part_number,
            part_uid: self.uid(),
            plain_len: self.plain_len,
            header: self.header(),
            outer_header: self.outer_header(),
        }
    }
}

/// All parts of a multipart object, in order.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PartTableRow {
    #[n(0)]
    pub parts: Vec<StoredPart>,
    /// The digests of the parts one after another, where the object's checksum is a composite of
    /// them; sealed as that is.
    #[n(1)]
    pub checksums: Option<ChecksumRow>,
}

/// A checksum: sealed under the object's own key where a plaintext digest would be an oracle.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ChecksumRow {
    #[n(0)]
    pub algorithm: u8,
    #[n(1)]
    pub composite: bool,
    #[n(2)]
    pub parts: Option<u32>,
    #[n(3)]
    pub sealed: bool,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub value: Vec<u8>,
}

/// An open multipart upload.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct UploadRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub upload_uid: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub odi: [u8; 16],
    #[n(2)]
    pub initiated_ms: u64,
    #[n(3)]
    pub properties: PropertiesRow,
    #[n(4)]
    pub key: KeyRow,
    #[n(5)]
    pub checksum_algorithm: Option<u8>,
    #[n(6)]
    pub composite: bool,
    /// For SSE-C: the key that tags the finished object (it opens nothing).
    #[cbor(n(7), with = "minicbor::bytes")]
    pub completion_key: Option<Vec<u8>>,
    /// Of the object to be.
    #[n(8)]
    #[cbor(default)]
    pub class: StorageClass,
    /// What Create said that policies compare and that holds for all of the upload.
    #[n(9)]
    pub conditions: BTreeMap<String, String>,
}

/// A part of an open upload.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PartRowStored {
    #[n(0)]
    pub part: StoredPart,
    #[n(1)]
    pub etag: String,
    #[n(2)]
    pub modified_ms: u64,
    /// Sealed as that of the object will be. Uploads that were begun by earlier builds have it in
    /// clear.
    #[n(3)]
    pub checksum: Option<ChecksumRow>,
    /// What its request announced, where that is another one; Complete may name it. Sealed, too.
    #[n(4)]
    pub announced: Option<ChecksumRow>,
}

/// System and user properties.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PropertiesRow {
    #[n(0)]
    pub content_type: Option<String>,
    #[n(1)]
    pub content_encoding: Option<String>,
    #[n(2)]
    pub content_disposition: Option<String>,
    #[n(3)]
    pub content_language: Option<String>,
    #[n(4)]
    pub cache_control: Option<String>,
    #[n(5)]
    pub expires: Option<String>,
    #[n(6)]
    pub website_redirect_location: Option<String>,
    #[n(7)]
    pub user: BTreeMap<String, String>,
}

impl PropertiesRow {
    /// SHA-384 over the canonical set; part of BIND.
    pub(crate) fn digest(&self) -> [u8; 48] {
        let system = [
            ("content-type", &self.content_type),
            ("content-encoding", &self.content_encoding),
            ("content-disposition", &self.content_disposition),
            ("content-language", &self.content_language),
            ("cache-control", &self.cache_control),
            ("expires", &self.expires),
            ("website-redirect-location", &self.website_redirect_location),
        ];
        let user: Vec<(String, &str)> = self
            .user
            .iter()
            .map(|(n, v)| (format!("user:{n}"), v.as_str()))
            .collect();
        let mut pairs: Vec<(&str, &str)> = system
            .iter()
            .filter_map(|(n, v)| v.as_deref().map(|v| (*n, v)))
            .collect();
        pairs.extend(user.iter().map(|(n, v)| (n.as_str(), *v)));
        strongroom_format::properties_digest(&pairs)
    }
}

impl From<Properties> for PropertiesRow {
    fn from(p: Properties) -> Self {
        Self {
            content_type: p.content_type,
            content_encoding: p.content_encoding,
            content_disposition: p.content_disposition,
            content_language: p.content_language,
            cache_control: p.cache_control,
            expires: p.expires,
            website_redirect_location: p.website_redirect_location,
            user: p.user,
        }
    }
}

impl From<PropertiesRow> for Properties {
    fn from(p: PropertiesRow) -> Self {
        Self {
            content_type: p.content_type,
            content_encoding: p.content_encoding,
            content_disposition: p.content_disposition,
            content_language: p.content_language,
            cache_control: p.cache_control,
            expires: p.expires,
            website_redirect_location: p.website_redirect_location,
            user: p.user,
        }
    }
}

impl BucketEncryptionRow {
    /// The row of a rule.
    pub(crate) fn new(rule: BucketEncryption, names_default: bool) -> Self {
        Self {
            names_default,
            algorithm: match rule.algorithm {
                DefaultAlgorithm::S3 => 1,
                DefaultAlgorithm::Kms => 2,
                DefaultAlgorithm::Dsse => 3,
            },
            kms_key_id: rule.kms_key_id,
            bucket_key: rule.bucket_key,
            blocks_customer_keys: rule.blocks_customer_keys,
        }
    }
}

impl TryFrom<BucketEncryptionRow> for BucketEncryption {
    type Error = Error;

    fn try_from(row: BucketEncryptionRow) -> Result<Self, Error> {
        let algorithm = match row.algorithm {
            1 => DefaultAlgorithm::S3,
            2 => DefaultAlgorithm::Kms,
            3 => DefaultAlgorithm::Dsse,
            _ => {
                return Err(Error::Corrupted {
                    what: "encryption rule of a bucket".to_owned(),
                });
            }
        };
        Ok(Self {
            algorithm,
            kms_key_id: row.kms_key_id,
            bucket_key: row.bucket_key,
            blocks_customer_keys: row.blocks_customer_keys,
        })
    }
}

impl KeyRow {
    /// The parsed record: the only one, or that of the inner of two layers.
    pub(crate) fn sealed_record(&self) -> Result<SealedKeyRecord, Error> {
        let record = SealedKeyRecord::parse(&self.record).map_err(|_| damaged_record())?;
        let has_outer = record.mode() == SseMode::Dsse;
        if record.layer() == Layer::Inner && self.outer_record.is_some() == has_outer {
            Ok(record)
        } else {
            Err(damaged_record())
        }
    }

    /// The parsed record of the outer of two layers.
    pub(crate) fn outer_sealed_record(&self) -> Result<Option<SealedKeyRecord>, Error> {
        let Some(bytes) = &self.outer_record else {
            return Ok(None);
        };
        let record = SealedKeyRecord::parse(bytes).map_err(|_| damaged_record())?;
        if record.layer() == Layer::Outer {
            Ok(Some(record))
        } else {
            Err(damaged_record())
        }
    }

    /// The mode, read from the record.
    pub(crate) fn mode(&self) -> Result<SseMode, Error> {
        Ok(self.sealed_record()?.mode())
    }

    /// The digest of the context, as BIND holds it.
    pub(crate) fn context_digest(&self) -> Result<[u8; 48], Error> {
        EncryptionContext::digest_of(&self.context).map_err(|_| Error::Corrupted {
            what: "encryption context".to_owned(),
        })
    }

    /// The context as the key service wants it.
    pub(crate) fn kms_context(&self) -> Result<EncryptionContext, Error> {
        context_from(&self.context)
    }
}

impl VersionEntry {
    /// The object; `None` for a delete marker.
    pub(crate) fn object(&self) -> Option<&VersionRow> {
        match self {
            Self::Object(row) => Some(row),
            Self::DeleteMarker(_) => None,
        }
    }

    /// Whether it is the null version of its name.
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Object(row) => row.null_version,
            Self::DeleteMarker(row) => row.null_version,
        }
    }

    /// The stamp of the null version behind it.
    pub(crate) fn null_at(&self) -> Option<u64> {
        match self {
            Self::Object(row) => row.null_at,
            Self::DeleteMarker(row) => row.null_at,
        }
    }

    /// When it was made, Unix time in milliseconds.
    pub(crate) fn created_ms(&self) -> u64 {
        match self {
            Self::Object(row) => row.created_ms,
            Self::DeleteMarker(row) => row.created_ms,
        }
    }

    /// What no other version has.
    pub(crate) fn version_uid(&self) -> [u8; 16] {
        match self {
            Self::Object(row) => row.version_uid,
            Self::DeleteMarker(row) => row.version_uid,
        }
    }

    /// Its id, at this place in the order of commits.
    pub(crate) fn id(&self, stamp: u64) -> VersionId {
        VersionId::at(stamp, self.version_uid(), self.is_null())
    }
}

impl VersionRow {
    /// The object-data id.
    pub(crate) fn object_data_id(&self) -> ObjectDataId {
        ObjectDataId(self.odi)
    }

    /// Whether clients see its parts: of what an upload made, but not of a copy of that, which
    /// may stand on the same bodies. The record says so, and is authenticated.
    pub(crate) fn shows_parts(&self) -> Result<bool, Error> {
        Ok(self.parts > 0 && self.key.sealed_record()?.flags().multipart)
    }
}

fn damaged_record() -> Error {
    Error::Corrupted {
        what: "sealed-key record".to_owned(),
    }
}

/// An encryption context from stored pairs.
pub(crate) fn context_from(pairs: &BTreeMap<String, String>) -> Result<EncryptionContext, Error> {
    context_of(pairs.clone())
}

/// An encryption context of these pairs.
pub(crate) fn context_of(pairs: BTreeMap<String, String>) -> Result<EncryptionContext, Error> {
    EncryptionContext::try_from(pairs).map_err(|_| Error::Corrupted {
        what: "encryption context".to_owned(),
    })
}

impl ChecksumAlgorithm {
    /// Stable number in rows and in BIND.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Crc32 => 1,
            Self::Crc32c => 2,
            Self::Crc64Nvme => 3,
            Self::Sha1 => 4,
            Self::Sha256 => 5,
        }
    }

    /// The inverse of [`Self::number`].
    pub(crate) fn from_number(number: u8) -> Result<Self, Error> {
        match number {
            1 => Ok(Self::Crc32),
            2 => Ok(Self::Crc32c),
            3 => Ok(Self::Crc64Nvme),
            4 => Ok(Self::Sha1),
            5 => Ok(Self::Sha256),
            _ => Err(Error::Corrupted {
                what: "checksum algorithm".to_owned(),
            }),
        }
    }
}

impl ChecksumRow {
    /// A row with the digest in clear.
    pub(crate) fn clear(checksum: &Checksum) -> Self {
        Self {
            algorithm: checksum.algorithm.number(),
            composite: checksum.checksum_type == ChecksumType::Composite,
            parts: checksum.parts,
            sealed: false,
            value: checksum.value.clone(),
        }
    }

    /// The checksum with the given (opened) digest.
    pub(crate) fn with_value(&self, value: Vec<u8>) -> Result<Checksum, Error> {
        Ok(Checksum {
            algorithm: ChecksumAlgorithm::from_number(self.algorithm)?,
            checksum_type: self.checksum_type(),
            value,
            parts: self.parts,
        })
    }

    /// What it covers.
    pub(crate) fn checksum_type(&self) -> ChecksumType {
        if self.composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        }
    }
}

/// Encode a row.
pub(crate) fn encode<T: Encode<()>>(row: &T) -> Result<Vec<u8>, Error> {
    minicbor::to_vec(row).map_err(|_| Error::Internal("a row could not be encoded"))
}

/// Decode a row; `what` names it when it is damaged.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], what: &str) -> Result<T, Error> {
    minicbor::decode(bytes).map_err(|_| Error::Corrupted {
        what: what.to_owned(),
    })
}
