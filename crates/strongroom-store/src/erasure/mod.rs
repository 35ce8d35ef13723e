// SPDX-License-Identifier: Apache-2.0
//! Erasure coding: how a blob is spread over shards so that some of them may be lost.
//!
//! - [`StripeLayout`]: which unit lies in which shard; arithmetic only.
//! - [`Codec`]: parity units from data units, and any unit from the others of its row.
//!
//! Neither knows of files or checksums. The code, and the way from units to files, are written
//! down in `docs/spec/shard-format.md`; why the code is our own, in ADR 0027.

mod codec;
mod combine;
mod field;
mod stripe;

pub use codec::{Codec, CodecError};
pub use combine::Combination;
pub use stripe::{Run, STRIPE_UNITS, Stripe, StripeLayout, UnitPlace};
