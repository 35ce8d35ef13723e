// SPDX-License-Identifier: Apache-2.0
//! Progress bars: on standard error, and only if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `len` bytes of plaintext, or a counter if nobody knows how many there are.
pub(crate) fn bar(quiet: bool, what: &str, len: Option<u64>) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let (bar, template) = match len {
        Some(len) => (
            ProgressBar::new(len),
            "{msg} [{bar:30}] {percent}% {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{msg} {spinner} {binary_bytes}, {binary_bytes_per_sec}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(crate::show::on_one_line(what));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
