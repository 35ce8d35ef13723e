// SPDX-License-Identifier: Apache-2.0
//! What redundancy over six drives costs beside one drive, on one disk, as ratios of pairs that take
//! turns; then scrub, and heal of an empty drive in the place of a lost one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::load::{self, Done, Endpoint, Work};
use crate::report::{Ratio, say};
use crate::run::product_endpoint;
use crate::target::Product;
use crate::{Options, Outcome};

/// How often the sides of a pair take turns.
const TURNS: u32 = 4;
/// Large objects fill the drive's queue with few.
const FEW: usize = 4;
const MANY: usize = 16;
const KIB4: u64 = 4 << 10;
const MIB1: u64 = 1 << 20;
const MIB64: u64 = 64 << 20;
/// Folders in three facilities; the default over six is 4+2.
const DRIVES: [(&str, &str); 6] = [
    ("a", "a1"),
    ("a", "a2"),
    ("b", "b1"),
    ("b", "b2"),
    ("c", "c1"),
    ("c", "c2"),
];
/// Bytes on drives for each byte of a body under 4+2.
const VOLUME: f64 = 1.5;
const BUCKET: &str = "/bench-drives";
/// What scrub and heal may take of the drive: all of it.
const UNBOUNDED_MIB: &str = "1000000";
/// Enough that finding out does not decide.
const BODIES: u16 = 16;
const PATIENCE: Duration = Duration::from_mins(10);

/// A server and where its data is.
struct Side {
    product: Product,
    endpoint: Endpoint,
    data: PathBuf,
}

struct Drives {
    one: Side,
    six: Side,
    program: PathBuf,
    time: Duration,
    large: u64,
    /// What the drive writes at best, bytes a second.
    limit: f64,
}

/// All ratios. `folder` is on the drive to measure; `limit` is what it writes at best.
pub(crate) async fn rows(
    options: &Options,
    folder: &Path,
    time: Duration,
    limit: f64,
) -> Outcome<Vec<Ratio>> {
    say("measuring six drives beside one, in turns");
    let mut flags = vec![
        "--scrub-mib-per-second".to_owned(),
        UNBOUNDED_MIB.to_owned(),
        "--heal-mib-per-second".to_owned(),
        UNBOUNDED_MIB.to_owned(),
    ];
    let one = Side::start(&options.server, &folder.join("one"), &flags).await?;
    for (facility, name) in DRIVES {
        let path = folder.join(name);
        flags.push("--drive".to_owned());
        flags.push(format!("{facility}:{}", path.display()));
    }
    let drives = Drives {
        one,
        six: Side::start(&options.server, &folder.join("six"), &flags).await?,
        program: options.server.clone(),
        time,
        large: if options.smoke { MIB1 } else { MIB64 },
        limit,
    };
    // First, while there is little else than shards to be read: the tables cost more for a byte.
    drives.bodies().await?;
    let scrub = drives.scrub()?;
    let mut ratios = drives.small().await?;
    ratios.extend(drives.large().await?);
    ratios.push(drives.facility_gone(folder).await?);
    ratios.push(scrub);
    ratios.push(drives.heal(folder).await?);
    Ok(ratios)
}

impl Side {
    async fn start(program: &Path, data: &Path, flags: &[String]) -> Outcome<Self> {
        let product = Product::start_with(program, data, flags)?;
        let endpoint = product_endpoint(&product, false);
        load::once(&endpoint, Method::PUT, BUCKET, vec![], Bytes::new()).await?;
        Ok(Self {
            product,
            endpoint,
            data: data.to_owned(),
        })
    }
}

impl Drives {
    /// Small bodies lie in the tables: what is compared is one copy of them with three.
    async fn small(&self) -> Outcome<Vec<Ratio>> {
        let put = put(KIB4)?;
        let (one, six) = self.pair(&put, &put, MANY).await?;
        Ok(vec![Ratio {
            what: "six drives, durable 4 KiB PUT: requests/s / one drive".to_owned(),
            value: requests(six) / requests(one),
            target: Some(0.5),
            at_least: true,
        }])
    }

    async fn large(&self) -> Outcome<Vec<Ratio>> {
        let (put, get) = (put(self.large)?, get(self.large)?);
        let size = self.large >> 20;
        let (one, six) = self.pair(&put, &put, FEW).await?;
        let written = Ratio {
            what: format!("six drives 4+2, PUT {size} MiB: bytes on drives/s / one drive"),
            value: throughput(six) * VOLUME / throughput(one),
            target: Some(0.6),
            at_least: true,
        };
        let (one, six) = self.pair(&put, &get, FEW).await?;
        let read = Ratio {
            what: format!("six drives 4+2, GET {size} MiB: throughput / one drive"),
            value: throughput(six) / throughput(one),
            target: Some(0.9),
            at_least: true,
        };
        Ok(vec![written, read])
    }

    /// Reads while the two folders of a facility are away.
    async fn facility_gone(&self, folder: &Path) -> Outcome<Ratio> {
        let away = |name: &str| folder.join(format!("{name}-away"));
        for name in ["b1", "b2"] {
            std::fs::rename(folder.join(name), away(name))?;
        }
        let pair = self.pair_of_reads(self.large).await;
        for name in ["b1", "b2"] {
            std::fs::rename(away(name), folder.join(name))?;
        }
        let (one, six) = pair?;
        self.until_full()?;
        Ok(Ratio {
            what: format!(
                "six drives 4+2, a facility gone, GET {} MiB: throughput / one drive",
                self.large >> 20
            ),
            value: throughput(six) / throughput(one),
            target: Some(0.6),
            at_least: true,
        })
    }

