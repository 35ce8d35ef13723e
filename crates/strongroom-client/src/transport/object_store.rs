// SPDX-License-Identifier: Apache-2.0
//! What the `object_store` crate reaches: S3, Google, Azure, memory.
//!
//! The envelope travels as `Attribute::Metadata`, so a store is needed that keeps user metadata;
//! the crate's local files do not. What the crate has no call for, and this transport refuses:
//!
//! - copies that replace metadata, so no re-wrapping of envelopes in metadata; instruction files
//!   are re-wrapped where the store has conditional writes;
//! - conditions at the end of an upload in parts, and on the source of a copy;
//! - listing the parts of an upload, so an interrupted upload is begun anew;
//! - folding by another delimiter than `/`, and pages of lists.

use std::fmt;

use ::object_store::multipart::{MultipartStore, PartId};
use ::object_store::path::Path;
use ::object_store::{
    Attribute, AttributeValue, CopyOptions, Error, GetOptions, GetRange, GetResult, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, UpdateVersion,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    Address, Attributes, ByteRange, Condition, Entry, Facts, Fetch, Fetched, ListQuery, ListedPart,
    ListedUpload, Page, Reply, Transport, TransportError, TransportErrorKind, Written,
};

/// A store of the `object_store` crate, as the one bucket of that name.
pub struct ObjectStoreTransport<S> {
    store: S,
    bucket: String,
}

impl<S: ObjectStore + MultipartStore> ObjectStoreTransport<S> {
    /// Objects of `bucket` lie in `store`; there are no other buckets.
    pub fn new(store: S, bucket: impl Into<String>) -> Self {
        Self {
            store,
            bucket: bucket.into(),
        }
    }

    fn path(&self, at: &Address) -> Result<Path, TransportError> {
        self.of_bucket(&at.bucket)?;
        // As it stands: what the crate would have to change is refused.
        Path::parse(&at.key)
            .ok()
            .filter(|path| path.as_ref() == at.key)
            .ok_or_else(|| TransportError::new(TransportErrorKind::Unsupported, "not a path"))
    }

    /// The crate has no kind of its own for a range that the object does not have: whether that
    /// is it, the object's length tells.
    async fn outside(&self, at: &Address, fetch: &Fetch, error: TransportError) -> TransportError {
        let Some(range) = fetch
            .range
            .filter(|_| error.kind == TransportErrorKind::Other)
        else {
            return error;
        };
        let version = fetch.version_id.as_deref();
        match self.head_object(at, version).await {
            Ok(facts) if !range.is_within(facts.stored_bytes) => TransportError {
                kind: TransportErrorKind::InvalidRange,
                ..error
            },
            _ => error,
        }
    }

    fn of_bucket(&self, bucket: &str) -> Result<(), TransportError> {
        if bucket == self.bucket {
            Ok(())
        } else {
            Err(TransportErrorKind::NotFound.into())
        }
    }
}

