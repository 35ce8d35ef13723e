// SPDX-License-Identifier: Apache-2.0
//! What the client needs of an object store, and the stores that offer it.
//!
//! A transport moves bytes and metadata and knows nothing of encryption: what it is given is
//! ciphertext, what it returns is believed by nobody before it was verified. `AwsS3` speaks to
//! any store with the S3 protocol by Amazon's SDK, `ObjectStoreTransport` to what the
//! `object_store` crate reaches, [`InMemory`] is for tests.

#[cfg(feature = "aws")]
mod aws;
mod memory;
#[cfg(feature = "object_store")]
mod object_store;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;

#[cfg(feature = "aws")]
pub use self::aws::AwsS3;
#[cfg(feature = "aws")]
pub(crate) use self::aws::said;
pub use self::memory::InMemory;
#[cfg(feature = "object_store")]
pub use self::object_store::ObjectStoreTransport;
use crate::envelope::Fields;

/// What a transport answers later.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send + 'a>>;

/// The content of an object as it comes.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// An object store. Names are those of S3's operations.
pub trait Transport: Send + Sync {
    /// Stores an object whole.
    fn put_object<'a>(
        &'a self,
        to: &'a Address,
        body: Bytes,
        attributes: &'a Attributes,
        condition: &'a Condition,
    ) -> Reply<'a, Written>;

    /// Reads an object or a range of it.
    fn get_object<'a>(&'a self, from: &'a Address, fetch: &'a Fetch) -> Reply<'a, Fetched>;

    /// What is known about an object.
    fn head_object<'a>(&'a self, of: &'a Address, version: Option<&'a str>) -> Reply<'a, Facts>;

    /// Deletes an object; one that is not there is no error.
    fn delete_object<'a>(&'a self, at: &'a Address, version: Option<&'a str>) -> Reply<'a, ()>;

    /// Copies an object's bytes inside the store. `attributes` replace those of the source;
    /// without them all are kept. `if_match` is a condition on the source; where an object is copied
    /// onto itself, also on what is there when the copy takes its place: a write that comes while
    /// bytes are copied must not be lost. A store without such a condition refuses.
    fn copy_object<'a>(
        &'a self,
        from: &'a Address,
        to: &'a Address,
        if_match: Option<&'a str>,
        attributes: Option<&'a Attributes>,
    ) -> Reply<'a, Written>;

    /// One page of the names under a prefix.
    fn list_objects_v2<'a>(&'a self, bucket: &'a str, query: &'a ListQuery) -> Reply<'a, Page>;

    /// Begins an upload in parts and gives its id.
    fn create_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        attributes: &'a Attributes,
    ) -> Reply<'a, String>;

    /// Stores a part, numbered from 1; gives its ETag.
    fn upload_part<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> Reply<'a, String>;

    /// Makes the object of its parts: numbers and ETags, in order.
    fn complete_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
        condition: &'a Condition,
    ) -> Reply<'a, Written>;

    /// Ends an upload and forgets its parts.
    fn abort_multipart_upload<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, ()>;

    /// All parts that an upload has.
    fn list_parts<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, Vec<ListedPart>>;

    /// All uploads under a prefix that were neither completed nor ended.
    fn list_multipart_uploads<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> Reply<'a, Vec<ListedUpload>>;
}

/// Where an object lies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// The name in the bucket.
    pub key: String,
}

impl Address {
    /// An address.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            key: key.into(),
        }
    }
}

impl From<(&str, &str)> for Address {
    fn from((bucket, key): (&str, &str)) -> Self {
        Self::new(bucket, key)
    }
}

/// What is stored beside an object's content.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// User metadata: names without `x-amz-meta-`, in lower case.
    pub metadata: Fields,
    /// Content-Type.
    pub content_type: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// Content-Disposition.
    pub content_disposition: Option<String>,
    /// Content-Encoding.
    pub content_encoding: Option<String>,
    /// Content-Language.
    pub content_language: Option<String>,
    /// Expires, in the words it was given in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Where a website sends who asks for the object (`x-amz-website-redirect-location`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_redirect_location: Option<String>,
    /// The storage class. Without one a new object gets the store's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// How the store encrypts what is ciphertext already. Without it the bucket's default applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_encryption: Option<ServerSideEncryption>,
}

/// How a store encrypts what it keeps, in S3's words.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSideEncryption {
    /// `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub algorithm: String,
    /// The KMS key, as the store names it.
    pub kms_key_id: Option<String>,
    /// Whether an S3 Bucket Key is used.
    pub bucket_key: bool,
}

/// When a write may take place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// Only over the object with this ETag.
    pub if_match: Option<String>,
    /// Only if there is no object.
    pub if_none_match_any: bool,
}

/// A range of bytes, as the Range header has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteRange {
    /// `bytes=first-last`, both included.
    FromTo(u64, u64),
    /// `bytes=first-`.
    From(u64),
    /// `bytes=-count`: the last bytes.
    Last(u64),
}

impl ByteRange {
    /// Reads the value of a Range header with one range; `None` for anything else, which S3 would
    /// take for no range at all.
    pub fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self::FromTo(first, last)),
            (Some(first), None) if last.is_empty() => Some(Self::From(first)),
            (None, Some(count)) if first.is_empty() => Some(Self::Last(count)),
            _ => None,
        }
    }
}

