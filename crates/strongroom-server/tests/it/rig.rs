// SPDX-License-Identifier: Apache-2.0
//! Starts the program, speaks HTTP to it by hand, signs with our own signer.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::pem::PemObject as _;
use strongroom_wire::SecretAccessKey;
use strongroom_wire::sigv4::{PayloadMode, SigningInput, sign_request};

pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// Longer than any test of these takes, in milliseconds.
pub(crate) const LONG_MS: &str = "3000000";

/// A data directory and the program's settings for it.
pub(crate) struct Rig {
    dir: tempfile::TempDir,
    pub(crate) flags: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) run: serde_json::Value,
    data: PathBuf,
}

pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) secret: SecretAccessKey,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            flags: Vec::new(),
            env: Vec::new(),
        }
    }

    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STRONGROOM_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("STRONGROOM_DATA", self.data())
            .env_remove("AWS_SESSION_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn serve_command(&self) -> Command {
        let mut command = self.command(&["serve", "--allow-unencrypted-swap"]);
        for (flag, default) in [
            ("--https", "127.0.0.1:0"),
            ("--http", "127.0.0.1:0"),
            ("--admin", "127.0.0.1:0"),
        ] {
            if !self.flags.iter().any(|f| f == flag) {
                command.args([flag, default]);
            }
        }
        command.args(&self.flags);
        command
    }

    /// A server that is expected to fail at its start.
    pub(crate) fn serve_failing(&self) -> Output {
        let child = self.serve_command().spawn().unwrap();
        let pid = Pid::from_child(&child);
        std::thread::spawn(move || {
            std::thread::sleep(DEADLINE);
            let _ended = kill_process(pid, Signal::KILL);
        });
        child.wait_with_output().unwrap()
    }

    pub(crate) fn start(&self) -> Server {
        let mut command = self.serve_command();
        let err = std::fs::File::create(self.beside("stderr")).unwrap();
        let out = std::fs::File::create(self.beside("stdout")).unwrap();
        let mut child = command.stdout(out).stderr(err).spawn().unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("server ended with {status}: {}", self.stderr());
            }
            let run = std::fs::read(self.data().join("run.json")).ok();
            let run = run.and_then(|r| serde_json::from_slice::<serde_json::Value>(&r).ok());
            if let Some(run) = run.filter(|r| r["pid"] == child.id()) {
                return Server {
                    child,
                    run,
                    data: self.data(),
                };
            }
            assert!(
                began.elapsed() < DEADLINE,
                "server did not start: {}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.beside("stdout")).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.beside("stderr")).unwrap()
    }

    /// Waits until the server has said this.
    pub(crate) fn wait_for_log(&self, line: &str) {
        let began = Instant::now();
        while !self.stderr().contains(line) {
            assert!(
                began.elapsed() < DEADLINE,
                "`{line}` is not in: {}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What `strongroom env` says, as names and values.
    pub(crate) fn env_lines(&self, extra: &[&str]) -> Vec<(String, String)> {
        let output = self.run(&[&["env"], extra].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let script = format!("{}\nenv", text(&output.stdout));
        let shell = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .output()
            .unwrap();
        assert!(shell.status.success(), "{}", text(&shell.stderr));
        text(&shell.stdout)
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| name.starts_with("AWS_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    pub(crate) fn credential(&self) -> Credential {
        let lines = self.env_lines(&[]);
        Credential {
            id: value(&lines, "AWS_ACCESS_KEY_ID"),
            secret: SecretAccessKey::new(value(&lines, "AWS_SECRET_ACCESS_KEY")),
        }
    }
}

impl Server {
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.run[name].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "server did not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        assert!(self.wait().success());
    }

    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    pub(crate) fn http(&self) -> TcpStream {
        connect(self.address("http"))
    }

    pub(crate) fn get_admin(&self, path: &str) -> Response {
        let mut stream = connect(self.address("admin"));
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        read_response(&mut stream)
    }

    /// A TLS client that trusts the local CA.
    pub(crate) fn https(
        &self,
        name: &str,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        tls_client(self.address("https"), &self.data.join("tls/ca.pem"), name)
    }

    /// Begins to store an object of so many bytes. From now on the request is in flight: the server
    /// asked for its body.
    pub(crate) fn begin_put(&self, key: &Credential, path: &str, body_bytes: usize) -> TcpStream {
        const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut stream = self.http();
        let http = self.address("http");
        let extra = [("expect", "100-continue")];
        let head = signed_head(key, http, "PUT", path, body_bytes, &extra);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; GO_ON.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(text(&answer), text(GO_ON));
        stream
    }

    pub(crate) fn request(
        &self,
        key: &Credential,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Response {
        let mut stream = self.http();
        let head = signed_head(key, self.address("http"), method, path, body.len(), &[]);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        read_response(&mut stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

pub(crate) fn tls_client(
    address: SocketAddr,
    ca: &Path,
    name: &str,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    tls_client_of(address, ca, name, rustls::DEFAULT_VERSIONS)
}

pub(crate) fn tls_client_of(
    address: SocketAddr,
    ca: &Path,
    name: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(ca).unwrap();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(connection, connect(address))
}

/// A request head, signed with an unsigned payload; the body is still to be sent.
pub(crate) fn signed_head(
    key: &Credential,
    host: SocketAddr,
    method: &str,
    path: &str,
    body_bytes: usize,
    extra: &[(&str, &str)],
) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let host = host.to_string();
    let mut headers: Vec<(&str, &[u8])> = vec![("host", host.as_bytes())];
    headers.extend(extra.iter().map(|(name, value)| (*name, value.as_bytes())));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let signed = sign_request(&SigningInput {
        method,
        path,
        query,
        headers: &headers,
        access_key_id: &key.id,
        secret: &key.secret,
        session_token: None,
        region: "us-east-1",
        service: "s3",
        payload: PayloadMode::Unsigned,
        now_ms: u64::try_from(now.as_millis()).unwrap(),
    })
    .unwrap();
    let target = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    let mut head = format!("{method} {target} HTTP/1.1\r\ncontent-length: {body_bytes}\r\n");
    let mut lines: Vec<(String, String)> = signed.headers;
    for (name, value) in &headers {
        lines.push(((*name).to_owned(), text(value)));
    }
    for (name, value) in &lines {
        head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
    }
    head.push_str("\r\n");
    head
}

/// Reads one response; its body by Content-Length, or to the end of the connection.
pub(crate) fn read_response(stream: &mut impl Read) -> Response {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let before = head.len();
        reader.read_line(&mut head).unwrap();
        assert!(head.len() > before, "connection ended inside of `{head}`");
        if head.ends_with("\r\n\r\n") {
            break;
        }
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<u64>().unwrap())
    });
    let mut body = Vec::new();
    match length {
        Some(length) => {
            reader.take(length).read_to_end(&mut body).unwrap();
            assert_eq!(body.len() as u64, length);
        }
        None => {
            reader.read_to_end(&mut body).unwrap();
        }
    }
    Response { status, body }
}

/// Whether the peer ends the connection (at once or after an answer) before the deadline.
pub(crate) fn is_ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn value(lines: &[(String, String)], name: &str) -> String {
    lines
        .iter()
        .find(|(n, _)| n == name)
        .unwrap_or_else(|| panic!("no {name}"))
        .1
        .clone()
}
