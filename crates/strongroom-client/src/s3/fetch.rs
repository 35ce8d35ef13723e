// SPDX-License-Identifier: Apache-2.0
//! An object's ciphertext, in ranges side by side, put where nobody sees it, and verified.
//!
//! AES-GCM has one tag for the whole object, but GHASH can be computed of its pieces apart
//! (`content::verify`). So ranges are fetched and hashed in parallel, and the tag is checked when
//! all are there. Every range asks for the object with the ETag of the first; should a store not
//! keep that promise, the tag does not fit.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::buffers::Buffers;
use super::files::{ResultFile, SpoolFile};
use super::plaintext::blocking;
use super::read::Reading;
use super::{ATTEMPTS, PAUSE_FIRST};
use crate::content::{PLAINTEXT_BYTES_MAX, PartDigest, TAG_BYTES, verify};
use crate::envelope::{Cipher, Envelope};
use crate::error::Error;
use crate::object::{Content, Storage};
use crate::transport::{ByteRange, Facts, Fetched, TransportErrorKind};

/// An object of which the first bytes are coming, and the key that opens it.
pub(super) struct Opened {
    pub(super) facts: Facts,
    pub(super) envelope: Envelope,
    pub(super) storage: Storage,
    pub(super) content: Arc<Content>,
    pub(super) first: Fetched,
}

/// Where the bytes of an object go.
#[derive(Debug)]
pub(super) enum Place {
    /// Ciphertext, in memory.
    Memory(Mutex<Vec<u8>>),
    /// Ciphertext, in a file without a name.
    Spool(SpoolFile),
    /// Plaintext, in a file that gets its name later.
    Result(ResultFile),
}

/// A whole object that was verified, as far as its cipher allows.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) place: Place,
    /// Of its pieces, in order; none under AES-CBC.
    pub(super) digests: Vec<PartDigest>,
    /// Its bytes, without the tag.
    pub(super) ciphertext_bytes: u64,
}

/// Opens an object with one request, which brings its first bytes, too.
pub(super) async fn open(reading: &Reading) -> Result<Opened, Error> {
    let first = ByteRange::FromTo(0, RANGE_BYTES.saturating_sub(1));
    let mut first = match reading.fetch(Some(first)).await {
        Ok(first) => first,
        Err(error) if error.kind == TransportErrorKind::InvalidRange => {
            return Err(reading.of_nothing().await);
        }
        Err(error) => return Err(error.into()),
    };
    let facts = std::mem::take(&mut first.facts);
    let total = facts.stored_bytes;
    if first.first != 0
        || first.bytes > total
        || (first.bytes < total && first.bytes != RANGE_BYTES)
    {
        return Err(Error::Changed);
    }
    let (envelope, storage) = reading.envelope(&facts.attributes.metadata).await?;
    check_length(&envelope, total)?;
    let content = Arc::new(reading.open(&envelope).await?);
    Ok(Opened {
        facts,
        envelope,
        storage,
        content,
        first,
    })
}

/// Before anything is made room for.
pub(super) fn check_length(envelope: &Envelope, total: u64) -> Result<(), Error> {
    envelope.plaintext_len(total)?;
    let is_gcm = envelope.cipher() != Cipher::Cbc;
    if is_gcm && total > PLAINTEXT_BYTES_MAX.saturating_add(TAG) {
        return Err(Error::Content);
    }
    Ok(())
}

/// Fetches all of an object to a place. Under AES-GCM it is verified when this returns.
pub(super) async fn receive(
    reading: &Reading,
    opened: Opened,
    place: Place,
) -> Result<Received, Error> {
    let total = opened.facts.stored_bytes;
    let tag_bytes = match *opened.content {
        Content::Gcm(_) => TAG,
        Content::Cbc { .. } => 0,
    };
    let ciphertext_bytes = total.checked_sub(tag_bytes).ok_or(Error::Content)?;
    let pieces = match *opened.content {
        Content::Gcm(_) => piece_index(
            ciphertext_bytes
                .saturating_add(PIECE_BYTES)
                .saturating_sub(1),
        )?,
        Content::Cbc { .. } => 0,
    };
    let mut reading = reading.clone();
    reading.if_match = opened.facts.e_tag.clone().or(reading.if_match);
    reading.version_id = opened.facts.version_id.clone().or(reading.version_id);
    let (failed, _) = watch::channel(false);
    let job = Arc::new(Job {
        failed,
        reading,
        total,
        ciphertext_bytes,
        content: opened.content,
        place,
        buffers: Buffers::default(),
        found: Mutex::new(Found {
            digests: vec![None; pieces],
            tag: [0; TAG_BYTES],
        }),
    });
    let mut first = opened.first;
    first.facts = Facts {
        stored_bytes: total,
        e_tag: opened.facts.e_tag,
        ..Facts::default()
    };
    fetch_ranges(&job, first).await?;
    let job = Arc::into_inner(job).ok_or(Error::Module)?;
    let found = job
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let digests: Option<Vec<_>> = found.digests.into_iter().collect();
    let digests = digests.ok_or(Error::Content)?;
    if let Content::Gcm(key) = &*job.content {
        // INVARIANT: what leaves this function under AES-GCM was verified.
        verify(key, &digests, &found.tag)?;
    }
    Ok(Received {
        place: job.place,
        digests,
        ciphertext_bytes,
    })
}

