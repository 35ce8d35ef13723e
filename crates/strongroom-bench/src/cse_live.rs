// SPDX-License-Identifier: Apache-2.0
//! Client-side encryption with a server: `strongroom cse cp` beside Amazon's client for Python on the
//! same file, in turns; and what memory the command line takes for an object of any length.
//!
//! All three share the machine. Over two cores the server's work is the larger part of both sides, so
//! the processor time of the clients themselves is told, too, and all is done once more in a bucket under
//! SSE-KMS, where the server computes no MD5.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use http::Method;

use crate::process::{Watched, watched};
use crate::report::{Ratio, say};
use crate::run::{float, product_endpoint};
use crate::target::Product;
use crate::{Options, Outcome, load};

/// How often the two take turns; the best of each counts.
const TURNS: usize = 3;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const BUCKET: &str = "bench-cse";
/// No MD5 is computed of what lies in it.
const BUCKET_KMS: &str = "bench-cse-kms";
/// What an object of any length may take.
const MEMORY_MIB: f64 = 64.0;
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cse_peer.py");

/// A server, and everything a client of it needs.
struct World<'a> {
    options: &'a Options,
    product: Product,
    ca: PathBuf,
    folder: PathBuf,
}

/// Beside the client for Python, if it is there.
pub(crate) async fn rows(options: &Options, folder: &Path) -> Outcome<Vec<Ratio>> {
    let world = World::start(options, folder).await?;
    let key = match world.peer(["key"]) {
        Ok(done) => done.said.trim().to_owned(),
        Err(error) => {
            say(&format!(
                "no comparison with Amazon's client for Python, which `cargo xtask e2e` installs: {error}"
            ));
            return Ok(Vec::new());
        }
    };
    let bytes = if options.smoke { 16 * MIB } else { GIB };
    let plain = world.folder.join("plain");
    random_file(&plain, bytes)?;
    world.peer(["bucket", &key, BUCKET_KMS])?;
    let mut rows = Vec::new();
    for (bucket, sealed) in [(BUCKET, "SSE-S3"), (BUCKET_KMS, "SSE-KMS")] {
        say(&format!(
            "client-side encryption of {} MiB over HTTPS, beside Amazon's client for Python; {sealed} at the server",
            bytes / MIB
        ));
        let best = world.in_turns(bucket, &key, &plain)?;
        for (way, [ours, theirs]) in ["up", "down"].into_iter().zip(best) {
            let what = format!(
                "client-side encryption, {sealed}, {} MiB {way}",
                bytes / MIB
            );
            rows.extend(compared(&what, bytes, &ours, &theirs));
        }
    }
    Ok(rows)
}

/// An object of 10 GiB up and down, on the drive: it is the memory that counts.
pub(crate) async fn long_rows(options: &Options, folder: &Path) -> Outcome<Vec<Ratio>> {
    let world = World::start(options, folder).await?;
    let bytes = if options.smoke { 64 * MIB } else { 10 * GIB };
    let (plain, key) = (world.folder.join("plain"), world.folder.join("aes.key"));
    // Without content: it is read and encrypted like any other, and takes no room.
    std::fs::File::create(&plain)?.set_len(bytes)?;
    let mut command = Command::new(&options.server);
    command.args(["cse", "keygen", "aes-256"]).arg(&key);
    watched(&mut command)?;
    let key = key.display().to_string();
    let name = format!("s3://{BUCKET}/long");
    let mut rows = Vec::new();
    let back = world.folder.join("back");
    let places = [
        ("up", [plain.as_os_str(), name.as_ref()]),
        ("down", [name.as_ref(), back.as_os_str()]),
    ];
    for (way, words) in places {
        say(&format!(
            "client-side encryption of {} MiB, {way}",
            bytes / MIB
        ));
        let done = world.cse(words, &["--master-key", &key])?;
        let what = format!("client-side encryption, {} MiB {way}", bytes / MIB);
        rows.push(throughput(&what, "strongroom cse cp", bytes, done.seconds));
        rows.push(memory(&what, done.resident_bytes_max));
    }
    if std::fs::metadata(&back)?.len() != bytes {
        return Err("another length".into());
    }
    Ok(rows)
}

/// The best of some runs of one side.
#[derive(Default)]
struct Best {
    seconds: Option<f64>,
    cpu_seconds: Option<f64>,
    resident_bytes_max: u64,
}

impl Best {
    fn take(&mut self, done: &Watched) {
        let lower = |known: Option<f64>, new: f64| Some(known.map_or(new, |known| known.min(new)));
        self.seconds = lower(self.seconds, done.seconds);
        self.cpu_seconds = lower(self.cpu_seconds, done.cpu_seconds);
        self.resident_bytes_max = self.resident_bytes_max.max(done.resident_bytes_max);
    }
}

