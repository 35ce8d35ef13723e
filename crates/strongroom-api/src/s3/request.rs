// SPDX-License-Identifier: Apache-2.0
//! What every S3 handler is given: an authenticated request, parsed but not yet understood.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_object::{Action, Body, BodyLength, Objects, PUT_BYTES_MAX, Scope, VersionId};

use super::form_fields::FormFields;
use super::object_error::entity_too_large;
use super::operation::Asks;
use crate::audit::Said;
use crate::body::{Collected, RequestBody};
use crate::edge::ApiServices;
use crate::error::{S3Code, S3Error};
use crate::query::Query;

/// Longest body of a request that needs none, bytes.
const UNUSED_BODY_BYTES_MAX: usize = 16 * 1024;

/// An authenticated S3 request.
pub(crate) struct S3Request {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The bucket, from host or path; not validated yet.
    pub(crate) bucket: Option<String>,
    /// The object's name, percent-decoded; not validated yet (`ObjectName::parse` does).
    pub(crate) object_key: Option<String>,
    /// The query string.
    pub(crate) query: Query,
    /// All headers; security relevant ones are there at most once.
    pub(crate) headers: HeaderMap,
    /// Whether the request came over TLS.
    pub(crate) secure: bool,
    /// The body until a handler takes it. Nothing is read (and no `100 Continue` is sent) before
    /// it is polled.
    pub(crate) body: Option<RequestBody>,
    /// The fields of an upload form; its headers are those that they became.
    pub(crate) form: Option<FormFields>,
    /// What its document asks for, for the audit event.
    pub(crate) said: Said,
    /// Rooms below.
    pub(crate) services: Arc<ApiServices>,
}

impl S3Request {
    /// The scope every operation of the object crate wants.
    pub(crate) fn scope<'a>(&'a self, receipt: &'a Receipt) -> Scope<'a> {
        Scope {
            caller: &self.caller,
            receipt,
        }
    }

    /// The conductor.
    pub(crate) fn objects(&self) -> &Objects {
        &self.services.objects
    }

    /// The first thing a handler of an object asks: is the bucket there, and may the caller do
    /// this? Only then are the headers looked at, since a refusal of a header tells of nothing
    /// but the request.
    pub(crate) fn admit(&self, receipt: &Receipt, action: Action) -> Result<(), S3Error> {
        let (bucket, object_key) = (self.bucket()?, self.object_key()?);
        self.objects()
            .admit(self.scope(receipt), bucket, object_key, action)?;
        if action == Action::PutObject {
            self.admit_customer_key(receipt)?;
        }
        Ok(())
    }

    /// The same for a request that goes on with an upload: policies see what the upload was created
    /// with.
    pub(crate) fn admit_part(&self, receipt: &Receipt) -> Result<(), S3Error> {
        let (bucket, object_key) = (self.bucket()?, self.object_key()?);
        let upload_id = self.query.get("uploadId").unwrap_or_default();
        self.objects()
            .admit_part(self.scope(receipt), bucket, object_key, upload_id)?;
        self.admit_customer_key(receipt)
    }

    /// A bucket that blocks customer keys says so before anything is made of the key.
    fn admit_customer_key(&self, receipt: &Receipt) -> Result<(), S3Error> {
        if super::encryption_headers::has_customer_key(self) {
            let (bucket, object_key) = (self.bucket()?, self.object_key()?);
            self.objects()
                .admit_customer_key(self.scope(receipt), bucket, object_key)?;
        }
        Ok(())
    }

    /// The bucket's name.
    pub(crate) fn bucket(&self) -> Result<&str, S3Error> {
        self.bucket
            .as_deref()
            .ok_or_else(|| S3Error::from_code(S3Code::InvalidBucketName))
    }

    /// The object's name.
    pub(crate) fn object_key(&self) -> Result<&str, S3Error> {
        self.object_key
            .as_deref()
            .ok_or_else(|| S3Error::from_code(S3Code::MethodNotAllowed))
    }

