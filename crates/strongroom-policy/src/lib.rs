// SPDX-License-Identifier: Apache-2.0
//! The IAM policy language: a document is parsed once, and evaluated without errors, clock or I/O.
//!
//! ```text
//!  text --Policy::parse--> Policy (compiled) --+
//!                                              |
//!  who, action, resource, Context ---------- evaluate --> Verdict { denied, allowed, delegated }
//!                                              |
//!            key policy + identity policies + grants: decide_key --> Decision
//!            identity policies alone:              decide_account --> Decision
//! ```
//!
//! What is supported, and from which document each rule is: `docs/policy-language.md`.
//!
//! To put a key policy: [`Policy::parse`] with [`PolicyKind::Resource`], then [`Policy::pinned`]
//! with the unique ids of users, which are stored beside the text. To use it: the same with the
//! stored ids. An identity policy is only parsed.
//!
//! `identity` in the `decide_*` functions is a slice of anything that lends a policy: `Policy`,
//! `&Policy`, `Arc<Policy>`.

pub mod arn;
mod condition;
mod context;
mod decide;
mod error;
mod evaluate;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod glob;
mod json;
mod parse;
mod pattern;
mod policy;
mod principal;

pub use context::{Context, SharedContext};
pub use decide::{Decision, DenySource, Missing, decide_account, decide_key};
pub use error::{PolicyError, Reason};
pub use evaluate::{Request, Verdict, evaluate};
pub use policy::{
    BUCKET_POLICY_BYTES_MAX, KEY_POLICY_BYTES_MAX, Policy, PolicyKind, UnknownPrincipal,
};
pub use principal::{Principal, PrincipalKind};
