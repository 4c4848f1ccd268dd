//! Accepts and serves connections. Bounds their number, the share of one address, the time of a request's head, and the
//! bytes of a connection in memory.

use super::AppState;
use super::error::HttpError;
use super::heads::{CheckedStream, NotedFault};
use super::isolation::protected;
use super::lingering::{Lingering, LingeringStream};
use super::methods::name_allowed;
use super::networks::NetworkPolicy;
use super::pace::{LenientTimer, PacedBody, PacedStream};
use super::proxied::{ProxiedRequests, holding};
use super::refusal_log;
use super::threads::{ConnectionGuard, Threads};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lakeshore::model::access::network::Network;
use lakeshore::model::access::shares::{Share, Shares};
use lakeshore::model::error::Refusal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Bytes of one read, and longest head of a request. Few large reads cost less; a thousand connections that send at
/// once hold this much each.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Most lines in the head of a request.
const HEAD_LINES_MAX: usize = 100;
/// Refusals over the share of an address that are sent at the same time. Further connections are closed without an
/// answer.
const REFUSALS_MAX: usize = 64;
/// Longest time for sending such a refusal.
const REFUSAL_MAX: Duration = Duration::from_secs(1);
/// Pause after a fault of the machine, such as no free descriptors, before the next accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits that a deployment configures.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Further connections wait in the listener's queue.
    pub connections_max: usize,
    /// A connection is closed when the head of its next request takes longer, or no request begins.
    pub head_max: Duration,
    /// A body without data, or a response that is not read, ends after this time.
    pub idle_max: Duration,
    /// Connections of one address; further ones are refused.
    pub per_address_max: usize,
}

/// State for serving the requests of each connection.
#[derive(Clone)]
struct Service {
    app_state: Arc<AppState>,
    router: Router,
    networks: Arc<NetworkPolicy>,
    proxied: ProxiedRequests,
    idle_max: Duration,
}

/// Serves until `stopping`, then until every request that has begun is answered.
pub async fn serve(
    listener: TcpListener,
    threads: Threads,
    app_state: Arc<AppState>,
    router: Router,
    networks: Arc<NetworkPolicy>,
    limits: ConnectionLimits,
) {
    let stopping = app_state.stopping.clone();
    let mut http = http1::Builder::new();
    http.timer(LenientTimer)
        .header_read_timeout(limits.head_max)
        .max_buf_size(READ_BYTES_MAX)
        .max_headers(HEAD_LINES_MAX);
    let free = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let shares = Shares::new(limits.per_address_max);
    let proxied = ProxiedRequests::new(limits.per_address_max);
    let service = Service { app_state, router, networks: networks.clone(), proxied, idle_max: limits.idle_max };
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &free) => accepted,
            () = stopping.cancelled() => break,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        // Connections of a trusted proxy belong to all its clients, whose requests are counted instead.
        let is_proxy = networks.is_trusted(peer.ip().to_canonical());
        let share = if is_proxy { None } else { shares.take(Network::of(peer.ip())) };
        if share.is_none() && !is_proxy {
            if let Ok(turn) = refusals.clone().try_acquire_owned() {
                connections.spawn(refuse(stream, limits.per_address_max, turn));
            }
            continue;
        }
        let Some((thread, claim)) = threads.claim() else { continue };
        // Moves the stream to the runtime of the thread that will serve it.
        let Ok(stream) = stream.into_std() else { continue };
        let (http, service, stopping) = (http.clone(), service.clone(), stopping.clone());
        let conversation = async move {
            let _held: (ConnectionSlot, Option<Share<Network>>, ConnectionGuard) = (place, share, claim);
            if let Err(error) = serve_connection(&http, stream, peer, service, stopping).await {
                tracing::debug!(%error, "connection failed");
            }
        };
        connections.spawn_on(conversation, &thread);
    }
    connections.close();
    connections.wait().await;
}

/// Answers a client whose address has used up its share of connections.
async fn refuse(mut stream: TcpStream, share_max: usize, _turn: ConnectionSlot) {
    let refusal = HttpError::TooManyConnections { share_max };
    let refusal = Refusal::new(refusal.code(), refusal.to_string());
    let body = serde_json::to_string(&refusal).unwrap_or_default();
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Reads the request first: closing a connection with unread data resets it, and the refusal is lost.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = timeout(REFUSAL_MAX, tell).await;
}

