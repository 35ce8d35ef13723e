// SPDX-License-Identifier: Apache-2.0
//! All measurements of one run, in an order that puts side by side what is compared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;

use crate::cse;
use crate::cse_live;
use crate::drives;
use crate::erasure;
use crate::kms::{self, Operation};
use crate::kms_load;
use crate::limits;
use crate::load::{self, Done, Endpoint, Work};
use crate::modes;
use crate::policy;
use crate::process::Process;
use crate::report::{Measured, Ratio, Report, say};
use crate::target::{self, Product, Target};
use crate::{Options, Outcome};

const CONNECTIONS: usize = 16;
const KIB4: u64 = 4 << 10;
const MIB1: u64 = 1 << 20;
const MIB64: u64 = 64 << 20;
/// Connections of clients of the key service.
const KMS_CONNECTIONS: usize = 32;
/// Uses of a key in flight within this process.
const AT_ONCE: usize = 64;
const OPERATIONS: [Operation; 2] = [Operation::GenerateDataKey, Operation::Decrypt];
/// Names per connection for small objects, so that overwrites do not meet.
const NAMES: usize = 4;

struct Bench {
    time: Duration,
    sizes: Vec<u64>,
    rows: Vec<Measured>,
}

/// A row to measure.
struct Row<'a> {
    transport: &'static str,
    server: &'static str,
    mode: &'static str,
    endpoint: &'a Endpoint,
    process: &'a Process,
    headers: Vec<(String, String)>,
}

