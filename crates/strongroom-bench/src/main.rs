// SPDX-License-Identifier: Apache-2.0
//! One run, one table: the server under load, the same pipeline without a cipher, and the limits
//! of the machine, side by side.
//!
//! ```text
//!  product   the real `strongroom serve`, in a process of its own
//!  sealed    a bare hyper server over the same pipeline and store, with the real sealer
//!  plain     the same, with a sealer that leaves the bytes as they are
//! ```
//!
//! `sealed` and `plain` live here only; the product has no way to run without a sealer. Absolute
//! figures depend on the machine and on its neighbours: compare within one run.

mod bare;
mod cse;
mod cse_live;
mod drives;
mod erasure;
mod kms;
mod kms_load;
mod limits;
mod load;
mod modes;
mod pipeline;
mod plain;
mod policy;
mod process;
mod report;
mod run;
mod target;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The server's own heap: what is measured in this process costs what it costs there.
#[global_allocator]
static HEAP: strongroom_memory::WipingAllocator<mimalloc::MiMalloc> =
    strongroom_memory::WipingAllocator(mimalloc::MiMalloc);

/// Measures Strongroom.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The program to measure.
    #[arg(long, default_value = "target/release/strongroom")]
    server: PathBuf,
    /// Where the JSON goes.
    #[arg(long, default_value = "bench-results")]
    out: PathBuf,
    /// Where the throughput rows keep their data: memory, so that the drive does not decide.
    #[arg(long, default_value = "/dev/shm")]
    memory: PathBuf,
    /// Where the durable rows keep their data: a real drive.
    #[arg(long, default_value = "target")]
    drive: PathBuf,
    /// Seconds of load for each row.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only the durable rows of small objects.
    #[arg(long)]
    small: bool,
    /// Only the rows of the key service.
    #[arg(long)]
    kms: bool,
    /// Only the rows of one layer and of two.
    #[arg(long)]
    layers: bool,
    /// Only the ratios of modes of encryption, each pair measured in turns.
    #[arg(long)]
    modes: bool,
    /// Of the ratios of modes only those whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only the rows of the erasure code and of the checksums of units.
    #[arg(long)]
    erasure: bool,
    /// Only the rows of six drives beside one, of scrub and of heal.
    #[arg(long)]
    drives: bool,
    /// Only the rows of client-side encryption.
    #[arg(long)]
    cse: bool,
    /// Only client-side encryption of an object of 10 GiB, for the memory it takes: wants 20 GiB of
    /// the drive.
    #[arg(long)]
    cse_long: bool,
    /// The Python that has Amazon's S3 encryption client, to compare with.
    #[arg(long, default_value = "e2e/.venv/bin/python")]
    python: PathBuf,
    /// Short and small: proves that the benchmark works, measures little.
    #[arg(long)]
    smoke: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A bare server over the pipeline (started by the benchmark itself).
    #[command(hide = true)]
    Bare(bare::Options),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            report::say(&format!("cannot start: {error}"));
            return std::process::ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Some(Command::Bare(options)) => bare::serve(options).await,
            None => run::all(&cli.options).await,
        }
    });
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("bench: {error}"));
            std::process::ExitCode::FAILURE
        }
    }
}

/// Anything that can go wrong in a benchmark ends it.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