struct Job {
    /// Ends what still waits for the store when something failed.
    failed: watch::Sender<bool>,
    reading: Reading,
    total: u64,
    ciphertext_bytes: u64,
    content: Arc<Content>,
    place: Place,
    buffers: Buffers,
    found: Mutex<Found>,
}

struct Found {
    digests: Vec<Option<PartDigest>>,
    tag: [u8; TAG_BYTES],
}

async fn fetch_ranges(job: &Arc<Job>, first: Fetched) -> Result<(), Error> {
    let mut under_way = JoinSet::new();
    let result = start_ranges(job, first, &mut under_way).await;
    // When something failed, nothing is still being written when this returns.
    job.failed.send_replace(result.is_err());
    while under_way.join_next().await.is_some() {}
    result
}

async fn start_ranges(
    job: &Arc<Job>,
    first: Fetched,
    under_way: &mut JoinSet<Result<(), Error>>,
) -> Result<(), Error> {
    let mut at = first.bytes;
    under_way.spawn(one_range(Arc::clone(job), 0, first.bytes, Some(first)));
    while at < job.total {
        if under_way.len() >= job.reading.s3.settings().concurrency {
            joined(under_way.join_next().await)?;
        }
        let end = at.saturating_add(RANGE_BYTES).min(job.total);
        under_way.spawn(one_range(Arc::clone(job), at, end, None));
        at = end;
    }
    while !under_way.is_empty() {
        joined(under_way.join_next().await)?;
    }
    Ok(())
}

type Joined = Option<Result<Result<(), Error>, tokio::task::JoinError>>;

fn joined(joined: Joined) -> Result<(), Error> {
    match joined {
        None => Ok(()),
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(Error::Io(io::Error::other(error))),
    }
}

