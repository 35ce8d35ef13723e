// SPDX-License-Identifier: Apache-2.0
//! One file for each command.

mod cat;
mod cp;
mod head;
mod inspect;
mod ls;
mod reencrypt;
mod rewrap;

use std::ffi::OsString;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::CseCommand;
use crate::connect::check_credentials;
use crate::error::Error;
use crate::{keys, show};

/// Does what the words say. A signal ends it in order, so that files on the way are removed.
/// `environment` is asked for the credentials that the SDK finds there: it does not bear all that they
/// can be.
pub async fn run(
    command: CseCommand,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<(), Error> {
    if command.service().is_some_and(|args| args.profile.is_none()) {
        check_credentials(environment)?;
    }
    let signals = |kind| {
        signal(kind).map_err(|source| Error::Io {
            doing: "cannot wait for signals".to_owned(),
            source,
        })
    };
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut terminate = signals(SignalKind::terminate())?;
    tokio::select! {
        done = execute(command) => done,
        _ = interrupt.recv() => Err(Error::Interrupted),
        _ = terminate.recv() => Err(Error::Interrupted),
    }
}

async fn execute(command: CseCommand) -> Result<(), Error> {
    match command {
        CseCommand::Cp(args) => cp::run(args).await,
        CseCommand::Cat(args) => cat::run(args).await,
        CseCommand::Ls(args) => ls::run(args).await,
        CseCommand::Head(args) => head::run(args).await,
        CseCommand::Inspect(args) => inspect::run(args).await,
        CseCommand::Rewrap(args) => rewrap::run(args).await,
        CseCommand::Reencrypt(args) => reencrypt::run(args).await,
        CseCommand::Keygen(args) => show::print(&keys::generate(args.kind, &args.file)?),
    }
}
