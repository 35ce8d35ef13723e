// SPDX-License-Identifier: Apache-2.0
//! The header names of S3 that more than one file reads or writes.

use http::HeaderName;

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = $text] pub(crate) const $name: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    SSE = "x-amz-server-side-encryption";
    SSE_KMS_KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id";
    SSE_CONTEXT = "x-amz-server-side-encryption-context";
    SSE_BUCKET_KEY = "x-amz-server-side-encryption-bucket-key-enabled";
    SSE_C_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm";
    SSE_C_KEY = "x-amz-server-side-encryption-customer-key";
    SSE_C_KEY_MD5 = "x-amz-server-side-encryption-customer-key-md5";
    COPY_SSE_C_ALGORITHM = "x-amz-copy-source-server-side-encryption-customer-algorithm";
    COPY_SSE_C_KEY = "x-amz-copy-source-server-side-encryption-customer-key";
    COPY_SSE_C_KEY_MD5 = "x-amz-copy-source-server-side-encryption-customer-key-md5";
    COPY_SOURCE = "x-amz-copy-source";
    COPY_SOURCE_RANGE = "x-amz-copy-source-range";
    COPY_SOURCE_IF_MATCH = "x-amz-copy-source-if-match";
    COPY_SOURCE_IF_NONE_MATCH = "x-amz-copy-source-if-none-match";
    COPY_SOURCE_IF_MODIFIED_SINCE = "x-amz-copy-source-if-modified-since";
    COPY_SOURCE_IF_UNMODIFIED_SINCE = "x-amz-copy-source-if-unmodified-since";
    METADATA_DIRECTIVE = "x-amz-metadata-directive";
    TAGGING_DIRECTIVE = "x-amz-tagging-directive";
    STORAGE_CLASS = "x-amz-storage-class";
    RESTORE = "x-amz-restore";
    EXPIRATION = "x-amz-expiration";
    ABORT_DATE = "x-amz-abort-date";
    ABORT_RULE_ID = "x-amz-abort-rule-id";
    TRANSITION_MINIMUM = "x-amz-transition-default-minimum-object-size";
    OPTIONAL_ATTRIBUTES = "x-amz-optional-object-attributes";
    ACL = "x-amz-acl";
    OBJECT_OWNERSHIP = "x-amz-object-ownership";
    TAGGING = "x-amz-tagging";
    OBJECT_LOCK_MODE = "x-amz-object-lock-mode";
    OBJECT_LOCK_RETAIN_UNTIL = "x-amz-object-lock-retain-until-date";
    OBJECT_LOCK_LEGAL_HOLD = "x-amz-object-lock-legal-hold";
    WRITE_OFFSET = "x-amz-write-offset-bytes";
    MFA = "x-amz-mfa";
    BYPASS_GOVERNANCE = "x-amz-bypass-governance-retention";
    IF_MATCH_LAST_MODIFIED_TIME = "x-amz-if-match-last-modified-time";
    IF_MATCH_SIZE = "x-amz-if-match-size";
    VERSION_ID = "x-amz-version-id";
    COPY_SOURCE_VERSION_ID = "x-amz-copy-source-version-id";
    DELETE_MARKER = "x-amz-delete-marker";
    WEBSITE_REDIRECT = "x-amz-website-redirect-location";
    EXPECTED_BUCKET_OWNER = "x-amz-expected-bucket-owner";
    SOURCE_EXPECTED_BUCKET_OWNER = "x-amz-source-expected-bucket-owner";
    DECODED_CONTENT_LENGTH = "x-amz-decoded-content-length";
    TRAILER = "x-amz-trailer";
    CHECKSUM_ALGORITHM = "x-amz-checksum-algorithm";
    CHECKSUM_MODE = "x-amz-checksum-mode";
    CHECKSUM_TYPE = "x-amz-checksum-type";
    SDK_CHECKSUM_ALGORITHM = "x-amz-sdk-checksum-algorithm";
    CONTENT_MD5 = "content-md5";
    PARTS_COUNT = "x-amz-mp-parts-count";
    REQUEST_ID = "x-amz-request-id";
    HOST_ID = "x-amz-id-2";
    BUCKET_REGION = "x-amz-bucket-region";
}

/// Prefix of user metadata headers.
pub(crate) const USER_METADATA_PREFIX: &str = "x-amz-meta-";
/// Prefix of checksum value headers.
pub(crate) const CHECKSUM_PREFIX: &str = "x-amz-checksum-";
