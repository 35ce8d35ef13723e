// SPDX-License-Identifier: Apache-2.0
//! `strongroom serve`: from the command line to a listening server and back.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use strongroom_memory::Protection;
use strongroom_object::{Compat, DAY_MS};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::cli::Settings;
use crate::config::{self, Config, Place};
use crate::control;
use crate::data_dir::RunFile;
use crate::error::Error;
use crate::listen::{self, Bound, Listeners};
use crate::root_key::Periods;
use crate::root_key::source::RootSource;
use crate::start::Rooms;
use crate::tls::{self, CurrentCertificate};
use crate::{admin, lifecycle, logs, output, swap};

pub(crate) async fn run(settings: Settings) -> Result<(), Error> {
    let config = Config::resolve(settings)?;
    logs::start(&config.log, config.log_format)?;
    warn_of_risks(&config);
    swap::check(config.allow_unencrypted_swap)?;
    tell_of_memory();
    let metrics = start_metrics()?;
    let mut signals = Signals::new()?;
    let ports = Ports::bind(&config).await?;

    let rooms = Arc::new(Rooms::open(&config.place, config.answers).await?);
    config.place.data.remove_run_file()?;
    let (run, background, listeners, certificate) = match open(&config, &rooms, ports, metrics) {
        Ok(opened) => opened,
        Err(error) => {
            // The listeners never opened; the first error is the one to tell.
            let _closed = rooms.close().await;
            return Err(error);
        }
    };
    rooms.record_start().await?;
    tell_ready(&config, &run, rooms.is_new)?;

    signals.until_stop(certificate.as_deref(), &rooms).await;

    tracing::info!("stopping: requests in flight may finish");
    let finished = tokio::select! {
        finished = listeners.close() => finished,
        () = signals.stop_again() => false,
    };
    if !finished {
        tracing::warn!("some requests were cut off");
    }
    rooms.lifecycle.shut().await;
    for task in background {
        task.abort();
    }
    control::server::unbind(&config.place.data);
    config.place.data.remove_run_file()?;
    rooms.record("StopServer").await?;
    rooms.close().await?;
    tracing::info!("stopped");
    Ok(())
}

type Opened = (
    RunFile,
    Vec<JoinHandle<()>>,
    Listeners,
    Option<Arc<CurrentCertificate>>,
);

/// Opens what clients and commands can reach, the S3 listeners last.
fn open(
    config: &Config,
    rooms: &Arc<Rooms>,
    ports: Ports,
    metrics: PrometheusHandle,
) -> Result<Opened, Error> {
    let place = &config.place;
    let certificate = match ports.https {
        None => None,
        Some(_) => Some(CurrentCertificate::load(
            &config.listen,
            || rooms.local_ca(place),
            rooms.clock.now_ms(),
        )?),
    };
    let ca = match (&certificate, &config.listen.own_certificate) {
        (Some(_), None) => Some(super::env::absolute(&place.data.ca_certificate())?),
        _ => None,
    };
    let run = RunFile {
        pid: std::process::id(),
        https: ports.https.as_ref().map(|b| b.address),
        http: ports.http.as_ref().map(|b| b.address),
        admin: ports.admin.as_ref().map(|b| b.address),
        ca,
        region: place.region.clone(),
    };
    let socket = control::server::bind(&place.data)?;
    let cared_for = rooms.store.start_care(&rooms.clock, config.care);
    cared_for.map_err(Error::room("cannot start scrub and heal"))?;
    let mut background = vec![
        tokio::spawn(control::server::serve(socket, Arc::clone(rooms))),
        tokio::spawn(keep_metrics_small(metrics.clone())),
        tokio::spawn(run_due(Arc::clone(rooms))),
        tokio::spawn(keep_epochs_young(Arc::clone(rooms), config.epochs)),
        tokio::spawn(lifecycle::carry_out(
            Arc::clone(rooms),
            config.answers.day_ms,
        )),
    ];
    if let Some(bound) = ports.admin {
        let (store, audit) = (rooms.store.clone(), rooms.audit.clone());
        let ready: admin::Readiness = Arc::new(move || crate::health::readiness(&store, &audit));
        background.push(tokio::spawn(admin::serve(
            bound.into_listener(),
            metrics,
            ready,
        )));
    }
    let api = rooms
        .api(config.listen.domains.clone())
        .with_stall_timeout(config.limits.stall_timeout);
    let mut listeners = Listeners::new(config.limits);
    if let Some(bound) = ports.http {
        listeners.open(bound, None, api.clone());
    }
    if let (Some(bound), Some(certificate)) = (ports.https, &certificate) {
        listeners.open(
            bound,
            Some(tls::server_config(Arc::clone(certificate))?),
            api,
        );
    }
    // Written last: who finds it can connect.
    place.data.write_run_file(&run)?;
    Ok((run, background, listeners, certificate))
}

