//! HTTP: one list of all routes, and what every request passes on its way.

pub mod connections;
pub mod credentials;
pub mod error;
pub mod multipart;
mod pages;
mod rest;
mod sign_in;

use crate::site;
use crate::state::sqlite::SqliteState;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use error::HttpError;
use lakeshore::Lake;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

/// What the handlers share.
pub struct Door {
    pub lake: Lake,
    /// Asked whether it is ready.
    pub state: SqliteState,
    pub assets: Arc<app::shell::Assets>,
    /// An upload that sends nothing for this long has broken off.
    pub upload_idle_max: Duration,
    /// The server accepts nothing new.
    pub stopping: CancellationToken,
    /// What is still in flight has to end.
    pub interrupt: CancellationToken,
    /// The changes that are under way.
    pub changes: TaskTracker,
}

pub fn router(door: Arc<Door>) -> Router {
    let pages = Router::new()
        .route("/fn/{*name}", post(pages::server_function))
        .route("/sign-in", get(pages::page).post(sign_in::sign_in))
        .route("/sign-in/link", get(sign_in::sign_in_by_link))
        .route("/sign-out", post(sign_in::sign_out))
        .merge(site::router())
        .fallback(pages::page);
    rest::router()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(pages)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(door.clone(), finish_changes))
        .layer(middleware::from_fn_with_state(door.clone(), credentials::refuse_cross_site))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new())
        .layer(if_absent(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(if_absent(header::X_FRAME_OPTIONS, "DENY"))
        .layer(if_absent(header::REFERRER_POLICY, "same-origin"))
        // Pages bring a policy of their own; nothing else is meant to be shown.
        .layer(if_absent(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(TraceLayer::new_for_http())
        .with_state(door)
}

fn if_absent(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// A change goes on to its end, even when the client that asked for it goes away: the engine relies on it.
async fn finish_changes(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match door.changes.spawn(next.run(request)).await {
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
    let allowed = if method == Method::GET || method == Method::HEAD { "POST" } else { "GET" };
    HttpError::MethodNotAllowed { used: method.to_string(), allowed }
}

/// The process is alive.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Requests are welcome.
async fn readyz(State(door): State<Arc<Door>>) -> Result<Response, HttpError> {
    if door.stopping.is_cancelled() {
        return Err(lakeshore::Error::ShuttingDown.into());
    }
    door.state.check()?;
    Ok((StatusCode::OK, "ready\n").into_response())
}
