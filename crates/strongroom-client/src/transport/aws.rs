// SPDX-License-Identifier: Apache-2.0
//! Any store with the S3 protocol, by Amazon's SDK.
//!
//! The SDK signs, finds credentials, adds checksums of what is sent (that is: of ciphertext) and
//! tries again; its client is made and configured by the caller.
//!
//! Signatures cover bodies over plain HTTP only. Over TLS nobody changes them on the way, what changes
//! by mistake has another CRC, which is signed, and SHA-256 of each would be computed here and there.

use std::fmt::Write as _;

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, MetadataDirective, ServerSideEncryption as Algorithm,
    StorageClass,
};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Address, Attributes, Condition, Entry, Facts, Fetch, Fetched, ListQuery, ListedPart,
    ListedUpload, Page, Pieces, Reply, ServerSideEncryption, Transport, TransportError,
    TransportErrorKind, Written,
};

/// A store with the S3 protocol.
#[derive(Clone, Debug)]
pub struct AwsS3 {
    client: aws_sdk_s3::Client,
    signs_bodies: bool,
}

impl AwsS3 {
    /// Uses this client, as it is configured.
    pub fn new(client: aws_sdk_s3::Client) -> Self {
        Self {
            client,
            signs_bodies: false,
        }
    }

    /// Whether signatures cover bodies over TLS, too, as buckets' policies may demand. Over plain
    /// HTTP they always do.
    #[must_use]
    pub fn sign_bodies(mut self, always: bool) -> Self {
        self.signs_bodies = always;
        self
    }

    fn signing(&self) -> BodySigning {
        BodySigning {
            always: self.signs_bodies,
        }
    }
}

/// Whether a signature covers the body of its request.
#[derive(Debug)]
struct BodySigning {
    always: bool,
}

impl BodySigning {
    fn covers_bodies(&self, url: &str) -> bool {
        let scheme = url.get(..8).unwrap_or_default();
        self.always || !scheme.eq_ignore_ascii_case("https://")
    }
}

impl Intercept for BodySigning {
    fn name(&self) -> &'static str {
        "body signing"
    }

    /// Only now it is known where the request goes.
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !self.covers_bodies(context.request().uri()) {
            let layer = settings.interceptor_state();
            layer.store_put(PayloadSigningOverride::UnsignedPayload);
        }
        Ok(())
    }
}

