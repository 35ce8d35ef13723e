// SPDX-License-Identifier: Apache-2.0
//! Logs: structured lines on standard error.
//!
//! INVARIANT: no secret is ever given to a log macro. Secrets are newtypes without `Display`
//! and with a redacted `Debug`, so that it takes `expose_secret()` to break this.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::error::Error;

pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| Error::Config(format!("`{filter}` is not a log filter: {e}")))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