    /// What scrub reads and heal makes again.
    async fn bodies(&self) -> Outcome<()> {
        let bodies = Work {
            names: usize::from(BODIES),
            prefix: format!("{BUCKET}/body-"),
            ..put(self.large)?
        };
        let done = load::run(&self.six.endpoint, &bodies, 1, Duration::ZERO, true).await;
        done.map(drop)
    }

    /// A pass over everything, by the server's processor time.
    fn scrub(&self) -> Outcome<Ratio> {
        let begun = self.json(&["scrub", "status", "--json"])?;
        let last = |status: &Value| status.get("last").cloned().unwrap_or_default();
        let cpu = self.six.product.process.cpu_seconds()?;
        self.command(&["scrub", "start", "--quiet"])?;
        let pass = Self::wait(|| {
            let now = self.json(&["scrub", "status", "--json"])?;
            Ok((last(&now) != last(&begun)).then(|| last(&now)))
        })?;
        let cpu = self.six.product.process.cpu_seconds()? - cpu;
        let bytes = pass
            .get("bytes")
            .and_then(Value::as_f64)
            .ok_or("no bytes")?;
        Ok(Ratio {
            what: "scrub: shard data, GB/s of a core".to_owned(),
            value: bytes / cpu.max(0.01) / 1e9,
            target: Some(1.0),
            at_least: true,
        })
    }

    /// An empty folder takes the place of a lost drive. What counts is the time until its shards
    /// are there again; the copy of the tables comes back beside that.
    async fn heal(&self, folder: &Path) -> Outcome<Ratio> {
        let lost = folder.join("c1");
        // At once, as a drive is pulled out: the server still writes to it.
        let pulled = folder.join("c1-pulled");
        std::fs::rename(&lost, &pulled)?;
        let _ = std::fs::remove_dir_all(&pulled);
        Self::wait(|| {
            let full = self.is_full()?;
            Ok((!full).then_some(()))
        })?;
        std::fs::create_dir(&lost)?;
        let before = self.metric("strongroom_heal_bytes_total").await?;
        let start = Instant::now();
        let place = format!("c:{}", lost.display());
        self.command(&["drive", "replace", &place])?;
        let mut healed = 0.0;
        // A shard of each has a quarter of its bytes.
        let expected = crate::run::float(self.large / 4 * u64::from(BODIES));
        while healed < expected {
            if start.elapsed() > PATIENCE {
                return Err("the shards are not made again".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            healed = self.metric("strongroom_heal_bytes_total").await? - before;
        }
        let seconds = start.elapsed().as_secs_f64();
        self.until_full()?;
        Ok(Ratio {
            what: "heal of a replaced drive: bytes/s / what the drive writes at best".to_owned(),
            value: healed / seconds / self.limit,
            target: None,
            at_least: true,
        })
    }

    /// Both sides in turns; the objects are made before by `put`.
    async fn pair(&self, put: &Work, work: &Work, connections: usize) -> Outcome<(Done, Done)> {
        for side in [&self.one, &self.six] {
            load::run(&side.endpoint, put, connections, Duration::ZERO, true).await?;
        }
        self.turns(work, connections).await
    }

    async fn pair_of_reads(&self, bytes: u64) -> Outcome<(Done, Done)> {
        self.turns(&get(bytes)?, FEW).await
    }

    async fn turns(&self, work: &Work, connections: usize) -> Outcome<(Done, Done)> {
        let mut sums = [Done::default(), Done::default()];
        for _ in 0..TURNS {
            for (side, sum) in [&self.one, &self.six].into_iter().zip(&mut sums) {
                let time = self.time / TURNS;
                let done = load::run(&side.endpoint, work, connections, time, false).await?;
                sum.requests += done.requests;
                sum.bytes += done.bytes;
                sum.seconds += done.seconds;
            }
        }
        let [one, six] = sums;
        Ok((one, six))
    }

    fn until_full(&self) -> Outcome<()> {
        Self::wait(|| Ok(self.is_full()?.then_some(())))
    }

    fn is_full(&self) -> Outcome<bool> {
        let status = self.json(&["status", "--json"])?;
        let full = status.get("full_redundancy").and_then(Value::as_bool);
        full.ok_or_else(|| "the status does not say".into())
    }

    fn wait<T>(mut found: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(found) = found()? {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the server is not through with it".into())
    }

    /// What a command prints; `status` ends with 1 while something is owed.
    fn command(&self, args: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.program)
            .args(args)
            .arg("--data")
            .arg(&self.six.data)
            .output()?;
        if output.status.code().is_some_and(|code| code <= 1) {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(String::from_utf8_lossy(&output.stderr).into())
    }

    fn json(&self, args: &[&str]) -> Outcome<Value> {
        Ok(serde_json::from_str(&self.command(args)?)?)
    }

    async fn metric(&self, name: &str) -> Outcome<f64> {
        self.six.product.metric(name).await
    }
}

fn put(bytes: u64) -> Outcome<Work> {
    Ok(Work {
        method: Method::PUT,
        headers: Vec::new(),
        body: Bytes::from(vec![0x5A; usize::try_from(bytes)?]),
        names: if bytes >= MIB64 { 1 } else { 4 },
        prefix: format!("{BUCKET}/{bytes}-"),
        range: None,
        pace: None,
    })
}

fn get(bytes: u64) -> Outcome<Work> {
    Ok(Work {
        method: Method::GET,
        body: Bytes::new(),
        ..put(bytes)?
    })
}

fn requests(done: Done) -> f64 {
    crate::run::float(done.requests) / done.seconds
}

fn throughput(done: Done) -> f64 {
    crate::run::float(done.bytes) / done.seconds
}
