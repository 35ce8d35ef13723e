// SPDX-License-Identifier: Apache-2.0
//! The conductor: buckets, objects, multipart uploads, and which encryption each of them gets.
//!
//! Every operation of S3 that Strongroom offers is one file here with one function that reads
//! from top to bottom; each line enters one lower crate and comes back with a value:
//!
//! ```text
//!  put_object:  bucket record -> authorize -> encryption::begin (key service) -> Sealer
//!               -> pipeline::write (blob or inline) -> record wrapped over BIND -> commit
//!  get_object:  version record -> authorize -> encryption::open (key service) -> Opener
//!               -> pipeline::read (verified segments only) -> bytes
//! ```
//!
//! Bytes reach a drive only through [`pipeline::write`], which cannot be called without a
//! sealer; rows reach it only through the store's injected at-rest sealer. Nothing here knows a
//! header name.

mod authorize;
mod bucket;
mod compat;
mod conditions;
mod copy_object;
mod delete_object;
mod digest;
mod encryption;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod get_object;
mod get_object_attributes;
mod inspect;
mod kms_impact;
mod lifecycle;
mod list_object_versions;
mod list_objects;
mod manifest;
mod model;
mod multipart;
mod note;
mod objects;
mod part_store;
pub mod pipeline;
mod put_object;
mod rebuild;
mod restore;
mod restore_object;
mod rewrap;
mod rewrap_bucket;
mod rows;
mod shared_body;
mod storage_class;
mod table_key;
mod transcribed_body;
mod turns;
mod update_object_encryption;
mod verify;
mod verify_store;
mod version;
mod version_id;

pub use authorize::{Action, Permit};
pub use bucket::PutBucketEncryption;
pub use compat::Compat;
pub use copy_object::{CopyObject, CopyObjectOutput, CopySource, PropertiesDirective};
pub use delete_object::{DeleteObject, DeleteObjectOutput};
pub use digest::{Digests, WantedDigests};
pub use error::{BodyError, Error};
pub use get_object::{GetObject, GetObjectOutput};
pub use get_object_attributes::{
    GetObjectAttributes, GetObjectAttributesOutput, ObjectPart, ObjectParts, PartsPage,
};
pub use inspect::{InspectedPart, Inspection};
pub use kms_impact::KmsImpact;
pub use lifecycle::{
    Expiration, LifecycleConfiguration, LifecycleFault, LifecycleFilter, LifecycleReport,
    LifecycleRule, LifecycleWorker, NoncurrentExpiration, NoncurrentTransition, ObjectExpiry,
    Transition, TransitionMinimum, When,
};
pub use list_object_versions::{ListObjectVersions, ListObjectVersionsOutput, ListedVersion};
pub use list_objects::{ListObjects, ListObjectsOutput};
pub use model::{
    Body, BodyLength, BodySource, BucketEncryption, BucketInfo, BucketName, BucketVersioning,
    ByteRange, Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumType, CustomerKey,
    DefaultAlgorithm, Encryption, EncryptionRequest, ListedObject, OBJECT_BYTES_MAX, ObjectHead,
    ObjectName, PART_BYTES_MIN, PART_NUMBER_MAX, PUT_BYTES_MAX, Properties, ReadConditions, Scope,
    Served, WriteConditions,
};
pub use multipart::{
    CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, CreateMultipartUploadOutput,
    ListMultipartUploads, ListMultipartUploadsOutput, ListParts, ListPartsOutput, ListedPart,
    ListedUpload, UploadPart, UploadPartCopy, UploadPartOutput,
};
pub use objects::{Objects, ObjectsOptions};
pub use pipeline::read::ObjectBody;
pub use put_object::{PutObject, PutObjectOutput};
pub use rebuild::{
    PossibleReturn, RebuildPlan, RebuildReport, Rebuilder, RebuiltUpload, SkippedBlob,
};
pub use restore::{DAY_MS, RestoreDelays, RestoreStatus, RestoreTier};
pub use restore_object::{RestoreObject, RestoreStarted};
pub use rewrap_bucket::{RewrapBucket, RewrapBucketReport};
pub use storage_class::StorageClass;
pub use update_object_encryption::{KmsKeyArn, UpdateObjectEncryption};
pub use verify::{Findings, TellProgress, VerifyProgress, VerifyReport, VerifyStage};
pub use version_id::VersionId;
