// SPDX-License-Identifier: Apache-2.0
//! The door: an open log hands out one [`Receipt`] per request.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_store::drive::Drive;
use strongroom_store::env::Clock;

use crate::error::Error;
use crate::event::{
    Category, Durability, EventDetail, EventError, EventId, EventSource, RequestFacts,
};
use crate::log::Log;
use crate::record::{AuditOptions, Origin, render};
use crate::writer::{Era, OnItsWay, Writer};

/// The audit log of one server.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

struct Inner {
    options: AuditOptions,
    clock: Arc<dyn Clock>,
    writer: Writer,
}

impl Audit {
    /// Opens the log on a drive: verifies its newest file and cuts off what a crash left half
    /// written. Any other damage is an error.
    pub async fn open(
        drive: Arc<dyn Drive>,
        clock: Arc<dyn Clock>,
        options: AuditOptions,
    ) -> Result<Audit, Error> {
        let log = tokio::task::spawn_blocking(move || Log::open(drive))
            .await
            .map_err(|_| Error::System("a thread"))??;
        let writer = Writer::start(log, Arc::clone(&clock))?;
        Ok(Audit {
            inner: Arc::new(Inner {
                options,
                clock,
                writer,
            }),
        })
    }

    /// Begins the one receipt of a request.
    pub fn begin(&self, facts: RequestFacts) -> Receipt {
        Receipt {
            audit: self.clone(),
            facts,
            ended: false,
            reads_only: AtomicBool::new(false),
            owed: Mutex::default(),
        }
    }

    /// Waits until everything recorded so far is durable.
    pub async fn flush(&self) -> Result<(), Error> {
        self.inner.writer.flush().await
    }

    /// Whether the log still takes records: not after a write or a flush failed.
    pub fn is_in_service(&self) -> bool {
        self.inner.writer.is_in_service()
    }

    /// Makes everything durable and ends the log; later records fail.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.writer.close().await
    }

    /// Queues an event. The queue takes it before the first wait, so a caller that stops waiting
    /// takes nothing back.
    async fn append(
        &self,
        facts: &RequestFacts,
        detail: &EventDetail,
        origin: Origin,
        durability: Durability,
    ) -> Result<EventId, Error> {
        let (event_id, body) = self.body(facts, detail, origin)?;
        self.inner.writer.append(&body, durability, None).await?;
        Ok(event_id)
    }

    fn body(
        &self,
        facts: &RequestFacts,
        detail: &EventDetail,
        origin: Origin,
    ) -> Result<(EventId, Vec<u8>), Error> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::System("randomness"))?;
        let event_id = EventId::from_random(random);
        let now_ms = self.inner.clock.now_ms();
        let body = render(&self.inner.options, facts, detail, origin, event_id, now_ms)?;
        Ok((event_id, body))
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

/// The duty to record how a request ended. Dropping it unfinished (the client went away, the
/// handler failed to answer) records that the request was aborted.
#[must_use = "a receipt dropped unfinished records an aborted request"]
pub struct Receipt {
    audit: Audit,
    facts: RequestFacts,
    ended: bool,
    reads_only: AtomicBool,
    owed: Mutex<Owed>,
}

/// What was recorded on the way, has to be durable before the answer, and nobody waited for yet.
#[derive(Debug, Default)]
struct Owed {
    /// When it was queued; `None` when nothing is owed.
    era: Option<Era>,
    /// The last of it, where it is being written already.
    on_its_way: Option<OnItsWay>,
}

impl Receipt {
    /// The facts that every event of this receipt repeats.
    pub fn facts(&self) -> &RequestFacts {
        &self.facts
    }

    /// Records an event on the way.
    pub async fn record(
        &self,
        detail: EventDetail,
        durability: Durability,
    ) -> Result<EventId, Error> {
        self.audit
            .append(&self.facts, &detail, Origin::Client, durability)
            .await
    }

    /// Records an event in which one service of this server acted for the caller on another: the
    /// record says `AWS Internal` where it would show the client's address and agent.
    pub async fn record_internal(
        &self,
        detail: EventDetail,
        durability: Durability,
    ) -> Result<EventId, Error> {
        self.audit
            .append(&self.facts, &detail, Origin::Internal, durability)
            .await
    }

    /// Says that the request changes nothing. What [`Self::record_internal_before_answer`] records
    /// is then written while the request goes on: its own event, for which nobody need wait, could
    /// not bring it to the drive.
    pub fn reads_only(&self) {
        self.reads_only.store(true, Ordering::Release);
    }

    /// As [`Self::record_internal`], durable not when this returns but when the receipt is
    /// finished, whatever durability that is asked for. The order of the log makes one flush do
    /// for this event and a durable one of the request. For acts whose result stays in this process
    /// until there is an answer.
    pub async fn record_internal_before_answer(
        &self,
        detail: EventDetail,
    ) -> Result<EventId, Error> {
        let (event_id, body) = self.audit.body(&self.facts, &detail, Origin::Internal)?;
        let writer = &self.audit.inner.writer;
        let reads_only = self.reads_only.load(Ordering::Acquire);
        let durability = if reads_only {
            Durability::Durable
        } else {
            Durability::Buffered
        };
        let mut to_wait_for = None;
        {
            let mut owed = self.owed();
            let (era, on_its_way) = writer.queue(&body, durability, owed.era)?;
            owed.era = Some(era);
            owed.on_its_way = None;
            if reads_only {
                owed.on_its_way = on_its_way;
            } else {
                to_wait_for = on_its_way;
            }
        }
        if let Some(on_its_way) = to_wait_for {
            on_its_way.durable().await?;
        }
        Ok(event_id)
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        // No panic leaves it half changed.
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event without waiting, for destructors: whoever is cut off in the middle of a
    /// change still says what it was about. `internal` as in [`Self::record_internal`].
    pub fn record_unheard(&self, detail: &EventDetail, internal: bool) {
        let origin = if internal {
            Origin::Internal
        } else {
            Origin::Client
        };
        match self.audit.body(&self.facts, detail, origin) {
            Ok((_, body)) => self.audit.inner.writer.append_unheard(&body),
            Err(error) => tracing::error!(%error, "an event could not be recorded"),
        }
    }

    /// Records the request's own event and ends the receipt.
    pub async fn finish(
        mut self,
        detail: EventDetail,
        durability: Durability,
    ) -> Result<EventId, Error> {
        self.ended = true;
        let Owed { era, on_its_way } = std::mem::take(&mut *self.owed());
        let (event_id, body) = self.audit.body(&self.facts, &detail, Origin::Client)?;
        // INVARIANT: nothing is answered before what was recorded on the way is durable: with this
        // event, which stands behind it in the log, or as it is on its way itself.
        let durability = if era.is_some() && on_its_way.is_none() {
            Durability::Durable
        } else {
            durability
        };
        let writer = &self.audit.inner.writer;
        writer.append(&body, durability, era).await?;
        if let Some(on_its_way) = on_its_way {
            on_its_way.durable().await?;
        }
        Ok(event_id)
    }

    /// Ends the receipt of a request whose own event went through [`Self::record`] already, as
    /// the operations of the key service do.
    pub fn finish_recorded(mut self) {
        if self.owed().era.is_some() {
            tracing::error!("a receipt ended without waiting for what was recorded on the way");
        }
        self.ended = true;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut detail = EventDetail::new(
            EventSource::Strongroom,
            "AbortRequest",
            Category::Management,
            true,
        );
        detail.error = Some(EventError {
            code: "RequestAborted".to_owned(),
            message: "the request ended before it was answered".to_owned(),
        });
        self.record_unheard(&detail, false);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