/// The headers of [`Attributes`] on any of the requests that take them.
macro_rules! with_attributes {
    ($request:expr, $attributes:expr) => {
        $request
            .set_metadata(Some($attributes.metadata.clone().into_iter().collect()))
            .set_content_type($attributes.content_type.clone())
            .set_cache_control($attributes.cache_control.clone())
            .set_content_disposition($attributes.content_disposition.clone())
            .set_content_encoding($attributes.content_encoding.clone())
            .set_content_language($attributes.content_language.clone())
            .set_storage_class($attributes.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(algorithm($attributes))
            .set_ssekms_key_id(kms_key_id($attributes))
            .set_bucket_key_enabled(bucket_key($attributes))
    };
}

/// What an answer to GET or HEAD says.
macro_rules! facts_of {
    ($answer:expr, $stored_bytes:expr) => {
        Facts {
            stored_bytes: $stored_bytes,
            e_tag: $answer.e_tag.take(),
            version_id: $answer.version_id.take(),
            last_modified_s: seconds($answer.last_modified.as_ref()),
            attributes: Attributes {
                metadata: $answer.metadata.take().into_iter().flatten().collect(),
                content_type: $answer.content_type.take(),
                cache_control: $answer.cache_control.take(),
                content_disposition: $answer.content_disposition.take(),
                content_encoding: $answer.content_encoding.take(),
                content_language: $answer.content_language.take(),
                storage_class: $answer
                    .storage_class
                    .take()
                    .map(|class| class.as_str().to_owned()),
                server_side_encryption: $answer.server_side_encryption.take().map(|algorithm| {
                    ServerSideEncryption {
                        algorithm: algorithm.as_str().to_owned(),
                        kms_key_id: $answer.ssekms_key_id.take(),
                        bucket_key: $answer.bucket_key_enabled == Some(true),
                    }
                }),
            },
        }
    };
}

impl Transport for AwsS3 {
    fn put_object<'a>(
        &'a self,
        to: &'a Address,
        body: Bytes,
        attributes: &'a Attributes,
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let request = self.client.put_object().bucket(&to.bucket).key(&to.key);
            let sent = with_attributes!(request, attributes)
                .set_if_match(condition.if_match.clone())
                .set_if_none_match(any(condition))
                .body(ByteStream::from(body))
                .customize()
                .interceptor(self.signing())
                .send()
                .await
                .map_err(failed)?;
            Ok(Written {
                e_tag: sent.e_tag,
                version_id: sent.version_id,
            })
        })
    }

    fn get_object<'a>(&'a self, from: &'a Address, fetch: &'a Fetch) -> Reply<'a, Fetched> {
        Box::pin(async move {
            let mut answer = self
                .client
                .get_object()
                .bucket(&from.bucket)
                .key(&from.key)
                .set_range(fetch.range.map(|range| range.to_string()))
                .set_if_match(fetch.if_match.clone())
                .set_version_id(fetch.version_id.clone())
                .send()
                .await
                .map_err(failed)?;
            let bytes = length(answer.content_length)?;
            let (first, stored_bytes) = match answer.content_range.as_deref() {
                Some(header) => content_range(header, bytes).ok_or_else(|| {
                    TransportError::new(TransportErrorKind::Other, "a Content-Range that is none")
                })?,
                None => (0, bytes),
            };
            let body = std::mem::take(&mut answer.body);
            Ok(Fetched {
                facts: facts_of!(answer, stored_bytes),
                first,
                bytes,
                body: pieces(body),
            })
        })
    }

    fn head_object<'a>(&'a self, of: &'a Address, version: Option<&'a str>) -> Reply<'a, Facts> {
        Box::pin(async move {
            let mut answer = self
                .client
                .head_object()
                .bucket(&of.bucket)
                .key(&of.key)
                .set_version_id(version.map(ToOwned::to_owned))
                .send()
                .await
                .map_err(failed)?;
            let stored_bytes = length(answer.content_length)?;
            Ok(facts_of!(answer, stored_bytes))
        })
    }

    fn delete_object<'a>(&'a self, at: &'a Address, version: Option<&'a str>) -> Reply<'a, ()> {
        Box::pin(async move {
            let request = self.client.delete_object().bucket(&at.bucket).key(&at.key);
            request
                .set_version_id(version.map(ToOwned::to_owned))
                .send()
                .await
                .map_err(failed)?;
            Ok(())
        })
    }

    fn copy_object<'a>(
        &'a self,
        from: &'a Address,
        to: &'a Address,
        if_match: Option<&'a str>,
        attributes: Option<&'a Attributes>,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let name = utf8_percent_encode(&from.key, PATH);
            let guard = if_match.filter(|_| from == to);
            let request = self
                .client
                .copy_object()
                .bucket(&to.bucket)
                .key(&to.key)
                .copy_source(format!("{}/{name}", from.bucket))
                .set_copy_source_if_match(if_match.map(ToOwned::to_owned))
                .set_if_match(guard.map(ToOwned::to_owned));
            let request = match attributes {
                None => request.metadata_directive(MetadataDirective::Copy),
                Some(attributes) => with_attributes!(request, attributes)
                    .metadata_directive(MetadataDirective::Replace),
            };
            let answer = request.send().await.map_err(failed);
            let answer = answer.map_err(|error| match error.kind {
                TransportErrorKind::Unsupported if guard.is_some() => {
                    TransportError::new(error.kind, NO_GUARD)
                }
                _ => error,
            })?;
            Ok(Written {
                e_tag: answer.copy_object_result.and_then(|result| result.e_tag),
                version_id: answer.version_id,
            })
        })
    }

    fn list_objects_v2<'a>(&'a self, bucket: &'a str, query: &'a ListQuery) -> Reply<'a, Page> {
        Box::pin(async move {
            let answer = self
                .client
                .list_objects_v2()
                .bucket(bucket)
                .set_prefix(query.prefix.clone())
                .set_delimiter(query.delimiter.clone())
                .set_start_after(query.start_after.clone())
                .set_max_keys(query.max_keys)
                .set_continuation_token(query.continuation_token.clone())
                .send()
                .await
                .map_err(failed)?;
            let folded = answer.common_prefixes.unwrap_or_default();
            let mut contents = Vec::new();
            for object in answer.contents.unwrap_or_default() {
                contents.push(Entry {
                    last_modified_s: seconds(object.last_modified.as_ref()),
                    key: object.key.unwrap_or_default(),
                    stored_bytes: length(object.size)?,
                    e_tag: object.e_tag,
                });
            }
            Ok(Page {
                contents,
                common_prefixes: folded.into_iter().filter_map(|one| one.prefix).collect(),
                next_continuation_token: answer.next_continuation_token,
            })
        })
    }

    fn create_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        attributes: &'a Attributes,
    ) -> Reply<'a, String> {
        Box::pin(async move {
            let request = self.client.create_multipart_upload();
            let request = request.bucket(&to.bucket).key(&to.key);
            let answer = with_attributes!(request, attributes)
                .send()
                .await
                .map_err(failed)?;
            answer.upload_id.ok_or_else(no_answer)
        })
    }

    fn upload_part<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> Reply<'a, String> {
        Box::pin(async move {
            let answer = self
                .client
                .upload_part()
                .bucket(&to.bucket)
                .key(&to.key)
                .upload_id(upload_id)
                .part_number(part_number(number)?)
                .body(ByteStream::from(body))
                .customize()
                .interceptor(self.signing())
                .send()
                .await
                .map_err(failed)?;
            answer.e_tag.ok_or_else(no_answer)
        })
    }

    fn complete_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let mut completed = CompletedMultipartUpload::builder();
            for (number, e_tag) in parts {
                let part = CompletedPart::builder()
                    .part_number(part_number(*number)?)
                    .e_tag(e_tag);
                completed = completed.parts(part.build());
            }
            let answer = self
                .client
                .complete_multipart_upload()
                .bucket(&to.bucket)
                .key(&to.key)
                .upload_id(upload_id)
                .multipart_upload(completed.build())
                .set_if_match(condition.if_match.clone())
                .set_if_none_match(any(condition))
                .send()
                .await
                .map_err(failed)?;
            Ok(Written {
                e_tag: answer.e_tag,
                version_id: answer.version_id,
            })
        })
    }

    fn abort_multipart_upload<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let request = self.client.abort_multipart_upload();
            let request = request.bucket(&to.bucket).key(&to.key);
            request.upload_id(upload_id).send().await.map_err(failed)?;
            Ok(())
        })
    }

    fn list_parts<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, Vec<ListedPart>> {
        Box::pin(async move {
            let mut parts = Vec::new();
            let request = self.client.list_parts().bucket(&to.bucket).key(&to.key);
            let mut found = request.upload_id(upload_id).into_paginator().items().send();
            while let Some(part) = found.next().await {
                let part = part.map_err(failed)?;
                if parts.len() >= PARTS_MAX {
                    let many = "more parts than an upload can have";
                    return Err(TransportError::new(TransportErrorKind::Other, many));
                }
                let number = part.part_number.and_then(|number| number.try_into().ok());
                parts.push(ListedPart {
                    number: number.ok_or_else(no_answer)?,
                    bytes: length(part.size)?,
                    e_tag: part.e_tag.ok_or_else(no_answer)?,
                });
            }
            Ok(parts)
        })
    }

    fn list_multipart_uploads<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> Reply<'a, Vec<ListedUpload>> {
        Box::pin(async move {
            let mut uploads = Vec::new();
            let (mut key, mut id) = (None, None);
            loop {
                let request = self
                    .client
                    .list_multipart_uploads()
                    .bucket(bucket)
                    .prefix(prefix);
                let answer = request
                    .set_key_marker(key)
                    .set_upload_id_marker(id)
                    .send()
                    .await
                    .map_err(failed)?;
                for upload in answer.uploads.unwrap_or_default() {
                    uploads.push(ListedUpload {
                        key: upload.key.unwrap_or_default(),
                        upload_id: upload.upload_id.unwrap_or_default(),
                    });
                }
                (key, id) = (answer.next_key_marker, answer.next_upload_id_marker);
                if answer.is_truncated != Some(true) || key.is_none() {
                    return Ok(uploads);
                }
            }
        })
    }
}