impl<S> fmt::Debug for ObjectStoreTransport<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStoreTransport")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl<S: ObjectStore + MultipartStore> Transport for ObjectStoreTransport<S> {
    fn put_object<'a>(
        &'a self,
        to: &'a Address,
        body: Bytes,
        attributes: &'a Attributes,
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let mode = match (&condition.if_match, condition.if_none_match_any) {
                (None, false) => PutMode::Overwrite,
                (None, true) => PutMode::Create,
                (Some(e_tag), _) => PutMode::Update(UpdateVersion {
                    e_tag: Some(e_tag.clone()),
                    version: None,
                }),
            };
            let options = PutOptions {
                mode,
                attributes: to_store(attributes),
                ..PutOptions::default()
            };
            let path = self.path(to)?;
            let put = self.store.put_opts(&path, PutPayload::from(body), options);
            put.await.map(written).map_err(failed)
        })
    }

    fn get_object<'a>(&'a self, from: &'a Address, fetch: &'a Fetch) -> Reply<'a, Fetched> {
        Box::pin(async move {
            let range = fetch.range.map(|range| match range {
                ByteRange::FromTo(first, last) => GetRange::Bounded(first..last.saturating_add(1)),
                ByteRange::From(first) => GetRange::Offset(first),
                ByteRange::Last(count) => GetRange::Suffix(count),
            });
            let options = GetOptions {
                range,
                if_match: fetch.if_match.clone(),
                version: fetch.version_id.clone(),
                ..GetOptions::default()
            };
            let path = self.path(from)?;
            let got = match self.store.get_opts(&path, options).await {
                Ok(got) => got,
                Err(error) => return Err(self.outside(from, fetch, failed(error)).await),
            };
            let cut = |error| TransportError::new(TransportErrorKind::Unavailable, error);
            Ok(Fetched {
                facts: facts(&got),
                first: got.range.start,
                bytes: got.range.end.saturating_sub(got.range.start),
                body: got.into_stream().map_err(cut).boxed(),
            })
        })
    }

    fn head_object<'a>(&'a self, of: &'a Address, version: Option<&'a str>) -> Reply<'a, Facts> {
        Box::pin(async move {
            let options = GetOptions {
                head: true,
                version: version.map(ToOwned::to_owned),
                ..GetOptions::default()
            };
            let path = self.path(of)?;
            let got = self.store.get_opts(&path, options).await.map_err(failed)?;
            Ok(facts(&got))
        })
    }

    fn delete_object<'a>(&'a self, at: &'a Address, version: Option<&'a str>) -> Reply<'a, ()> {
        Box::pin(async move {
            if version.is_some() {
                return Err(TransportErrorKind::Unsupported.into());
            }
            let path = futures_util::stream::iter([Ok(self.path(at)?)]).boxed();
            let deleted = self.store.delete_stream(path).next().await;
            match deleted {
                None | Some(Ok(_) | Err(Error::NotFound { .. })) => Ok(()),
                Some(Err(error)) => Err(failed(error)),
            }
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
            if attributes.is_some() {
                return Err(TransportErrorKind::Unsupported.into());
            }
            let (from_path, to_path) = (self.path(from)?, self.path(to)?);
            if let Some(wanted) = if_match {
                // The crate has no condition here: this is a check, not a promise.
                let present = self.head_object(from, None).await?;
                if present.e_tag.as_deref() != Some(wanted) {
                    return Err(TransportErrorKind::PreconditionFailed.into());
                }
            }
            let copy = self
                .store
                .copy_opts(&from_path, &to_path, CopyOptions::default());
            copy.await.map_err(failed)?;
            Ok(Written::default())
        })
    }

    fn list_objects_v2<'a>(&'a self, bucket: &'a str, query: &'a ListQuery) -> Reply<'a, Page> {
        Box::pin(async move {
            self.of_bucket(bucket)?;
            let prefix = query.prefix.as_deref().unwrap_or_default();
            // The crate lists whole folders: ask for the one above, and keep what fits.
            let above = prefix.rsplit_once('/').map(|(above, _)| Path::from(above));
            let after = query.start_after.as_deref().unwrap_or_default();
            let wanted = |key: &str| key.starts_with(prefix) && key > after;
            let (objects, folders) = match query.delimiter.as_deref() {
                None => {
                    let all = self.store.list(above.as_ref()).try_collect().await;
                    (all.map_err(failed)?, Vec::new())
                }
                Some("/") => {
                    let all = self.store.list_with_delimiter(above.as_ref()).await;
                    let all = all.map_err(failed)?;
                    (all.objects, all.common_prefixes)
                }
                Some(_) => return Err(TransportErrorKind::Unsupported.into()),
            };
            let entry = |meta: ObjectMeta| Entry {
                key: meta.location.to_string(),
                stored_bytes: meta.size,
                e_tag: meta.e_tag,
                last_modified_s: Some(meta.last_modified.timestamp()),
            };
            let mut page = Page::default();
            page.contents.extend(objects.into_iter().map(entry));
            page.contents.retain(|entry| wanted(&entry.key));
            page.contents.sort_by(|a, b| a.key.cmp(&b.key));
            let folded = folders.iter().map(|folder| format!("{folder}/"));
            page.common_prefixes
                .extend(folded.filter(|name| wanted(name)));
            Ok(page)
        })
    }

    fn create_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        attributes: &'a Attributes,
    ) -> Reply<'a, String> {
        Box::pin(async move {
            let options = PutMultipartOptions {
                attributes: to_store(attributes),
                ..PutMultipartOptions::default()
            };
            let path = self.path(to)?;
            let created = self.store.create_multipart_opts(&path, options);
            created.await.map_err(failed)
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
            let path = self.path(to)?;
            let index = number
                .checked_sub(1)
                .and_then(|index| usize::try_from(index).ok());
            let index = index.ok_or(TransportErrorKind::Unsupported)?;
            let id = upload_id.to_owned();
            let body = PutPayload::from(body);
            let part = self.store.put_part(&path, &id, index, body).await;
            Ok(part.map_err(failed)?.content_id)
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
            if *condition != Condition::default() {
                return Err(TransportErrorKind::Unsupported.into());
            }
            let path = self.path(to)?;
            let part = |(_, content_id): &(u32, String)| PartId {
                content_id: content_id.clone(),
            };
            let parts = parts.iter().map(part).collect();
            let id = upload_id.to_owned();
            let completed = self.store.complete_multipart(&path, &id, parts).await;
            completed.map(written).map_err(failed)
        })
    }

    fn abort_multipart_upload<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let path = self.path(to)?;
            let id = upload_id.to_owned();
            let ended = self.store.abort_multipart(&path, &id).await;
            ended.map_err(failed)
        })
    }

    fn list_parts<'a>(&'a self, _: &'a Address, _: &'a str) -> Reply<'a, Vec<ListedPart>> {
        Box::pin(async { Err(TransportErrorKind::Unsupported.into()) })
    }

    fn list_multipart_uploads<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> Reply<'a, Vec<ListedUpload>> {
        Box::pin(async { Err(TransportErrorKind::Unsupported.into()) })
    }
}