struct Ports {
    https: Option<Bound>,
    http: Option<Bound>,
    admin: Option<Bound>,
}

impl Ports {
    /// Taken first: a taken port is the commonest failure and should leave no trace.
    async fn bind(config: &Config) -> Result<Self, Error> {
        let mut ports = Self {
            https: None,
            http: None,
            admin: None,
        };
        if let Some(address) = config.listen.https {
            ports.https = Some(listen::bind("https", address).await?);
        }
        if let Some(address) = config.listen.http {
            ports.http = Some(listen::bind("http", address).await?);
        }
        if let Some(address) = config.listen.admin {
            ports.admin = Some(listen::bind("admin", address).await?);
        }
        Ok(ports)
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen_for = |kind| signal(kind).map_err(|e| Error::io("cannot handle signals", e));
        Ok(Self {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
            hang_up: listen_for(SignalKind::hangup())?,
        })
    }

    /// The operator insists: do not wait for requests in flight.
    async fn stop_again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when the server should stop; meanwhile renews the certificate.
    async fn until_stop(&mut self, certificate: Option<&CurrentCertificate>, rooms: &Rooms) {
        let mut renewal = tokio::time::interval(RENEWAL_INTERVAL);
        renewal.reset();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {}
                _ = renewal.tick() => {}
            }
            let Some(certificate) = certificate else {
                continue;
            };
            match certificate.reload(rooms.clock.now_ms()) {
                Ok(()) => tracing::info!("certificate read again"),
                Err(error) => {
                    tracing::error!(%error, "certificate not read again; the old one stays in use");
                }
            }
        }
    }
}

/// What is allowed but deserves a second look.
fn warn_of_risks(config: &Config) {
    for name in config::unknown_variables() {
        tracing::warn!(%name, "environment variable means nothing to this program");
    }
    if config.answers.compat == Compat::Ceph {
        tracing::warn!(
            "--compat ceph: some answers are not Amazon's, and new buckets take customer keys (SSE-C)"
        );
    }
    if config.answers.day_ms != DAY_MS {
        tracing::warn!(
            "--lifecycle-day-seconds: lifecycle rules delete objects sooner or later than they say"
        );
    }
    if let Some(http) = config.listen.http
        && !http.ip().is_loopback()
    {
        tracing::warn!(%http, "plain HTTP is open to other machines: object bytes are not protected on the way");
    }
    if let Some(admin) = config.listen.admin
        && !admin.ip().is_loopback()
    {
        tracing::warn!(%admin, "health and metrics are open to other machines without a credential");
    }
}

/// Which memory the kernel gives for keys.
fn tell_of_memory() {
    match strongroom_memory::status().protection {
        Protection::Secret => tracing::info!("keys lie in memory that only this process can read"),
        Protection::Locked => {
            tracing::info!("keys lie in locked memory; this kernel has no memfd_secret");
        }
        Protection::Heap => tracing::warn!(
            "keys lie in ordinary memory: the kernel gives neither secret nor locked memory \
             (raise the limit of locked memory, LimitMEMLOCK)"
        ),
    }
}

