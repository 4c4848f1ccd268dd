//! Sign-in and sign-out: plain forms that work without a script.

use super::AppState;
use super::credentials::{Credentials, SESSION_COOKIE, session_cookie};
use super::error::HttpError;
use super::networks::ClientInfo;
use app::query::local;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use lakeshore::model::access::key::Secret;
use lakeshore::{Error, ErrorCode};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct SignIn {
    #[serde(default)]
    key: String,
    #[serde(default)]
    next: String,
}

pub async fn sign_in(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Extension(client): Extension<ClientInfo>,
    headers: HeaderMap,
    jar: CookieJar,
    form: Result<Form<SignIn>, FormRejection>,
) -> Result<Response, HttpError> {
    let Ok(Form(form)) = form else { return Ok(not_a_form(&headers)) };
    let next = local(&form.next);
    match app_state.lake.sign_in(&Secret::presented(&form.key), &credentials.origin()).await {
        Ok(session) => Ok((jar.add(session_cookie(&session, &client)), Redirect::to(next)).into_response()),
        Err(error @ (Error::BadKey | Error::ExpiredKey { .. })) => Ok(refused(error.code(), next)),
        Err(error @ Error::TooManySignIns { .. }) => Ok(put_off(error, next, &headers)),
        Err(error) => Err(error.into()),
    }
}

pub async fn sign_in_by_link(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Extension(client): Extension<ClientInfo>,
    method: Method,
    headers: HeaderMap,
    jar: CookieJar,
    uri: Uri,
) -> Result<Response, HttpError> {
    if method != Method::GET || is_ahead(&headers) {
        return Err(HttpError::OpenedAhead);
    }
    match app_state.lake.sign_in_by_link(&Secret::presented(&token_of(&uri)), &credentials.origin()).await {
        Ok(session) => Ok((jar.add(session_cookie(&session, &client)), Redirect::to("/keys")).into_response()),
        Err(error @ Error::BadSignInLink) => Ok(refused(error.code(), "/")),
        Err(error @ Error::TooManySignIns { .. }) => Ok(put_off(error, "/", &headers)),
        Err(error) => Err(error.into()),
    }
}

/// The token of a link. A link with several has none that could be valid.
fn token_of(uri: &Uri) -> String {
    let parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut tokens = parameters.filter(|(name, _)| name == "token").map(|(_, token)| token);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => token.into_owned(),
        _ => String::new(),
    }
}

/// Whether a program prefetches the address.
fn is_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| headers.contains_key(*name))
}

pub async fn sign_out(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    jar: CookieJar,
) -> Result<Response, HttpError> {
    if let Some(session) = credentials.session() {
        app_state.lake.sign_out(session).await?;
    }
    let removal = Cookie::build(SESSION_COOKIE).path("/").build();
    Ok((jar.remove(removal), Redirect::to("/")).into_response())
}

/// Response to a sign-in that is refused for now: the page for a browser, JSON for other clients. Both have
/// `Retry-After`.
fn put_off(error: Error, next: &str, headers: &HeaderMap) -> Response {
    let code = error.code();
    let mut refusal = HttpError::from(error).into_response();
    if !wants_a_page(headers) {
        return refusal;
    }
    let mut page = refused(code, next);
    if let Some(moment) = refusal.headers_mut().remove(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, moment);
    }
    // Keeps the reason for the refusal log.
    *page.extensions_mut() = std::mem::take(refusal.extensions_mut());
    page
}

/// Response to a body that is no form of the sign-in page.
fn not_a_form(headers: &HeaderMap) -> Response {
    if wants_a_page(headers) {
        return refused(ErrorCode::NoKey, "/");
    }
    let remedy = "the body is not the form of the sign-in page; send key=KEY as application/x-www-form-urlencoded";
    HttpError::from(Error::Invalid(remedy.into())).into_response()
}

fn wants_a_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|types| types.to_str().is_ok_and(|types| types.contains("text/html")))
}

fn refused(code: ErrorCode, next: &str) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("error", &code.number().to_string()).append_pair("next", next);
    Redirect::to(&format!("/sign-in?{}", query.finish())).into_response()
}
