// SPDX-License-Identifier: Apache-2.0
//! Any store with the S3 protocol, by Amazon's SDK.
//!
//! The SDK signs, finds credentials, adds checksums of what is sent (that is: of ciphertext) and
//! tries again; its client is made and configured by the caller.
//!
//! Signatures cover bodies over plain HTTP only. Over TLS nobody changes them on the way, what changes
//! by mistake has another CRC, which is signed, and SHA-256 of each would be computed here and there.
//!
//! The SDK's read timeout counts from the beginning of a request, its body included. So where a body is
//! sent, [`AwsS3::read_timeout`] grants it the time that a slow line takes; that a line stands still is
//! the business of the SDK's protection against stalled streams, which has a patience of its own.
//!
//! What the SDK says of requests that it could not make or send may hold the request, and with it a data
//! key that was to be wrapped. None of it is repeated but what is known to be harmless ([`said`]).

use std::time::Duration;

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::timeout::TimeoutConfig;
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
    ListedUpload, Page, Pieces, Reply, ServerSideEncryption, TimedOut, Transport, TransportError,
    TransportErrorKind, Written,
};

/// A store with the S3 protocol.
#[derive(Clone, Debug)]
pub struct AwsS3 {
    client: aws_sdk_s3::Client,
    signs_bodies: bool,
    read_timeout: Option<Duration>,
}

impl AwsS3 {
    /// Uses this client, as it is configured.
    pub fn new(client: aws_sdk_s3::Client) -> Self {
        Self {
            client,
            signs_bodies: false,
            read_timeout: None,
        }
    }

    /// How long an answer may take to begin, for each of the SDK's attempts. A body that is sent has
    /// a second for each 64 KiB besides; what a store does before it answers (completing an upload,
    /// copying an object) has ten times as long. Without it the SDK's client decides for itself.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = Some(timeout);
        self
    }

    /// Whether signatures cover bodies over TLS, too, as buckets' policies may demand. Over plain
    /// HTTP they always do.
    #[must_use]
    pub fn sign_bodies(mut self, always: bool) -> Self {
        self.signs_bodies = always;
        self
    }

    /// Settings of one request that sends so many bytes.
    fn sending(&self, body: &Bytes) -> aws_sdk_s3::config::Builder {
        let timeout = self.read_timeout.map(|timeout| {
            let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
            patience(timeout, bytes)
        });
        settings(timeout)
    }

    /// Settings of one request that the store works on.
    fn working(&self) -> aws_sdk_s3::config::Builder {
        settings(self.read_timeout.map(|timeout| timeout.saturating_mul(10)))
    }

    fn signing(&self) -> BodySigning {
        BodySigning {
            always: self.signs_bodies,
        }
    }
}

fn settings(read_timeout: Option<Duration>) -> aws_sdk_s3::config::Builder {
    let settings = aws_sdk_s3::config::Builder::new();
    match read_timeout {
        None => settings,
        Some(timeout) => {
            settings.timeout_config(TimeoutConfig::builder().read_timeout(timeout).build())
        }
    }
}

/// How long the answer to a request with a body of so many bytes may take. Of few different lengths:
/// for each the SDK keeps connections of its own.
fn patience(timeout: Duration, body_bytes: u64) -> Duration {
    let one = timeout.as_secs().max(1);
    let whole = (body_bytes / SLOWEST_BYTES_PER_SECOND).saturating_add(one);
    let times = whole.div_ceil(one).next_power_of_two();
    timeout.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
}

/// Sends Expires as it was given, which the SDK takes as a time only.
#[derive(Debug)]
struct Expires(Option<String>);

impl Intercept for Expires {
    fn name(&self) -> &'static str {
        "expires"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(value) = &self.0 {
            let headers = context.request_mut().headers_mut();
            headers.try_insert("expires", value.clone())?;
        }
        Ok(())
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
            .set_website_redirect_location($attributes.website_redirect_location.clone())
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
                expires: $answer.expires_string.take(),
                website_redirect_location: $answer.website_redirect_location.take(),
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
            let settings = self.sending(&body);
            let sent = with_attributes!(request, attributes)
                .set_if_match(condition.if_match.clone())
                .set_if_none_match(any(condition))
                .body(ByteStream::from(body))
                .customize()
                .config_override(settings)
                .interceptor(self.signing())
                .interceptor(Expires(attributes.expires.clone()))
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
            let expires = attributes.and_then(|attributes| attributes.expires.clone());
            let request = request.customize().config_override(self.working());
            let answer = request.interceptor(Expires(expires)).send().await;
            let answer = answer.map_err(failed);
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
                .customize()
                .interceptor(Expires(attributes.expires.clone()))
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
            let settings = self.sending(&body);
            let answer = self
                .client
                .upload_part()
                .bucket(&to.bucket)
                .key(&to.key)
                .upload_id(upload_id)
                .part_number(part_number(number)?)
                .body(ByteStream::from(body))
                .customize()
                .config_override(settings)
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
                .customize()
                .config_override(self.working())
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
    if is_timeout(&error) {
        return TransportError::new(kind, TimedOut(said(&error)));
    }
    TransportError::new(kind, said(&error))
}

/// What the service said, or in our words what became of the request. The client's own words may hold
/// the request as a whole, with keys and signatures in it: of them only causes are repeated that
/// come from below HTTP, or that are known.
pub(crate) fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let (Some(code), message) = (error.code(), error.message()) {
        return format!("{code}: {}", message.unwrap_or("no reason given"));
    }
    let what = match error {
        SdkError::ConstructionFailure(_) => "the request could not be made",
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer in time",
        SdkError::DispatchFailure(_) => "the request could not be sent",
        SdkError::ResponseError(_) => "an answer that makes no sense",
        SdkError::ServiceError(answer) => {
            return format!("an answer with status {}", answer.raw().status().as_u16());
        }
        _ => "the request failed",
    };
    match harmless_cause(error) {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    }
}

fn harmless_cause(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.to_string().chars().take(CAUSE_CHARS_MAX).collect());
        }
        let words = error.to_string();
        if let Some((_, known)) = KNOWN.iter().find(|(begin, _)| words.starts_with(begin)) {
            return Some((*known).to_owned());
        }
        source = error.source();
    }
    None
}

/// Whether a request was given up after its time.
fn is_timeout<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    }
}

/// How causes begin that the SDK's client has for failing before anything is sent, and what they mean.
const KNOWN: [(&str, &str); 4] = [
    ("the credential provider was not enabled", "no credentials"),
    (
        "the credentials provided were invalid",
        "the credentials are invalid",
    ),
    (
        "the credentials provider was not properly configured",
        "the credentials are invalid",
    ),
    (
        "an error occurred while loading credentials",
        "credentials could not be loaded",
    ),
];
const CAUSE_CHARS_MAX: usize = 200;
/// A line that is slower has its uploads given up.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 * 1024;

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
    use std::time::Duration;

    use super::{BodySigning, content_range, patience};

    #[test]
    fn bodies_have_the_time_of_a_slow_line() {
        let minute = Duration::from_mins(1);
        for (bytes, minutes) in [
            (0, 1),
            (64 * 1023, 1),
            (64 * 1024 * 59, 2),
            (7 << 20, 4),
            (5 << 30, 2048),
        ] {
            let granted = patience(minute, bytes);
            assert_eq!(granted, minute * minutes, "{bytes}");
            assert!(granted.as_secs() >= 60 + bytes / (64 * 1024));
        }
        assert!(patience(Duration::from_secs(1), u64::MAX) > minute);
    }

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