    /// The value of a header as text. A value that is not visible ASCII or UTF-8 is refused.
    pub(crate) fn header(&self, name: &HeaderName) -> Result<Option<&str>, S3Error> {
        header_text(&self.headers, name)
    }

    /// The value of a header by its lower-case name.
    pub(crate) fn header_named(&self, name: &'static str) -> Result<Option<&str>, S3Error> {
        header_text(&self.headers, &HeaderName::from_static(name))
    }

    /// Takes the body for streaming; a second taker gets an error.
    pub(crate) fn take_body(&mut self) -> Result<RequestBody, S3Error> {
        self.body
            .take()
            .ok_or_else(|| S3Error::internal("the request body was taken twice"))
    }

    /// Takes the body for the store. Unless it is a form's file, its decoded length must be known
    /// and within what one PUT may bring, which is refused here, before anything is read.
    pub(crate) fn take_streaming_body(&mut self) -> Result<(Body, BodyLength), S3Error> {
        let body = self.take_body()?;
        if let Some(most) = body.file_bytes_max() {
            return Ok((body.into_source(), BodyLength::AtMost(most)));
        }
        let length = body.length()?;
        if length > PUT_BYTES_MAX {
            return Err(entity_too_large(length, PUT_BYTES_MAX));
        }
        Ok((body.into_source(), BodyLength::Exactly(length)))
    }

    /// `versionId`; S3 knows no empty one.
    pub(crate) fn version_id(&self) -> Result<Option<VersionId>, S3Error> {
        match self.query.get("versionId") {
            None => Ok(None),
            Some("") => Err(S3Error::invalid_argument(
                "Version id cannot be the empty string",
                "versionId",
                "",
            )),
            Some(text) => version_id("versionId", text).map(Some),
        }
    }

    /// Reads a small body to its end: framing, signature, length, payload hash and any announced
    /// checksum (`x-amz-checksum-*`, Content-MD5) are verified before this returns.
    pub(crate) async fn read_small_body(&mut self, limit_bytes: usize) -> Result<Bytes, S3Error> {
        let checksum = super::checksum_headers::request(self)?;
        let body = self.take_body()?;
        let Collected {
            bytes,
            trailing,
            room,
        } = body.collect(limit_bytes).await?;
        super::checksum_headers::verify_small_body(&checksum, trailing.as_ref(), &bytes)?;
        Ok(room.keep(bytes))
    }
}

impl S3Request {
    /// Reads what came as the body of an operation that takes none, and compares it with what the
    /// request says of it: framing, length, `x-amz-content-sha256`, Content-MD5. Policies come first.
    pub(super) async fn refuse_another_body(
        &mut self,
        receipt: &Receipt,
        asks: Asks,
    ) -> Result<(), S3Error> {
        match asks {
            Asks::Object(action) => self.admit(receipt, action)?,
            Asks::Version { named, .. } if self.query.has("versionId") => {
                self.admit(receipt, named)?;
            }
            Asks::Version { current, .. } => self.admit(receipt, current)?,
            Asks::Upload => self.admit_part(receipt)?,
            Asks::Bucket(action) => {
                let scope = self.scope(receipt);
                let bucket = self.bucket()?;
                self.objects().admit_to_bucket(scope, bucket, action)?;
            }
        }
        let content_md5 = super::checksum_headers::content_md5(&self.headers)?;
        let body = self.take_body()?.collect(UNUSED_BODY_BYTES_MAX).await?;
        super::checksum_headers::verify_md5(content_md5, &body.bytes)
    }
}

/// A version id as a client wrote it.
pub(crate) fn version_id(argument: &'static str, text: &str) -> Result<VersionId, S3Error> {
    VersionId::parse(text)
        .ok_or_else(|| S3Error::invalid_argument("Invalid version id specified", argument, text))
}

/// A header as text; bytes that are not UTF-8 or hold control characters are refused.
pub(crate) fn header_text<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h str>, S3Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(Some(text)),
        _ => Err(
            S3Error::new(S3Code::InvalidArgument, "A header value is not valid.")
                .with("ArgumentName", name.as_str()),
        ),
    }
}