fn pieces(body: ByteStream) -> Pieces {
    Box::pin(futures_util::stream::unfold(
        Some(body),
        |body| async move {
            let mut body = body?;
            match body.next().await? {
                Ok(piece) => Some((Ok(piece), Some(body))),
                Err(error) => {
                    let cut = TransportError::new(TransportErrorKind::Unavailable, error);
                    Some((Err(cut), None))
                }
            }
        },
    ))
}

/// First byte and whole length, if the range has as many bytes as come.
fn content_range(header: &str, bytes: u64) -> Option<(u64, u64)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = total.parse().ok()?;
    let fits = last.checked_sub(first)?.checked_add(1)? == bytes && last < total;
    fits.then_some((first, total))
}

fn any(condition: &Condition) -> Option<String> {
    condition.if_none_match_any.then(|| "*".to_owned())
}

fn algorithm(attributes: &Attributes) -> Option<Algorithm> {
    let encryption = attributes.server_side_encryption.as_ref()?;
    Some(Algorithm::from(encryption.algorithm.as_str()))
}

fn kms_key_id(attributes: &Attributes) -> Option<String> {
    attributes
        .server_side_encryption
        .as_ref()?
        .kms_key_id
        .clone()
}

/// Also that there is none, which the bucket's default could change; only `aws:kms` knows it.
fn bucket_key(attributes: &Attributes) -> Option<bool> {
    let encryption = attributes.server_side_encryption.as_ref()?;
    (encryption.algorithm == "aws:kms").then_some(encryption.bucket_key)
}

