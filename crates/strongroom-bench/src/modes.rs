// SPDX-License-Identifier: Apache-2.0
//! What the modes of encryption cost beside each other, as ratios of pairs.
//!
//! A pair is measured in turns (A B A B ..), so that a noisy neighbour meets both. What is compared:
//!
//! - 4 KiB objects: SSE-KMS with bucket keys against SSE-S3, requests a second: writes that name SSE-KMS
//!   against writes that name nothing, and writes that name nothing to two buckets of which one has
//!   SSE-KMS for its default.
//! - From 1 MiB: reads of each mode against those of SSE-S3. Writes of SSE-S3 compute an MD5, which the
//!   other modes do not, and no client can turn it off: there they are compared with each other.
//! - MD5 beside sealing: one stream of SSE-S3 against the slower of MD5 alone and of the same stream
//!   without MD5 (SSE-C), from an end of the network to the drive, where the processors of the machine
//!   are the third bound; the same inside this process, where they are none; and over a network
//!   that is slower than MD5. Two streams against one, and several on all processors against one of
//!   them.
//! - Small ranges of a large object: bytes read from the drive, in segments of each layer.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;

use crate::load::{self, Done, Endpoint, Work};
use crate::process::own_cpu_seconds;
use crate::report::{Ratio, say};
use crate::target::Product;
use crate::{Options, Outcome};

/// How often the sides of a pair take turns.
const TURNS: u32 = 4;
/// The same where the median of the turns counts, and not their sum: what a neighbour does to some of
/// them says nothing.
const MEDIAN_TURNS: u32 = 12;
/// The same for small requests, of which a short turn has enough.
const SHORT_TURNS: u32 = 48;
/// Turns that take the time of a row; more of them take longer.
const SHORT_TURNS_OF_A_ROW: u32 = 16;
const CONNECTIONS: usize = 16;
const KIB4: u64 = 4 << 10;
const MIB1: u64 = 1 << 20;
const MIB64: u64 = 64 << 20;
/// No ratio of two modes may be below this.
const ALIKE: f64 = 0.95;
const BUCKET: &str = "/bench-modes";
/// Buckets whose defaults choose, for requests that differ in nothing else; names of the same length.
const SSE_S3_BUCKET: &str = "/bench-by-s3";
const BUCKET_KEY_BUCKET: &str = "/bench-by-bk";
/// Bytes of blobs that the server read.
const READ: &str = "strongroom_blob_bytes_read_total";
const SSE: &str = "x-amz-server-side-encryption";

/// One side of a pair.
#[derive(Clone, Copy)]
struct Side {
    /// As requests name it, or the bucket that decides.
    mode: &'static str,
    connections: usize,
    /// Bytes a second of a network that is slower than the server.
    pace: Option<f64>,
}

impl Side {
    const fn of(mode: &'static str) -> Side {
        Side {
            mode,
            connections: CONNECTIONS,
            pace: None,
        }
    }
}

/// All turns of one side.
#[derive(Clone, Copy, Default)]
struct Turns {
    done: Done,
    /// Processor seconds of the server and of the load generator, which share the machine.
    server_cpu: f64,
    load_cpu: f64,
}

impl Turns {
    fn add(&mut self, done: Done) {
        self.done.requests += done.requests;
        self.done.bytes += done.bytes;
        self.done.seconds += done.seconds;
    }
}

pub(crate) struct Modes<'a> {
    product: &'a Product,
    /// What the name of a ratio has to contain.
    only: &'a str,
    /// For what runs in this process.
    folder: &'a Path,
    endpoint: Endpoint,
    time: Duration,
    smoke: bool,
}

/// All ratios.
pub(crate) async fn rows(
    product: &Product,
    folder: &Path,
    time: Duration,
    options: &Options,
) -> Outcome<Vec<Ratio>> {
    let smoke = options.smoke;
    say("measuring the modes of encryption in turns");
    let modes = Modes {
        product,
        only: &options.only,
        folder,
        endpoint: Endpoint {
            address: product.https,
            tls: Some(product.tls.clone()),
            credential: Some(product.credential.clone()),
        },
        time,
        smoke,
    };
    modes.make_buckets().await?;
    let mut ratios = modes.small().await?;
    let sizes: &[u64] = if smoke { &[MIB1] } else { &[MIB1, MIB64] };
    for bytes in sizes {
        ratios.extend(modes.large(*bytes).await?);
    }
    ratios.extend(modes.md5_beside_sealing().await?);
    ratios.extend(modes.ranges().await?);
    Ok(ratios)
}

