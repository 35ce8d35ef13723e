// SPDX-License-Identifier: Apache-2.0
//! From the conductor's errors to S3's: one match without a catch-all, so that a new inner error
//! does not compile until somebody decided what the client reads.

use http::{HeaderValue, header};
use strongroom_kms::Error as KmsError;
use strongroom_object::{
    ChecksumAlgorithm, Error as ObjectError, LifecycleFault, StorageClass, VersionId,
};

use super::{checksum_headers, names};
use crate::error::{S3Code, S3Error};
use crate::timestamp::http_date;
use crate::xml::Malformed;

impl From<ObjectError> for S3Error {
    #[expect(
        clippy::too_many_lines,
        reason = "one match over all errors, without a catch-all"
    )]
    fn from(error: ObjectError) -> Self {
        use ObjectError as E;
        let code = S3Error::from_code;
        match error {
            E::NoSuchBucket { bucket } => code(S3Code::NoSuchBucket).with("BucketName", bucket),
            E::InvalidBucketName { bucket } => {
                code(S3Code::InvalidBucketName).with("BucketName", bucket)
            }
            E::BucketAlreadyOwnedByYou { bucket } => {
                code(S3Code::BucketAlreadyOwnedByYou).with("BucketName", bucket)
            }
            E::BucketNotEmpty { bucket } => code(S3Code::BucketNotEmpty).with("BucketName", bucket),
            E::TooManyBuckets => code(S3Code::TooManyBuckets),
            E::NoSuchKey { object_key } => code(S3Code::NoSuchKey).with("Key", object_key),
            E::NoSuchVersion {
                object_key,
                version_id,
            } => code(S3Code::NoSuchVersion)
                .with("Key", object_key)
                .with("VersionId", version_id.to_string()),
            E::DeleteMarker {
                object_key,
                version_id,
                last_modified_ms,
                named,
            } => delete_marker(object_key, version_id, last_modified_ms, named),
            E::CopySourceIsDeleteMarker => S3Error::invalid_request(
                "The source of a copy request may not specifically refer to a delete marker by version id.",
            ),
            E::Archived { class, copy_source } => archived(class, copy_source),
            E::RestoreNotAllowed => S3Error::new(
                S3Code::InvalidObjectState,
                "Restore is not allowed for the object's current storage class",
            ),
            E::RestoreInProgress => code(S3Code::RestoreAlreadyInProgress),
            E::RestoreTierUnsupported { tier } => S3Error::invalid_argument(
                "Retrieval option is not supported by this storage class",
                "Tier",
                tier.name(),
            ),
            E::NoLifecycle { bucket } => {
                code(S3Code::NoSuchLifecycleConfiguration).with("BucketName", bucket)
            }
            E::InvalidLifecycle(fault) => invalid_lifecycle(fault),
            E::KeyTooLong { size_bytes } => code(S3Code::KeyTooLong)
                .with("Size", size_bytes.to_string())
                .with("MaxSizeAllowed", "1024"),
            E::InvalidObjectName => {
                S3Error::invalid_argument("The object key is not valid.", "Key", "")
            }
            E::NoSuchUpload { upload_id } => code(S3Code::NoSuchUpload).with("UploadId", upload_id),
            E::AccessDenied(denied) => S3Error::new(
                S3Code::AccessDenied,
                format!(
                    "User: {} is not authorized to perform: {} on resource: \"{}\" {}",
                    denied.principal,
                    denied.action,
                    denied.resource,
                    denied.why()
                ),
            ),
            E::PreconditionFailed { condition } => {
                code(S3Code::PreconditionFailed).with("Condition", condition)
            }
            E::NotModified {
                etag,
                last_modified_ms,
            } => not_modified(&etag, last_modified_ms),
            E::ConditionalConflict => code(S3Code::ConditionalRequestConflict),
            E::TooManyWriters => code(S3Code::SlowDown)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            E::InvalidRange {
                actual_size,
                requested,
            } => {
                let error = code(S3Code::InvalidRange)
                    .with("ActualObjectSize", actual_size.to_string())
                    .with("RangeRequested", requested);
                match HeaderValue::try_from(format!("bytes */{actual_size}")) {
                    Ok(value) => error.with_header(header::CONTENT_RANGE, value),
                    Err(_) => error,
                }
            }
            E::InvalidCopySourceRange {
                actual_size,
                requested,
            } => S3Error::invalid_argument(
                format!("Range specified is not valid for source object of size: {actual_size}"),
                "x-amz-copy-source-range",
                requested,
            ),
            E::InvalidPartNumber {
                actual_count,
                requested,
            } => code(S3Code::InvalidPartNumber)
                .with("ActualPartCount", actual_count.to_string())
                .with("PartNumberRequested", requested.to_string()),
            E::InvalidPart {
                part_number,
                etag,
                upload_id,
            } => code(S3Code::InvalidPart)
                .with("UploadId", upload_id)
                .with("PartNumber", part_number.to_string())
                .with("ETag", etag),
            E::InvalidPartOrder { upload_id } => {
                code(S3Code::InvalidPartOrder).with("UploadId", upload_id)
            }
            E::InvalidPartList => code(S3Code::MalformedXml),
            E::EntityTooSmall {
                part_number,
                proposed_size,
                min_size,
                etag,
            } => code(S3Code::EntityTooSmall)
                .with("ProposedSize", proposed_size.to_string())
                .with("MinSizeAllowed", min_size.to_string())
                .with("PartNumber", part_number.to_string())
                .with("ETag", etag),
            E::EntityTooLarge {
                proposed_size,
                max_size,
            } => entity_too_large(proposed_size, max_size),
            E::CopySourceTooLarge { max_size } => S3Error::invalid_request(format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: {max_size}"
            )),
            E::MultipartSizeMismatch { actual, expected } => S3Error::invalid_request(format!(
                "The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {actual}"
            )),
            E::CopyOntoItself => S3Error::invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
            ),
            E::Body(body) => match body.0.downcast::<S3Error>() {
                Ok(error) => *error,
                Err(other) => S3Error::internal(other),
            },
            E::IncompleteBody => code(S3Code::IncompleteBody),
            E::BadDigest {
                expected,
                calculated,
            } => checksum_headers::bad_digest(&expected, &calculated),
            E::ChecksumMismatch { algorithm } => checksum_headers::mismatch(algorithm),
            E::ChecksumAlgorithmMismatch { expected, actual } => S3Error::invalid_request(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                type_word(expected),
                type_word(actual)
            )),
            E::ChecksumTypeUnsupported {
                algorithm,
                checksum_type,
            } => S3Error::invalid_request(format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                checksum_headers::type_name(checksum_type),
                checksum_headers::lower_name(algorithm)
            )),
            E::ChecksumOfParts { algorithm } => checksum_headers::invalid_value(algorithm),
            E::ChecksumTypeMismatch { expected } => S3Error::invalid_request(format!(
                "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
                checksum_headers::type_name(expected)
            )),
            E::ChecksumMissingForPart {
                part_number,
                algorithm,
            } => S3Error::invalid_request(format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {part_number} in the request.",
                checksum_headers::lower_name(algorithm)
            )),
            E::NotImplemented { what } => S3Error::new(
                S3Code::NotImplemented,
                format!(
                    "A header you provided implies functionality that is not implemented: {what}."
                ),
            ),
            E::CustomerKeyRequired => S3Error::invalid_request(
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
            ),
            E::CustomerKeyNotApplicable => S3Error::invalid_request(
                "The encryption parameters are not applicable to this object.",
            ),
            E::CustomerKeyWrong => code(S3Code::CustomerKeyWrong),
            E::CustomerKeyNeededToComplete => S3Error::invalid_argument(
                "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.",
                names::SSE.as_str(),
                "null",
            ),
            E::NoBucketEncryption { bucket } => {
                code(S3Code::ServerSideEncryptionConfigurationNotFound).with("BucketName", bucket)
            }
            E::CustomerKeysBlocked {
                principal,
                resource,
            } => S3Error::new(
                S3Code::AccessDenied,
                format!(
                    "User: {principal} is not authorized to perform: s3:PutObject on resource: \"{resource}\" because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type"
                ),
            ),
            E::MultipartEncryptionMissing => S3Error::invalid_request(
                "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.",
            ),
            E::MultipartEncryptionMismatch => S3Error::invalid_request(
                "The provided encryption parameters did not match the ones used originally.",
            ),
            E::KmsNeedsSecureTransport { two_layers } => S3Error::invalid_argument(
                "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure connection.",
                names::SSE.as_str(),
                if two_layers {
                    "aws:kms:dsse"
                } else {
                    "aws:kms"
                },
            ),
            E::EncryptionNotChangeable { .. } => S3Error::invalid_request(
                "The UpdateObjectEncryption operation doesn't support source objects with the encryption type DSSE-KMS or SSE-C. Only source objects encrypted with SSE-S3 or SSE-KMS are supported.",
            ),
            E::InvalidKmsKeyArn => S3Error::invalid_request(
                "Requests that modify an object's encryption type to SSE-KMS require a valid Amazon Web Services KMS key Amazon Resource Name (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and then try again.",
            ),
            E::KmsKeyOfAnotherAccount => S3Error::new(
                S3Code::AccessDenied,
                "The Amazon Web Services KMS key in the request must be owned by the same account as the bucket. Modify the request to specify a KMS key from the same account, and then try again.",
            ),
            E::InvalidEncryptionContext { reason } => S3Error::invalid_argument(
                format!("The encryption context is not valid: {reason}."),
                names::SSE_CONTEXT.as_str(),
                "",
            ),
            E::Kms(error) => kms_error(&error),
            E::Corrupted { what } => S3Error::internal(format!("stored data is damaged: {what}")),
            E::CommitUnknown => S3Error::internal("the outcome of a commit is unknown"),
            E::Store(error) => {
                if error.is_corruption() {
                    S3Error::internal(error)
                } else {
                    S3Error::unavailable(error)
                }
            }
            E::Audit(error) => S3Error::unavailable(error),
            E::Internal(what) => S3Error::internal(what),
        }
    }
}

