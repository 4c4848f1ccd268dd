//! `/api/lake/files`: addresses of resumable uploads. tus uploads are created here. Every upload has one address for
//! both protocols; a request with `Tus-Resumable` uses tus.

use super::body::Parameters;
use super::path_text::PathText;
use super::request_body::{ADDRESS, RequestBody};
use super::{resumable, tus};
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head};
use axum::{Json, Router};
use lakeshore::Error;
use lakeshore::model::page::{ListParameters, Page};
use lakeshore::model::upload::resumable::UnfinishedResumable;
use std::sync::Arc;

pub fn router() -> Router<Arc<AppState>> {
    let all = get(list).post(tus::create).options(tus::options).fallback(wrong_method_of_all);
    let one =
        head(look).patch(append).delete(discard).post(overridden).options(tus::options).fallback(wrong_method_of_one);
    Router::new().route(ADDRESS, all).route(&format!("{ADDRESS}/{{token}}"), one)
}

async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<UnfinishedResumable>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let page = Page::new(parameters.from, parameters.size, parameters.order)?;
    Ok(Json(app_state.lake.resumables(&caller, parameters.sync_id, &page).await?))
}

async fn look(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: token, .. }: PathText,
    headers: HeaderMap,
) -> Response {
    let changes = app_state.changes.clone();
    // A look may land an upload that the other protocol left open, so it runs to its end even if the client
    // disconnects.
    let looking = changes.spawn(async move {
        if tus::is_spoken(&headers) {
            tus::look(&app_state, &credentials, &token, &headers).await
        } else {
            resumable::look(&app_state, &credentials, &token).await
        }
    });
    looking.await.unwrap_or_else(|fault| HttpError::Lake(Error::internal(fault)).into_response())
}

async fn append(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: token, .. }: PathText,
    headers: HeaderMap,
    body: RequestBody,
) -> Response {
    if tus::is_spoken(&headers) {
        tus::append(&app_state, &credentials, &token, &headers, body).await
    } else {
        resumable::append(&app_state, &credentials, &token, &headers, body).await
    }
}

async fn discard(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: token, .. }: PathText,
    headers: HeaderMap,
) -> Response {
    if tus::is_spoken(&headers) {
        tus::discard(&app_state, &credentials, &token, &headers).await
    } else {
        resumable::discard(&app_state, &credentials, &token).await
    }
}

/// Method override, for clients that can only send POST and GET.
async fn overridden(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: token, .. }: PathText,
    headers: HeaderMap,
    body: RequestBody,
) -> Response {
    match headers.get("x-http-method-override").map(|method| method.as_bytes()) {
        Some(b"PATCH") => tus::append(&app_state, &credentials, &token, &headers, body).await,
        Some(b"DELETE") => tus::discard(&app_state, &credentials, &token, &headers).await,
        Some(b"HEAD") => tus::look(&app_state, &credentials, &token, &headers).await,
        _ => wrong_method_of_one(Method::POST).await.into_response(),
    }
}

async fn wrong_method_of_all(method: Method) -> HttpError {
    HttpError::MethodNotAllowed { used: method.to_string(), allowed: "GET, POST, OPTIONS".into() }
}

async fn wrong_method_of_one(method: Method) -> HttpError {
    HttpError::MethodNotAllowed { used: method.to_string(), allowed: "HEAD, PATCH, DELETE, OPTIONS".into() }
}