pub(crate) async fn all(options: &Options) -> Outcome<()> {
    let time = Duration::from_secs_f64(if options.smoke { 0.3 } else { options.seconds });
    let sizes = if options.smoke {
        vec![KIB4, MIB1]
    } else {
        vec![KIB4, MIB1, MIB64]
    };
    let folder = Folder::new(
        &options
            .memory
            .join(format!("strongroom-bench-{}", std::process::id())),
    )?;
    let durable = Folder::new(
        &options
            .drive
            .join(format!("bench-drive-{}", std::process::id())),
    )?;
    if let Some(ratios) = few(options, &folder.0, &durable.0).await? {
        only(Vec::new(), ratios, 0).print();
        return Ok(());
    }
    say("measuring the limits of the machine");
    let limits = limits::measure(time.min(Duration::from_secs(1)), &durable.0)?;
    let mut bench = Bench {
        time,
        sizes,
        rows: Vec::new(),
    };
    if options.small {
        return bench.only_small(options, &folder.0, &durable.0).await;
    }
    if options.layers {
        return bench.only_layers(options, &folder.0).await;
    }
    if options.drives {
        let ratios = drives::rows(options, &durable.0, time, drive_limit(&limits)).await?;
        only(limits, ratios, 0).print();
        return Ok(());
    }
    if options.modes {
        let product = Product::start(&options.server, &folder.0.join("product"))?;
        let ratios = modes::rows(&product, &folder.0, time, options).await?;
        only(limits, ratios, product.process.resident_bytes_max()?).print();
        return Ok(());
    }
    if options.kms {
        return bench.only_kms(options, &folder.0, &durable.0).await;
    }
    bench.key_service(&folder.0.join("kms")).await?;
    let product = Product::start(&options.server, &folder.0.join("product"))?;
    bench.key_service_over_https(&product, "https").await?;
    for tls in [false, true] {
        let transport = if tls { "https" } else { "http" };
        let plain = target::bare(&folder.0.join(format!("plain-{transport}")), true, tls)?;
        let sealed = target::bare(&folder.0.join(format!("sealed-{transport}")), false, tls)?;
        say(&format!("measuring over {transport}"));
        bench.transport(&product, &plain, &sealed, tls).await?;
    }
    bench.ranges(&product, options.smoke).await?;
    let of_modes = modes::rows(&product, &folder.0, time, options).await?;
    let resident = product.process.resident_bytes_max()?;
    drop(product);
    say("measuring durable small objects on the drive");
    let on_drive = Product::start(&options.server, &durable.0.join("product"))?;
    bench.durable(&on_drive).await?;
    drop(on_drive);
    let mut ratios = bench.ratios();
    ratios.extend(of_modes);
    ratios.extend(drives::rows(options, &durable.0, time, drive_limit(&limits)).await?);
    ratios.extend(policy::rows()?);
    ratios.extend(erasure::rows()?);
    ratios.extend(cse::rows()?);
    ratios.extend(cse_live::rows(options, &folder.0.join("cse")).await?);
    let report = Report {
        limits,
        rows: bench.rows,
        ratios,
        resident_bytes_max: resident,
    };
    report.print();
    std::fs::create_dir_all(&options.out)?;
    let file = options.out.join("bench.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    say(&format!("written to {}", file.display()));
    Ok(())
}

/// The rows of one thing that needs none of the others.
async fn few(options: &Options, memory: &Path, drive: &Path) -> Outcome<Option<Vec<Ratio>>> {
    if options.erasure {
        return Ok(Some(erasure::rows()?));
    }
    if options.cse_long {
        let rows = cse_live::long_rows(options, &drive.join("cse")).await?;
        return Ok(Some(rows));
    }
    if !options.cse {
        return Ok(None);
    }
    let mut ratios = cse::rows()?;
    ratios.extend(cse_live::rows(options, &memory.join("cse")).await?);
    Ok(Some(ratios))
}

/// A report of ratios alone.
fn only(limits: Vec<limits::Limit>, ratios: Vec<Ratio>, resident_bytes_max: u64) -> Report {
    Report {
        limits,
        rows: Vec::new(),
        ratios,
        resident_bytes_max,
    }
}

impl Bench {
    /// The small objects alone, in memory and on the drive: for work on their cost.
    async fn only_small(mut self, options: &Options, memory: &Path, drive: &Path) -> Outcome<()> {
        for folder in [memory, drive] {
            let product = Product::start(&options.server, &folder.join("product"))?;
            self.durable(&product).await?;
        }
        let (limits, ratios, rows) = (Vec::new(), Vec::new(), self.rows);
        Report {
            limits,
            rows,
            ratios,
            resident_bytes_max: 0,
        }
        .print();
        Ok(())
    }

    /// Objects under one layer and under two, in turns.
    async fn only_layers(mut self, options: &Options, memory: &Path) -> Outcome<()> {
        let product = Product::start(&options.server, &memory.join("product"))?;
        let endpoint = product_endpoint(&product, true);
        let bucket = "/bench-https";
        load::once(&endpoint, Method::PUT, bucket, vec![], Bytes::new()).await?;
        for object_bytes in self.sizes.clone() {
            for mode in ["SSE-KMS", "DSSE-KMS"] {
                let row = Row {
                    transport: "https",
                    server: "product",
                    mode,
                    endpoint: &endpoint,
                    process: &product.process,
                    headers: mode_headers(mode),
                };
                self.put_and_get(&row, object_bytes).await?;
            }
        }
        let ratios = self.layer_ratios();
        Report {
            limits: Vec::new(),
            rows: self.rows,
            ratios,
            resident_bytes_max: product.process.resident_bytes_max()?,
        }
        .print();
        Ok(())
    }

    /// The key service alone, in memory and on the drive.
    async fn only_kms(mut self, options: &Options, memory: &Path, drive: &Path) -> Outcome<()> {
        self.key_service(&memory.join("kms")).await?;
        for (folder, transport) in [(memory, "https"), (drive, "drive")] {
            let product = Product::start(&options.server, &folder.join("product"))?;
            self.key_service_over_https(&product, transport).await?;
        }
        let mut ratios = self.key_service_ratios();
        ratios.extend(policy::rows()?);
        let (limits, rows) = (Vec::new(), self.rows);
        Report {
            limits,
            rows,
            ratios,
            resident_bytes_max: 0,
        }
        .print();
        Ok(())
    }

    /// Uses of a key within this process.
    async fn key_service(&mut self, folder: &Path) -> Outcome<()> {
        say("measuring the key service in this process");
        let rooms = kms::Rooms::open(folder).await?;
        for operation in OPERATIONS {
            rooms.run(operation, AT_ONCE, self.time / 4).await?;
            let used = rooms.run(operation, AT_ONCE, self.time).await?;
            let kind = Kind {
                transport: "process",
                server: "kms",
                mode: "-",
                operation: operation.name(),
                connections: AT_ONCE,
            };
            self.rows
                .push(measured(&kind, 0, used.done, used.cpu_seconds));
        }
        Ok(())
    }

    /// Uses of a key by clients of the server.
    async fn key_service_over_https(
        &mut self,
        product: &Product,
        transport: &'static str,
    ) -> Outcome<()> {
        say(&format!("measuring the key service: {transport}"));
        let endpoint = product_endpoint(product, true);
        for operation in OPERATIONS {
            kms_load::run(&endpoint, operation, KMS_CONNECTIONS, self.time / 4).await?;
            let before = product.process.cpu_seconds()?;
            let done = kms_load::run(&endpoint, operation, KMS_CONNECTIONS, self.time).await?;
            let cpu = product.process.cpu_seconds()? - before;
            let kind = Kind {
                transport,
                server: "product",
                mode: "-",
                operation: operation.name(),
                connections: KMS_CONNECTIONS,
            };
            self.rows.push(measured(&kind, 0, done, cpu));
        }
        Ok(())
    }

    fn key_service_ratios(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        for operation in OPERATIONS.map(Operation::name) {
            if let Some(row) = self.find(("process", "kms", "-", operation, 0)) {
                ratios.push(Ratio {
                    what: format!("{operation} in process, for each second of one core"),
                    value: 1e6 / row.server_cpu_microseconds_per_request,
                    target: Some(50_000.0),
                    at_least: true,
                });
            }
            if let Some(row) = self.find(("https", "product", "-", operation, 0)) {
                let what =
                    format!("{operation} a second over HTTPS, {KMS_CONNECTIONS} connections");
                ratios.push(rate(&what, row, 8_000.0));
            }
            if let Some(row) = self.find(("drive", "product", "-", operation, 0)) {
                ratios.push(Ratio {
                    target: None,
                    ..rate(
                        &format!("{operation} a second over HTTPS, real drive"),
                        row,
                        0.0,
                    )
                });
            }
        }
        ratios
    }

    async fn transport(
        &mut self,
        product: &Product,
        plain: &Target,
        sealed: &Target,
        tls: bool,
    ) -> Outcome<()> {
        let transport = if tls { "https" } else { "http" };
        let endpoint = product_endpoint(product, tls);
        load::once(
            &endpoint,
            Method::PUT,
            &format!("/bench-{transport}"),
            vec![],
            Bytes::new(),
        )
        .await?;
        allow_customer_keys(&endpoint, &format!("/bench-{transport}")).await?;
        let modes: &[&'static str] = if tls {
            &["SSE-S3", "SSE-KMS", "DSSE-KMS", "SSE-C"]
        } else {
            &["SSE-S3"]
        };
        let plain_endpoint = bare_endpoint(plain);
        let sealed_endpoint = bare_endpoint(sealed);
        for object_bytes in self.sizes.clone() {
            for (mode, headers) in [("md5", vec![md5_header()]), ("no md5", vec![])] {
                for (server, endpoint, target) in [
                    ("plain", &plain_endpoint, plain),
                    ("sealed", &sealed_endpoint, sealed),
                ] {
                    let process = &target.process;
                    let headers = headers.clone();
                    let row = Row {
                        transport,
                        server,
                        mode,
                        endpoint,
                        process,
                        headers,
                    };
                    self.put_and_get(&row, object_bytes).await?;
                }
            }
            for mode in modes {
                let headers = mode_headers(mode);
                let row = Row {
                    transport,
                    server: "product",
                    mode,
                    endpoint: &endpoint,
                    process: &product.process,
                    headers,
                };
                self.put_and_get(&row, object_bytes).await?;
            }
        }
        Ok(())
    }

    async fn put_and_get(&mut self, row: &Row<'_>, object_bytes: u64) -> Outcome<()> {
        let body = vec![0x5A; usize::try_from(object_bytes)?];
        let names = if object_bytes == MIB64 { 1 } else { NAMES };
        let prefix = format!(
            "/bench-{}/{}-{object_bytes}-",
            row.transport,
            row.mode.replace(' ', "")
        );
        let put = Work {
            method: Method::PUT,
            headers: row.headers.clone(),
            body: Bytes::from(body),
            names,
            prefix,
            range: None,
            pace: None,
        };
        // The first run through touches memory for the first time and makes the objects.
        load::run(row.endpoint, &put, CONNECTIONS, Duration::ZERO, true).await?;
        self.measure(row, &put, "PUT", object_bytes).await?;
        let is_customer = row.mode == "SSE-C";
        let headers = if is_customer {
            row.headers.clone()
        } else {
            Vec::new()
        };
        let get = Work {
            method: Method::GET,
            body: Bytes::new(),
            headers,
            ..put
        };
        self.measure(row, &get, "GET", object_bytes).await
    }

    async fn measure(
        &mut self,
        row: &Row<'_>,
        work: &Work,
        operation: &'static str,
        object_bytes: u64,
    ) -> Outcome<()> {
        let before = row.process.cpu_seconds()?;
        let done = load::run(row.endpoint, work, CONNECTIONS, self.time, false).await?;
        let cpu = row.process.cpu_seconds()? - before;
        self.rows
            .push(measured(&row.kind(operation), object_bytes, done, cpu));
        Ok(())
    }

    async fn ranges(&mut self, product: &Product, smoke: bool) -> Outcome<()> {
        let total = if smoke { 16 * MIB1 } else { 1 << 30 };
        let endpoint = product_endpoint(product, false);
        let body = Bytes::from(vec![0x5A; usize::try_from(total)?]);
        load::once(
            &endpoint,
            Method::PUT,
            "/bench-http/range-0-0",
            vec![],
            body,
        )
        .await?;
        let row = Row {
            transport: "http",
            server: "product",
            mode: "SSE-S3",
            endpoint: &endpoint,
            process: &product.process,
            headers: vec![],
        };
        let get = Work {
            method: Method::GET,
            headers: vec![],
            body: Bytes::new(),
            names: 1,
            prefix: "/bench-http/range-".to_owned(),
            range: Some((KIB4, total)),
            pace: None,
        };
        // All connections read the one large object.
        let before = row.process.cpu_seconds()?;
        let done = load::run_shared(&endpoint, &get, CONNECTIONS, self.time, "0-0").await?;
        let cpu = row.process.cpu_seconds()? - before;
        self.rows
            .push(measured(&row.kind("4 KiB range"), total, done, cpu));
        Ok(())
    }

    async fn durable(&mut self, product: &Product) -> Outcome<()> {
        let endpoint = product_endpoint(product, false);
        load::once(&endpoint, Method::PUT, "/bench-drive", vec![], Bytes::new()).await?;
        let row = Row {
            transport: "drive",
            server: "product",
            mode: "SSE-S3",
            endpoint: &endpoint,
            process: &product.process,
            headers: vec![],
        };
        self.put_and_get(&row, KIB4).await?;
        self.put_and_get(&row, MIB1).await
    }

    fn find(&self, key: (&str, &str, &str, &str, u64)) -> Option<&Measured> {
        let (transport, server, mode, operation, object_bytes) = key;
        self.rows.iter().find(|row| {
            row.transport == transport
                && row.server == server
                && row.mode == mode
                && row.operation == operation
                && row.object_bytes == object_bytes
        })
    }

    fn ratios(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        for (transport, mode, bare_mode, put_target, get_target) in [
            ("http", "SSE-S3", "md5", 0.90, 0.85),
            ("https", "SSE-S3", "md5", 0.94, 0.92),
            ("https", "SSE-KMS", "no md5", 0.94, 0.92),
            ("https", "SSE-C", "no md5", 0.94, 0.92),
        ] {
            for object_bytes in self.sizes.iter().copied().filter(|bytes| *bytes >= MIB1) {
                for (operation, target) in [("PUT", put_target), ("GET", get_target)] {
                    self.compare(
                        &mut ratios,
                        (transport, mode, bare_mode, operation, object_bytes),
                        target,
                    );
                }
            }
        }
        if let Some(row) = self.find(("drive", "product", "SSE-S3", "PUT", KIB4)) {
            ratios.push(rate(
                "durable 4 KiB PUTs a second, 16 connections",
                row,
                5_000.0,
            ));
        }
        if let Some(row) = self.find(("drive", "product", "SSE-S3", "GET", KIB4)) {
            ratios.push(rate("4 KiB GETs a second, 16 connections", row, 15_000.0));
        }
        ratios.extend(self.key_service_ratios());
        ratios.extend(self.layer_ratios());
        ratios
    }

    /// What the second layer costs.
    fn layer_ratios(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        for object_bytes in self.sizes.iter().copied().filter(|bytes| *bytes >= MIB1) {
            for operation in ["PUT", "GET"] {
                let find = |mode| self.find(("https", "product", mode, operation, object_bytes));
                if let (Some(one), Some(two)) = (find("SSE-KMS"), find("DSSE-KMS")) {
                    let size = object_bytes >> 20;
                    ratios.push(Ratio {
                        what: format!(
                            "https {operation} {size} MiB: throughput, DSSE-KMS / SSE-KMS"
                        ),
                        value: two.bytes_per_second / one.bytes_per_second,
                        target: Some(0.5),
                        at_least: true,
                    });
                }
            }
        }
        ratios
    }

    fn compare(&self, ratios: &mut Vec<Ratio>, key: (&str, &str, &str, &str, u64), target: f64) {
        let (transport, mode, bare_mode, operation, bytes) = key;
        let find = |server, mode| self.find((transport, server, mode, operation, bytes));
        let (Some(product), Some(plain), Some(sealed)) = (
            find("product", mode),
            find("plain", bare_mode),
            find("sealed", bare_mode),
        ) else {
            return;
        };
        let name = format!("{transport} {mode} {operation} {} MiB", bytes >> 20);
        ratios.push(Ratio {
            what: format!("{name}: throughput, sealed pipeline / plain pipeline"),
            value: sealed.bytes_per_second / plain.bytes_per_second,
            target: Some(target),
            at_least: true,
        });
        ratios.push(Ratio {
            what: format!("{name}: throughput, product / plain pipeline"),
            value: product.bytes_per_second / plain.bytes_per_second,
            target: Some(target),
            at_least: true,
        });
        ratios.push(Ratio {
            what: format!("{name}: server CPU per byte, product / sealed pipeline"),
            value: product.server_cpu_seconds_per_gb / sealed.server_cpu_seconds_per_gb,
            target: Some(1.25),
            at_least: false,
        });
    }
}

fn rate(what: &str, row: &Measured, target: f64) -> Ratio {
    Ratio {
        what: what.to_owned(),
        value: row.requests_per_second,
        target: Some(target),
        at_least: true,
    }
}

/// What a row is about.
struct Kind {
    transport: &'static str,
    server: &'static str,
    mode: &'static str,
    operation: &'static str,
    connections: usize,
}

impl Row<'_> {
    fn kind(&self, operation: &'static str) -> Kind {
        Kind {
            transport: self.transport,
            server: self.server,
            mode: self.mode,
            operation,
            connections: CONNECTIONS,
        }
    }
}