/// 400 EntityTooLarge.
pub(crate) fn entity_too_large(proposed_size: u64, max_size: u64) -> S3Error {
    S3Error::from_code(S3Code::EntityTooLarge)
        .with("ProposedSize", proposed_size.to_string())
        .with("MaxSizeAllowed", max_size.to_string())
}

fn invalid_lifecycle(fault: LifecycleFault) -> S3Error {
    match fault {
        LifecycleFault::Malformed(what) => Malformed(what).into(),
        LifecycleFault::Argument(message) => S3Error::new(S3Code::InvalidArgument, message),
        LifecycleFault::Request(message) => S3Error::invalid_request(message),
    }
}

/// An archived object is there, and cannot be read before it is restored.
fn archived(class: StorageClass, copy_source: bool) -> S3Error {
    let message = if copy_source {
        "Operation is not valid for the source object's storage class"
    } else {
        S3Code::InvalidObjectState.default_message()
    };
    S3Error::new(S3Code::InvalidObjectState, message).with("StorageClass", class.name())
}

fn not_modified(etag: &str, last_modified_ms: u64) -> S3Error {
    let mut error = S3Error::from_code(S3Code::NotModified);
    if let Ok(value) = HeaderValue::try_from(format!("\"{etag}\"")) {
        error = error.with_header(header::ETAG, value);
    }
    if let Ok(value) = HeaderValue::try_from(http_date(last_modified_ms)) {
        error = error.with_header(header::LAST_MODIFIED, value);
    }
    error
}

