// SPDX-License-Identifier: Apache-2.0
//! Storing an object in parts, which give the same bytes as one PUT.
//!
//! ```text
//!   plaintext   |--- P bytes ---|--- P bytes ---| .. |- fewer than P, perhaps none -|
//!   stored as   | part 1        | part 2        | .. | last part                    | tag |
//! ```
//! The last part waits for the digests of all others, which make the tag. Every part is encrypted
//! once in this process; whether it may be once more after a crash, the record decides.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::buffers::Buffers;
use super::files::RecordFile;
use super::instruction::{envelope_of, is_first};
use super::outcome::Mark;
use super::plaintext::{SealedPart, Seekable, Source, Stream, blocking};
use super::put_object::{PutObject, PutObjectOutput};
use super::record::{Begun, Record, Unverified, read_to_end_it};
use super::{EncryptedS3, Progress, persistently};
use crate::content::{ContentKey, PartDigest, TAG_BYTES, combine};
use crate::envelope::{Envelope, Stored};
use crate::error::Error;
use crate::object::{Content, Storage};
use crate::transport::{Address, Condition, ListedPart, TransportError, TransportErrorKind};

/// An upload that is under way.
pub(super) struct Upload {
    s3: EncryptedS3,
    to: Address,
    id: String,
    part_bytes: u64,
    key: Arc<ContentKey>,
    envelope: Stored,
    buffers: Buffers,
    record: Option<Record>,
    /// What the store had of it when it was gone on with.
    listed: BTreeMap<u32, ListedPart>,
    progress: Option<Progress>,
}

/// What became of an earlier upload.
pub(super) enum Resumed {
    /// It goes on.
    Upload(Arc<Upload>),
    /// The store knows it no more. The file is empty again.
    Gone(RecordFile),
}

/// What was stored.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) plaintext_bytes: u64,
    pub(super) count: u32,
    pub(super) resumed: u32,
    digests: BTreeMap<u32, PartDigest>,
    e_tags: Vec<(u32, String)>,
    tag: [u8; TAG_BYTES],
}

/// Begins an upload. `bytes` is the length of the plaintext where it is known.
pub(super) async fn begin(
    put: &PutObject,
    envelope: Stored,
    key: Arc<ContentKey>,
    bytes: Option<u64>,
    file: Option<RecordFile>,
) -> Result<Arc<Upload>, Error> {
    let part_bytes = part_bytes(put.s3.settings().part_bytes, bytes);
    let mut attributes = put.attributes.clone();
    attributes.metadata.extend(envelope.object.clone());
    let transport = put.s3.transport();
    // An answer that is lost leaves an upload behind that nobody knows: it has no parts.
    let upload_id = persistently(|| transport.create_multipart_upload(&put.to, &attributes)).await;
    let upload_id = match upload_id {
        Ok(upload_id) => upload_id,
        Err(error) => {
            discard(file).await;
            return Err(error.into());
        }
    };
    let begun = Begun {
        bucket: put.to.bucket.clone(),
        key: put.to.key.clone(),
        upload_id: upload_id.clone(),
        part_bytes,
        attributes: put.attributes.clone(),
        envelope: envelope.clone(),
        under: put.s3.inner.keyring.name(),
    };
    let record = match file {
        None => None,
        Some(file) => {
            let key = Arc::clone(&key);
            Some(blocking(move || Record::begin(file, &begun, &key)).await?)
        }
    };
    Ok(Arc::new(Upload {
        s3: put.s3.clone(),
        to: put.to.clone(),
        id: upload_id,
        part_bytes,
        key,
        envelope,
        buffers: Buffers::default(),
        record,
        listed: BTreeMap::new(),
        progress: put.progress.clone(),
    }))
}

/// Removes the file of a record that was not begun: an empty one would look like an interrupted
/// upload.
pub(super) async fn discard(file: Option<RecordFile>) {
    if let Some(file) = file {
        // What failed before is what matters.
        let _ = blocking(move || Ok(file.remove()?)).await;
    }
}

