//! HTTP: the list of all routes, and the layers that every request passes.

#![deny(clippy::print_stderr)]

mod chunk_fields;
mod client_network;
mod conditions;
pub mod connections;
pub mod credentials;
mod download;
pub mod error;
pub mod form_refusal;
mod forwarded;
mod gather;
mod heads;
pub mod hosts;
mod idle_timeout;
mod isolation;
mod lingering;
mod methods;
pub mod networks;
pub mod outside;
mod pace;
mod pages;
mod prefix;
mod proxied;
pub mod readiness;
pub mod refusal_log;
mod rest;
mod sender;
mod sign_in;
pub mod spool;
pub mod threads;
mod trace;

use crate::readiness::ReadinessProbe;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use error::HttpError;
use lakeshore::Lake;
use networks::ClientInfo;
use refusal_log::Asked;
use spool::Spool;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::trace::TraceLayer;

/// Shared state of the handlers.
pub struct AppState {
    pub lake: Lake,
    pub readiness: Arc<dyn ReadinessProbe>,
    pub assets: Arc<app::shell::Assets>,
    /// The folder that local readers of the lake open.
    pub lake_root: PathBuf,
    /// Buffer for long bodies.
    pub spool: Spool,
    /// Recovery of the last stop is complete. Until then, only purges of the trash are allowed, since they make space
    /// for it.
    pub is_recovered: AtomicBool,
    /// The server accepts no new requests.
    pub stopping: CancellationToken,
    /// Requests in flight have to end.
    pub interrupt: CancellationToken,
    /// Running requests that change something.
    pub changes: TaskTracker,
    pub refusal_log: refusal_log::RefusalLog,
    pub form_refusals: Arc<form_refusal::FormRefusals>,
}

/// Builds the router of all routes. `site` has the routes of the dashboard's files.
pub fn router(app_state: Arc<AppState>, site: Router<Arc<AppState>>) -> Router {
    let pages = Router::new()
        .route("/sign-in", get(pages::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route_layer(middleware::from_fn(gather::small_bodies))
        .route("/fn/{*name}", post(pages::server_function))
        .route("/sign-in/link", get(sign_in::sign_in_by_link))
        .merge(site)
        .fallback(pages::page)
        .layer(middleware::from_fn(prefix::below_prefix));
    let rest = rest::router()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(pages)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(app_state.clone(), guard_changes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(isolation::protect))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(trace::request_span)
                .on_request(())
                .on_response(trace::answered)
                .on_body_chunk(())
                .on_eos(())
                .on_failure(()),
        );
    // Uploads arrive at ten thousand a second, so layers that they do not need would cost throughput. A panic ends only
    // the task of its request, and `guard_changes` answers it. Downloads skip the compression, because a range can only
    // be a part of the uncompressed file.
    let files = rest::uploads_and_downloads()
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(app_state.clone(), guard_changes))
        .layer(middleware::from_fn(isolation::protect));
    rest.merge(files).with_state(app_state)
}

/// Refuses changes that a page of another site requests. Runs every other change to its end even if its client
/// disconnects, which the engine relies on.
async fn guard_changes(State(app_state): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let asked = Asked::of(&mut request);
    if request.method().is_safe() {
        let response = next.run(request).await;
        asked.answered(&app_state, &response);
        return response;
    }
    let client = request.extensions().get::<ClientInfo>();
    if let Some(from) = credentials::cross_site(request.headers(), client) {
        let response = HttpError::CrossSite(from).into_response();
        asked.answered(&app_state, &response);
        return response;
    }
    if !app_state.is_recovered.load(Ordering::Relaxed) && request.uri().path() != rest::EMPTY_TRASH {
        let response = HttpError::Lake(lakeshore::Error::DiskFull).into_response();
        asked.answered(&app_state, &response);
        return response;
    }
    let change = {
        let app_state = app_state.clone();
        async move {
            let response = next.run(request).await;
            // Logged within the task, so that it is logged even if the client has disconnected.
            asked.answered(&app_state, &response);
            response
        }
    };
    match app_state.changes.spawn(change).await {
        Ok(response) => response,
        Err(error) => HttpError::Lake(lakeshore::Error::internal(error)).into_response(),
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let fault = std::io::Error::other(format!("a panic: {}", text.unwrap_or("without a message")));
    HttpError::Lake(lakeshore::Error::internal(fault)).into_response()
}

async fn method_not_allowed(method: Method) -> HttpError {
    // `methods.rs` writes the message from the field `Allow`, which the router adds later.
    HttpError::MethodNotAllowed { used: method.to_string(), allowed: "".into() }
}

/// Returns 200 while the process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Returns 200 while the server accepts requests and a write would succeed.
async fn readyz(State(app_state): State<Arc<AppState>>) -> Result<Response, HttpError> {
    if app_state.stopping.is_cancelled() {
        return Err(lakeshore::Error::ShuttingDown.into());
    }
    app_state.readiness.look().await.map_err(HttpError::NotReady)?;
    Ok((StatusCode::OK, "ready\n").into_response())
}
