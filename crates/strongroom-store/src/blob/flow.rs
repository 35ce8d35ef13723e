// SPDX-License-Identifier: Apache-2.0
//! A new blob on its way to the drives, one buffer behind whoever hands the buffers over.

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
        }
    }

    /// Waits for the write on its way.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        if let Some(pending) = self.pending.as_mut() {
            let done = pending.await;
            self.pending = None;
            self.writing = Some(done?);
        }
        Ok(())
    }

    /// Starts to write the units of a buffer, after the write before this one is done.
    pub(super) async fn append(&mut self, buffer: UnitBuffer) -> Result<(), Error> {
        self.settle().await?;
        let writing = self.writing.take().ok_or(FAILED_BEFORE)?;
        self.pending = Some(writing.append(&self.blobs, buffer).await?);
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

const FAILED_BEFORE: Error = Error::Misuse {
    what: "a blob writer used after it failed",
};