/// Goes on with the upload of a record.
pub(super) async fn resume(put: &PutObject, earlier: Unverified) -> Result<Resumed, Error> {
    let begun = earlier.begun.clone();
    if begun.to() != put.to {
        return Err(Error::State("it is of another object"));
    }
    if begun.attributes != put.attributes {
        return Err(Error::State("the upload was begun with other metadata"));
    }
    let is_in_file = put.s3.settings().storage == Storage::InstructionFile;
    if begun.envelope.instruction.is_some() != is_in_file {
        return Err(Error::State(
            "the upload was begun with the wrapped key in another place",
        ));
    }
    if begun.under.is_some() && begun.under != put.s3.inner.keyring.name() {
        return Err(Error::State("the upload was begun under another key"));
    }
    let envelope = envelope_of(&begun.envelope)?;
    let (policy, _) = put.s3.inner.client.judges();
    if policy.writes_committed() != matches!(envelope, Envelope::V3(_)) {
        return Err(Error::State("the upload was begun under another policy"));
    }
    let context = put.s3.context_for(&put.to, &put.context)?;
    let Content::Gcm(key) = put.s3.inner.client.open(&envelope, &context).await? else {
        return Err(Error::State("it is damaged"));
    };
    let transport = put.s3.transport();
    let listed = persistently(|| transport.list_parts(&put.to, &begun.upload_id)).await;
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => return gone(put, earlier, error).await,
    };
    let record = earlier.verify(&key)?;
    if listed.iter().any(|part| !record.knows(part.number)) {
        return Err(Error::State("the store has a part that it does not know"));
    }
    Ok(Resumed::Upload(Arc::new(Upload {
        s3: put.s3.clone(),
        to: put.to.clone(),
        id: begun.upload_id,
        part_bytes: begun.part_bytes,
        key: Arc::new(key),
        envelope: begun.envelope,
        buffers: Buffers::default(),
        record: Some(record),
        listed: listed.into_iter().map(|part| (part.number, part)).collect(),
        progress: put.progress.clone(),
    })))
}

/// The store does not list the upload's parts: it was ended, or completed when the process was
/// killed. What it made of the source then may be another state of it, so the object is made anew,
/// under another data key.
async fn gone(
    put: &PutObject,
    earlier: Unverified,
    error: TransportError,
) -> Result<Resumed, Error> {
    match error.kind {
        TransportErrorKind::NoSuchUpload | TransportErrorKind::NotFound => {}
        TransportErrorKind::Unsupported => {
            let id = &earlier.begun.upload_id;
            let _ = put.s3.transport().abort_multipart_upload(&put.to, id).await;
        }
        _ => return Err(error.into()),
    }
    let file = blocking(move || earlier.discard()).await?;
    Ok(Resumed::Gone(file))
}

/// Ends the upload of a record, and the record. Of one whose beginning is damaged nobody knows the
/// upload: its parts stay until the store's own rules take them.
pub(super) async fn abort(s3: &EncryptedS3, path: &Path) -> Result<(), Error> {
    let path = path.to_owned();
    let (file, begun) = blocking(move || read_to_end_it(&path)).await?;
    if let Some(begun) = begun {
        let (to, id) = (begun.to(), &begun.upload_id);
        match persistently(|| s3.transport().abort_multipart_upload(&to, id)).await {
            Ok(()) => {}
            Err(error) if error.kind == TransportErrorKind::NoSuchUpload => {}
            Err(error) => return Err(error.into()),
        }
    }
    blocking(move || Ok(file.remove()?)).await
}

impl Upload {
    /// Stores all parts and makes the object of them.
    pub(super) async fn run(
        self: Arc<Self>,
        put: &PutObject,
        body: Source,
        first: Option<SealedPart>,
    ) -> Result<PutObjectOutput, Error> {
        let result = self.store_all(put, body, first).await;
        if result.is_err() && self.record.is_none() {
            // Best effort: the store's own rules for uploads that nobody completes do the rest.
            let transport = self.s3.transport();
            let _ = transport.abort_multipart_upload(&self.to, &self.id).await;
        }
        result
    }

    async fn store_all(
        self: &Arc<Self>,
        put: &PutObject,
        body: Source,
        first: Option<SealedPart>,
    ) -> Result<PutObjectOutput, Error> {
        let mut parts = match body {
            Source::Seekable(seekable) => self.from_seekable(seekable).await?,
            Source::Stream(stream) => self.from_stream(stream, first).await?,
        };
        parts.e_tags.sort_unstable_by_key(|(number, _)| *number);
        let transport = self.s3.transport();
        let (id, list) = (&self.id, &parts.e_tags);
        let complete = |condition: Condition| async move {
            let done = transport.complete_multipart_upload(&self.to, id, list, &condition);
            done.await
        };
        let stored_bytes = parts.plaintext_bytes.saturating_add(16);
        let mark = Mark::new(&self.envelope.object, stored_bytes, Some(parts.tag));
        // One with a record goes on later, and is not ended.
        let ended = self.record.is_none().then_some(self.id.as_str());
        let written = put.write(&self.envelope, &mark, ended, complete).await;
        if matches!(written, Err(Error::Changed)) && is_first(&self.envelope)? {
            // It was begun where nothing was, and cannot be completed over what is there now: gone
            // on with, it would fail for ever.
            let _ = persistently(|| transport.abort_multipart_upload(&self.to, id)).await;
            self.forget().await?;
        }
        let (written, storage) = written?;
        self.forget().await?;
        Ok(PutObjectOutput::of(written, storage, &parts))
    }

