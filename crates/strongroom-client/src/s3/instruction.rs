// SPDX-License-Identifier: Apache-2.0
//! Writing an object whose wrapped data key lies in an instruction file.
//!
//! Object and file are two, and no store writes both at once. Whoever writes the file first takes
//! the only wrap of the old object's data key away before the new object is there; whoever writes the
//! object first has one that nothing opens yet. An interruption between the two, or another writer,
//! then destroys what was stored. So over something that is there the object opens by itself until
//! its file is there:
//!
//! ```text
//!   nothing at the name, and no file     1  file, if there is none
//!                                        2  object, if there is none
//!
//!   else                                 1  the file that is there, or that there is none, is looked at
//!                                        2  object, with the whole envelope in its metadata
//!                                        3  file, only over what was seen in 1
//!                                        4  object copied onto itself without the wrapped key, only if it
//!                                           is that of 2
//! ```
//! Readers ask for no file where the metadata has the wrapped key. So an object of 2 opens whatever the
//! file says, and that interrupted writes leave it so harms nobody. What remains is that an object
//! without its wrapped key (a *bare* one: after 4, or after 2 of the first way) always has its own
//! file beside it. INVARIANT, for writers W and X of one name, in any order of their steps:
//!
//! - W makes its object bare in W4 only after W3 put its file there. Should X3 replace that file
//!   afterwards, X saw it in X1; so X1, and with it X2, came after W3. If X2 came before W4, W4 fails, since
//!   the object is not W's any more. If it came after, W's bare object is gone before X3.
//! - Should X3 come before W3, W3 fails unless W1 had seen X's file already, and then W is the later
//!   one of the case above. A W3 that fails leaves W's object whole.
//! - The first way, by X, against the second, by W: W3 can replace X's file only if W1 saw it. If X's
//!   object came before W2, it is gone by W3; after W2, it is not written, since there is one.
//! - The first way by both: only one of them writes the file, and the other one stops there.
//! - A re-wrap writes a file only over the one it had read with the object, under the same data key.
//!   W3 then fails, or the re-wrap does. A re-wrap of what W2 has written copies that object, and W4 fails;
//!   should a store's copies keep the ETag, one that comes between W4's look and its copy is undone, and
//!   the object opens under the key that W wrote it under.
//! - Who writes without a file writes whole objects, and no file.
//!
//! A file is named by its ETag, which no two files share: each has another wrap. No file is ever
//! deleted here: one that a write in the first way left behind opens nothing, and sends the next writer
//! the second way. Deletions are outside of this: a file that is deleted under an object is gone, and
//! who deletes both while somebody writes takes part of what is written.
//!
//! S3 copies up to 5 GiB at once. Longer objects that are written over something keep their envelope
//! in the metadata, and so do all on stores that have no condition on what a copy replaces; the
//! caller is told ([`super::PutObjectOutput::storage`]).

use super::outcome::{self, Mark, is_open};
use super::put_object::PutObject;
use super::read::{InstructionFile, own_metadata};
use super::{ATTEMPTS, PAUSE_FIRST, beside, changed, persistently};
use crate::envelope::{Detected, Envelope, Instruction, Stored, detect};
use crate::error::Error;
use crate::object::Storage;
use crate::transport::{Attributes, Condition, Facts, TransportError, TransportErrorKind, Written};

/// The envelope of a new object, as it is about to be stored.
pub(super) fn envelope_of(stored: &Stored) -> Result<Envelope, Error> {
    match (detect(&stored.object)?, &stored.instruction) {
        (Detected::Here(envelope), _) => Ok(envelope),
        (Detected::Elsewhere(partial), Some(file)) => partial.complete(&file.body),
        (Detected::Elsewhere(_), None) => Err(Error::State("it is damaged")),
    }
}

/// Whether an object with an instruction file goes where nothing is: it has no wrapped key of its
/// own, at no time.
pub(super) fn is_first(stored: &Stored) -> Result<bool, Error> {
    let is_bare = matches!(detect(&stored.object)?, Detected::Elsewhere(_));
    Ok(is_bare && stored.instruction.is_some())
}

