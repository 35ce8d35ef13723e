// SPDX-License-Identifier: Apache-2.0
//! Servers as child processes, and what they use.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// A server that is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// Linux reports processor time in these units, a second.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Outcome<Self> {
        let log = std::fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Processor seconds used so far, by the program and by the kernel for it.
    pub(crate) fn cpu_seconds(&self) -> Outcome<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    /// The most memory it ever had resident, bytes.
    pub(crate) fn resident_bytes_max(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .ok_or("no VmHWM")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("no VmHWM")?.parse()?;
        Ok(kib * 1024)
    }

    /// Wait for a file that the server writes when it is ready.
    pub(crate) fn wait_for(&mut self, file: &Path) -> Outcome<String> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Ok(text) = std::fs::read_to_string(file)
                && !text.is_empty()
            {
                return Ok(text);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} did not appear", file.display()).into())
    }
}

/// Processor seconds this process used so far.
pub(crate) fn own_cpu_seconds() -> Outcome<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(process: &str) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let mut fields = behind_name.split(' ').skip(11);
    let user: f64 = fields.next().unwrap_or_default().parse()?;
    let system: f64 = fields.next().unwrap_or_default().parse()?;
    Ok((user + system) / TICKS_PER_SECOND)
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
