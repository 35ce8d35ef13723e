// SPDX-License-Identifier: Apache-2.0
//! Principals and access keys; the only maker of [`Caller`].
//!
//! ```text
//!  ParsedAuth + RequestToVerify (strongroom-wire)
//!        |
//!   Iam::authenticate --- directory: access key id -> principal, secret --- tables 10, 11
//!        |                (in memory, written through)
//!   Authenticated { caller: Caller, chunk_seed }
//!        |
//!   every operation of S3 and KMS asks for a Caller, and there is no other way to get one
//! ```
//!
//! One root user, whose access key the server hands in at start, and further users, each with full
//! access or with an identity policy. A caller carries its policies as they were when its request
//! was authenticated; what they mean is decided by each operation's `authorize`.

mod access_denied;
mod access_key;
mod add_user;
mod authenticate;
mod caller;
mod credential;
mod directory;
mod error;
mod event;
mod iam;
mod identifier;
mod identity_policy;
mod list_users;
mod remove_user;
mod row;
mod user;
mod user_policy;

pub use access_denied::AccessDenied;
pub use authenticate::{Authenticated, claimed_identity};
pub use caller::{AuthMethod, Caller, Conditions};
#[cfg(feature = "testing")]
pub use caller::{dangerous_caller_for_tests, dangerous_user_for_tests};
pub use credential::{RootCredential, generate_root_credential};
pub use error::{AuthError, CredentialError, Error};
pub use iam::{Iam, IamOptions};
pub use identity_policy::Access;
pub use user::{AccessKey, NewAccessKey, User};