impl Modes<'_> {
    async fn make_buckets(&self) -> Outcome<()> {
        let nothing = Bytes::new;
        let by_default = |algorithm: &str, bucket_key: bool| {
            format!(
                "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm>\
                 </ApplyServerSideEncryptionByDefault>\
                 <BucketKeyEnabled>{bucket_key}</BucketKeyEnabled>"
            )
        };
        let nothing_blocked = "<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType>\
            </BlockedEncryptionTypes>";
        for (bucket, rule) in [
            (BUCKET, nothing_blocked.to_owned()),
            (SSE_S3_BUCKET, by_default("AES256", false)),
            (BUCKET_KEY_BUCKET, by_default("aws:kms", true)),
        ] {
            load::once(&self.endpoint, Method::PUT, bucket, vec![], nothing()).await?;
            let rule = format!(
                "<ServerSideEncryptionConfiguration><Rule>{rule}</Rule>\
                 </ServerSideEncryptionConfiguration>"
            );
            let md5 = vec![(
                "content-md5".to_owned(),
                STANDARD.encode(strongroom_md5::digest(rule.as_bytes())),
            )];
            let path = format!("{bucket}?encryption");
            load::once(&self.endpoint, Method::PUT, &path, md5, Bytes::from(rule)).await?;
        }
        Ok(())
    }

    /// 4 KiB: what a bucket key spares is the use of the KMS key.
    async fn small(&self) -> Outcome<Vec<Ratio>> {
        let mut ratios = Vec::new();
        let (named, by_default) = (["SSE-S3", "SSE-KMS-BK"], [SSE_S3_BUCKET, BUCKET_KEY_BUCKET]);
        for (operation, modes, how) in [
            (Method::PUT, named, ""),
            (Method::PUT, by_default, ", both by the default of a bucket"),
            (Method::GET, named, ""),
        ] {
            let what = format!("https {operation} 4 KiB: requests/s, SSE-KMS-BK / SSE-S3{how}");
            if !what.contains(self.only) {
                continue;
            }
            let turns = if self.smoke { TURNS } else { SHORT_TURNS };
            let each = self.time / SHORT_TURNS_OF_A_ROW;
            let [a, b] = modes.map(Side::of);
            let (.., of_turns) = self.in_turns(&operation, KIB4, a, b, turns, each).await?;
            ratios.push(Ratio {
                what,
                value: median(of_turns),
                target: Some(ALIKE),
                at_least: true,
            });
        }
        Ok(ratios)
    }

    async fn large(&self, bytes: u64) -> Outcome<Vec<Ratio>> {
        let mut ratios = Vec::new();
        for (operation, a, b) in [
            (Method::PUT, "SSE-C", "SSE-KMS"),
            (Method::PUT, "SSE-C", "SSE-KMS-BK"),
            (Method::GET, "SSE-S3", "SSE-KMS"),
            (Method::GET, "SSE-S3", "SSE-KMS-BK"),
            (Method::GET, "SSE-S3", "SSE-C"),
        ] {
            let what = format!(
                "https {operation} {} MiB: throughput, {b} / {a}",
                bytes >> 20
            );
            if !what.contains(self.only) {
                continue;
            }
            let (a, b) = (Side::of(a), Side::of(b));
            let turns = if self.smoke { TURNS } else { MEDIAN_TURNS };
            let each = self.time / TURNS;
            let (.., of_turns) = self.in_turns(&operation, bytes, a, b, turns, each).await?;
            ratios.push(Ratio {
                what,
                value: median(of_turns),
                target: Some(ALIKE),
                at_least: true,
            });
        }
        Ok(ratios)
    }

    async fn md5_beside_sealing(&self) -> Outcome<Vec<Ratio>> {
        let bytes = if self.smoke { MIB1 } else { MIB64 };
        let stream = |mode| Side {
            mode,
            connections: 1,
            pace: None,
        };
        let name = format!("https PUT {} MiB, SSE-S3", bytes >> 20);
        let what = format!("{name}: one stream / min(MD5 alone, SSE-C stream)");
        if !what.contains(self.only) {
            return Ok(Vec::new());
        }
        let alone = md5_alone(self.time / 2);
        let (without, with) = self
            .pair(&Method::PUT, bytes, stream("SSE-C"), stream("SSE-S3"))
            .await?;
        let bound = alone.min(throughput(without));
        // On two processors, which server and load share, it is missed: such a stream keeps more of
        // them busy. What it is bound by otherwise is told below.
        let one = Ratio {
            what,
            value: throughput(with) / bound,
            target: Some(0.9),
            at_least: true,
        };
        // With few processors this is less than 1, and then no stream reaches the bound.
        let allowed = Ratio {
            what: format!("{name}: what all processors could do of it at best / the same"),
            value: at_best(with)? / bound,
            target: None,
            at_least: true,
        };
        let two = Side {
            mode: "SSE-S3",
            connections: 2,
            pace: None,
        };
        let (single, double) = self
            .pair(&Method::PUT, bytes, stream("SSE-S3"), two)
            .await?;
        // How much more there is depends on the cores that the load generator leaves.
        let scaling = Ratio {
            what: format!("{name}: two streams / one"),
            value: throughput(double) / throughput(single),
            target: None,
            at_least: true,
        };
        let mut ratios = vec![one, allowed, scaling];
        ratios.extend(self.streams_on_processors(&name, bytes).await?);
        ratios.extend(self.md5_alone_bounds(&name, bytes, alone).await?);
        Ok(ratios)
    }

    /// Several streams on all processors and on one of them, in turns; load and server have the same.
    /// More streams than processors, so that none waits for the one stream that it has.
    async fn streams_on_processors(&self, name: &str, bytes: u64) -> Outcome<Option<Ratio>> {
        let processors = std::thread::available_parallelism()?.get();
        if processors < 2 {
            say("  one processor only: how streams scale with processors cannot be said");
            return Ok(None);
        }
        let streams = 2 * processors;
        let side = Side {
            mode: "SSE-S3",
            connections: streams,
            pace: None,
        };
        let put = work(side.mode, bytes)?;
        load::run(&self.endpoint, &put, streams, Duration::ZERO, true).await?;
        let turns = if self.smoke { 1 } else { TURNS };
        let each = self.time / TURNS;
        let (mut on_one, mut on_all) = (Turns::default(), Turns::default());
        for _ in 0..turns {
            let confined = self.product.process.on_one_processor()?;
            on_one.add(load::run(&self.endpoint, &put, streams, each, false).await?);
            confined.give_back()?;
            on_all.add(load::run(&self.endpoint, &put, streams, each, false).await?);
        }
        let processors = float(processors.try_into()?);
        Ok(Some(Ratio {
            what: format!(
                "{name}: {streams} streams, all processors / (one of them x their number)"
            ),
            value: throughput(on_all) / throughput(on_one) / processors,
            target: Some(0.85),
            at_least: true,
        }))
    }

    /// The two bounds of a stream, each where the processors of this machine are none: a network of
    /// half the speed of an MD5, and no network at all.
    async fn md5_alone_bounds(&self, name: &str, bytes: u64, alone: f64) -> Outcome<[Ratio; 3]> {
        let slow = |mode| Side {
            mode,
            connections: 1,
            pace: Some(alone / 2.0),
        };
        let (without, with) = self
            .pair(&Method::PUT, bytes, slow("SSE-C"), slow("SSE-S3"))
            .await?;
        let network = Ratio {
            what: format!("{name}: network of half MD5's speed, one stream / SSE-C stream"),
            value: throughput(with) / throughput(without),
            target: Some(ALIKE),
            at_least: true,
        };
        let streams =
            crate::pipeline::streams(&self.folder.join("pipeline"), bytes, self.time).await?;
        let inside = format!("{} MiB in this process, MD5 beside sealing", bytes >> 20);
        // One thread seals, one writes and one digests: on two processors each waits for one at times.
        // What counts is what an MD5 does beside the same work, whoever computes it.
        let beside = Ratio {
            what: format!("{inside} / min(MD5 in a thread of its own beside it, sealing)"),
            value: streams.with_md5 / streams.md5_beside.min(streams.without_md5),
            target: Some(0.9),
            at_least: true,
        };
        let inside = Ratio {
            what: format!("{inside} / min(MD5 alone, sealing)"),
            value: streams.with_md5 / alone.min(streams.without_md5),
            target: Some(0.9),
            at_least: true,
        };
        Ok([network, beside, inside])
    }

    /// Bytes read from the drive for a range of 4 KiB, in sealed segments of one layer and of two.
    async fn ranges(&self) -> Outcome<Vec<Ratio>> {
        let total = if self.smoke { 16 * MIB1 } else { 256 * MIB1 };
        let mut ratios = Vec::new();
        for (mode, unit) in [("SSE-S3", 65_568_u32), ("DSSE-KMS", 65_600)] {
            let what = format!("4 KiB range, {mode}: segments read from the drive");
            if !what.contains(self.only) {
                continue;
            }
            let body = Bytes::from(vec![0x5A; usize::try_from(total)?]);
            let prefix = format!("{BUCKET}/range-{mode}-");
            let name = format!("{prefix}0");
            load::once(&self.endpoint, Method::PUT, &name, headers(mode), body).await?;
            let get = Work {
                method: Method::GET,
                headers: Vec::new(),
                body: Bytes::new(),
                names: 1,
                prefix,
                range: Some((KIB4, total)),
                pace: None,
            };
            let before = self.product.metric(READ).await?;
            let done = load::run_shared(&self.endpoint, &get, CONNECTIONS, self.time, "0").await?;
            let read = self.product.metric(READ).await? - before;
            ratios.push(Ratio {
                what,
                value: read / float(done.requests) / f64::from(unit),
                target: Some(2.0),
                at_least: false,
            });
        }
        Ok(ratios)
    }

    /// Both sides in turns.
    async fn pair(
        &self,
        operation: &Method,
        bytes: u64,
        a: Side,
        b: Side,
    ) -> Outcome<(Turns, Turns)> {
        let each = self.time / TURNS;
        let (a, b, _) = self.in_turns(operation, bytes, a, b, TURNS, each).await?;
        Ok((a, b))
    }

    /// Both sides in so many turns of `each`, and of each turn the requests a second of `b` / of `a`.
    async fn in_turns(
        &self,
        operation: &Method,
        bytes: u64,
        a: Side,
        b: Side,
        turns: u32,
        each: Duration,
    ) -> Outcome<(Turns, Turns, Vec<f64>)> {
        let paced = |side: Side| -> Outcome<Work> {
            let work = work(side.mode, bytes)?;
            Ok(Work {
                pace: side.pace,
                ..work
            })
        };
        let works = [(a, paced(a)?), (b, paced(b)?)];
        for (side, put) in &works {
            // Memory is touched for the first time, and the objects are there.
            load::run(&self.endpoint, put, side.connections, Duration::ZERO, true).await?;
        }
        let mut sums = [Turns::default(), Turns::default()];
        let mut of_turns = Vec::new();
        for _ in 0..turns {
            let mut rates = Vec::new();
            for ((side, put), sum) in works.iter().zip(&mut sums) {
                let work = match *operation {
                    Method::PUT => put.clone(),
                    _ => read_of(put, side.mode),
                };
                let before = (self.product.process.cpu_seconds()?, own_cpu_seconds()?);
                let done = load::run(&self.endpoint, &work, side.connections, each, false).await?;
                sum.server_cpu += self.product.process.cpu_seconds()? - before.0;
                sum.load_cpu += own_cpu_seconds()? - before.1;
                sum.add(done);
                rates.push(float(done.requests) / done.seconds);
            }
            if let [a, b] = rates[..] {
                of_turns.push(b / a);
            }
        }
        // Neighbours change this less than what is done in a second.
        for ((side, _), sum) in works.iter().zip(&sums) {
            let per_request = 1e6 / float(sum.done.requests);
            say(&format!(
                "  {operation} {} KiB, {}: {:.1} us of the server's processor time for a request, {:.1} of the load's",
                bytes >> 10,
                side.mode,
                sum.server_cpu * per_request,
                sum.load_cpu * per_request
            ));
        }
        let [a, b] = sums;
        Ok((a, b, of_turns))
    }
}

