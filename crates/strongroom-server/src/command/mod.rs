// SPDX-License-Identifier: Apache-2.0
//! One file per command.

mod backup;
mod drive;
mod env;
mod give_up;
mod inspect;
mod kms;
mod rebuild;
mod rewrap;
mod root;
mod scrub;
mod serve;
mod user;
mod verify;

pub(crate) use self::drive::absolute_place;
pub(crate) use self::env::{absolute, quoted};
use crate::cli::{Cli, Command};
use crate::error::Error;

pub(crate) async fn run(cli: Cli) -> Result<(), Error> {
    match cli.command {
        Command::Serve(settings) => serve::run(*settings).await,
        Command::Env(args) => env::run(args).await,
        Command::User(command) => user::run(command).await,
        Command::Inspect(command) => inspect::run(command).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Kms(command) => kms::run(command).await,
        Command::Rewrap(args) => rewrap::run(args).await,
        Command::Drive(command) => drive::run(command).await,
        Command::Status(args) => drive::status(args).await,
        Command::Scrub(command) => scrub::run(command).await,
        Command::Backup(command) => backup::backup(command).await,
        Command::Restore(command) => backup::put_back(command).await,
        Command::Rebuild(args) => rebuild::run(args).await,
        Command::Root(command) => root::run(command).await,
        Command::Cse(command) => {
            let environment = |name: &str| std::env::var_os(name);
            Ok(Box::pin(strongroom_cse::run(*command, environment)).await?)
        }
    }
}
