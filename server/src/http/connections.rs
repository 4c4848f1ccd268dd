//! Connections: how many there may be, how long a request's head may take, how much of one is held in memory.

use super::error::HttpError;
use super::heads::{CheckedStream, NotedFault};
use super::networks::NetworkPolicy;
use super::protect;
use super::threads::Threads;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How much is read of a connection at once, and so the longest head of a request. Few, large reads cost less; a
/// thousand connections that send at once hold so much each.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Lines in the head of a request.
const HEAD_LINES_MAX: usize = 100;
/// After a fault that lies with the machine (it has no more descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a deployment may change.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// More wait, not accepted yet.
    pub connections_max: usize,
    /// A connection whose next request's head takes longer is closed, one without a request too.
    pub head_max: Duration,
}

/// Serves until `stopping`; then until every request that was begun has its answer.
pub async fn serve(
    listener: TcpListener,
    threads: Threads,
    router: Router,
    networks: Arc<NetworkPolicy>,
    limits: ConnectionLimits,
    stopping: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_max)
        .max_buf_size(READ_BYTES_MAX)
        .max_headers(HEAD_LINES_MAX);
    let free = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &free) => accepted,
            () = stopping.cancelled() => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let Some((thread, claim)) = threads.claim() else { continue };
        let (http, router, networks, stopping) = (http.clone(), router.clone(), networks.clone(), stopping.clone());
        let conversation = async move {
            let _held = (place, claim);
            if let Err(error) = converse(&http, stream, router, networks, stopping).await {
                tracing::debug!(%error, "a connection broke");
            }
        };
        connections.spawn_on(conversation, &thread);
    }
    connections.close();
    connections.wait().await;
}

/// Lets the process have as many descriptors as its operator allows: shells give few until they are asked for more.
pub fn allow_descriptors() {
    let allowed = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::debug!(%error, "cannot raise the limit of descriptors");
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Stream(#[from] io::Error),
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> Option<(std::net::TcpStream, Place)> {
    let place = free.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // An answer is small and waited for: Nagle's algorithm would only delay it.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            // It leaves this thread's runtime for that of the thread that is going to serve it.
            Some((stream.into_std().ok()?, place))
        }
        Err(error) if is_of_the_connection(&error) => None,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// The client went away before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Whatever else comes by the connection cannot be trusted to be a request of the same client.
async fn refused(refusal: HttpError) -> Response {
    let mut response = protect(refusal.into_response()).await;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn converse(
    http: &http1::Builder,
    stream: std::net::TcpStream,
    router: Router,
    networks: Arc<NetworkPolicy>,
    stopping: CancellationToken,
) -> Result<(), ConnectionError> {
    let stream = TcpStream::from_std(stream)?;
    let fault = NotedFault::default();
    let peer = stream.peer_addr()?;
    let noted = fault.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let admitted = match noted.get() {
            Some(fault) => networks.refuse_head(peer, &request, *fault),
            None => networks.admit(peer, &mut request),
        };
        let answer = admitted.map(|client| {
            request.extensions_mut().insert(client);
            router.clone().oneshot(request)
        });
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(refusal) => Ok::<_, Infallible>(refused(refusal).await),
            }
        }
    });
    let stream = CheckedStream::new(stream, fault);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => ended?,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await?;
        }
    }
    Ok(())
}