/// The newest entry of a name is a delete marker: nothing is there. Read by its id, it is there
/// and cannot be read.
fn delete_marker(object_key: String, id: VersionId, last_modified_ms: u64, named: bool) -> S3Error {
    let mut error = if named {
        S3Error::from_code(S3Code::MethodNotAllowed).with("ResourceType", "DeleteMarker")
    } else {
        S3Error::from_code(S3Code::NoSuchKey).with("Key", object_key)
    };
    error = error.with_header(names::DELETE_MARKER, HeaderValue::from_static("true"));
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        error = error.with_header(names::VERSION_ID, value);
    }
    if !named {
        return error;
    }
    if let Ok(value) = HeaderValue::try_from(http_date(last_modified_ms)) {
        error = error.with_header(header::LAST_MODIFIED, value);
    }
    error.with_header(header::ALLOW, HeaderValue::from_static("DELETE"))
}

fn type_word(algorithm: Option<ChecksumAlgorithm>) -> &'static str {
    algorithm.map_or("null", checksum_headers::lower_name)
}

/// The key service's refusals as S3 words them: its code behind `KMS.`, its message unchanged.
fn kms_error(error: &KmsError) -> S3Error {
    let says = |code| S3Error::new(code, error.to_string());
    match error {
        KmsError::NotFound(_) | KmsError::InvalidArn(_) | KmsError::Validation(_) => {
            says(S3Code::KmsNotFound)
        }
        KmsError::Disabled { .. } => says(S3Code::KmsDisabled),
        KmsError::InvalidState(_) => says(S3Code::KmsInvalidState),
        KmsError::InvalidKeyUsage(_) | KmsError::UnsupportedOperation(_) => {
            says(S3Code::KmsInvalidKeyUsage)
        }
        KmsError::AccessDenied(denied) => match denied.action {
            // A reader is not told which key it was.
            "kms:Decrypt" => S3Error::new(
                S3Code::AccessDenied,
                "The ciphertext refers to a customer master key that does not exist, does not \
                 exist in this region, or you are not allowed to access.",
            ),
            _ => says(S3Code::AccessDenied),
        },
        KmsError::LimitExceeded(_) => S3Error::new(
            S3Code::SlowDown,
            "Please reduce your request rate for operations involving AWS KMS.",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")),
        // A wrapped key of ours that does not open is damage, not the client's doing.
        KmsError::InvalidCiphertext
        | KmsError::IncorrectKey
        | KmsError::AlreadyExists(_)
        | KmsError::InvalidAliasName(_)
        | KmsError::InvalidMarker
        | KmsError::Tag(_)
        | KmsError::MalformedPolicyDocument(_)
        | KmsError::InvalidGrantToken
        | KmsError::InvalidGrantId(_)
        | KmsError::InvalidSignature
        | KmsError::InvalidMac
        | KmsError::Conflict(_)
        | KmsError::IncorrectKeyMaterial(_)
        | KmsError::InvalidImportToken(_)
        | KmsError::ExpiredImportToken(_)
        | KmsError::DryRun => S3Error::internal(format!("{}: {error}", error.code())),
        // The key service failed for its own reasons: the object is as it was, and may be read
        // when they are gone.
        KmsError::Corrupted { .. } | KmsError::Timeout | KmsError::Internal(_) => {
            S3Error::unavailable(error)
        }
        KmsError::Store(inner) => S3Error::unavailable(inner),
        KmsError::Audit(inner) => S3Error::unavailable(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after() -> Vec<(header::HeaderName, HeaderValue)> {
        vec![(header::RETRY_AFTER, HeaderValue::from_static("1"))]
    }

    #[test]
    fn failing_key_service_is_told_as_unavailable_and_never_why() {
        for error in [
            KmsError::Corrupted {
                what: "PLANTED".to_owned(),
            },
            KmsError::Internal("PLANTED"),
            KmsError::Timeout,
        ] {
            let told = S3Error::from(ObjectError::Kms(error));
            assert_eq!(told.code, S3Code::ServiceUnavailable);
            assert_eq!(told.headers, retry_after());
            assert!(!told.message.contains("PLANTED"));
        }
    }

    #[test]
    fn throttling_key_service_is_told_as_slow_down() {
        let error = KmsError::LimitExceeded("quota".to_owned());
        let told = S3Error::from(ObjectError::Kms(error));
        assert_eq!(told.code, S3Code::SlowDown);
        assert_eq!(told.headers, retry_after());
        let words = "Please reduce your request rate for operations involving AWS KMS.";
        assert_eq!(told.message, words);
    }

    #[test]
    fn refusals_and_damage_are_not_told_as_unavailable() {
        let disabled = KmsError::Disabled {
            arn: "arn".to_owned(),
        };
        for (error, code) in [
            (disabled, S3Code::KmsDisabled),
            (KmsError::NotFound(String::new()), S3Code::KmsNotFound),
            (
                KmsError::InvalidState(String::new()),
                S3Code::KmsInvalidState,
            ),
            (KmsError::InvalidCiphertext, S3Code::InternalError),
        ] {
            assert_eq!(S3Error::from(ObjectError::Kms(error)).code, code);
        }
    }
}
