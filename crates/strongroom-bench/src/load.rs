// SPDX-License-Identifier: Apache-2.0
//! The load: a number of connections, each with one request at a time, for a fixed time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use strongroom_wire::sigv4::{PayloadMode, SigningInput, sign_request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep_until};

use crate::Outcome;
use crate::target::Credential;

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) credential: Option<Arc<Credential>>,
}

/// What each connection does over and over.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) method: Method,
    /// Headers that are signed.
    pub(crate) headers: Vec<(String, String)>,
    /// Body of each request.
    pub(crate) body: Bytes,
    /// Names of the objects of one connection; they are gone through in turn.
    pub(crate) names: usize,
    /// Start of all names.
    pub(crate) prefix: String,
    /// Random ranges of this many bytes of an object of that many.
    pub(crate) range: Option<(u64, u64)>,
    /// No body goes faster than so many bytes a second: a network that is slower than the server.
    pub(crate) pace: Option<f64>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// Run `work` on `connections` connections for `time`, and at least once through the names when
/// `once_through`.
pub(crate) async fn run(
    endpoint: &Endpoint,
    work: &Work,
    connections: usize,
    time: Duration,
    once_through: bool,
) -> Outcome<Done> {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..connections {
        let endpoint = endpoint.clone();
        let work = work.clone();
        tasks.push(tokio::spawn(async move {
            let names: Vec<String> = (0..work.names)
                .map(|turn| format!("{}{number}-{turn}", work.prefix))
                .collect();
            one(&endpoint, &work, &names, start + time, once_through).await
        }));
    }
    sum(start, tasks).await
}

/// Run `work` on one object that all connections share.
pub(crate) async fn run_shared(
    endpoint: &Endpoint,
    work: &Work,
    connections: usize,
    time: Duration,
    name: &str,
) -> Outcome<Done> {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let endpoint = endpoint.clone();
        let work = work.clone();
        let names = vec![format!("{}{name}", work.prefix)];
        tasks.push(tokio::spawn(async move {
            one(&endpoint, &work, &names, start + time, false).await
        }));
    }
    sum(start, tasks).await
}

async fn sum(start: Instant, tasks: Vec<JoinHandle<Outcome<Done>>>) -> Outcome<Done> {
    let mut done = Done::default();
    for task in tasks {
        let one = task.await??;
        done.requests += one.requests;
        done.bytes += one.bytes;
    }
    done.seconds = start.elapsed().as_secs_f64();
    Ok(done)
}

async fn one(
    endpoint: &Endpoint,
    work: &Work,
    names: &[String],
    end: Instant,
    once_through: bool,
) -> Outcome<Done> {
    let mut sender = connect(endpoint).await?;
    let said = Said::of(endpoint, work)?;
    let mut done = Done::default();
    for (turn, name) in names.iter().cycle().enumerate() {
        if Instant::now() >= end && !(once_through && turn < names.len()) {
            break;
        }
        let request = build(endpoint, work, &said, name)?;
        sender.ready().await?;
        let mut response = sender.send_request(request).await?;
        let mut received = 0;
        let status = response.status();
        let mut refusal = Vec::new();
        while let Some(frame) = response.frame().await {
            if let Some(data) = frame?.data_ref() {
                received += u64::try_from(data.len())?;
                if !status.is_success() {
                    refusal.extend_from_slice(data);
                }
            }
        }
        if !status.is_success() {
            let refusal = String::from_utf8_lossy(&refusal);
            return Err(format!("{} {name}: {status}: {refusal}", work.method).into());
        }
        done.requests += 1;
        done.bytes += received.max(u64::try_from(work.body.len())?);
    }
    Ok(done)
}

/// One request outside of any measurement.
pub(crate) async fn once(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> Outcome<()> {
    let work = Work {
        method,
        headers,
        body,
        names: 1,
        prefix: String::new(),
        range: None,
        pace: None,
    };
    let mut sender = connect(endpoint).await?;
    let request = build(endpoint, &work, &Said::of(endpoint, &work)?, path)?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body)).into())
}

pub(crate) async fn connect<B>(endpoint: &Endpoint) -> Outcome<SendRequest<B>>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let stream = TcpStream::connect(endpoint.address).await?;
    stream.set_nodelay(true)?;
    match &endpoint.tls {
        None => handshake(TokioIo::new(stream)).await,
        Some(config) => {
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
            let name = ServerName::try_from("localhost")?;
            handshake(TokioIo::new(connector.connect(name, stream).await?)).await
        }
    }
}

async fn handshake<I, B>(io: I) -> Outcome<SendRequest<B>>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The headers that each request of a connection has. They are made once: what the load does for one
/// mode and not for another, the server seems to do.
struct Said(Vec<(HeaderName, HeaderValue)>);

impl Said {
    fn of(endpoint: &Endpoint, work: &Work) -> Outcome<Self> {
        let host = endpoint.address.to_string();
        let mut said = vec![(http::header::HOST, HeaderValue::try_from(host)?)];
        for (name, value) in &work.headers {
            said.push((HeaderName::try_from(name)?, HeaderValue::try_from(value)?));
        }
        Ok(Self(said))
    }
}

fn build(endpoint: &Endpoint, work: &Work, said: &Said, path: &str) -> Outcome<Request<Paced>> {
    let range = work.range.map(random_range).transpose()?;
    let said = said.0.iter();
    let headers: Vec<(&str, &[u8])> = said
        .clone()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let mut request = Request::builder().method(&work.method).uri(path);
    if let Some(range) = &range {
        request = request.header("range", range);
    }
    for (name, value) in said {
        request = request.header(name, value);
    }
    if let Some(credential) = &endpoint.credential {
        let (without_query, query) = path.split_once('?').unwrap_or((path, ""));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let signed = sign_request(&SigningInput {
            method: work.method.as_str(),
            path: without_query,
            query,
            headers: &headers,
            access_key_id: &credential.access_key_id,
            secret: &credential.secret,
            session_token: None,
            region: "us-east-1",
            service: "s3",
            payload: PayloadMode::Unsigned,
            now_ms: u64::try_from(now.as_millis())?,
        })
        .map_err(|error| format!("{error:?}"))?;
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
    }
    Ok(request.body(Paced::new(work.body.clone(), work.pace))?)
}

/// A body that is sent at once, or no faster than its pace.
struct Paced {
    left: Bytes,
    pace: Option<f64>,
    /// When the next piece is due.
    due: Pin<Box<Sleep>>,
}

impl Paced {
    fn new(body: Bytes, pace: Option<f64>) -> Self {
        Self {
            left: body,
            pace,
            due: Box::pin(sleep_until(tokio::time::Instant::now())),
        }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let len = match self.pace {
            None => self.left.len(),
            Some(pace) => {
                ready!(self.due.as_mut().poll(cx));
                // A piece that was late does not make the next ones late.
                let next = self.due.deadline() + PACED.1.mul_f64(1.0 / pace);
                self.due.as_mut().reset(next);
                PACED.0.min(self.left.len())
            }
        };
        let piece = self.left.split_to(len);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left.len()).unwrap_or(u64::MAX))
    }
}

/// A piece of a paced body, bytes, and the time that it takes at one byte a second.
const PACED: (usize, Duration) = (1 << 20, Duration::from_secs(1 << 20));

fn random_range((len, total): (u64, u64)) -> Outcome<String> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random)?;
    let start = u64::from_be_bytes(random) % (total - len);
    Ok(format!("bytes={start}-{}", start + len - 1))
}
