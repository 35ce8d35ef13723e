// SPDX-License-Identifier: Apache-2.0
//! A new blob on its way to the drives, a few buffers behind whoever hands them over.
//!
//! ```text
//!   append -> [buffer][buffer] -> all of them in one job, when the one before is done
//!     waits above WAITING_BYTES_MAX
//! ```
//!
//! Whoever hands over has a body to receive and to seal, and the thread that writes may have to wait
//! for a processor: so neither waits for the other before there is much to wait for.

use std::sync::Arc;

use super::Inner;
use super::buffer::UnitBuffer;
use super::reclaim::Ticket;
use super::stripe_writer::StripeWriter;
use super::workers::Running;
use super::write::BlobProof;
use crate::error::Error;

/// The writes of one blob. Dropped before it is finished, the files go.
pub(super) struct Flow {
    blobs: Arc<Inner>,
    /// Empty while a write is on its way, and after one failed.
    writing: Option<Box<StripeWriter>>,
    pending: Option<Running<Box<StripeWriter>>>,
    /// Buffers for the write after that, and their bytes.
    waiting: Vec<UnitBuffer>,
    waiting_bytes: usize,
    /// Given up with the flow, unless there is a proof.
    ticket: Option<Arc<Ticket>>,
}

impl Flow {
    pub(super) fn new(blobs: Arc<Inner>, writing: StripeWriter) -> Self {
        Self {
            blobs,
            ticket: Some(Arc::clone(writing.ticket())),
            writing: Some(Box::new(writing)),
            pending: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Waits until all that was appended is written.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        self.wait().await?;
        if !self.waiting.is_empty() {
            self.start().await?;
            self.wait().await?;
        }
        Ok(())
    }

    /// Starts to write the units of a buffer, or keeps it for the next write while one is on its
    /// way.
    pub(super) async fn append(&mut self, buffer: UnitBuffer) -> Result<(), Error> {
        self.waiting_bytes = self.waiting_bytes.saturating_add(buffer.file_len());
        self.waiting.push(buffer);
        if self.waiting_bytes < WAITING_BYTES_MAX
            && self.pending.as_ref().is_some_and(Running::is_under_way)
        {
            return Ok(());
        }
        self.wait().await?;
        self.start().await
    }

    /// Waits for the write on its way.
    async fn wait(&mut self) -> Result<(), Error> {
        if let Some(pending) = self.pending.as_mut() {
            let done = pending.await;
            self.pending = None;
            self.writing = Some(done?);
        }
        Ok(())
    }

    /// Starts to write what waits.
    async fn start(&mut self) -> Result<(), Error> {
        let writing = self.writing.take().ok_or(FAILED_BEFORE)?;
        let buffers = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.pending = Some(writing.append(&self.blobs, buffers).await?);
        Ok(())
    }

    /// Makes the blob durable under its final name, with this manifest.
    pub(super) async fn finish(mut self, manifest: Vec<u8>) -> Result<BlobProof, Error> {
        self.settle().await?;
        let writing = self.writing.take().ok_or(FAILED_BEFORE)?;
        let proof = writing.finish(&self.blobs, manifest).await?;
        self.ticket = None;
        Ok(proof)
    }

    /// Whether a write is on its way.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.give_up();
        }
    }
}

/// So much waits beside the write on its way: what is sealed in the time of a write and of a few
/// turns of the scheduler.
const WAITING_BYTES_MAX: usize = 512 * 1024;
const FAILED_BEFORE: Error = Error::Misuse {
    what: "a blob writer used after it failed",
};