fn work(mode: &str, bytes: u64) -> Outcome<Work> {
    Ok(Work {
        method: Method::PUT,
        headers: headers(mode),
        body: Bytes::from(vec![0x5A; usize::try_from(bytes)?]),
        // Of small objects as many as it takes that where they lie in the index decides nothing.
        names: match bytes {
            0..=KIB4 => 64,
            MIB64.. => 1,
            _ => 4,
        },
        prefix: match mode {
            SSE_S3_BUCKET | BUCKET_KEY_BUCKET => format!("{mode}/{bytes}-"),
            _ => format!("{BUCKET}/{mode}-{bytes}-"),
        },
        range: None,
        pace: None,
    })
}

fn read_of(put: &Work, mode: &str) -> Work {
    Work {
        method: Method::GET,
        // Reads take no header that chooses an encryption, but a customer key.
        headers: if mode == "SSE-C" {
            put.headers.clone()
        } else {
            Vec::new()
        },
        body: Bytes::new(),
        ..put.clone()
    }
}

fn headers(mode: &str) -> Vec<(String, String)> {
    let named = |value: &str| (SSE.to_owned(), value.to_owned());
    match mode {
        "SSE-KMS" => vec![named("aws:kms")],
        "SSE-KMS-BK" => vec![
            named("aws:kms"),
            (format!("{SSE}-bucket-key-enabled"), "true".to_owned()),
        ],
        "DSSE-KMS" => vec![named("aws:kms:dsse")],
        "SSE-C" => {
            let key = [0x42; 32];
            vec![
                (format!("{SSE}-customer-algorithm"), "AES256".to_owned()),
                (format!("{SSE}-customer-key"), STANDARD.encode(key)),
                (
                    format!("{SSE}-customer-key-md5"),
                    STANDARD.encode(strongroom_md5::digest(&key)),
                ),
            ]
        }
        _ => Vec::new(),
    }
}

