// SPDX-License-Identifier: Apache-2.0
//! Which headers of a request its audit event holds, and what it says of them.
//!
//! A list for each operation of what it does something with, be it to refuse it. What an operation
//! ignores is not recorded: it would say what is not so, and make events as long as a client likes.
//! A customer key has no way into a list.

use std::borrow::Cow;

use super::Operation;

/// The headers of an operation that hold no secret and decide something.
pub(crate) fn of(operation: Operation) -> impl Iterator<Item = &'static str> {
    let groups: &[&[&str]] = match operation {
        Operation::AbortMultipartUpload
        | Operation::DeleteBucket
        | Operation::DeleteBucketEncryption
        | Operation::DeleteBucketLifecycle
        | Operation::GetBucketEncryption
        | Operation::GetBucketLifecycle
        | Operation::GetBucketLocation
        | Operation::GetBucketVersioning
        | Operation::HeadBucket
        | Operation::ListBuckets
        | Operation::ListMultipartUploads => &[],
        Operation::CompleteMultipartUpload => {
            &[&CONDITIONS, &PART, &CUSTOMER_KEY, &CHECKSUM_TYPE, &BODY]
        }
        Operation::CopyObject => &[
            &NEW_OBJECT,
            &ENCRYPTION,
            &CUSTOMER_KEY,
            &CONDITIONS,
            &BODY,
            &SOURCE,
            &COPY,
        ],
        Operation::CreateBucket => &[&ACL, &BODY],
        Operation::CreateMultipartUpload => &[
            &NEW_OBJECT,
            &ENCRYPTION,
            &CUSTOMER_KEY,
            &CHECKSUM_TYPE,
            &BODY,
        ],
        Operation::DeleteObject => &[&CONDITIONS, &DELETE_CONDITIONS],
        Operation::DeleteObjects
        | Operation::PutBucketEncryption
        | Operation::PutBucketVersioning
        | Operation::RestoreObject => &[&BODY],
        Operation::GetObject | Operation::HeadObject => {
            &[&CONDITIONS, &ENCRYPTION, &CUSTOMER_KEY, &READ]
        }
        Operation::GetObjectAttributes => &[&ENCRYPTION, &CUSTOMER_KEY, &ATTRIBUTES],
        Operation::ListObjectVersions | Operation::ListObjects | Operation::ListObjectsV2 => {
            &[&LISTING]
        }
        Operation::ListParts => &[&CUSTOMER_KEY],
        Operation::PostObject | Operation::PutObject => {
            &[&NEW_OBJECT, &ENCRYPTION, &CUSTOMER_KEY, &CONDITIONS, &BODY]
        }
        Operation::PutBucketLifecycle => &[&LIFECYCLE, &BODY],
        Operation::UpdateObjectEncryption => &[&ENCRYPTION, &CUSTOMER_KEY, &BODY],
        Operation::UploadPart => &[&PART, &CUSTOMER_KEY, &BODY],
        Operation::UploadPartCopy => &[&PART, &CUSTOMER_KEY, &SOURCE, &SOURCE_RANGE],
    };
    let of_every = ["x-amz-expected-bucket-owner"];
    of_every
        .into_iter()
        .chain(groups.iter().flat_map(|names| names.iter().copied()))
}

/// What an event says of a header. An ETag is the MD5 of a plaintext under SSE-S3, with which guesses
/// of it could be tested, and a redirect is stored with the object: of these, only that they were
/// there. So too what is too long for the word or the digest that is meant: a customer key that came
/// in the header beside its own.
pub(crate) fn shown<'v>(name: &str, value: Cow<'v, str>) -> Cow<'v, str> {
    let is_hidden = match name {
        "if-match"
        | "if-none-match"
        | "x-amz-copy-source-if-match"
        | "x-amz-copy-source-if-none-match" => value.trim() != "*",
        "x-amz-website-redirect-location" => true,
        "x-amz-server-side-encryption"
        | "x-amz-server-side-encryption-customer-algorithm"
        | "x-amz-server-side-encryption-customer-key-md5"
        | "x-amz-copy-source-server-side-encryption-customer-algorithm"
        | "x-amz-copy-source-server-side-encryption-customer-key-md5" => {
            value.len() > MD5_BASE64_BYTES
        }
        _ => false,
    };
    if is_hidden {
        Cow::Borrowed(HIDDEN)
    } else {
        value
    }
}

/// No longer than this is any word of encryption, and no way to write a key of 32 bytes is as short.
const MD5_BASE64_BYTES: usize = 24;

/// CloudTrail's words in place of what it hides.
pub(crate) const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

const ACL: [&str; 1] = ["x-amz-acl"];
const ATTRIBUTES: [&str; 3] = [
    "x-amz-max-parts",
    "x-amz-object-attributes",
    "x-amz-part-number-marker",
];
const BODY: [&str; 2] = ["x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm"];
const CHECKSUM_TYPE: [&str; 1] = ["x-amz-checksum-type"];
const CONDITIONS: [&str; 4] = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];
const COPY: [&str; 1] = ["x-amz-metadata-directive"];
const CUSTOMER_KEY: [&str; 2] = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key-md5",
];
const DELETE_CONDITIONS: [&str; 2] = ["x-amz-if-match-last-modified-time", "x-amz-if-match-size"];
const ENCRYPTION: [&str; 4] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-bucket-key-enabled",
];
const LIFECYCLE: [&str; 1] = ["x-amz-transition-default-minimum-object-size"];
const LISTING: [&str; 1] = ["x-amz-optional-object-attributes"];
const NEW_OBJECT: [&str; 6] = [
    "x-amz-acl",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-storage-class",
    "x-amz-tagging-directive",
    "x-amz-website-redirect-location",
];
/// Parts and the end of an upload refuse to be told.
const PART: [&str; 1] = ["x-amz-server-side-encryption"];
const READ: [&str; 2] = ["range", "x-amz-checksum-mode"];
const SOURCE: [&str; 8] = [
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-source-expected-bucket-owner",
];
const SOURCE_RANGE: [&str; 1] = ["x-amz-copy-source-range"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_digest_of_a_plaintext_is_hidden() {
        for name in of(Operation::CopyObject).chain(of(Operation::GetObject)) {
            let hides = shown(name, "e".into()) == HIDDEN;
            assert_eq!(
                hides,
                name.ends_with("-match") || name.ends_with("location"),
                "{name}"
            );
            assert!(
                !name.starts_with("x-amz-checksum-")
                    || name.ends_with("-algorithm")
                    || name.ends_with("-mode")
            );
        }
        assert_eq!(shown("if-none-match", "*".into()), "*");
        let key = "A".repeat(43);
        for name in CUSTOMER_KEY {
            assert_eq!(shown(name, key.as_str().into()), HIDDEN);
            assert_eq!(shown(name, key[..24].into()), key[..24]);
        }
        for name in ["algorithm", "key-md5"] {
            let name = format!("x-amz-copy-source-server-side-encryption-customer-{name}");
            assert_eq!(shown(&name, key.as_str().into()), HIDDEN);
        }
        let name = "x-amz-server-side-encryption";
        assert_eq!(shown(name, key.as_str().into()), HIDDEN);
        assert_eq!(shown(name, "aws:kms:dsse".into()), "aws:kms:dsse");
        assert_eq!(shown("if-match", "*, \"e\"".into()), HIDDEN);
    }
}
