// SPDX-License-Identifier: Apache-2.0
//! The table, for people and as JSON.

use serde::Serialize;

use crate::limits::Limit;

/// One measured row.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) transport: &'static str,
    pub(crate) server: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) object_bytes: u64,
    pub(crate) connections: usize,
    pub(crate) requests_per_second: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) server_cpu_seconds_per_gb: f64,
    pub(crate) server_cpu_microseconds_per_request: f64,
}

/// A comparison of two rows of the same run.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) target: Option<f64>,
    /// Whether more is better.
    pub(crate) at_least: bool,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) limits: Vec<Limit>,
    pub(crate) rows: Vec<Measured>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) resident_bytes_max: u64,
}

impl Report {
    pub(crate) fn print(&self) {
        say("\nlimits of one core and of the drive");
        for limit in &self.limits {
            say(&format!(
                "  {:<32} {:>8.2} GB/s",
                limit.name,
                limit.bytes_per_second / 1e9
            ));
        }
        say(
            "\ntransport server   mode     operation        object      requests/s     GB/s  cpu-s/GB  cpu-us/request",
        );
        for row in &self.rows {
            say(&format!(
                "{:<9} {:<8} {:<8} {:<15} {:>7}    {:>12.0} {:>8.3} {:>9.3} {:>15.1}",
                row.transport,
                row.server,
                row.mode,
                row.operation,
                size(row.object_bytes),
                row.requests_per_second,
                row.bytes_per_second / 1e9,
                row.server_cpu_seconds_per_gb,
                row.server_cpu_microseconds_per_request,
            ));
        }
        say("\nratios of this run");
        for ratio in &self.ratios {
            let verdict = match ratio.target {
                None => String::new(),
                Some(target) => {
                    let met = if ratio.at_least {
                        ratio.value >= target
                    } else {
                        ratio.value <= target
                    };
                    let sign = if ratio.at_least { ">=" } else { "<=" };
                    format!(
                        "  target {sign} {target:.2} {}",
                        if met { "met" } else { "MISSED" }
                    )
                }
            };
            say(&format!(
                "  {:<70} {:>9.2}{verdict}",
                ratio.what, ratio.value
            ));
        }
        say(&format!(
            "\nserver memory, most resident: {} MiB",
            self.resident_bytes_max >> 20
        ));
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        b if b >= 1 << 20 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b >> 10),
    }
}

/// One line to the terminal.
#[expect(clippy::print_stdout, reason = "this program's output is its purpose")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