fn written(put: PutResult) -> Written {
    Written {
        e_tag: put.e_tag,
        version_id: put.version,
    }
}

fn facts(got: &GetResult) -> Facts {
    let mut attributes = Attributes::default();
    for (name, value) in &got.attributes {
        let value = value.to_string();
        match name {
            Attribute::Metadata(name) => {
                attributes.metadata.insert(name.to_ascii_lowercase(), value);
            }
            Attribute::ContentType => attributes.content_type = Some(value),
            Attribute::CacheControl => attributes.cache_control = Some(value),
            Attribute::ContentDisposition => attributes.content_disposition = Some(value),
            Attribute::ContentEncoding => attributes.content_encoding = Some(value),
            Attribute::ContentLanguage => attributes.content_language = Some(value),
            _ => {}
        }
    }
    Facts {
        stored_bytes: got.meta.size,
        e_tag: got.meta.e_tag.clone(),
        version_id: got.meta.version.clone(),
        last_modified_s: Some(got.meta.last_modified.timestamp()),
        attributes,
    }
}

fn to_store(attributes: &Attributes) -> ::object_store::Attributes {
    let headers = [
        (Attribute::ContentType, &attributes.content_type),
        (Attribute::CacheControl, &attributes.cache_control),
        (
            Attribute::ContentDisposition,
            &attributes.content_disposition,
        ),
        (Attribute::ContentEncoding, &attributes.content_encoding),
        (Attribute::ContentLanguage, &attributes.content_language),
    ];
    let mut all = ::object_store::Attributes::new();
    for (name, value) in headers {
        if let Some(value) = value {
            all.insert(name, AttributeValue::from(value.clone()));
        }
    }
    for (name, value) in &attributes.metadata {
        all.insert(
            Attribute::Metadata(name.clone().into()),
            AttributeValue::from(value.clone()),
        );
    }
    all
}

fn failed(error: Error) -> TransportError {
    let kind = match &error {
        Error::NotFound { .. } => TransportErrorKind::NotFound,
        Error::Precondition { .. } | Error::AlreadyExists { .. } => {
            TransportErrorKind::PreconditionFailed
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            TransportErrorKind::Unsupported
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            TransportErrorKind::AccessDenied
        }
        // The crate has one kind for lost answers and for everything else, and has tried again
        // itself.
        _ => TransportErrorKind::Other,
    };
    TransportError::new(kind, error)
}
