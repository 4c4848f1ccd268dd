//! The dashboard's pages and the server functions behind them.

use super::Door;
use super::client_network::ClientNetwork;
use super::credentials::Credentials;
use super::error::HttpError;
use super::gather::SMALL_BODY_BYTES_MAX;
use super::networks::ClientInfo;
use super::spool::Whole;
use app::api::{LakeRoot, Site};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use lakeshore::key::Caller;
use lakeshore::shares::Holder;
use leptos::prelude::*;
use leptos::server_fn::axum::get_server_fn_service;
use leptos_axum::ResponseOptions;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Largest call of a server function, in bytes: the uploader asks for 500 files at once, with paths of up to 1 KiB each.
const CALL_BYTES_MAX: usize = 1024 * 1024;

/// Any address that is nothing else is a page, or the page that says that there is none.
pub async fn page(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Extension(client): Extension<ClientInfo>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") || path.starts_with("/fn/") || path.starts_with("/pkg/") {
        return HttpError::NoSuchRoute(path.to_owned()).into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let used = request.method().to_string();
        return HttpError::MethodNotAllowed { used, allowed: "GET" }.into_response();
    }
    if let Some(moved) = moved(request.uri()) {
        return Redirect::permanent(&moved).into_response();
    }
    let context = match context(&door, &credentials, &client, request.headers()).await {
        Ok(context) => context,
        Err(error) => return HttpError::Lake(error).into_response(),
    };
    let assets = door.assets.clone();
    let path = path.to_owned();
    let render = leptos_axum::render_app_async_with_context(context, move || {
        if let (Some(nonce), Some(response)) = (leptos::nonce::use_nonce(), use_context::<ResponseOptions>())
            && let Ok(policy) =
                HeaderValue::from_str(&content_security_policy(&nonce.to_string(), assets.reload.is_some()))
        {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
            // What is shown depends on who looks.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        app::shell::shell((*assets).clone(), &path)
    });
    render(request).await.into_response()
}

pub async fn server_function(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Extension(client): Extension<ClientInfo>,
    request: Request<Body>,
) -> Response {
    let path = request.uri().path();
    if get_server_fn_service(path, request.method().clone()).is_none() {
        return HttpError::NoSuchRoute(path.to_owned()).into_response();
    }
    match call(&door, &credentials, &client, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// The caller is known and the body is whole before anything is made of it.
async fn call(
    door: &Door,
    credentials: &Credentials,
    client: &ClientInfo,
    request: Request<Body>,
) -> Result<Response, HttpError> {
    let context = context(door, credentials, client, request.headers()).await?;
    let caller = credentials.caller(&door.lake, None).await?;
    let is_stranger = caller.may_do_anything().is_err();
    let ClientNetwork(network) = ClientNetwork::of(request.extensions());
    let limit_bytes = if is_stranger { SMALL_BODY_BYTES_MAX } else { CALL_BYTES_MAX };
    let (head, body) = request.into_parts();
    let (bytes, _memory) = match door.spool.gather(body, Holder::new(&caller, network), limit_bytes).await? {
        Whole::Small(bytes) => (bytes, None),
        Whole::Long(body) => {
            let memory = door.spool.memory_for(&body).await?;
            let bytes = spawn_blocking(move || body.into_bytes()).await.map_err(lakeshore::Error::internal)?;
            (bytes.map_err(lakeshore::Error::internal)?, Some(memory))
        }
    };
    let request = Request::from_parts(head, Body::from(bytes));
    Ok(leptos_axum::handle_server_fns_with_context(context, request).await.into_response())
}

/// The list of syncs was once the start page: links to what it filtered lead to it still.
fn moved(uri: &Uri) -> Option<String> {
    const FILTERS: [&str; 5] = ["status", "type", "q", "path", "page"];
    let query = uri.query().filter(|_| uri.path() == "/")?;
    let is_filtered = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| FILTERS.contains(&&*name));
    is_filtered.then(|| format!("/syncs?{query}"))
}

/// What the pages and the server functions find in their context.
async fn context(
    door: &Door,
    credentials: &Credentials,
    client: &ClientInfo,
    headers: &HeaderMap,
) -> Result<impl Fn() + Clone + Send + Sync + 'static, lakeshore::Error> {
    let caller: Caller = credentials.caller(&door.lake, None).await?;
    let site = site_of(headers, client, credentials.is_guest());
    let lake = door.lake.clone();
    let root = LakeRoot(door.lake_root.display().to_string());
    Ok(move || {
        provide_context(lake.clone());
        provide_context(caller.clone());
        provide_context(site.clone());
        provide_context(root.clone());
    })
}

/// The server's address as the browser wrote it.
fn site_of(headers: &HeaderMap, client: &ClientInfo, is_open: bool) -> Site {
    let host = client.hosts(headers).next().unwrap_or("127.0.0.1:3000");
    let scheme = if client.is_by_tls { "https" } else { "http" };
    Site { origin: format!("{scheme}://{host}"), is_open }
}

/// `reloads`: cargo-leptos tells the page by a WebSocket of another port when to reload.
fn content_security_policy(nonce: &str, reloads: bool) -> String {
    let reload = if reloads { " ws:" } else { "" };
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         worker-src 'self'; img-src 'self' data:; connect-src 'self'{reload}; font-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
    )
}