    async fn forget(self: &Arc<Self>) -> Result<(), Error> {
        let upload = Arc::clone(self);
        blocking(move || upload.record.as_ref().map_or(Ok(()), Record::remove)).await
    }

    async fn from_seekable(self: &Arc<Self>, seekable: Seekable) -> Result<Parts, Error> {
        let (mut parts, mut under_way) = (Parts::default(), JoinSet::new());
        let result = self.read_seekable(seekable, &mut parts, &mut under_way);
        let result = result.await;
        settle(under_way).await;
        result.map(|()| parts)
    }

    async fn from_stream(
        self: &Arc<Self>,
        stream: Stream,
        first: Option<SealedPart>,
    ) -> Result<Parts, Error> {
        let (mut parts, mut under_way) = (Parts::default(), JoinSet::new());
        let result = self.read_stream(stream, first, &mut parts, &mut under_way);
        let result = result.await;
        settle(under_way).await;
        result.map(|()| parts)
    }

    async fn read_seekable(
        self: &Arc<Self>,
        seekable: Seekable,
        parts: &mut Parts,
        under_way: &mut UnderWay,
    ) -> Result<(), Error> {
        let full = seekable.bytes() / self.part_bytes;
        let last = number(full.saturating_add(1))?;
        for part in 1..last {
            self.make_room(under_way, parts).await?;
            let (upload, seekable) = (Arc::clone(self), seekable.clone());
            under_way.spawn(async move {
                let sealing = Arc::clone(&upload);
                let (first, bytes) = (sealing.first_of(part), sealing.part_bytes);
                let sealed = blocking(move || {
                    let buffer = sealing.buffers.take();
                    seekable.seal_into(buffer, &sealing.key, first, bytes)
                });
                let sealed = sealed.await?;
                upload.store(part, sealed, None).await
            });
        }
        while let Some(stored) = under_way.join_next().await {
            parts.add(joined(stored)?);
        }
        let (first, sealing) = (self.first_of(last), Arc::clone(self));
        let source = seekable.clone();
        let rest = seekable.bytes().saturating_sub(first);
        let sealed = blocking(move || {
            let buffer = sealing.buffers.take();
            source.seal_into(buffer, &sealing.key, first, rest)
        });
        let sealed = sealed.await?;
        if !blocking(move || seekable.is_unchanged()).await? {
            return Err(Error::SourceChanged { part: None });
        }
        self.store_last(parts, last, sealed).await
    }

    async fn read_stream(
        self: &Arc<Self>,
        mut stream: Stream,
        mut sealed: Option<SealedPart>,
        parts: &mut Parts,
        under_way: &mut UnderWay,
    ) -> Result<(), Error> {
        let most = usize::try_from(self.part_bytes).map_err(|_| Error::TooLong)?;
        for index in 1_u64.. {
            let part = number(index)?;
            let next = if let Some(sealed) = sealed.take() {
                sealed
            } else {
                self.make_room(under_way, parts).await?;
                let first = self.first_of(part);
                let buffer = self.buffers.take();
                let sealed = stream.seal_next_into(buffer, &self.key, first, most);
                sealed.await?
            };
            if next.plain_bytes() < self.part_bytes {
                while let Some(stored) = under_way.join_next().await {
                    parts.add(joined(stored)?);
                }
                return self.store_last(parts, part, next).await;
            }
            let upload = Arc::clone(self);
            under_way.spawn(async move { upload.store(part, next, None).await });
        }
        Ok(())
    }

    /// Waits until one more part may be in memory.
    async fn make_room(&self, under_way: &mut UnderWay, parts: &mut Parts) -> Result<(), Error> {
        while under_way.len() >= self.s3.settings().concurrency {
            match under_way.join_next().await {
                Some(stored) => parts.add(joined(stored)?),
                None => break,
            }
        }
        Ok(())
    }

    /// The last part, and the tag behind it.
    async fn store_last(
        self: &Arc<Self>,
        parts: &mut Parts,
        last: u32,
        sealed: SealedPart,
    ) -> Result<(), Error> {
        let mut digests: Vec<_> = parts.digests.values().copied().collect();
        if u32::try_from(digests.len()).ok() != last.checked_sub(1) {
            return Err(Error::Module);
        }
        digests.push(sealed.digest);
        let tag = combine(&self.key, &digests)?;
        parts.tag = tag;
        parts.add(self.store(last, sealed, Some(tag)).await?);
        Ok(())
    }

