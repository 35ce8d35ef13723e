// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse`: client-side encryption on the command line.
//!
//! ```text
//!   cli (words) --> connect (clients of the SDK, keyring) --> command/<name>.rs --> strongroom-client
//!                      \-- keys (files of keys), place, maps, size: what words mean
//! ```
//!
//! Plaintext and wrapping keys stay in this process. Formats, cryptography and transfers are
//! `strongroom-client`'s.

mod cli;
mod command;
mod connect;
mod error;
mod files;
mod input;
mod keys;
mod maps;
mod place;
mod progress;
mod show;
mod size;

pub use cli::{
    CSE_EXAMPLES, CatArgs, CpArgs, CseCommand, HeadArgs, InspectArgs, KeygenArgs, LsArgs,
    ReencryptArgs, RewrapArgs,
};
pub use command::run;
pub use error::Error;