fn compared(what: &str, bytes: u64, ours: &Best, theirs: &Best) -> Vec<Ratio> {
    let over = |mine: Option<f64>, other: Option<f64>| {
        other.unwrap_or(f64::NAN) / mine.unwrap_or(f64::NAN).max(0.01)
    };
    let ratio = |which: &str, value, target| Ratio {
        what: format!("{what}: {which}"),
        value,
        target,
        at_least: true,
    };
    let seconds = |best: &Best| best.seconds.unwrap_or(f64::NAN);
    vec![
        throughput(what, "strongroom cse cp", bytes, seconds(ours)),
        throughput(what, "Amazon's Python", bytes, seconds(theirs)),
        ratio(
            "throughput / Python",
            over(ours.seconds, theirs.seconds),
            Some(5.0),
        ),
        ratio(
            "own processor time, Python / ours",
            over(ours.cpu_seconds, theirs.cpu_seconds),
            None,
        ),
        memory(what, ours.resident_bytes_max),
    ]
}

fn throughput(what: &str, who: &str, bytes: u64, seconds: f64) -> Ratio {
    Ratio {
        what: format!("{what}: {who}, GB/s"),
        value: float(bytes) / seconds / 1e9,
        target: None,
        at_least: true,
    }
}

fn memory(what: &str, resident: u64) -> Ratio {
    Ratio {
        what: format!("{what}: most memory, MiB"),
        value: float(resident) / float(MIB),
        target: Some(MEMORY_MIB),
        at_least: false,
    }
}

impl<'a> World<'a> {
    async fn start(options: &'a Options, folder: &Path) -> Outcome<Self> {
        let data = folder.join("product");
        let product = Product::start(&options.server, &data)?;
        let endpoint = product_endpoint(&product, true);
        let bucket = format!("/{BUCKET}");
        load::once(&endpoint, Method::PUT, &bucket, vec![], Bytes::new()).await?;
        Ok(Self {
            options,
            product,
            ca: data.join("tls/ca.pem"),
            folder: folder.to_owned(),
        })
    }

    /// The best of some runs that take turns: up, down; ours, theirs.
    fn in_turns(&self, bucket: &str, key: &str, plain: &Path) -> Outcome<[[Best; 2]; 2]> {
        let [mut up, mut down, mut their_up, mut their_down] = [(); 4].map(|()| Best::default());
        let (ours, theirs) = (format!("s3://{bucket}/ours"), "theirs");
        let back = self.folder.join("back");
        for _ in 0..if self.options.smoke { 1 } else { TURNS } {
            their_up.take(&self.peer_moves("put", key, plain, bucket, theirs)?);
            up.take(&self.cse([plain.as_os_str(), ours.as_ref()], &["--kms-key", key])?);
            for op in ["get", "stream"] {
                their_down.take(&self.peer_moves(op, key, &back, bucket, theirs)?);
                std::fs::remove_file(&back)?;
            }
            down.take(&self.cse([ours.as_ref(), back.as_os_str()], &["--kms-key", key])?);
            if !same(plain, &back)? {
                return Err("another plaintext".into());
            }
            std::fs::remove_file(&back)?;
        }
        Ok([[up, their_up], [down, their_down]])
    }

    /// `strongroom cse cp`, with the time of its start.
    fn cse(&self, words: [&OsStr; 2], keys: &[&str]) -> Outcome<Watched> {
        let mut command = self.command(&self.options.server);
        command
            .args(["cse", "cp", "--quiet"])
            .args(words)
            .args(keys);
        watched(&mut command)
    }

    fn peer<const N: usize>(&self, words: [&str; N]) -> Outcome<Watched> {
        watched(self.command(&self.options.python).arg(PEER).args(words))
    }

    fn peer_moves(
        &self,
        op: &str,
        key: &str,
        file: &Path,
        bucket: &str,
        name: &str,
    ) -> Outcome<Watched> {
        let file = file.display().to_string();
        let done = self.peer([op, key, &file, bucket, name])?;
        let seconds = done.said.trim().parse()?;
        Ok(Watched { seconds, ..done })
    }

    /// A client that finds this server and no other.
    fn command(&self, program: &Path) -> Command {
        let credential = &self.product.credential;
        let mut command = Command::new(program);
        command
            .env("AWS_ACCESS_KEY_ID", &credential.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", credential.secret.expose_secret())
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env(
                "AWS_ENDPOINT_URL",
                format!("https://{}", self.product.https),
            )
            .env("AWS_CA_BUNDLE", &self.ca)
            .env("STRONGROOM_CSE_STATE", self.folder.join("uploads"));
        command
    }
}

fn random_file(path: &Path, bytes: u64) -> Outcome<()> {
    let mut file = std::fs::File::create(path)?;
    let mut piece = vec![0; usize::try_from(MIB)?];
    for _ in 0..bytes / MIB {
        aws_lc_rs::rand::fill(&mut piece)?;
        file.write_all(&piece)?;
    }
    Ok(())
}

fn same(one: &Path, other: &Path) -> Outcome<bool> {
    let of = |path: &Path| -> Outcome<_> {
        let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let mut file =
            std::io::BufReader::with_capacity(usize::try_from(MIB)?, std::fs::File::open(path)?);
        loop {
            let piece = std::io::BufRead::fill_buf(&mut file)?;
            if piece.is_empty() {
                break;
            }
            let len = piece.len();
            hash.update(piece);
            std::io::BufRead::consume(&mut file, len);
        }
        Ok(hash.finish().as_ref().to_vec())
    };
    Ok(of(one)? == of(other)?)
}
