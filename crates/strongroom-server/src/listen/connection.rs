// SPDX-License-Identifier: Apache-2.0
//! One connection, from the socket to its last answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use strongroom_api::{Api, ConnectionFacts, TlsFacts};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Connections;
use super::stall_guard::StallGuard;

pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    api: Api,
    connections: Arc<Connections>,
) {
    super::prepare(&stream);
    let Some(acceptor) = acceptor else {
        return speak_http(
            stream,
            ConnectionFacts { peer, tls: None },
            api,
            &connections,
        )
        .await;
    };
    let handshake = acceptor.accept(stream);
    match tokio::time::timeout(connections.limits.handshake_timeout, handshake).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let (version, cipher_suite) = crate::tls::names(
                session.protocol_version(),
                session.negotiated_cipher_suite(),
            );
            let tls = TlsFacts {
                version: version.to_owned(),
                cipher_suite: cipher_suite.to_owned(),
            };
            let facts = ConnectionFacts {
                peer,
                tls: Some(tls),
            };
            speak_http(stream, facts, api, &connections).await;
        }
        Ok(Err(error)) => {
            metrics::counter!("strongroom_tls_handshakes_failed_total").increment(1);
            tracing::debug!(%peer, %error, "TLS handshake failed");
        }
        Err(_elapsed) => {
            metrics::counter!("strongroom_tls_handshakes_failed_total").increment(1);
            tracing::debug!(%peer, "TLS handshake took too long");
        }
    }
}

async fn speak_http<S>(stream: S, facts: ConnectionFacts, api: Api, connections: &Arc<Connections>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = connections.limits;
    let peer = facts.peer;
    let service = service_fn(move |request: Request<Incoming>| {
        let api = api.clone();
        let facts = facts.clone();
        async move { Ok::<_, Infallible>(api.handle(request, facts).await) }
    });
    let stream = TokioIo::new(StallGuard::new(stream, limits.stall_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(stream, service);
    // `None` once the server stops: this connection came too late to be served.
    let Some(connection) = connections.watch(connection) else {
        return;
    };
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// As many as S3 clients send at most, with room: 2 KiB of user metadata is the limit there.
const HEADERS_MAX: usize = 128;
/// Bytes that hyper reads ahead for one connection, and so also the largest request head.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
