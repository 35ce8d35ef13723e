// SPDX-License-Identifier: Apache-2.0
//! Listeners: accept, limit, encrypt, and hand each request to the API with the facts of its
//! connection.
//!
//! ```text
//! accept (a permit first: at most N connections, the rest wait in the kernel's queue)
//!   -> TLS handshake (bounded time)            https only
//!   -> StallGuard (bounded standstill)         both directions
//!   -> hyper HTTP/1.1 (bounded head, time)     431, 400 and 408 are hyper's
//!   -> Api::handle
//! ```
//! Stop: no more accepts, idle connections close, requests in flight finish or run out of time.

mod connection;
mod stall_guard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use strongroom_api::Api;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::config::Limits;
use crate::error::Error;

/// The listeners that are open, and the handle to close them.
pub(crate) struct Listeners {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    connections: Arc<Connections>,
}

/// What all connections share.
struct Connections {
    permits: Arc<Semaphore>,
    graceful: std::sync::Mutex<Option<GracefulShutdown>>,
    limits: Limits,
}

/// A bound socket that does not accept yet: a client that connects early waits instead of
/// being refused.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Binds before the store opens: a taken port is the commonest failure and should cost nothing.
pub(crate) async fn bind(name: &'static str, address: SocketAddr) -> Result<Bound, Error> {
    let failed = |e: std::io::Error| {
        let hint = match e.kind() {
            std::io::ErrorKind::AddrInUse => "; is another server running?",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
            _ => "",
        };
        Error::io(
            format!("cannot listen on {address} for {name} (choose another by --{name}){hint}"),
            e,
        )
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

impl Bound {
    pub(crate) fn into_listener(self) -> TcpListener {
        self.listener
    }
}

impl Connections {
    /// Counts `connection` among those that a stop waits for; `None` when it has begun.
    fn watch<C>(&self, connection: C) -> Option<impl Future<Output = C::Output> + use<C>>
    where
        C: hyper_util::server::graceful::GracefulConnection,
    {
        match self.graceful.lock() {
            Ok(graceful) => graceful.as_ref().map(|g| g.watch(connection)),
            Err(_poisoned) => None,
        }
    }
}

impl Listeners {
    pub(crate) fn new(limits: Limits) -> Self {
        let connections = Arc::new(Connections {
            permits: Arc::new(Semaphore::new(limits.connections_max)),
            graceful: std::sync::Mutex::new(Some(GracefulShutdown::new())),
            limits,
        });
        Self {
            stop: watch::Sender::new(false),
            tasks: Vec::new(),
            connections,
        }
    }

    /// Starts to accept on `bound`, with TLS if `tls` is given.
    pub(crate) fn open(&mut self, bound: Bound, tls: Option<Arc<ServerConfig>>, api: Api) {
        let connections = Arc::clone(&self.connections);
        let stop = self.stop.subscribe();
        let acceptor = tls.map(TlsAcceptor::from);
        self.tasks.push(tokio::spawn(accept_loop(
            bound.listener,
            acceptor,
            api,
            connections,
            stop,
        )));
    }

    /// Closes the listeners and waits for requests in flight; false if some had to be cut off.
    pub(crate) async fn close(self) -> bool {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ended = task.await;
        }
        let graceful = match self.connections.graceful.lock() {
            Ok(mut graceful) => graceful.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        let Some(graceful) = graceful else {
            return true;
        };
        tokio::time::timeout(self.connections.limits.stop_timeout, graceful.shutdown())
            .await
            .is_ok()
    }
}

async fn accept_loop(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    api: Api,
    connections: Arc<Connections>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = async {
            // The semaphore is never closed, so that a permit always comes.
            let permit = Arc::clone(&connections.permits)
                .acquire_owned()
                .await
                .ok()?;
            Some((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            next = next => match next {
                Some(next) => next,
                None => return,
            },
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection::serve(
                    stream,
                    peer,
                    acceptor.clone(),
                    api.clone(),
                    Arc::clone(&connections),
                );
                tokio::spawn(with_permit(connection, permit));
            }
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn with_permit(connection: impl Future<Output = ()>, permit: OwnedSemaphorePermit) {
    let open = metrics::gauge!("strongroom_connections_open");
    metrics::counter!("strongroom_connections_total").increment(1);
    open.increment(1.0);
    connection.await;
    open.decrement(1.0);
    drop(permit);
}

/// Small answers must not wait for the acknowledgement of earlier ones.
fn prepare(stream: &TcpStream) {
    let _refused = stream.set_nodelay(true);
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