/// Descriptors for everything but connections: the database and its readers, reader processes, landings and lists.
const DESCRIPTORS_OF_SERVER: u64 = 96;
/// Descriptors of a connection: its socket, and the file that is sent or received.
const DESCRIPTORS_OF_CONNECTION: u64 = 2;
/// Fewest connections that are worth serving.
const CONNECTIONS_MIN: u64 = 16;

/// Raises the soft limit of open files to the hard limit, since shells set a low soft limit. Returns the limit.
pub fn allow_descriptors() -> u64 {
    let allowed = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the process is limited to {allowed} open files and sockets, and the server needs at least {needed}; raise the limit (ulimit -n, or LimitNOFILE= of its service)"
)]
pub struct TooFewDescriptors {
    allowed: u64,
    needed: u64,
}

impl ConnectionLimits {
    /// Reduces the number of connections to the available descriptors.
    pub fn within_descriptors(self, allowed: u64) -> Result<Self, TooFewDescriptors> {
        let most = allowed.saturating_sub(DESCRIPTORS_OF_SERVER) / DESCRIPTORS_OF_CONNECTION;
        if most < CONNECTIONS_MIN {
            let needed = DESCRIPTORS_OF_SERVER + CONNECTIONS_MIN * DESCRIPTORS_OF_CONNECTION;
            return Err(TooFewDescriptors { allowed, needed });
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most < self.connections_max {
            tracing::warn!(
                "--max-connections is {}, but only {most} connections are served at a time, because the process is limited to {allowed} open files and sockets; raise that limit (ulimit -n, or LimitNOFILE= of its service)",
                self.connections_max
            );
        }
        Ok(Self { connections_max: self.connections_max.min(most), ..self })
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Stream(#[from] io::Error),
}

type ConnectionSlot = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, ConnectionSlot)> {
    let place = free.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Responses are small and awaited, so Nagle's algorithm would only delay them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            Some((stream, peer, place))
        }
        Err(error) if is_of_the_connection(&error) => None,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Whether the client closed the connection before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn refused(refusal: HttpError) -> Response {
    let is_ambiguous = matches!(refusal, HttpError::RequestHead(_));
    let mut response = protected(refusal.into_response());
    if is_ambiguous {
        // The start of the next request is uncertain.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn serve_connection(
    http: &http1::Builder,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    Service { app_state, router, networks, proxied, idle_max }: Service,
    stopping: CancellationToken,
) -> Result<(), ConnectionError> {
    let fault = NotedFault::default();
    let noted = fault.clone();
    let requests = AtomicU64::new(0);
    let lingering = Lingering::new(stopping.clone());
    let of_requests = lingering.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let body = of_requests.body(PacedBody::new(body, idle_max), &head.headers);
        let mut request = Request::from_parts(head, body);
        let method = request.method().clone();
        let admitted = match noted.of_request(requests.fetch_add(1, Ordering::Relaxed)) {
            Some(fault) => Err(HttpError::RequestHead(fault.to_string().into())),
            None => networks.admit(peer, &mut request),
        };
        if let Err(refusal) = &admitted {
            refusal_log::not_admitted(&app_state, peer, &request, refusal);
        }
        let answer = admitted.and_then(|client| {
            let share = proxied.share_of(&client)?;
            request.extensions_mut().insert(client);
            Ok((router.clone().oneshot(request), share))
        });
        async move {
            match answer {
                Ok((answer, None)) => Ok(name_allowed(&method, answer.await?)),
                Ok((answer, Some(share))) => Ok(holding(share, name_allowed(&method, answer.await?))),
                Err(refusal) => Ok::<_, Infallible>(refused(refusal).await),
            }
        }
    });
    let stream = LingeringStream::new(TcpStream::from_std(stream)?, lingering);
    let stream = CheckedStream::new(stream, fault);
    let mut connection = pin!(http.serve_connection(PacedStream::new(TokioIo::new(stream), idle_max), service));
    tokio::select! {
        ended = connection.as_mut() => ended?,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await?;
        }
    }
    Ok(())
}