    /// Sends a part, or finds that the store has it.
    async fn store(
        self: &Arc<Self>,
        part: u32,
        sealed: SealedPart,
        tag: Option<[u8; 16]>,
    ) -> Result<StoredPart, Error> {
        let digest = sealed.digest;
        let upload = Arc::clone(self);
        if self.record.is_some() {
            // INVARIANT: before the first byte leaves the process.
            blocking(move || match &upload.record {
                Some(record) => record.admit(part, &digest),
                None => Ok(()),
            })
            .await?;
        }
        let mut ciphertext = sealed.ciphertext;
        ciphertext.extend_from_slice(tag.as_ref().map_or(&[], |tag| tag.as_slice()));
        let body = Bytes::from(ciphertext);
        let present = self.present(part, &body);
        let is_resumed = present.is_some();
        let e_tag = match present {
            Some(e_tag) => e_tag,
            None => self.send(part, &body).await?,
        };
        self.buffers.give_sent(body);
        if let Some(told) = &self.progress {
            told(digest.ciphertext_bytes());
        }
        Ok(StoredPart {
            part,
            digest,
            e_tag,
            is_resumed,
        })
    }

    /// The ETag of a part that the store has, if it is the one that was recorded when it was
    /// stored.
    fn present(&self, part: u32, body: &Bytes) -> Option<String> {
        let listed = self.listed.get(&part)?;
        let recorded = self.record.as_ref()?.e_tag(part)?;
        let is_whole = u64::try_from(body.len()).ok() == Some(listed.bytes);
        (recorded == listed.e_tag && is_whole).then_some(recorded)
    }

    async fn send(self: &Arc<Self>, part: u32, body: &Bytes) -> Result<String, Error> {
        let (transport, id) = (self.s3.transport(), &self.id);
        let e_tag =
            persistently(|| transport.upload_part(&self.to, id, part, body.clone())).await?;
        let (upload, stored) = (Arc::clone(self), e_tag.clone());
        blocking(move || match &upload.record {
            Some(record) => record.stored(part, &stored),
            None => Ok(()),
        })
        .await?;
        Ok(e_tag)
    }

    /// Number of the first byte of a part.
    fn first_of(&self, part: u32) -> u64 {
        u64::from(part.saturating_sub(1)).saturating_mul(self.part_bytes)
    }
}

struct StoredPart {
    part: u32,
    digest: PartDigest,
    e_tag: String,
    is_resumed: bool,
}

type UnderWay = JoinSet<Result<StoredPart, Error>>;

fn joined(
    stored: Result<Result<StoredPart, Error>, tokio::task::JoinError>,
) -> Result<StoredPart, Error> {
    stored.map_err(|error| Error::Io(io::Error::other(error)))?
}

/// After a failure, waits for what is under way: so that no part comes after the end of its
/// upload, and nobody has the record any more.
async fn settle(mut under_way: UnderWay) {
    while under_way.join_next().await.is_some() {}
}

impl Parts {
    fn add(&mut self, stored: StoredPart) {
        self.count = self.count.saturating_add(1);
        self.resumed = self.resumed.saturating_add(u32::from(stored.is_resumed));
        let bytes = stored.digest.ciphertext_bytes();
        self.plaintext_bytes = self.plaintext_bytes.saturating_add(bytes);
        self.digests.insert(stored.part, stored.digest);
        self.e_tags.push((stored.part, stored.e_tag));
    }
}

/// Bytes of a part: as set, or more if there would be too many parts.
fn part_bytes(set: u64, bytes: Option<u64>) -> u64 {
    let fewest = bytes.unwrap_or(0).div_ceil(PARTS_MAX.saturating_sub(1));
    if fewest <= set {
        set
    } else {
        fewest.next_multiple_of(1024 * 1024)
    }
}

fn number(part: u64) -> Result<u32, Error> {
    if part > PARTS_MAX {
        return Err(Error::Config(
            "the stream has more than 10,000 parts: make the parts longer",
        ));
    }
    u32::try_from(part).map_err(|_| Error::TooLong)
}

/// S3's limit.
const PARTS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_long_enough_for_the_longest_object() {
        let max = crate::content::PLAINTEXT_BYTES_MAX;
        for bytes in [0, 1, 100_000, max / 2, max] {
            for set in [64 * 1024, 7 * 1024 * 1024] {
                let part = part_bytes(set, Some(bytes));
                assert!(part >= set && part.is_multiple_of(16));
                assert!(part == set || bytes / set >= 9_999, "longer without need");
                assert!(number(bytes / part + 1).is_ok(), "{bytes} {set}");
            }
        }
        assert!(number(10_000).is_ok());
        assert!(number(10_001).is_err());
    }
}
