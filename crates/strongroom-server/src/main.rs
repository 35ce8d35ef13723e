// SPDX-License-Identifier: Apache-2.0
//! The `strongroom` program: server and command line.
//!
//! ```text
//! main -> cli (words) -> config (facts) -> command/<name>.rs
//!           serve:    start.rs (the rooms, bottom up) -> control socket, admin, listeners
//!           others:   control/client.rs -> the running server, or the rooms opened here
//! ```
//!
//! This crate alone reads the environment and configuration, and it holds no rule of S3 or KMS:
//! it opens the rooms in order, lets requests in, and closes the rooms in reverse.

mod admin;
mod cli;
mod command;
mod config;
mod control;
mod credential;
mod data_dir;
mod error;
mod hardening;
mod health;
mod lifecycle;
mod listen;
mod logs;
mod output;
mod root_key;
mod sealed_file;
mod start;
mod swap;
mod tls;
mod told;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use mimalloc::MiMalloc;
use strongroom_memory::WipingAllocator;

use crate::error::Error;

/// What is freed is overwritten first, also by libraries that know nothing of secrets.
#[global_allocator]
static HEAP: WipingAllocator<MiMalloc> = WipingAllocator(MiMalloc);

fn main() -> ExitCode {
    // Before the first allocation, for a page that is large stays so.
    hardening::refuse_huge_pages(true);
    let cli = cli::Cli::parse();
    hardening::harden_process();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let cli::Command::Cse(_) = cli.command {
        runtime.worker_threads(CLIENT_WORKERS);
    } else {
        hardening::refuse_huge_pages(false);
    }
    let done = runtime
        .enable_all()
        .build()
        .map_err(|e| Error::io("cannot start the runtime", e))
        .and_then(|runtime| {
            let done = runtime.block_on(command::run(cli));
            // What still waits for a drive that hangs does not keep the process.
            runtime.shutdown_timeout(LAST_WORK_TIMEOUT);
            done
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is gone.
            let _unheard = writeln!(std::io::stderr(), "strongroom: {error}");
            error.exit_code()
        }
    }
}

/// They wait for the network and encrypt for TLS; each has a heap of its own.
const CLIENT_WORKERS: usize = 2;
const LAST_WORK_TIMEOUT: Duration = Duration::from_secs(10);
