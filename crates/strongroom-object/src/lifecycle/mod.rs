// SPDX-License-Identifier: Apache-2.0
//! Lifecycle rules: what becomes of objects by themselves, with time.
//!
//! ```text
//!   PutBucketLifecycleConfiguration --> rules.rs (a configuration that S3 would take, or a fault)
//!                                          |
//!   GetObject, ..: x-amz-expiration <-- due.rs (pure: a version, the rules and a time --> what is due)
//!                                          |
//!   worker.rs: one page of rows after the other --> carry_out.rs (one commit, one event for each)
//!                                                       |
//!                      move_version.rs: bodies go to where another class keeps them
//! ```
//!
//! Time is days, counted as S3 counts them: from when a version was made (or became noncurrent),
//! rounded up to midnight. What is due is due by the clock *and* by the time that the server has
//! seen pass (`strongroom_kms`): a clock that leaps ahead deletes nothing.

mod cache;
mod carry_out;
mod due;
mod move_version;
mod progress;
mod rules;
mod worker;

pub(crate) use cache::{LifecycleCache, to_its_end};
pub use due::ObjectExpiry;
pub(crate) use rules::LifecycleRow;
pub use rules::{
    Expiration, LifecycleConfiguration, LifecycleFault, LifecycleFilter, LifecycleRule,
    NoncurrentExpiration, NoncurrentTransition, Transition, TransitionMinimum, When,
};
pub use worker::{LifecycleReport, LifecycleWorker};
