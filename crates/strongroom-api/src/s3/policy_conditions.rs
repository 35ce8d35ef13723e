// SPDX-License-Identifier: Apache-2.0
//! What a request says for the conditions of policies on S3: `s3:..` keys, each from one place.
//!
//! A name is never made from what a client sent; only values are. A header counts where the
//! operation does something with it: what it ignores would let a client say what is not so.

use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_audit::RequestFacts;
use strongroom_iam::AuthMethod;

use super::{Operation, copy_source, names};
use crate::query::Query;

/// How a request was signed, and how many milliseconds ago.
#[derive(Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) method: AuthMethod,
    pub(crate) age_ms: u64,
}

/// The condition keys of a request. What it does not say is absent.
pub(crate) fn of(
    facts: &RequestFacts,
    signature: Signature,
    headers: &HeaderMap,
    query: &Query,
    operation: Operation,
    place: Place<'_>,
) -> Vec<(&'static str, String)> {
    let mut conditions = vec![
        ("s3:signatureversion", "AWS4-HMAC-SHA256".to_owned()),
        (
            "s3:authType",
            match signature.method {
                AuthMethod::Header => "REST-HEADER",
                AuthMethod::Query => "REST-QUERY-STRING",
                AuthMethod::Form => "POST",
            }
            .to_owned(),
        ),
    ];
    // As in S3, of what was signed for somebody else to use later.
    if matches!(signature.method, AuthMethod::Query | AuthMethod::Form) {
        conditions.push(("s3:signatureAge", signature.age_ms.to_string()));
    }
    let tls = facts.tls.as_ref();
    if let Some(version) = tls.and_then(|tls| tls.version.strip_prefix("TLSv")) {
        conditions.push(("s3:TlsVersion", version.to_owned()));
    }
    if let Some(id) = query.get("versionId") {
        conditions.push(("s3:VersionId", id.to_owned()));
    }
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mut show = |key: &'static str, name: HeaderName| {
        if let Some(value) = header(&name) {
            conditions.push((key, value.to_owned()));
        }
    };
    show(
        "s3:x-amz-content-sha256",
        HeaderName::from_static("x-amz-content-sha256"),
    );
    if takes_customer_key(operation) {
        show(
            "s3:x-amz-server-side-encryption-customer-algorithm",
            names::SSE_C_ALGORITHM,
        );
    }
    if operation == Operation::CopyObject {
        show("s3:x-amz-metadata-directive", names::METADATA_DIRECTIVE);
    }
    if matches!(operation, Operation::CopyObject | Operation::UploadPartCopy)
        && let Some(source) = headers.get(&names::COPY_SOURCE)
    {
        conditions.push(("s3:x-amz-copy-source", copied(source)));
    }
    if !decides_on_storage(operation) {
        return conditions;
    }
    let mut show = |key: &'static str, name: HeaderName| {
        if let Some(value) = header(&name) {
            conditions.push((key, value.to_owned()));
        }
    };
    show("s3:x-amz-server-side-encryption", names::SSE);
    show("s3:x-amz-storage-class", names::STORAGE_CLASS);
    // An empty one is none: the key is the account's.
    if let Some(id) = header(&names::SSE_KMS_KEY_ID).filter(|id| !id.is_empty()) {
        conditions.push((
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
            place.arn(id),
        ));
    }
    conditions
}

/// Whether the operation says how an object is sealed and stored. Parts and the end of an upload do
/// not: there policies see what the upload was created with.
fn decides_on_storage(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::PutObject
            | Operation::PostObject
            | Operation::CopyObject
            | Operation::CreateMultipartUpload
    )
}

/// Whether the operation does something with a customer key.
fn takes_customer_key(operation: Operation) -> bool {
    decides_on_storage(operation)
        || matches!(
            operation,
            Operation::UploadPart
                | Operation::UploadPartCopy
                | Operation::CompleteMultipartUpload
                | Operation::ListParts
                | Operation::GetObject
                | Operation::HeadObject
                | Operation::GetObjectAttributes
        )
}

/// What a copy is of, as `BUCKET/KEY`: one spelling, whatever the client's. What cannot be read is
/// shown as it came, and refused later.
fn copied(header: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(header.as_bytes());
    copy_source::parse(&text).map_or_else(
        || text.clone().into_owned(),
        |source| format!("{}/{}", source.bucket, source.object_key),
    )
}

/// Where this server stands: the middle of the ARNs of keys.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) region: &'a str,
    pub(crate) account_id: &'a str,
}

impl Place<'_> {
    /// A key identifier as an ARN: policies compare with those. An alias stays one; an id is in
    /// lower case, since the key service takes both.
    fn arn(self, key_id: &str) -> String {
        if let Some((head, id)) = key_id.split_once(":key/") {
            return format!("{head}:key/{}", id.to_ascii_lowercase());
        }
        if key_id.starts_with("arn:") {
            return key_id.to_owned();
        }
        let Self { region, account_id } = self;
        if key_id.starts_with("alias/") {
            return format!("arn:aws:kms:{region}:{account_id}:{key_id}");
        }
        let id = key_id.to_ascii_lowercase();
        format!("arn:aws:kms:{region}:{account_id}:key/{id}")
    }
}
