// SPDX-License-Identifier: Apache-2.0
//! What became of a write whose answer nobody heard.
//!
//! Which object is there is asked of the store, never guessed. If it is the new one, it was written, and
//! the answer is all that was lost.
//!
//! A copy to another name writes the instruction file first ([`super::instruction`] has what other
//! writes do), and when it fails the file that is there belongs to an object that may not be:
//!
//! ```text
//!   the new one                     it was written; the answer is all that was lost
//!   another, or none                the old file is put back, and it is asked again: a write that
//!                                   came late gets its own file back
//!   refused, and nobody answers     the old file is put back
//!   lost, and nobody answers        nothing is touched: copying the object again mends it
//! ```
//!
//! Another object may be the old one, or a third that somebody else has written meanwhile, with a
//! file of its own. So a file is only ever written over the one that was seen a moment ago, by a
//! condition of the store, and put back only over our own. None is deleted: a file that opens
//! nothing harms nobody, and may be needed yet.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;

use super::read::InstructionFile;
use super::{EncryptedS3, persistently};
use crate::content::TAG_BYTES;
use crate::envelope::{Fields, Instruction, is_unique};
use crate::error::Error;
use crate::transport::{
    Address, Attributes, ByteRange, Fetch, TransportError, TransportErrorKind, Written,
};

/// What only one object has: fields of its envelope, or, if they are all in the instruction file,
/// its last bytes, which are the tag of its content.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    fields: Fields,
    stored_bytes: u64,
    /// `None` if nobody knows them.
    last: Option<[u8; TAG_BYTES]>,
}

impl Mark {
    /// Of the same object with these fields instead.
    pub(super) fn of_bare(&self, fields: &Fields) -> Self {
        Self::new(fields, self.stored_bytes, self.last)
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// Of an object with these fields among others, which ends so.
    pub(super) fn new(fields: &Fields, stored_bytes: u64, last: Option<[u8; TAG_BYTES]>) -> Self {
        let mut fields = fields.clone();
        fields.retain(|name, _| is_unique(name));
        Self {
            fields,
            stored_bytes,
            last,
        }
    }
}

/// Which object is there.
pub(super) enum Found {
    Marked(Written),
    Another,
    Unknown,
}

/// An instruction file that was written for an object that is to come.
pub(super) struct Replaced {
    pub(super) at: Address,
    pub(super) new: Instruction,
    pub(super) attributes: Attributes,
    pub(super) before: Option<InstructionFile>,
}

/// A write that is tried again, and whether one of its answers was lost.
pub(super) async fn written<F>(
    mut attempt: impl FnMut() -> F,
) -> (Result<Written, TransportError>, bool)
where
    F: Future<Output = Result<Written, TransportError>>,
{
    let is_lost = AtomicBool::new(false);
    let lost = &is_lost;
    let answer = persistently(|| {
        let attempt = attempt();
        async move {
            let answer = attempt.await;
            if answer.as_ref().is_err_and(is_open) {
                lost.store(true, Ordering::Relaxed);
            }
            answer
        }
    });
    let answer = answer.await;
    (answer, is_lost.into_inner())
}

/// Whether the store may have done all the same what failed so. Not every transport tells a lost
/// answer from another failure.
pub(super) fn is_open(error: &TransportError) -> bool {
    match error.kind {
        TransportErrorKind::Unavailable | TransportErrorKind::Other => true,
        TransportErrorKind::NotFound
        | TransportErrorKind::NoSuchUpload
        | TransportErrorKind::PreconditionFailed
        | TransportErrorKind::InvalidRange
        | TransportErrorKind::AccessDenied
        | TransportErrorKind::Unsupported => false,
    }
}

impl EncryptedS3 {
    /// After a write that failed: whether it came to be all the same, and the right instruction
    /// file beside the object that is there. Without a mark it is known not to have come to be.
    pub(super) async fn settle(
        &self,
        at: &Address,
        mark: Option<&Mark>,
        is_lost: bool,
        replaced: Option<Replaced>,
    ) -> Result<Option<Written>, Error> {
        let which = async || match mark {
            Some(mark) => self.which(at, mark).await,
            None => Found::Another,
        };
        match which().await {
            Found::Marked(written) => return Ok(Some(written)),
            Found::Unknown if is_lost => return Ok(None),
            Found::Unknown | Found::Another => {}
        }
        let Some(Replaced {
            at: file,
            new,
            attributes,
            before: Some(before),
        }) = replaced
        else {
            return Ok(None);
        };
        self.exchange_file(&file, &new.body, &before.body, &before.attributes)
            .await?;
        if is_lost && let Found::Marked(written) = which().await {
            self.exchange_file(&file, &before.body, &new.body, &attributes)
                .await?;
            return Ok(Some(written));
        }
        Ok(None)
    }

    pub(super) async fn which(&self, at: &Address, mark: &Mark) -> Found {
        let transport = self.transport();
        let facts = match persistently(|| transport.head_object(at, None)).await {
            Ok(facts) => facts,
            Err(error) if error.kind == TransportErrorKind::NotFound => return Found::Another,
            Err(_) => return Found::Unknown,
        };
        if facts.stored_bytes != mark.stored_bytes {
            return Found::Another;
        }
        let found = &facts.attributes.metadata;
        let has = |(name, value): (&String, &String)| found.get(name) == Some(value);
        let is_marked = if mark.fields.is_empty() {
            let there = self.last_bytes(at, mark.stored_bytes, facts.e_tag.as_deref());
            match (there.await, mark.last) {
                (Ok(there), Some(last)) => there == last,
                _ => return Found::Unknown,
            }
        } else {
            mark.fields.iter().all(has)
        };
        if !is_marked {
            return Found::Another;
        }
        Found::Marked(Written {
            e_tag: facts.e_tag,
            version_id: facts.version_id,
        })
    }

    /// The last bytes of an object of this length, as many as a tag has.
    pub(super) async fn last_bytes(
        &self,
        at: &Address,
        stored_bytes: u64,
        e_tag: Option<&str>,
    ) -> Result<[u8; TAG_BYTES], TransportError> {
        let last = stored_bytes.saturating_sub(1);
        let fetch = Fetch {
            range: Some(ByteRange::FromTo(last.saturating_sub(15), last)),
            if_match: e_tag.map(ToOwned::to_owned),
            version_id: None,
        };
        persistently(|| async {
            let mut fetched = self.transport().get_object(at, &fetch).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = fetched.body.next().await {
                bytes.extend_from_slice(&piece?);
                if bytes.len() > TAG_BYTES {
                    return Err(TransportErrorKind::Other.into());
                }
            }
            let short = |_| TransportErrorKind::Unavailable.into();
            <[u8; TAG_BYTES]>::try_from(bytes).map_err(short)
        })
        .await
    }
}
