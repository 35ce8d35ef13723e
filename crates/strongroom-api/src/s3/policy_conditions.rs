// SPDX-License-Identifier: Apache-2.0
//! What a request says for the conditions of policies on S3: `s3:..` keys, each from one place.
//!
//! A name is never made from what a client sent; only values are. A header counts where the
//! operation does something with it: what it ignores would let a client say what is not so. What a
//! request says of its write counts for no decision about what it reads.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_audit::RequestFacts;
use strongroom_iam::{AuthMethod, Conditions};

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
) -> Conditions {
    let mut always = vec![
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
        always.push(("s3:signatureAge", signature.age_ms.to_string()));
    }
    let tls = facts.tls.as_ref();
    if let Some(version) = tls.and_then(|tls| tls.version.strip_prefix("TLSv")) {
        always.push(("s3:TlsVersion", version.to_owned()));
    }
    if let Some(id) = query.get("versionId") {
        always.push(("s3:VersionId", id.to_owned()));
    }
    let of_header = |key: &'static str, name: &HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok())?;
        Some((key, value.to_owned()))
    };
    // One that is not text is there all the same.
    let referer = headers.get(header::REFERER).map(HeaderValue::as_bytes);
    always.extend(referer.map(|url| ("aws:Referer", String::from_utf8_lossy(url).into_owned())));
    always.extend(of_header(
        "s3:x-amz-content-sha256",
        &HeaderName::from_static("x-amz-content-sha256"),
    ));
    let mut of_writes = Vec::new();
    let customer_key = of_header(
        "s3:x-amz-server-side-encryption-customer-algorithm",
        &names::SSE_C_ALGORITHM,
    );
    if reads_with_customer_key(operation) {
        always.extend(customer_key);
    } else if writes_with_customer_key(operation) {
        of_writes.extend(customer_key);
    }
    if let Some(creates) = creates_object(operation) {
        of_writes.push(("s3:ObjectCreationOperation", creates.to_string()));
    }
    if may_depend(operation) {
        let tag = of_header("s3:if-match", &header::IF_MATCH);
        of_writes.extend(tag.map(|(key, tag)| (key, quoted(tag))));
        of_writes.extend(of_header("s3:if-none-match", &header::IF_NONE_MATCH));
    }
    if operation == Operation::CreateBucket {
        of_writes.extend(of_header("s3:x-amz-acl", &names::ACL));
        of_writes.extend(of_header(
            "s3:x-amz-object-ownership",
            &names::OBJECT_OWNERSHIP,
        ));
    }
    if operation == Operation::CopyObject {
        let (key, name) = ("s3:x-amz-metadata-directive", names::METADATA_DIRECTIVE);
        of_writes.extend(of_header(key, &name));
    }
    if matches!(operation, Operation::CopyObject | Operation::UploadPartCopy)
        && let Some(source) = headers.get(&names::COPY_SOURCE)
    {
        of_writes.push(("s3:x-amz-copy-source", copied(source)));
    }
    if decides_on_storage(operation) {
        of_writes.extend(of_header("s3:x-amz-acl", &names::ACL));
        of_writes.extend(of_header("s3:x-amz-server-side-encryption", &names::SSE));
        of_writes.extend(of_header("s3:x-amz-storage-class", &names::STORAGE_CLASS));
        // An empty one is none: the key is the account's.
        let key = "s3:x-amz-server-side-encryption-aws-kms-key-id";
        let id = of_header(key, &names::SSE_KMS_KEY_ID).filter(|(_, id)| !id.is_empty());
        of_writes.extend(id.map(|(key, id)| (key, place.arn(&id))));
    }
    Conditions { always, of_writes }
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

/// `s3:ObjectCreationOperation`: whether what `s3:PutObject` is asked for makes an object, which may
/// depend on what is there, or a piece of an upload, which may not.
fn creates_object(operation: Operation) -> Option<bool> {
    match operation {
        Operation::PutObject
        | Operation::PostObject
        | Operation::CopyObject
        | Operation::CompleteMultipartUpload => Some(true),
        Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy => {
            Some(false)
        }
        _ => None,
    }
}

/// Whether a write or delete looks at `If-Match` and `If-None-Match`.
fn may_depend(operation: Operation) -> bool {
    creates_object(operation) == Some(true) || operation == Operation::DeleteObject
}

/// Whether the operation reads with a customer key.
fn reads_with_customer_key(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ListParts
            | Operation::GetObject
            | Operation::HeadObject
            | Operation::GetObjectAttributes
    )
}

/// Whether the operation writes with a customer key; that of a copy source is another.
fn writes_with_customer_key(operation: Operation) -> bool {
    creates_object(operation).is_some()
}

/// An entity tag as answers have it: clients leave its quotes out.
fn quoted(tag: String) -> String {
    match tag.trim() {
        bare if !bare.is_empty() && bare != "*" && !bare.contains(['"', ',']) => {
            format!("\"{bare}\"")
        }
        _ => tag,
    }
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