impl PutObject {
    /// What is stored with the object as it stands at the store now: over something that is there, the
    /// wrapped key is in its metadata, too.
    pub(super) async fn placed(&self, stored: Stored) -> Result<Stored, Error> {
        if stored.instruction.is_none() {
            return Ok(stored);
        }
        let transport = self.s3.transport();
        let file = self.s3.own_file(&beside(&self.to, None)).await?;
        let is_free = match persistently(|| transport.head_object(&self.to, None)).await {
            Ok(_) => false,
            Err(error) if error.kind == TransportErrorKind::NotFound => file.is_none(),
            Err(error) => return Err(error.into()),
        };
        if is_free {
            return Ok(stored);
        }
        let whole = envelope_of(&stored)?.to_metadata()?;
        Ok(Stored {
            object: whole.object,
            instruction: stored.instruction,
        })
    }

    /// Makes the object by `attempt`, and its instruction file if it has one; says where the
    /// wrapped key lies then. `upload` is ended before it is asked whether an attempt that nobody
    /// answered came to be, so that it does not come to be later.
    pub(super) async fn write<F>(
        &self,
        stored: &Stored,
        mark: &Mark,
        upload: Option<&str>,
        attempt: impl Fn(Condition) -> F,
    ) -> Result<(Written, Storage), Error>
    where
        F: Future<Output = Result<Written, TransportError>>,
    {
        let Some(file) = &stored.instruction else {
            let asked = &self.condition;
            let written = self.attempted(mark, upload, asked, attempt).await;
            return Ok((written.map_err(Failed::error)?, Storage::Metadata));
        };
        if is_first(stored)? {
            let written = self.write_first(file, mark, upload, attempt).await?;
            return Ok((written, Storage::InstructionFile));
        }
        let at = beside(&self.to, None);
        let before = self.s3.own_file(&at).await?;
        let asked = &self.condition;
        let written = self.attempted(mark, upload, asked, attempt).await;
        let written = written.map_err(Failed::error)?;
        let has_guards = before.as_ref().is_none_or(InstructionFile::is_named);
        if mark.stored_bytes() > COPY_BYTES_MAX || !has_guards || written.e_tag.is_none() {
            return Ok((written, Storage::Metadata));
        }
        self.s3
            .write_file(&at, &file.body, &attributes_of(file), before.as_ref())
            .await?;
        self.make_bare(stored, mark, written).await
    }

    /// File and object where nothing is.
    async fn write_first<F>(
        &self,
        file: &Instruction,
        mark: &Mark,
        upload: Option<&str>,
        attempt: impl Fn(Condition) -> F,
    ) -> Result<Written, Error>
    where
        F: Future<Output = Result<Written, TransportError>>,
    {
        if self.condition.if_match.is_some() {
            return Err(Error::Changed);
        }
        let at = beside(&self.to, None);
        self.s3
            .write_file(&at, &file.body, &attributes_of(file), None)
            .await?;
        let first = Condition {
            if_match: None,
            if_none_match_any: true,
        };
        match self.attempted(mark, upload, &first, &attempt).await {
            Err(Failed::Store(error))
                if error.kind == TransportErrorKind::Unsupported
                    && !self.condition.if_none_match_any =>
            {
                // A store without conditions on writes: that there is still nothing is the most
                // that can be known.
                let transport = self.s3.transport();
                match persistently(|| transport.head_object(&self.to, None)).await {
                    Err(error) if error.kind == TransportErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                    Ok(_) => return Err(Error::Changed),
                }
                let asked = &self.condition;
                let written = self.attempted(mark, upload, asked, attempt).await;
                written.map_err(Failed::error)
            }
            written => written.map_err(Failed::error),
        }
    }

