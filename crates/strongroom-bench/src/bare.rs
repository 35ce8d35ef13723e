// SPDX-License-Identifier: Apache-2.0
//! A bare hyper server over the pipeline: what serving sealed bytes costs without S3 around it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::PrivateKeyDer;
use strongroom_format::{
    BodyContext, FloeHeader, ObjectDataId, ObjectKey, Opener, PartUid, Sealer,
};
use strongroom_object::BodyLength;
use strongroom_object::pipeline::read::{SealedPart, SealedSource, open_body};
use strongroom_object::pipeline::write::{NewBlob, SealedBody, seal_body};
use strongroom_object::pipeline::{SegmentOpener, SegmentSealer};
use strongroom_object::{Body, BodyError, BodySource, ChecksumAlgorithm, WantedDigests};
use strongroom_store::drive::LocalDrive;
use strongroom_store::layout::BlobPolicy;
use strongroom_store::{Batch, BlobId, BlobLocation, Store, StoreOptions, Write};
use strongroom_testkit::TestSealer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Outcome;
use crate::plain::{PlainOpener, PlainSealer};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder of the drive; the address is written to DATA/address.
    #[arg(long)]
    data: PathBuf,
    /// Leave the bytes as they are.
    #[arg(long)]
    plain: bool,
    /// Serve TLS.
    #[arg(long)]
    tls: bool,
}

struct Server {
    store: Store,
    plain: bool,
    objects: Mutex<HashMap<String, Arc<Stored>>>,
}

struct Stored {
    plain_len: u64,
    body: Kept,
    key: ObjectKey,
    context: BodyContext,
    header: FloeHeader,
}

/// Where the sealed bytes are.
enum Kept {
    Inline(Vec<u8>),
    Blob(BlobLocation),
}

type Answer = Response<UnsyncBoxBody<Bytes, strongroom_object::Error>>;

pub(crate) async fn serve(options: Options) -> Outcome<()> {
    let drive = options.data.join("drive");
    std::fs::create_dir_all(&drive)?;
    let drive = Arc::new(LocalDrive::open(&drive)?);
    let store = Store::open(drive, Arc::new(TestSealer::new(1)), StoreOptions::default()).await?;
    let server = Arc::new(Server {
        store,
        plain: options.plain,
        objects: Mutex::default(),
    });
    let tls = options.tls.then(|| acceptor(&options.data)).transpose()?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    std::fs::write(
        options.data.join("address"),
        listener.local_addr()?.to_string(),
    )?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        let tls = tls.clone();
        match tls {
            None => drop(tokio::spawn(connection(server, TokioIo::new(stream)))),
            Some(tls) => drop(tokio::spawn(async move {
                match tls.accept(stream).await {
                    Ok(stream) => connection(server, TokioIo::new(stream)).await,
                    Err(error) => crate::report::say(&format!("handshake: {error}")),
                }
            })),
        }
    }
}

