// SPDX-License-Identifier: Apache-2.0
//! The three servers that are measured, started and ready.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use strongroom_wire::SecretAccessKey;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::process::Process;

/// Credentials of the product's root user in a benchmark; generated for each run.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) secret: SecretAccessKey,
}

/// A server and how to reach it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Roots to trust, where it speaks TLS.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// Where requests must be signed.
    pub(crate) credential: Option<Arc<Credential>>,
}

/// The product, reached by two addresses.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    /// Where its metrics are.
    pub(crate) admin: SocketAddr,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) credential: Arc<Credential>,
}

impl Product {
    pub(crate) fn start(program: &Path, data: &Path) -> Outcome<Self> {
        Self::start_with(program, data, &[])
    }

    pub(crate) fn start_with(program: &Path, data: &Path, flags: &[String]) -> Outcome<Self> {
        std::fs::create_dir_all(data)?;
        let mut random = [0_u8; 30];
        aws_lc_rs::rand::fill(&mut random)?;
        let secret = STANDARD.encode(random);
        let access_key_id = "AKIABENCHBENCHBENCH2".to_owned();
        let mut command = Command::new(program);
        command
            .args(["serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(data)
            .args(flags)
            .env("STRONGROOM_ALLOW_UNENCRYPTED_SWAP", "true")
            .env("STRONGROOM_ROOT_ACCESS_KEY_ID", &access_key_id)
            .env("STRONGROOM_ROOT_SECRET_ACCESS_KEY", &secret);
        let mut process = Process::start(&mut command, &data.join("bench.log"))?;
        let run = process.wait_for(&data.join("run.json"))?;
        let run: serde_json::Value = serde_json::from_str(&run)?;
        let address = |name: &str| -> Outcome<SocketAddr> {
            let text = run
                .get(name)
                .and_then(|v| v.as_str())
                .ok_or("run.json: no address")?;
            Ok(text.rsplit('/').next().unwrap_or_default().parse()?)
        };
        let tls = trust(&data.join("tls/ca.pem"))?;
        Ok(Self {
            http: address("http")?,
            https: address("https")?,
            admin: address("admin")?,
            process,
            tls,
            credential: Arc::new(Credential {
                access_key_id,
                secret: SecretAccessKey::new(secret),
            }),
        })
    }
    /// What a counter of the server stands at; the sum over its labels is not taken.
    pub(crate) async fn metric(&self, name: &str) -> Outcome<f64> {
        let stream = TcpStream::connect(self.admin).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = http::Request::get("/metrics")
            .header("host", self.admin.to_string())
            .body(Full::new(Bytes::new()))?;
        let answer = sender.send_request(request).await?;
        let text = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8(text.to_vec())?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(match line.and_then(|line| line.rsplit(' ').next()) {
            Some(number) => number.parse()?,
            None => 0.0,
        })
    }
}

/// Start a bare server over the pipeline.
pub(crate) fn bare(data: &Path, plain: bool, tls: bool) -> Outcome<Target> {
    std::fs::create_dir_all(data)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bare").arg("--data").arg(data);
    if plain {
        command.arg("--plain");
    }
    if tls {
        command.arg("--tls");
    }
    let mut process = Process::start(&mut command, &data.join("bench.log"))?;
    let address = process.wait_for(&data.join("address"))?.parse()?;
    let tls = tls.then(|| trust(&data.join("cert.pem"))).transpose()?;
    Ok(Target {
        process,
        address,
        tls,
        credential: None,
    })
}

/// A client that trusts the certificates of a file.
fn trust(file: &Path) -> Outcome<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(config.with_no_client_auth()))
}