    /// One write, tried again and looked for if its answer was lost.
    async fn attempted<F>(
        &self,
        mark: &Mark,
        upload: Option<&str>,
        condition: &Condition,
        attempt: impl Fn(Condition) -> F,
    ) -> Result<Written, Failed>
    where
        F: Future<Output = Result<Written, TransportError>>,
    {
        let (answer, is_lost) = outcome::written(|| attempt(condition.clone())).await;
        let error = match answer {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        if let (true, Some(id)) = (is_lost, upload) {
            let transport = self.s3.transport();
            let _ = persistently(|| transport.abort_multipart_upload(&self.to, id)).await;
        }
        let settled = self.s3.settle(&self.to, Some(mark), is_lost, None).await;
        match settled {
            Ok(Some(written)) => Ok(written),
            Ok(None) => Err(Failed::Store(error)),
            Err(error) => Err(Failed::Else(error)),
        }
    }

    /// Takes the wrapped key out of the metadata of the object that was just written, whose file is
    /// there. What is there by now, and is not it, is left alone.
    async fn make_bare(
        &self,
        stored: &Stored,
        mark: &Mark,
        written: Written,
    ) -> Result<(Written, Storage), Error> {
        let transport = self.s3.transport();
        let envelope = envelope_of(stored)?;
        let bare = envelope.to_instruction_file()?.object;
        let mut pause = PAUSE_FIRST;
        for attempt in 1..=ATTEMPTS {
            let facts = persistently(|| transport.head_object(&self.to, None)).await;
            let facts = facts.map_err(|error| match error.kind {
                TransportErrorKind::NotFound => Error::Changed,
                _ => error.into(),
            })?;
            if attempt > 1 && self.is_bare(&facts, mark, &bare).await {
                // The copy before came to be, and its answer was lost.
                let (e_tag, version_id) = (facts.e_tag, facts.version_id);
                return Ok((Written { e_tag, version_id }, Storage::InstructionFile));
            }
            // Where a copy does not change the ETag, a re-wrap would not be seen by it.
            let found = detect(&facts.attributes.metadata);
            let is_ours = matches!(found, Ok(Detected::Here(found)) if found == envelope);
            if !is_ours || facts.e_tag != written.e_tag {
                return Err(Error::Changed);
            }
            let mut attributes = facts.attributes;
            attributes.metadata = own_metadata(&attributes.metadata);
            attributes.metadata.extend(bare.clone());
            let guard = written.e_tag.as_deref();
            let copied = transport.copy_object(&self.to, &self.to, guard, Some(&attributes));
            match copied.await {
                Ok(copied) => return Ok((copied, Storage::InstructionFile)),
                Err(error) if error.kind == TransportErrorKind::Unsupported => {
                    return Ok((written, Storage::Metadata));
                }
                Err(error) if is_open(&error) && attempt < ATTEMPTS => {}
                Err(error) => return Err(changed(error)),
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(4);
        }
        Err(Error::Changed)
    }

    /// Whether this is the object of this write without its wrapped key.
    async fn is_bare(&self, facts: &Facts, mark: &Mark, bare: &crate::envelope::Fields) -> bool {
        let metadata = &facts.attributes.metadata;
        let is_bare = matches!(detect(metadata), Ok(Detected::Elsewhere(_)));
        let mark = mark.of_bare(bare);
        is_bare
            && matches!(
                self.s3.which(&self.to, &mark).await,
                outcome::Found::Marked(_)
            )
    }
}

/// Why an attempt failed, as it matters here.
enum Failed {
    /// The store said so.
    Store(TransportError),
    Else(Error),
}

impl Failed {
    fn error(self) -> Error {
        match self {
            Self::Store(error) => changed(error),
            Self::Else(error) => error,
        }
    }
}

fn attributes_of(file: &Instruction) -> Attributes {
    Attributes {
        metadata: file.metadata.clone(),
        content_type: Some("application/json".to_owned()),
        ..Attributes::default()
    }
}

/// What S3 copies at once.
const COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
