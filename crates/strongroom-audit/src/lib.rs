// SPDX-License-Identifier: Apache-2.0
//! The audit trail: every request leaves records in CloudTrail's schema, chained by hash.
//!
//! ```text
//!  RequestFacts --begin--> Receipt --record--> event on the way (a KMS use)   -+
//!                             |                                                |
//!                             +----finish----> the request's own event        -+-> queue
//!                             +----drop------> "aborted" event                -+     |
//!                                                                            writer thread
//!   render (pure JSON)  ->  link (seq, prev)  ->  one write + one fsync per batch  <-+
//! ```
//!
//! A [`Durability::Durable`] record is on the drive before `record` returns; whatever is waiting
//! at that moment shares its fsync. After one failed write nothing is recorded any more, and since
//! nothing may be answered without its record, the server stops answering.

mod audit;
mod chain;
mod clip;
mod error;
mod event;
mod log;
mod record;
mod verify_log;
mod writer;

pub use audit::{Audit, Receipt};
pub use chain::{ChainHead, ChainSummary, verify_chain};
pub use error::{ChainError, ChainFault, Error};
pub use event::{
    Category, Durability, EventDetail, EventError, EventId, EventSource, RequestFacts, Resource,
    TlsFacts, UserIdentity,
};
pub use log::AuditFiles;
pub use record::AuditOptions;
pub use verify_log::{LogReport, verify_log};