fn measured(kind: &Kind, object_bytes: u64, done: Done, cpu: f64) -> Measured {
    let requests = float(done.requests);
    let bytes = float(done.bytes);
    Measured {
        transport: kind.transport,
        server: kind.server,
        mode: kind.mode,
        operation: kind.operation,
        object_bytes,
        connections: kind.connections,
        requests_per_second: requests / done.seconds,
        bytes_per_second: bytes / done.seconds,
        // Uses of a key carry no bytes of objects.
        server_cpu_seconds_per_gb: if done.bytes == 0 {
            0.0
        } else {
            cpu / bytes * 1e9
        },
        server_cpu_microseconds_per_request: cpu / requests * 1e6,
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts for a table"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// What the drive writes at best, bytes a second.
fn drive_limit(limits: &[limits::Limit]) -> f64 {
    let large = limits.iter().find(|limit| limit.name == limits::DRIVE);
    large.map_or(1.0, |limit| limit.bytes_per_second)
}

/// New buckets refuse customer keys; this one is to measure them.
async fn allow_customer_keys(endpoint: &Endpoint, bucket: &str) -> Outcome<()> {
    let rule = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
        <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
        <BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>\
        </Rule></ServerSideEncryptionConfiguration>";
    let md5 = STANDARD.encode(strongroom_md5::digest(rule.as_bytes()));
    let headers = vec![("content-md5".to_owned(), md5)];
    let path = format!("{bucket}?encryption");
    load::once(endpoint, Method::PUT, &path, headers, Bytes::from(rule)).await
}

pub(crate) fn product_endpoint(product: &Product, tls: bool) -> Endpoint {
    Endpoint {
        address: if tls { product.https } else { product.http },
        tls: tls.then(|| product.tls.clone()),
        credential: Some(product.credential.clone()),
    }
}

fn bare_endpoint(target: &Target) -> Endpoint {
    Endpoint {
        address: target.address,
        tls: target.tls.clone(),
        credential: target.credential.clone(),
    }
}

fn md5_header() -> (String, String) {
    ("x-bench-md5".to_owned(), "1".to_owned())
}

fn mode_headers(mode: &str) -> Vec<(String, String)> {
    let sse = "x-amz-server-side-encryption";
    let pair = |name: String, value: &str| (name, value.to_owned());
    match mode {
        "SSE-KMS" => vec![pair(sse.to_owned(), "aws:kms")],
        "DSSE-KMS" => vec![pair(sse.to_owned(), "aws:kms:dsse")],
        "SSE-C" => {
            let key = [0x42; 32];
            vec![
                pair(format!("{sse}-customer-algorithm"), "AES256"),
                pair(format!("{sse}-customer-key"), &STANDARD.encode(key)),
                pair(
                    format!("{sse}-customer-key-md5"),
                    &STANDARD.encode(strongroom_md5::digest(&key)),
                ),
            ]
        }
        _ => vec![],
    }
}

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(path: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in a temporary place anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