fn seconds(time: Option<&DateTime>) -> Option<i64> {
    time.map(DateTime::secs)
}

fn length(bytes: Option<i64>) -> Result<u64, TransportError> {
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(no_answer)
}

fn part_number(number: u32) -> Result<i32, TransportError> {
    number
        .try_into()
        .map_err(|_| TransportErrorKind::Unsupported.into())
}

fn no_answer() -> TransportError {
    TransportError::new(
        TransportErrorKind::Other,
        "the answer lacks what it must have",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "a function for `map_err`")]
fn failed<E>(error: SdkError<E, HttpResponse>) -> TransportError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let kind = match (&error, error.code(), status) {
        (SdkError::ConstructionFailure(_), ..) => TransportErrorKind::Other,
        (
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_),
            ..,
        ) => TransportErrorKind::Unavailable,
        (_, Some("NoSuchUpload"), _) => TransportErrorKind::NoSuchUpload,
        // The second is said where another write is under way.
        (_, Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (_, _, Some(412)) => {
            TransportErrorKind::PreconditionFailed
        }
        (_, Some("InvalidRange"), _) | (_, _, Some(416)) => TransportErrorKind::InvalidRange,
        (_, Some("NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" | "NotFound"), _)
        | (_, _, Some(404)) => TransportErrorKind::NotFound,
        // An answer may begin well before the store knows how it ends.
        (_, Some("InternalError" | "ServiceUnavailable" | "SlowDown" | "RequestTimeout"), _) => {
            TransportErrorKind::Unavailable
        }
        (_, _, Some(401 | 403)) => TransportErrorKind::AccessDenied,
        (_, _, Some(501)) => TransportErrorKind::Unsupported,
        (_, _, Some(408 | 429 | 500..)) => TransportErrorKind::Unavailable,
        _ => TransportErrorKind::Other,
    };
    TransportError::new(kind, said(&error))
}

/// What the service or the client said, without the answer's own bytes.
pub(crate) fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let (Some(code), message) = (error.code(), error.message()) {
        return format!("{code}: {}", message.unwrap_or("no reason given"));
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

/// Of a store that copies an object onto itself without asking what is there by then.
const NO_GUARD: &str =
    "the store has no If-Match for what a copy replaces: a write at the same time could be lost";
/// What a copy source keeps as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// S3's limit.
const PARTS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::{BodySigning, content_range};

    #[test]
    fn bodies_are_signed_without_tls() {
        let usual = BodySigning { always: false };
        for url in ["https://s3.example/b/k", "HTTPS://s3.example/b/k"] {
            assert!(!usual.covers_bodies(url), "{url}");
            assert!(BodySigning { always: true }.covers_bodies(url), "{url}");
        }
        for url in ["http://s3.example/b/k", "httpsx://s3", "https:/", ""] {
            assert!(usual.covers_bodies(url), "{url}");
        }
    }

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-9/100", 10), Some((0, 100)));
        assert_eq!(content_range("bytes 90-99/100", 10), Some((90, 100)));
        for (header, bytes) in [
            ("bytes 0-9/100", 11),
            ("bytes 9-0/100", 10),
            ("bytes 0-9/9", 10),
            ("bytes 0-9/*", 10),
            ("bytes */100", 0),
            ("0-9/100", 10),
        ] {
            assert_eq!(content_range(header, bytes), None, "{header}");
        }
    }
}
