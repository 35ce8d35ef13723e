// SPDX-License-Identifier: Apache-2.0
//! Servers as child processes, and what they use.

use std::io::Read;
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

    /// Leave it, and this process, one of the processors until the outcome is dropped.
    pub(crate) fn on_one_processor(&self) -> Outcome<OnOneProcessor> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let all = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .ok_or("no Cpus_allowed_list")?
            .trim();
        let first = all.split([',', '-']).next().unwrap_or(all);
        let confined = OnOneProcessor {
            all: all.to_owned(),
            processes: vec![self.child.id(), std::process::id()],
        };
        for process in &confined.processes {
            set_processors(*process, first)?;
        }
        Ok(confined)
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

/// Processes that have one processor between them. They have theirs again when this is given back or
/// dropped.
#[derive(Debug)]
pub(crate) struct OnOneProcessor {
    /// As the kernel lists them.
    all: String,
    processes: Vec<u32>,
}

impl OnOneProcessor {
    pub(crate) fn give_back(mut self) -> Outcome<()> {
        for process in std::mem::take(&mut self.processes) {
            set_processors(process, &self.all)?;
        }
        Ok(())
    }
}

impl Drop for OnOneProcessor {
    fn drop(&mut self) {
        for process in &self.processes {
            // Something else failed, and says so.
            let _ = set_processors(*process, &self.all);
        }
    }
}

/// All threads of a process; new ones take after those that start them. Once more, for those that were
/// started meanwhile.
fn set_processors(process: u32, list: &str) -> Outcome<()> {
    for _ in 0..2 {
        let done = Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", list])
            .arg(process.to_string())
            .output()
            .map_err(|error| format!("taskset (Debian: util-linux): {error}"))?;
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            return Err(format!("taskset: {}", why.trim()).into());
        }
    }
    Ok(())
}

/// A program that ran to its end, and what it used.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) seconds: f64,
    /// By the program and by the kernel for it. A little less than all: the last look is before its end.
    pub(crate) cpu_seconds: f64,
    /// The most memory it ever had resident.
    pub(crate) resident_bytes_max: u64,
    /// What it wrote to standard output.
    pub(crate) said: String,
}

/// Runs a program that writes little, and looks at it all the time.
pub(crate) fn watched(command: &mut Command) -> Outcome<Watched> {
    let start = Instant::now();
    let mut process = Process {
        child: command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?,
    };
    let (mut cpu_seconds, mut resident_bytes_max) = (0.0, 0);
    let status = loop {
        if let Some(status) = process.child.try_wait()? {
            break status;
        }
        // It may end between two of these.
        if let (Ok(cpu), Ok(resident)) = (process.cpu_seconds(), process.resident_bytes_max()) {
            cpu_seconds = cpu;
            resident_bytes_max = resident;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = start.elapsed().as_secs_f64();
    let said = text(process.child.stdout.take())?;
    if !status.success() {
        let why = text(process.child.stderr.take())?;
        return Err(format!("{status}: {}", why.trim()).into());
    }
    Ok(Watched {
        seconds,
        cpu_seconds,
        resident_bytes_max,
        said,
    })
}

fn text(pipe: Option<impl Read>) -> Outcome<String> {
    let mut text = String::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_string(&mut text)?;
    }
    Ok(text)
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
