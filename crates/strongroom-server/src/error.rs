// SPDX-License-Identifier: Apache-2.0
//! What can go wrong in the program itself, and which exit code says so.

use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Variants by whose turn it is: the operator's (`Config`, `Busy`, `NoStore`, `Root`, `Tls`),
/// the machine's (`Io`), a lower room's (`Room`), or the stored data's (`Damaged`).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A flag, variable or line of the configuration file cannot be used.
    #[error("{0}")]
    Config(String),

    /// Another process has the data directory.
    #[error("another process is using `{0}`: stop it first, or point --data at another directory")]
    Busy(String),

    /// There is nothing to work on.
    #[error(
        "there is no store in `{0}`: say where it is by --data, or make one with `strongroom serve`"
    )]
    NoStore(String),

    /// The keyring cannot be opened.
    #[error("{0}")]
    Root(String),

    /// A certificate or key cannot be used.
    #[error("{0}")]
    Tls(String),

    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },

    /// A lower room refused; `what` names the step, the rest is its own message.
    #[error("{what}: {message}")]
    Room { what: &'static str, message: String },

    /// The running server answered a command with an error.
    #[error("{0}")]
    Refused(String),

    /// `status` found that something is owed; what is on standard output already.
    #[error("redundancy is not full: {0} reasons")]
    NotRedundant(u64),

    /// `verify` found damage, or blobs that nothing refers to; the names are already on standard
    /// output.
    #[error("{0} stored things are not as they should be")]
    Damaged(u64),

    /// Client-side encryption has its own words.
    #[error(transparent)]
    Cse(#[from] strongroom_cse::Error),
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }

    /// For `map_err`: a failure to do `doing` with the file `path`.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("cannot {doing} `{}`", path.display());
        move |source| Self::Io { doing, source }
    }

    /// For `map_err`: a failure of a lower room in the step `what`.
    pub(crate) fn room<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |e| Self::Room {
            what,
            message: e.to_string(),
        }
    }

    /// 2 when another command line would help, 1 otherwise.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Cse(error) => ExitCode::from(error.exit_code()),
            Self::Busy(_)
            | Self::NoStore(_)
            | Self::Root(_)
            | Self::Tls(_)
            | Self::Io { .. }
            | Self::Room { .. }
            | Self::Refused(_)
            | Self::NotRedundant(_)
            | Self::Damaged(_) => ExitCode::from(1),
        }
    }
}

/// An error with all its causes, on one line.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text.push_str(": ");
        text.push_str(&below.to_string());
        cause = below.source();
    }
    text
}