/// Bytes `first..end`, from the beginning again when they are cut off.
async fn one_range(
    job: Arc<Job>,
    first: u64,
    end: u64,
    mut begun: Option<Fetched>,
) -> Result<(), Error> {
    let mut pause = PAUSE_FIRST;
    for attempt in 1_u32.. {
        let result = match begun.take() {
            Some(fetched) => job.take(first, end, fetched).await,
            None => job.request(first, end).await,
        };
        match result {
            Err(Error::Transport(error))
                if error.kind == TransportErrorKind::Unavailable && attempt < ATTEMPTS => {}
            Ok(()) => {
                if let Some(told) = &job.reading.progress {
                    told(end.min(job.ciphertext_bytes).saturating_sub(first));
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        job.unless_failed(tokio::time::sleep(pause)).await?;
        pause = pause.saturating_mul(4);
    }
    Ok(())
}

impl Job {
    /// Waits for the store, or gives up because another range failed.
    async fn unless_failed<T>(&self, waiting: impl Future<Output = T>) -> Result<T, Error> {
        let mut failed = self.failed.subscribe();
        tokio::select! {
            done = waiting => Ok(done),
            _ = failed.wait_for(|failed| *failed) => Err(Error::Changed),
        }
    }

    async fn request(self: &Arc<Self>, first: u64, end: u64) -> Result<(), Error> {
        let range = ByteRange::FromTo(first, end.saturating_sub(1));
        let fetched = self.unless_failed(self.reading.fetch(Some(range))).await?;
        let fetched = fetched.map_err(|error| match error.kind {
            TransportErrorKind::PreconditionFailed
            | TransportErrorKind::NotFound
            | TransportErrorKind::InvalidRange => Error::Changed,
            _ => error.into(),
        })?;
        self.take(first, end, fetched).await
    }

    async fn take(
        self: &Arc<Self>,
        first: u64,
        end: u64,
        mut fetched: Fetched,
    ) -> Result<(), Error> {
        let wanted = &self.reading.if_match;
        let is_other =
            wanted.is_some() && fetched.facts.e_tag.is_some() && fetched.facts.e_tag != *wanted;
        let is_same_range = fetched.first == first && fetched.bytes == end.saturating_sub(first);
        if is_other || !is_same_range || fetched.facts.stored_bytes != self.total {
            return Err(Error::Changed);
        }
        let piece_bytes = usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX);
        let mut at = first;
        let mut piece = self.buffers.take();
        piece.reserve_exact(piece_bytes.saturating_add(64));
        loop {
            let come = self.unless_failed(fetched.body.next()).await?.transpose()?;
            let is_last = come.is_none();
            let come = come.unwrap_or_default();
            let mut rest = &*come;
            while !rest.is_empty() || is_last {
                let free = piece_bytes.saturating_sub(piece.len());
                let (taken, left) = rest.split_at(free.min(rest.len()));
                piece.extend_from_slice(taken);
                rest = left;
                if piece.len() < piece_bytes && !is_last {
                    break;
                }
                let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                if at.saturating_add(bytes) > end {
                    return Err(Error::Changed);
                }
                let job = Arc::clone(self);
                piece = blocking(move || job.keep(at, piece)).await?;
                at = at.saturating_add(bytes);
                if is_last {
                    break;
                }
            }
            if is_last {
                break;
            }
        }
        self.buffers.give(piece);
        if at < end {
            return Err(Error::Transport(TransportErrorKind::Unavailable.into()));
        }
        Ok(())
    }

    /// Hashes and keeps the bytes from `at` on, one piece; gives the buffer back. Blocks.
    fn keep(&self, at: u64, mut piece: Vec<u8>) -> Result<Vec<u8>, Error> {
        let own = self.ciphertext_bytes.saturating_sub(at);
        let own = usize::try_from(own).unwrap_or(usize::MAX).min(piece.len());
        let (ciphertext, tag) = piece.split_at(own);
        if !ciphertext.is_empty() {
            let digest = match (&*self.content, &self.place) {
                (Content::Gcm(key), Place::Result(file)) => {
                    let mut part = key.part_decryptor(at)?;
                    let mut plain = self.buffers.take();
                    plain.reserve_exact(ciphertext.len().saturating_add(64));
                    part.update_unverified(ciphertext, &mut plain)?;
                    file.write_at(&plain, at)?;
                    self.buffers.give(plain);
                    Some(part.finish())
                }
                (Content::Gcm(key), place) => {
                    place.write_at(ciphertext, at)?;
                    Some(key.part_digest(ciphertext)?)
                }
                (Content::Cbc { .. }, Place::Result(_)) => return Err(Error::Content),
                (Content::Cbc { .. }, place) => {
                    place.write_at(ciphertext, at)?;
                    None
                }
            };
            if digest.is_some() {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = found
                    .digests
                    .get_mut(piece_index(at)?)
                    .ok_or(Error::Content)?;
                *slot = digest;
            }
        }
        if !tag.is_empty() {
            let first = at
                .max(self.ciphertext_bytes)
                .saturating_sub(self.ciphertext_bytes);
            let first = usize::try_from(first).map_err(|_| Error::Content)?;
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let end = first.saturating_add(tag.len());
            let slot = found.tag.get_mut(first..end).ok_or(Error::Content)?;
            slot.copy_from_slice(tag);
        }
        piece.clear();
        Ok(piece)
    }
}

impl Place {
    fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => {
                let at = usize::try_from(at).map_err(|_| Error::TooLong)?;
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let end = at.saturating_add(bytes.len());
                let room = memory.get_mut(at..end).ok_or(Error::Content)?;
                room.copy_from_slice(bytes);
            }
            Self::Spool(file) => file.write_at(bytes, at)?,
            Self::Result(file) => file.write_at(bytes, at)?,
        }
        Ok(())
    }

    /// Ciphertext that was put there. Blocks.
    pub(super) fn read_at(&self, at: u64, bytes: u64) -> Result<Vec<u8>, Error> {
        let bytes = usize::try_from(bytes).map_err(|_| Error::TooLong)?;
        match self {
            Self::Memory(memory) => {
                let at = usize::try_from(at).map_err(|_| Error::TooLong)?;
                let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let found = memory.get(at..at.saturating_add(bytes));
                Ok(found.ok_or(Error::Content)?.to_vec())
            }
            Self::Spool(file) => {
                let mut found = vec![0; bytes];
                file.read_at(&mut found, at)?;
                Ok(found)
            }
            Self::Result(_) => Err(Error::Config("a result is not read back")),
        }
    }
}

fn piece_index(at: u64) -> Result<usize, Error> {
    usize::try_from(at / PIECE_BYTES).map_err(|_| Error::TooLong)
}

/// Fetched by one request. Whole pieces.
const RANGE_BYTES: u64 = 8 * PIECE_BYTES;
/// Hashed and kept at a time. Whole blocks.
pub(super) const PIECE_BYTES: u64 = 1024 * 1024;
const TAG: u64 = 16;
