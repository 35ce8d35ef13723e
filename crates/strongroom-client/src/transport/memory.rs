// SPDX-License-Identifier: Apache-2.0
//! An object store in memory, for tests of programs that use this crate.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{
    Address, Attributes, ByteRange, Condition, Entry, Facts, Fetch, Fetched, ListQuery, ListedPart,
    ListedUpload, Page, Reply, Transport, TransportError, TransportErrorKind, Written,
};

/// An object store in memory: no versions, no rights, every bucket exists.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Address, Object>,
    uploads: BTreeMap<String, Upload>,
    writes: u64,
}

#[derive(Clone, Debug)]
struct Object {
    content: Bytes,
    attributes: Attributes,
    e_tag: String,
}

#[derive(Debug)]
struct Upload {
    to: Address,
    attributes: Attributes,
    parts: BTreeMap<u32, (String, Bytes)>,
}

impl InMemory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stored bytes of an object and what lies beside them.
    pub fn stored(&self, at: &Address) -> Option<(Bytes, Attributes)> {
        let state = self.state();
        let object = state.objects.get(at)?;
        Some((object.content.clone(), object.attributes.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn object(&self, at: &Address) -> Result<&Object, TransportError> {
        let missing = || TransportErrorKind::NotFound.into();
        self.objects.get(at).ok_or_else(missing)
    }

    fn upload(&self, to: &Address, id: &str) -> Result<&Upload, TransportError> {
        let upload = self.uploads.get(id).filter(|upload| upload.to == *to);
        upload.ok_or_else(|| TransportErrorKind::NoSuchUpload.into())
    }

    fn next(&mut self) -> String {
        self.writes = self.writes.saturating_add(1);
        format!("\"{:032x}\"", self.writes)
    }

    fn write(
        &mut self,
        to: &Address,
        content: Bytes,
        attributes: Attributes,
        condition: &Condition,
    ) -> Result<Written, TransportError> {
        let present = self.objects.get(to);
        let matches = match &condition.if_match {
            None => true,
            Some(wanted) => present.is_some_and(|object| object.e_tag == *wanted),
        };
        if !matches || (condition.if_none_match_any && present.is_some()) {
            return Err(TransportErrorKind::PreconditionFailed.into());
        }
        let e_tag = self.next();
        let object = Object {
            content,
            attributes,
            e_tag: e_tag.clone(),
        };
        self.objects.insert(to.clone(), object);
        Ok(Written {
            e_tag: Some(e_tag),
            version_id: None,
        })
    }
}

impl Object {
    fn facts(&self) -> Facts {
        Facts {
            stored_bytes: len(&self.content),
            e_tag: Some(self.e_tag.clone()),
            version_id: None,
            last_modified_s: None,
            attributes: self.attributes.clone(),
        }
    }

    fn fetch(&self, fetch: &Fetch) -> Result<Fetched, TransportError> {
        let other = |wanted: &String| *wanted != self.e_tag;
        if fetch.if_match.as_ref().is_some_and(other) {
            return Err(TransportErrorKind::PreconditionFailed.into());
        }
        let total = len(&self.content);
        let (first, end) = match fetch.range {
            None => (0, total),
            Some(ByteRange::FromTo(first, last)) => (first, last.saturating_add(1).min(total)),
            Some(ByteRange::From(first)) => (first, total),
            Some(ByteRange::Last(count)) => (total.saturating_sub(count), total),
        };
        if fetch.range.is_some() && first >= end {
            return Err(TransportErrorKind::InvalidRange.into());
        }
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.content.slice(index(first)..index(end));
        // In pieces of odd length, as they come over a wire.
        let pieces: Vec<_> = bytes
            .chunks(PIECE_BYTES)
            .map(|piece| Ok(bytes.slice_ref(piece)))
            .collect();
        Ok(Fetched {
            facts: self.facts(),
            first,
            bytes: end.saturating_sub(first),
            body: Box::pin(futures_util::stream::iter(pieces)),
        })
    }
}

fn len(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Nothing happens before somebody waits for it.
fn now<'a, T: Send + 'a>(
    work: impl FnOnce() -> Result<T, TransportError> + Send + 'a,
) -> Reply<'a, T> {
    Box::pin(async move { work() })
}

impl Transport for InMemory {
    fn put_object<'a>(
        &'a self,
        to: &'a Address,
        body: Bytes,
        attributes: &'a Attributes,
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        now(move || self.state().write(to, body, attributes.clone(), condition))
    }

    fn get_object<'a>(&'a self, from: &'a Address, fetch: &'a Fetch) -> Reply<'a, Fetched> {
        now(move || {
            let state = self.state();
            state.object(from).and_then(|object| object.fetch(fetch))
        })
    }

    fn head_object<'a>(&'a self, of: &'a Address, _: Option<&'a str>) -> Reply<'a, Facts> {
        now(move || self.state().object(of).map(Object::facts))
    }

    fn delete_object<'a>(&'a self, at: &'a Address, _: Option<&'a str>) -> Reply<'a, ()> {
        now(move || {
            self.state().objects.remove(at);
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
        now(move || {
            let mut state = self.state();
            let source = state.object(from)?.clone();
            if if_match.is_some_and(|wanted| wanted != source.e_tag) {
                return Err(TransportErrorKind::PreconditionFailed.into());
            }
            let attributes = attributes.cloned().unwrap_or(source.attributes);
            let condition = Condition {
                if_match: if_match.filter(|_| from == to).map(ToOwned::to_owned),
                if_none_match_any: false,
            };
            state.write(to, source.content, attributes, &condition)
        })
    }

    fn list_objects_v2<'a>(&'a self, bucket: &'a str, query: &'a ListQuery) -> Reply<'a, Page> {
        now(move || {
            let state = self.state();
            let mut page = Page::default();
            let prefix = query.prefix.as_deref().unwrap_or_default();
            let after = query
                .continuation_token
                .as_deref()
                .or(query.start_after.as_deref());
            let max = query.max_keys.and_then(|max| usize::try_from(max).ok());
            for (address, object) in &state.objects {
                let key = &address.key;
                if address.bucket != bucket || !key.starts_with(prefix) {
                    continue;
                }
                if after.is_some_and(|after| {
                    key.as_str() <= after || key.starts_with(&folded(after, query))
                }) {
                    continue;
                }
                if page
                    .contents
                    .len()
                    .saturating_add(page.common_prefixes.len())
                    >= max.unwrap_or(1000)
                {
                    let last = page.contents.last().map(|entry| entry.key.clone());
                    page.next_continuation_token = last.max(page.common_prefixes.last().cloned());
                    break;
                }
                let rest = key.get(prefix.len()..).unwrap_or_default();
                let fold = query
                    .delimiter
                    .as_deref()
                    .and_then(|by| Some((rest.find(by)?, by)));
                if let Some((at, by)) = fold {
                    let end = prefix.len().saturating_add(at).saturating_add(by.len());
                    let common = key.get(..end).unwrap_or_default().to_owned();
                    if page.common_prefixes.last() != Some(&common) {
                        page.common_prefixes.push(common);
                    }
                    continue;
                }
                page.contents.push(Entry {
                    key: key.clone(),
                    stored_bytes: len(&object.content),
                    e_tag: Some(object.e_tag.clone()),
                    last_modified_s: None,
                });
            }
            Ok(page)
        })
    }

    fn create_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        attributes: &'a Attributes,
    ) -> Reply<'a, String> {
        now(move || {
            let mut state = self.state();
            let id = state.next();
            let upload = Upload {
                to: to.clone(),
                attributes: attributes.clone(),
                parts: BTreeMap::new(),
            };
            state.uploads.insert(id.clone(), upload);
            Ok(id)
        })
    }

    fn upload_part<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> Reply<'a, String> {
        now(move || {
            let mut state = self.state();
            state.upload(to, upload_id)?;
            let e_tag = state.next();
            if let Some(upload) = state.uploads.get_mut(upload_id) {
                upload.parts.insert(number, (e_tag.clone(), body));
            }
            Ok(e_tag)
        })
    }

    fn complete_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        now(move || {
            let mut state = self.state();
            let upload = state.upload(to, upload_id)?;
            let mut content = Vec::new();
            let mut before = 0;
            for (number, e_tag) in parts {
                match upload.parts.get(number) {
                    Some((own, body)) if own == e_tag && *number > before => {
                        content.extend_from_slice(body);
                    }
                    _ => return Err(TransportErrorKind::Other.into()),
                }
                before = *number;
            }
            let attributes = upload.attributes.clone();
            let written = state.write(to, content.into(), attributes, condition);
            if written.is_ok() {
                state.uploads.remove(upload_id);
            }
            written
        })
    }

    fn abort_multipart_upload<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, ()> {
        now(move || {
            let mut state = self.state();
            state.upload(to, upload_id)?;
            state.uploads.remove(upload_id);
            Ok(())
        })
    }

    fn list_parts<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, Vec<ListedPart>> {
        now(move || {
            let state = self.state();
            state.upload(to, upload_id).map(|upload| {
                let part = |(number, (e_tag, body)): (&u32, &(String, Bytes))| ListedPart {
                    number: *number,
                    e_tag: e_tag.clone(),
                    bytes: len(body),
                };
                upload.parts.iter().map(part).collect()
            })
        })
    }

    fn list_multipart_uploads<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> Reply<'a, Vec<ListedUpload>> {
        now(move || {
            let state = self.state();
            let wanted =
                |upload: &Upload| upload.to.bucket == bucket && upload.to.key.starts_with(prefix);
            let uploads = state.uploads.iter().filter(|(_, upload)| wanted(upload));
            let listed = uploads.map(|(id, upload)| ListedUpload {
                key: upload.to.key.clone(),
                upload_id: id.clone(),
            });
            Ok(listed.collect())
        })
    }
}

/// A continuation that is a folded name stands for all names under it.
fn folded(after: &str, query: &ListQuery) -> String {
    let is_folded = query
        .delimiter
        .as_deref()
        .is_some_and(|by| after.ends_with(by));
    if is_folded {
        after.to_owned()
    } else {
        format!("{after}\0")
    }
}

/// No multiple of a block.
const PIECE_BYTES: usize = 50_001;