impl ByteRange {
    /// Whether an object of this length has any of the bytes.
    #[cfg(feature = "object_store")]
    fn is_within(self, bytes: u64) -> bool {
        match self {
            Self::FromTo(first, last) => first <= last && first < bytes,
            Self::From(first) => first < bytes,
            Self::Last(count) => count > 0 && bytes > 0,
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

/// What to read of an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fetch {
    /// A range; none is the whole.
    pub range: Option<ByteRange>,
    /// Only of the object with this ETag.
    pub if_match: Option<String>,
    /// Of this version.
    pub version_id: Option<String>,
}

/// What a store says about an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Bytes of the whole object as it is stored.
    pub stored_bytes: u64,
    /// Its ETag, with its quotes if the store gives them.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// When it was written, seconds since 1970.
    pub last_modified_s: Option<i64>,
    /// What is stored beside it.
    pub attributes: Attributes,
}

/// An object, or a range of it, as it comes.
pub struct Fetched {
    /// About the whole object.
    pub facts: Facts,
    /// The first byte that comes.
    pub first: u64,
    /// How many bytes come.
    pub bytes: u64,
    /// The bytes.
    pub body: Pieces,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("facts", &self.facts)
            .field("first", &self.first)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// What a store says about an object that it wrote.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Its ETag.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
}

/// A part of an upload that the store has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedPart {
    /// Its number, from 1.
    pub number: u32,
    /// Its ETag.
    pub e_tag: String,
    /// Its bytes.
    pub bytes: u64,
}

/// An upload that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedUpload {
    /// The name that the object will have.
    pub key: String,
    /// Its id.
    pub upload_id: String,
}

/// Which names to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListQuery {
    /// Names that begin so.
    pub prefix: Option<String>,
    /// Names with this text behind the prefix are folded.
    pub delimiter: Option<String>,
    /// Names behind this one.
    pub start_after: Option<String>,
    /// At most so many.
    pub max_keys: Option<i32>,
    /// Where the page before ended.
    pub continuation_token: Option<String>,
}

/// One page of names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Objects.
    pub contents: Vec<Entry>,
    /// Folded names.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins; `None` on the last.
    pub next_continuation_token: Option<String>,
}

/// An object in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Its bytes as stored.
    pub stored_bytes: u64,
    /// Its ETag.
    pub e_tag: Option<String>,
    /// When it was written, seconds since 1970.
    pub last_modified_s: Option<i64>,
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct TransportError {
    /// What a caller can act on.
    pub kind: TransportErrorKind,
    /// What the store or its client said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// There is no such object, version or bucket.
    NotFound,
    /// There is no such upload: completed, ended, or never begun.
    NoSuchUpload,
    /// The object is not the one that the condition names.
    PreconditionFailed,
    /// The object does not have that range.
    InvalidRange,
    /// Not allowed.
    AccessDenied,
    /// This transport cannot do it.
    Unsupported,
    /// No answer, or half of one: whether the store did it is not known. Worth another try.
    Unavailable,
    /// Anything else.
    Other,
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "the store has no such object",
            Self::NoSuchUpload => "the store has no such upload",
            Self::PreconditionFailed => "the object is not the one that was expected",
            Self::InvalidRange => "the object does not have that range",
            Self::AccessDenied => "the store denied access",
            Self::Unsupported => "the transport cannot do this",
            Self::Unavailable => "the store did not answer",
            Self::Other => "the store failed",
        })
    }
}

impl TransportError {
    /// Of a kind, by a cause.
    pub fn new(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }
}

/// Of a request that had no answer in time. Asking again would wait as long once more, after a client
/// has done so several times.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TimedOut(pub(crate) String);

impl TransportError {
    /// Whether a request was given up after its time.
    pub(crate) fn is_timeout(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.is::<TimedOut>())
    }
}

impl From<TransportErrorKind> for TransportError {
    fn from(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }
}

macro_rules! by_reference {
    ($($name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl<T: Transport + ?Sized> Transport for Arc<T> {
            $(fn $name<'a>(&'a self, $($argument: $type),*) -> Reply<'a, $output> {
                (**self).$name($($argument),*)
            })*
        }
    };
}

by_reference! {
    put_object(to: &'a Address, body: Bytes, attributes: &'a Attributes, condition: &'a Condition) -> Written;
    get_object(from: &'a Address, fetch: &'a Fetch) -> Fetched;
    head_object(of: &'a Address, version: Option<&'a str>) -> Facts;
    delete_object(at: &'a Address, version: Option<&'a str>) -> ();
    copy_object(from: &'a Address, to: &'a Address, if_match: Option<&'a str>, attributes: Option<&'a Attributes>) -> Written;
    list_objects_v2(bucket: &'a str, query: &'a ListQuery) -> Page;
    create_multipart_upload(to: &'a Address, attributes: &'a Attributes) -> String;
    upload_part(to: &'a Address, upload_id: &'a str, number: u32, body: Bytes) -> String;
    complete_multipart_upload(to: &'a Address, upload_id: &'a str, parts: &'a [(u32, String)], condition: &'a Condition) -> Written;
    abort_multipart_upload(to: &'a Address, upload_id: &'a str) -> ();
    list_parts(to: &'a Address, upload_id: &'a str) -> Vec<ListedPart>;
    list_multipart_uploads(bucket: &'a str, prefix: &'a str) -> Vec<ListedUpload>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_s3_reads_them() {
        let parse = ByteRange::parse;
        assert_eq!(parse("bytes=0-0"), Some(ByteRange::FromTo(0, 0)));
        assert_eq!(parse("bytes=5-"), Some(ByteRange::From(5)));
        assert_eq!(parse("bytes=-40"), Some(ByteRange::Last(40)));
        assert_eq!(parse("bytes=-0"), Some(ByteRange::Last(0)));
        for header in [
            "",
            "bytes=",
            "bytes=-",
            "10-20",
            "bytes=100-50",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "bytes= 1-2",
            "bytes=a-b",
            "items=1-2",
            "bytes=--5",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
        for text in ["bytes=1-2", "bytes=7-", "bytes=-9"] {
            assert_eq!(
                parse(text).map(|range| range.to_string()),
                Some(text.to_owned())
            );
        }
    }
}
