// SPDX-License-Identifier: Apache-2.0
//! Erasure coding: how a blob is spread over shards so that some of them may be lost.
//!
//! - [`StripeLayout`]: which unit lies in which shard; arithmetic only.

mod stripe;

pub use stripe::{Run, STRIPE_UNITS, Stripe, StripeLayout, UnitPlace};
