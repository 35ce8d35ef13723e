// SPDX-License-Identifier: Apache-2.0
//! Everything that can go wrong in an object operation, grouped by whose fault it is.
//!
//! The protocol adapter turns each variant into an S3 code in one exhaustive `match`.

use strongroom_iam::AccessDenied;

use crate::lifecycle::LifecycleFault;
use crate::model::{ChecksumAlgorithm, ChecksumType};
use crate::restore::RestoreTier;
use crate::storage_class::StorageClass;
use crate::version_id::VersionId;

/// A failure of the request body: the adapter's own error, carried through unopened.
#[derive(Debug, thiserror::Error)]
#[error("the request body could not be read: {0}")]
pub struct BodyError(pub Box<dyn std::error::Error + Send + Sync>);

/// Why an object operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // ---- the caller: names and state ----
    /// The bucket does not exist.
    #[error("the specified bucket does not exist: `{bucket}`")]
    NoSuchBucket {
        /// Name as asked for.
        bucket: String,
    },
    /// The name breaks the bucket naming rules.
    #[error("the specified bucket is not valid: `{bucket}`")]
    InvalidBucketName {
        /// Name as asked for.
        bucket: String,
    },
    /// The bucket exists already and belongs to the caller's account.
    #[error("the bucket exists already and you own it: `{bucket}`")]
    BucketAlreadyOwnedByYou {
        /// Name as asked for.
        bucket: String,
    },
    /// The bucket still holds objects or open uploads.
    #[error("the bucket you tried to delete is not empty: `{bucket}`")]
    BucketNotEmpty {
        /// Name as asked for.
        bucket: String,
    },
    /// The account holds as many buckets as it may.
    #[error("the account holds as many buckets as it may")]
    TooManyBuckets,
    /// No object of that name.
    #[error("the specified key does not exist: `{object_key}`")]
    NoSuchKey {
        /// Name as asked for.
        object_key: String,
    },
    /// No version of that id.
    #[error("the specified version does not exist: `{version_id}`")]
    NoSuchVersion {
        /// Name as asked for.
        object_key: String,
        /// Version id as asked for.
        version_id: VersionId,
    },
    /// What was asked for is a delete marker: the newest entry of the name (404), or the version
    /// that was named (405).
    #[error("the version `{version_id}` is a delete marker")]
    DeleteMarker {
        /// Name as asked for.
        object_key: String,
        /// The marker's id.
        version_id: VersionId,
        /// When it was made, Unix time in milliseconds.
        last_modified_ms: u64,
        /// Whether the request named this version.
        named: bool,
    },
    /// The object is archived, and not restored.
    #[error("the operation is not valid for the storage class of the object")]
    Archived {
        /// Its class.
        class: StorageClass,
        /// Whether it was to be copied.
        copy_source: bool,
    },
    /// Only archived objects are restored.
    #[error("the object is not archived")]
    RestoreNotAllowed,
    /// A restore is on its way, and not slower than the one asked for.
    #[error("object restore is already in progress")]
    RestoreInProgress,
    /// The class of the object does not have that tier.
    #[error("the storage class of the object does not have the tier {tier:?}")]
    RestoreTierUnsupported {
        /// As asked for.
        tier: RestoreTier,
    },
    /// The bucket has no lifecycle rules.
    #[error("the bucket has no lifecycle configuration: `{bucket}`")]
    NoLifecycle {
        /// Name as asked for.
        bucket: String,
    },
    /// A lifecycle configuration that S3 does not take.
    #[error(transparent)]
    InvalidLifecycle(#[from] LifecycleFault),
    /// The object name is longer than 1,024 bytes.
    #[error("the object key is longer than 1024 bytes")]
    KeyTooLong {
        /// Length in bytes.
        size_bytes: usize,
    },
    /// The object name holds a byte that no name may hold (NUL), or is empty.
    #[error("the object key is not valid")]
    InvalidObjectName,
    /// No upload of that id for that object.
    #[error("the specified multipart upload does not exist: `{upload_id}`")]
    NoSuchUpload {
        /// Id as asked for.
        upload_id: String,
    },
    /// `authorize` said no.
    #[error("{0}")]
    AccessDenied(AccessDenied),

    // ---- the caller: conditions, ranges, parts ----
    /// A condition of the request does not hold (412).
    #[error("precondition `{condition}` does not hold")]
    PreconditionFailed {
        /// Header-like name of the condition: `If-Match`, `If-None-Match`, `If-Unmodified-Since`,
        /// or one of the copy-source forms.
        condition: &'static str,
    },
    /// The object was not modified (304).
    #[error("not modified")]
    NotModified {
        /// The object's ETag, without quotes.
        etag: String,
        /// Last modification, Unix time in milliseconds.
        last_modified_ms: u64,
    },
    /// Another writer won while a conditional write was under way (409).
    #[error("a conflicting conditional operation is in progress")]
    ConditionalConflict,
    /// Others changed the same place again and again: nothing was changed (503).
    #[error("too many requests change the same thing; nothing was changed")]
    TooManyWriters,
    /// The range lies outside the object (416).
    #[error("the requested range is not satisfiable")]
    InvalidRange {
        /// Size of the object, plaintext bytes.
        actual_size: u64,
        /// The range as asked for.
        requested: String,
    },
    /// The copy-source range lies outside the source.
    #[error("range `{requested}` is not valid for a source of {actual_size} bytes")]
    InvalidCopySourceRange {
        /// Size of the source, plaintext bytes.
        actual_size: u64,
        /// The range as asked for.
        requested: String,
    },
    /// The object has no such part (416).
    #[error("the requested partnumber is not satisfiable")]
    InvalidPartNumber {
        /// Parts of the object.
        actual_count: u32,
        /// Part asked for.
        requested: u32,
    },
    /// A part named by Complete is missing, or its ETag or checksum differs.
    #[error("part {part_number} could not be found or differs from what was uploaded")]
    InvalidPart {
        /// Part number as asked for.
        part_number: u32,
        /// ETag as asked for.
        etag: String,
        /// The upload.
        upload_id: String,
    },
    /// The parts of Complete are not in ascending order.
    #[error("the list of parts was not in ascending order")]
    InvalidPartOrder {
        /// The upload.
        upload_id: String,
    },
    /// Complete names no part, or more than 10,000.
    #[error("the list of parts is empty or too long")]
    InvalidPartList,
    /// A part other than the last is smaller than 5 MiB.
    #[error("part {part_number} is smaller than the minimum allowed size")]
    EntityTooSmall {
        /// The part.
        part_number: u32,
        /// Its size, plaintext bytes.
        proposed_size: u64,
        /// The minimum, bytes.
        min_size: u64,
        /// Its ETag.
        etag: String,
    },
    /// The body or the object is larger than S3 allows.
    #[error("the upload exceeds the maximum allowed size")]
    EntityTooLarge {
        /// Size, bytes.
        proposed_size: u64,
        /// The maximum, bytes.
        max_size: u64,
    },
    /// What is to be copied with one request is larger than S3 allows.
    #[error("the source of the copy is larger than {max_size} bytes")]
    CopySourceTooLarge {
        /// The maximum, bytes.
        max_size: u64,
    },
    /// `x-amz-mp-object-size` differs from the sum of the parts.
    #[error("the parts hold {actual} bytes, the request says {expected}")]
    MultipartSizeMismatch {
        /// Sum of the parts, bytes.
        actual: u64,
        /// As asked for, bytes.
        expected: u64,
    },
    /// The source of a copy was named by version id, and is a delete marker.
    #[error("the source of the copy is a delete marker")]
    CopySourceIsDeleteMarker,
    /// A copy onto itself that changes nothing.
    #[error("the copy would change nothing")]
    CopyOntoItself,

    // ---- the caller: bodies and checksums ----
    /// The body failed: framing, signature, time-out.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body ended early or went on too long.
    #[error("the body is not of the announced length")]
    IncompleteBody,
    /// Content-MD5 differs from the body's.
    #[error("the Content-MD5 you specified did not match what we received")]
    BadDigest {
        /// As announced.
        expected: [u8; 16],
        /// As computed.
        calculated: [u8; 16],
    },
    /// An `x-amz-checksum-*` value differs from the body's.
    #[error("the {algorithm:?} you specified did not match the calculated checksum")]
    ChecksumMismatch {
        /// Which.
        algorithm: ChecksumAlgorithm,
    },
    /// The part's checksum algorithm is not the upload's.
    #[error("checksum type mismatch: expected {expected:?}, actual {actual:?}")]
    ChecksumAlgorithmMismatch {
        /// The upload's, `None` when it has none.
        expected: Option<ChecksumAlgorithm>,
        /// The request's.
        actual: Option<ChecksumAlgorithm>,
    },
    /// The algorithm does not offer that checksum type.
    #[error("checksum type {checksum_type:?} cannot be used with {algorithm:?}")]
    ChecksumTypeUnsupported {
        /// Which algorithm.
        algorithm: ChecksumAlgorithm,
        /// Which type.
        checksum_type: ChecksumType,
    },
    /// A checksum of a whole object that says of how many parts it is.
    #[error("the checksum of a whole object has a number of parts")]
    ChecksumOfParts {
        /// Its algorithm.
        algorithm: ChecksumAlgorithm,
    },
    /// Complete names another checksum type than Create.
    #[error("the upload was created with checksum type {expected:?}")]
    ChecksumTypeMismatch {
        /// The upload's.
        expected: ChecksumType,
    },
    /// A COMPOSITE upload needs the checksum of each part in Complete.
    #[error("the complete request must include the checksum for part {part_number}")]
    ChecksumMissingForPart {
        /// The first part without one.
        part_number: u32,
        /// The upload's algorithm.
        algorithm: ChecksumAlgorithm,
    },

    // ---- the caller: encryption ----
    /// Known, and not there yet.
    #[error("{what} is not implemented")]
    NotImplemented {
        /// What is missing.
        what: &'static str,
    },
    /// The object is sealed with a customer key and none was sent.
    #[error("the object was stored using a form of server side encryption")]
    CustomerKeyRequired,
    /// A customer key was sent for an object that has none.
    #[error("the encryption parameters are not applicable to this object")]
    CustomerKeyNotApplicable,
    /// The bucket refuses uploads under customer keys (403).
    #[error("the bucket blocks uploads under customer keys")]
    CustomerKeysBlocked {
        /// ARN of who asked.
        principal: String,
        /// ARN of the object.
        resource: String,
    },
    /// Another customer key than the one that sealed the object (403).
    #[error("the customer key is not the correct one")]
    CustomerKeyWrong,
    /// An upload under a customer key is to be completed without it (never so in S3).
    #[error("the upload can only be completed with its customer key")]
    CustomerKeyNeededToComplete,
    /// The bucket was given no encryption rule (never so in S3, where every bucket has one).
    #[error("the bucket was given no encryption rule: `{bucket}`")]
    NoBucketEncryption {
        /// Name as asked for.
        bucket: String,
    },
    /// A part lacks the upload's customer key, or carries one that the upload lacks.
    #[error("the multipart upload was initiated with other encryption parameters")]
    MultipartEncryptionMissing,
    /// A part carries another customer key than the upload.
    #[error("the encryption parameters did not match the ones used originally")]
    MultipartEncryptionMismatch,
    /// Objects under KMS keys and customer keys need TLS.
    #[error("requests for objects under KMS keys must be made over a secure connection")]
    KmsNeedsSecureTransport {
        /// Whether it is under two layers (DSSE-KMS).
        two_layers: bool,
    },
    /// The encryption of a stored object can only be changed from SSE-S3 or SSE-KMS.
    #[error("the encryption of an object under {mode} cannot be changed")]
    EncryptionNotChangeable {
        /// Name of the object's mode.
        mode: &'static str,
    },
    /// Not the ARN of a KMS key.
    #[error("not the ARN of a KMS key")]
    InvalidKmsKeyArn,
    /// The KMS key belongs to another account than the bucket.
    #[error("the KMS key belongs to another account than the bucket")]
    KmsKeyOfAnotherAccount,
    /// The encryption context holds a pair that only the service may set.
    #[error("the encryption context is not valid: {reason}")]
    InvalidEncryptionContext {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key service refused.
    #[error(transparent)]
    Kms(#[from] strongroom_kms::Error),

    // ---- storage and us ----
    /// A stored record is not what was written: `what` names it, nothing wrong was served.
    #[error("stored data is damaged: {what}")]
    Corrupted {
        /// Which record, without secrets.
        what: String,
    },
    /// The drive failed while the change was being committed: it may or may not have happened.
    #[error("the outcome of the commit is unknown")]
    CommitUnknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] strongroom_store::Error),
    /// The audit trail could not be written; the operation was not carried out.
    #[error(transparent)]
    Audit(#[from] strongroom_audit::Error),
    /// A broken promise of our own.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl From<strongroom_store::CommitError> for Error {
    fn from(error: strongroom_store::CommitError) -> Self {
        match error {
            strongroom_store::CommitError::Precondition { .. } => Self::ConditionalConflict,
            strongroom_store::CommitError::Unknown => Self::CommitUnknown,
            strongroom_store::CommitError::Store(error) => Self::Store(error),
        }
    }
}