fn start_metrics() -> Result<PrometheusHandle, Error> {
    let suffix = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(suffix, SECONDS_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(Error::room("cannot start metrics"))
}

/// What comes by itself in the key service, now and every minute.
async fn run_due(rooms: Arc<Rooms>) {
    let mut tick = tokio::time::interval(DUE_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = rooms.run_due().await {
            tracing::error!(%error, "the key service");
        }
    }
}

/// Samples pile up until they are folded into their buckets.
async fn keep_metrics_small(metrics: PrometheusHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}

/// Begins new epochs of the keyring when they are due. What fails is tried again.
async fn keep_epochs_young(rooms: Arc<Rooms>, periods: Periods) {
    let mut tick = tokio::time::interval(EPOCH_CHECK_INTERVAL);
    loop {
        tick.tick().await;
        let now_ms = rooms.clock.now_ms();
        let due = rooms.keeper.due(periods, now_ms);
        if due.is_empty() {
            continue;
        }
        match rooms.rotate_keyring(due).await {
            Ok(()) => tracing::info!(domain = due.domain, sse_s3 = due.sse_s3, "new epochs"),
            Err(error) => {
                tracing::error!(%error, "no new epoch of the keyring; the old one stays in use");
            }
        }
    }
}

/// The first thing a new operator reads: where it is, what to type next, what to keep safe.
fn tell_ready(config: &Config, run: &RunFile, is_new: bool) -> Result<(), Error> {
    let place = &config.place;
    let mut text = String::new();
    let dir = place.data.shown();
    let verb = if is_new {
        "made a new store in"
    } else {
        "opened the store in"
    };
    // Writing to a string cannot fail.
    let _ok = writeln!(text, "\nStrongroom {verb} {dir} and is ready.\n");
    if let Some(address) = run.https {
        let signed = match &run.ca {
            Some(ca) => format!("certificate signed by the local CA {}", ca.display()),
            None => "your certificate".to_owned(),
        };
        let _ok = writeln!(
            text,
            "  HTTPS    {}  ({signed})",
            super::env::url("https", address)
        );
    }
    if let Some(address) = run.http {
        let _ok = writeln!(text, "  HTTP     {}", super::env::url("http", address));
    }
    if let Some(address) = run.admin {
        let url = super::env::url("http", address);
        let _ok = writeln!(
            text,
            "  health   {url}/health/ready   metrics  {url}/metrics"
        );
    }
    let env = env_command(place);
    let _ok = writeln!(
        text,
        "\nUse it from another terminal:\n\n  \
           eval \"$({env})\"        # endpoint, CA and root access key, for all AWS tools\n  \
           aws s3 mb s3://photos\n  \
           aws s3 cp FILE s3://photos/ --sse aws:kms\n"
    );
    if is_new {
        let _ok = match &place.root {
            RootSource::KeyFile(key) if *key == place.data.root_key() => writeln!(
                text,
                "Back up {} now, apart from the data: without it nothing stored here can be\n\
                 read, by anyone. It lies beside the data, so whoever takes this directory has \
                 both; to be\nsafe from stolen drives, keep the key elsewhere (--root-key-file) \
                 or use a passphrase\n(--passphrase-file): see `strongroom serve --help`.\n",
                key.display()
            ),
            RootSource::KeyFile(key) => writeln!(
                text,
                "Back up the root key {} now: without it nothing stored here can be read.\n",
                key.display()
            ),
            RootSource::Passphrase { .. } => writeln!(
                text,
                "Keep the passphrase safe: without it nothing stored here can be read.\n"
            ),
            RootSource::Pkcs11(_) | RootSource::Kms(_) => writeln!(
                text,
                "The keyring is sealed with the {}:\nwithout it nothing stored here can be read. \
                 `strongroom root escrow` makes shares\nfor the day it is lost.\n",
                place.root.describe()
            ),
        };
    }
    output::print(&text)
}

/// How this program was called, so that the line can be pasted; with `--data` if it is needed.
fn env_command(place: &Place) -> String {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "strongroom".to_owned());
    let program = super::env::quoted(&program);
    let dir = place.data.shown();
    if dir == config::DEFAULT_DATA {
        format!("{} env", program.as_str())
    } else {
        format!(
            "{} env --data {}",
            program.as_str(),
            super::env::quoted(&dir).as_str()
        )
    }
}

/// A local leaf is valid for 397 days; a month leaves room for a server that never restarts.
const RENEWAL_INTERVAL: Duration = Duration::from_hours(30 * 24);
const EPOCH_CHECK_INTERVAL: Duration = Duration::from_hours(1);
const DUE_INTERVAL: Duration = Duration::from_mins(1);
const SECONDS_BUCKETS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