/// TLS under a certificate of its own, which is written to DATA/cert.pem for the client.
fn acceptor(data: &Path) -> Outcome<TlsAcceptor> {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(data.join("cert.pem"), own.cert.pem())?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn connection<I>(server: Arc<Server>, io: I)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move {
            server
                .answer(request)
                .await
                .map_err(|error| error.to_string())
        }
    });
    // A client that goes away ends its connection: nothing to report.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(128 * 1024)
        .serve_connection(io, service)
        .await;
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Outcome<Answer> {
        let name = request.uri().path().to_owned();
        match *request.method() {
            Method::PUT => self.put(name, request).await,
            _ => self.get(&name).await,
        }
    }

    async fn put(&self, name: String, request: Request<Incoming>) -> Outcome<Answer> {
        let md5 = request.headers().contains_key("x-bench-md5");
        let plain_len = request.body().size_hint().exact().ok_or("no length")?;
        let mut uid = [0; 16];
        aws_lc_rs::rand::fill(&mut uid)?;
        let mut iv = [0; 32];
        aws_lc_rs::rand::fill(&mut iv)?;
        let key = ObjectKey::generate(iv);
        let context = BodyContext {
            odi: ObjectDataId(uid),
            part_no: 0,
            part_uid: PartUid(uid),
        };
        let payload_key = key.payload_key(&context.odi, 0, &context.part_uid);
        let sealer = SegmentSealer::One(Box::new(Sealer::new(&payload_key, &context, iv)));
        let mut body: Body = Box::pin(Frames(request.into_body()));
        let blobs = self.store.blobs();
        let wanted = WantedDigests {
            md5,
            checksum: Some(ChecksumAlgorithm::Crc64Nvme),
            crc64: false,
        };
        let blob = NewBlob {
            id: BlobId(uid),
            policy: BlobPolicy::Standard,
        };
        let length = BodyLength::Exactly(plain_len);
        let (written, digests) = if self.plain {
            let taken = seal_body(blobs, blob, &PlainSealer, &mut body, length, wanted).await?;
            (taken.body.store(Vec::new()).await?, taken.digests)
        } else {
            let taken = seal_body(blobs, blob, &sealer, &mut body, length, wanted).await?;
            (taken.body.store(Vec::new()).await?, taken.digests)
        };
        let body = match written {
            SealedBody::Inline(bytes) => Kept::Inline(bytes),
            SealedBody::Blob(proof) => {
                let location = proof.location();
                let before = {
                    let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
                    objects.get(&name).map(Arc::clone)
                };
                let mut writes = vec![Write::AdoptBlob(proof)];
                if let Some(Kept::Blob(old)) = before.as_ref().map(|of| &of.body) {
                    writes.push(Write::ReleaseBlob(old.blob));
                }
                let batch = Batch {
                    preconditions: Vec::new(),
                    writes,
                };
                self.store.tables().commit(batch).await?;
                Kept::Blob(location)
            }
        };
        let stored = Stored {
            plain_len,
            body,
            key,
            context,
            header: *sealer.header(),
        };
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(name, Arc::new(stored));
        drop(objects);
        let seen = digests.checksum.map_or(0, |(_, value)| value.len());
        let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Ok(Response::builder()
            .header("x-checksum-bytes", seen)
            .body(empty)?)
    }

    async fn get(&self, name: &str) -> Outcome<Answer> {
        let stored = {
            let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            objects.get(name).map(Arc::clone)
        };
        let Some(stored) = stored else {
            let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
            return Ok(Response::builder()
                .status(StatusCode::NOT_FOUND)
                .body(empty)?);
        };
        let Stored {
            plain_len,
            body,
            key,
            context,
            header,
        } = stored.as_ref();
        let payload_key = key.payload_key(&context.odi, 0, &context.part_uid);
        let opener: Box<dyn SegmentOpener> = if self.plain {
            Box::new(PlainOpener {
                plain_len: *plain_len,
            })
        } else {
            Box::new(Opener::new(&payload_key, context, header, *plain_len)?)
        };
        let span = strongroom_format::span(*plain_len, 0, *plain_len).ok_or("no span")?;
        let (source, blobs) = match body {
            Kept::Inline(sealed) => (SealedSource::Inline(sealed.clone()), Vec::new()),
            Kept::Blob(location) => (SealedSource::Blob(*location), vec![location.blob]),
        };
        let parts = VecDeque::from([SealedPart {
            opener,
            span,
            source,
        }]);
        let pin = self.store.blobs().pin(blobs);
        let body = open_body(self.store.blobs().clone(), parts, pin).await?;
        let frames = StreamBody::new(body.map_ok(Frame::data).boxed());
        let answer = Response::builder().header("content-length", *plain_len);
        Ok(answer.body(BodyExt::boxed_unsync(frames))?)
    }
}

/// A hyper body as the pipeline wants it.
struct Frames(Incoming);

impl BodySource for Frames {
    fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            return match Pin::new(&mut self.0).poll_frame(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError(error.into())))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Some(Ok(data))),
                    Err(_) => continue,
                },
            };
        }
    }

    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)> {
        None
    }
}
