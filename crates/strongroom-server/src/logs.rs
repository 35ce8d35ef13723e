// SPDX-License-Identifier: Apache-2.0
//! Logs: structured lines on standard error.
//!
//! INVARIANT: no secret is ever given to a log macro. Secrets are newtypes without `Display`
//! and with a redacted `Debug`, so that it takes `expose_secret()` to break this.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::LogFormat;
use crate::error::Error;

pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), Error> {
    if let Some(part) = filter
        .split(',')
        .map(str::trim)
        .find(|part| says_nothing(part))
    {
        return Err(Error::Config(format!(
            "`{filter}` is not a log filter: `{part}` is neither a level (error, warn, info, debug, trace, \
             off) nor one of a target, as in `strongroom_api=debug`"
        )));
    }
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

/// A part of a filter that would be taken for the name of a target, so that nothing else is logged:
/// a level that was mistyped or forgotten.
fn says_nothing(part: &str) -> bool {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    part.ends_with('=')
        || (is_word(part)
            && !part.starts_with("strongroom")
            && part.parse::<LevelFilter>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_a_mistyped_level_is_not_silence() {
        for wrong in ["nonsense=", "infoo", "strongroom_api=", "b", "strongroom="] {
            assert!(says_nothing(wrong), "{wrong}");
        }
        for right in [
            "info",
            "INFO",
            "off",
            "debug",
            "strongroom_api",
            "strongroom_api=debug",
            "hyper::proto=trace",
            "[request]",
            "[request{id=1}]=trace",
        ] {
            assert!(!says_nothing(right), "{right}");
        }
    }
}