/// Bytes a second of the digest on one core, a batch at a time as in the server.
fn md5_alone(time: Duration) -> f64 {
    let batch = vec![0x5A_u8; 128 << 10];
    let mut md5 = strongroom_md5::Md5::new();
    let mut bytes = 0_u64;
    let start = Instant::now();
    while start.elapsed() < time {
        md5.update(black_box(&batch));
        bytes += 128 << 10;
    }
    black_box(md5.finish());
    float(bytes) / start.elapsed().as_secs_f64()
}

/// The one in the middle, or between the two that are.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(..=middle) {
        Some([.., low, high]) if values.len().is_multiple_of(2) => low.midpoint(*high),
        Some([.., one]) => *one,
        _ => f64::NAN,
    }
}

fn throughput(Turns { done, .. }: Turns) -> f64 {
    float(done.bytes) / done.seconds
}

/// Bytes a second if all processors did nothing else, and all the time.
fn at_best(turns: Turns) -> Outcome<f64> {
    let processors = float(std::thread::available_parallelism()?.get().try_into()?);
    Ok(float(turns.done.bytes) / (turns.server_cpu + turns.load_cpu) * processors)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts for a table"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn one_turn_of_many_decides_nothing() {
        assert_eq!(median(vec![1.0, 9.0, 1.1]).to_bits(), 1.1_f64.to_bits());
        assert_eq!(
            median(vec![0.1, 4.0, 2.0, 3.0]).to_bits(),
            2.5_f64.to_bits()
        );
        assert_eq!(median(vec![7.0]).to_bits(), 7.0_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }
}
