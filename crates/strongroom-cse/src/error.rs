// SPDX-License-Identifier: Apache-2.0
//! Why a command failed, and what would help.

use std::io;
use std::path::Path;

use strongroom_client::Error as ClientError;

use crate::show;

/// Variants by whose turn it is: the caller's (`Usage`), the object's and its keys' (`Object`), the
/// machine's (`Io`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another command line would help.
    #[error("{0}")]
    Usage(String),

    /// An object cannot be sealed or opened, or the transport failed.
    #[error("{what}: {}{}", whole(source), hint(source))]
    Object {
        /// The object.
        what: String,
        /// Why.
        source: ClientError,
    },

    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },

    /// `inspect` found an object that would not be opened; the reason is on standard output.
    #[error("the object would not be opened: {0}")]
    NotOpened(String),

    /// Somebody ended the command. What was written on the way is gone; an upload of a file goes
    /// on later, one of standard input does not.
    #[error("ended; a copy of a file into a bucket goes on when it is begun again")]
    Interrupted,

    /// Not all was done; what failed was said on standard error already.
    #[error("{0} objects failed")]
    Partly(usize),
}

impl Error {
    /// 2 when another command line would help, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Object {
                source: ClientError::Config(_),
                ..
            } => 2,
            Self::Interrupted => 130,
            Self::Object { .. } | Self::Io { .. } | Self::NotOpened(_) | Self::Partly(_) => 1,
        }
    }

    /// For `map_err`: a failure to do `doing` with the file `path`.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("cannot {doing} `{}`", path.display());
        move |source| Self::Io { doing, source }
    }

    /// For `map_err`: a failure with an object.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have a value or a reference"
    )]
    pub(crate) fn object(what: impl ToString) -> impl FnOnce(ClientError) -> Self {
        let what = what.to_string();
        move |source| Self::Object { what, source }
    }

    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::Usage(words.into())
    }
}

/// An error with all its causes, on one line: a key service's or a store's own words come last, and
/// must not command a terminal.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        let words = below.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = below.source();
    }
    show::on_one_line(&text)
}

/// What to do, where that is not in the error's own words.
fn hint(error: &ClientError) -> &'static str {
    match error {
        ClientError::NotEncrypted => {
            "; `aws s3 cp` reads objects that are not encrypted, `strongroom cse inspect` looks closer"
        }
        ClientError::WrongKey => "; `strongroom cse inspect` says which kind of key it wants",
        ClientError::UnknownDescription(_) => {
            "; say it by --matdesc, with the --master-key that it names"
        }
        ClientError::WrongContext => "; say it whole by --context NAME=VALUE",
        ClientError::SourceChanged { .. } => {
            "; the file is another than when the upload was interrupted: --no-resume begins again"
        }
        ClientError::State(_) => "; --no-resume begins again",
        ClientError::Changed => "; try again",
        _ => "",
    }
}
