//! Pages of the dashboard, and their server functions.

use super::AppState;
use super::client_network::ClientNetwork;
use super::credentials::{Credentials, session_cookie};
use super::error::HttpError;
use super::form_refusal;
use super::gather::SMALL_BODY_BYTES_MAX;
use super::networks::ClientInfo;
use super::outside::outside_address;
use super::prefix::Prefix;
use super::spool::GatheredBody;
use app::api::sessions::WriteCookie;
use app::api::trash::WriteRefusal;
use app::api::{LakeRoot, ReadinessCheck, Site};
use app::error::ApiError;
use app::query::local;
use app::refusal::{self, FormRefusal};
use app::shell::Assets;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use lakeshore::model::access::key::{Caller, Secret};
use lakeshore::model::access::shares::Holder;
use leptos::prelude::*;
use leptos::server_fn::axum::get_server_fn_service;
use leptos::server_fn::error::{SERVER_FN_ERROR_HEADER, ServerFnUrlError};
use leptos_axum::ResponseOptions;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Largest call of a server function, in bytes: the uploader asks for 500 files at a time, with paths of up to 1 KiB
/// each.
const CALL_BYTES_MAX: usize = 1024 * 1024;

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Renders a page for every address without another route, "not found" included.
pub async fn page(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Extension(client): Extension<ClientInfo>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") || path.starts_with("/fn/") || path.starts_with("/pkg/") {
        return HttpError::NoSuchRoute(path.to_owned()).into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let used = request.method().to_string();
        return HttpError::MethodNotAllowed { used, allowed: "GET".into() }.into_response();
    }
    if let Some(moved) = moved(request.uri()) {
        return Redirect::permanent(&moved).into_response();
    }
    let site = site_of(&request, &client, credentials.is_guest());
    let context = match context(&app_state, &credentials, &client, site).await {
        Ok(context) => context,
        Err(error) => return HttpError::Lake(error).into_response(),
    };
    let mut assets = app_state.assets.clone();
    if request.extensions().get::<Prefix>().is_some() {
        assets = Arc::new(without_scripts(&assets));
    }
    let path = path.to_owned();
    // Read once: the cookie is removed by the same response.
    let refusal = app_state.form_refusals.read(request.headers(), credentials.session());
    let removal = form_refusal::removal(request.headers(), &client);
    let removal = removal.and_then(|cookie| HeaderValue::from_str(&cookie.to_string()).ok());
    let context = move || {
        context();
        if let Some(refusal) = &refusal {
            provide_context(refusal.clone());
        }
    };
    let render = leptos_axum::render_app_async_with_context(context, move || {
        if let (Some(nonce), Some(response)) = (leptos::nonce::use_nonce(), use_context::<ResponseOptions>())
            && let Ok(policy) =
                HeaderValue::from_str(&content_security_policy(&nonce.to_string(), assets.reload.is_some()))
        {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
            // The content depends on the caller.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            // Isolates the window from windows of other sites, in both directions.
            response.insert_header(OPENER_POLICY, HeaderValue::from_static("same-origin"));
            if let Some(removal) = &removal {
                response.append_header(header::SET_COOKIE, removal.clone());
            }
        }
        app::shell::shell((*assets).clone(), &path)
    });
    render(request).await.into_response()
}

pub async fn server_function(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Extension(client): Extension<ClientInfo>,
    request: Request<Body>,
) -> Response {
    let path = request.uri().path();
    if get_server_fn_service(path, request.method().clone()).is_none() {
        return HttpError::NoSuchRoute(path.to_owned()).into_response();
    }
    match call(&app_state, &credentials, &client, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// Recognises the caller and buffers the whole body before the server function runs.
async fn call(
    app_state: &AppState,
    credentials: &Credentials,
    client: &ClientInfo,
    request: Request<Body>,
) -> Result<Response, HttpError> {
    let site = site_of(&request, client, credentials.is_guest());
    let context = context(app_state, credentials, client, site).await?;
    let caller = credentials.caller(&app_state.lake, None).await?;
    let is_stranger = caller.may_do_anything().is_err();
    let ClientNetwork(network) = ClientNetwork::of(request.extensions());
    let limit_bytes = if is_stranger { SMALL_BODY_BYTES_MAX } else { CALL_BYTES_MAX };
    let (head, body) = request.into_parts();
    let (bytes, _memory) = match app_state.spool.gather(body, Holder::new(&caller, network), limit_bytes).await? {
        GatheredBody::Small(bytes) => (bytes, None),
        GatheredBody::Long(body) => {
            let memory = app_state.spool.memory_for(&body).await?;
            let bytes = spawn_blocking(move || body.into_bytes()).await.map_err(lakeshore::Error::internal)?;
            (bytes.map_err(lakeshore::Error::internal)?, Some(memory))
        }
    };
    let request = Request::from_parts(head, Body::from(bytes));
    let cookie = refusal_cookie(app_state, credentials, client);
    let WriteRefusal(write) = cookie.clone();
    let with_cookie = move || {
        context();
        provide_context(cookie.clone());
    };
    let response = leptos_axum::handle_server_fns_with_context(with_cookie, request).await.into_response();
    Ok(answered(response, |refusal| write(refusal)))
}

/// Closure that builds the cookie with the refusal of a form, for the page that the form returns to.
fn refusal_cookie(app_state: &AppState, credentials: &Credentials, client: &ClientInfo) -> WriteRefusal {
    let session = credentials.session().map(|session| Secret::presented(session.expose()));
    let (refusals, client) = (app_state.form_refusals.clone(), *client);
    WriteRefusal(Arc::new(move |refusal| Some(refusals.cookie(refusal, session.as_ref(), &client)?.to_string())))
}

/// Completes the response of a server function: the target of a form, the refusal cookie, the content type.
fn answered(mut response: Response, cookie: impl Fn(&FormRefusal) -> Option<String>) -> Response {
    let headers = response.headers_mut();
    if let Some((place, refused)) =
        headers.get(header::LOCATION).and_then(|place| place.to_str().ok()).map(place_of_form)
        && let Ok(place) = HeaderValue::from_str(&place)
    {
        headers.insert(header::LOCATION, place);
        let cookie = refused.and_then(|refused| cookie(&refused));
        if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    // Leptos sends refusals without a content type, and the browser would guess one.
    let is_refusal = headers.contains_key(SERVER_FN_ERROR_HEADER);
    let kind = if is_refusal { "application/json" } else { "text/plain; charset=utf-8" };
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    response
}

/// Target of the response to a plain form: its page on this site, and the refusal, if any. Leptos writes the whole
/// refusal into the address, where anybody could forge it; only its code stays.
fn place_of_form(place: &str) -> (String, Option<FormRefusal>) {
    let after_scheme = place.split_once("://").map_or(place, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let place = local(after_scheme);
    let (place, fragment) = place.split_once('#').unwrap_or((place, ""));
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    let Some((path, query)) = place.split_once('?') else { return (format!("{place}{fragment}"), None) };
    let mut refused = None;
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "__path" | refusal::PARAMETER => {}
            "__err" => {
                let ApiError(refusal) = ServerFnUrlError::decode_err(&value);
                kept.append_pair(refusal::PARAMETER, &refusal.code.to_string());
                refused = Some(FormRefusal { code: refusal.code, msg: refusal.msg });
            }
            _ => {
                kept.append_pair(&name, &value);
            }
        }
    }
    let query = kept.finish();
    let place = if query.is_empty() { format!("{path}{fragment}") } else { format!("{path}?{query}{fragment}") };
    (place, refused)
}

/// Redirects filtered links to `/`, which once was the list of syncs.
fn moved(uri: &Uri) -> Option<String> {
    const FILTERS: [&str; 5] = ["status", "type", "q", "path", "page"];
    let query = uri.query().filter(|_| uri.path() == "/")?;
    let is_filtered = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| FILTERS.contains(&&*name));
    is_filtered.then(|| format!("/syncs?{query}"))
}

/// Context of pages and server functions.
async fn context(
    app_state: &AppState,
    credentials: &Credentials,
    client: &ClientInfo,
    site: Site,
) -> Result<impl Fn() + Clone + Send + Sync + 'static, lakeshore::Error> {
    let caller: Caller = credentials.caller(&app_state.lake, None).await?;
    let lake = app_state.lake.clone();
    let client = *client;
    let cookie = WriteCookie(Arc::new(move |session| session_cookie(session, &client).to_string()));
    let readiness = app_state.readiness.clone();
    let readiness = ReadinessCheck(Arc::new(move || {
        let readiness = readiness.clone();
        Box::pin(async move { readiness.look().await.err() })
    }));
    let root = LakeRoot(app_state.lake_root.display().to_string());
    Ok(move || {
        provide_context(lake.clone());
        provide_context(caller.clone());
        provide_context(site.clone());
        provide_context(root.clone());
        provide_context(readiness.clone());
        provide_context(cookie.clone());
    })
}

/// Address of the server as the browser sees it.
fn site_of(request: &Request, client: &ClientInfo, is_open: bool) -> Site {
    // The address appears in commands for copying. `hosts.rs` has checked its characters.
    let outside = outside_address(request.version(), request.headers(), request.extensions());
    let origin = outside.unwrap_or_else(|| {
        let host = client.hosts(request.headers()).next().unwrap_or("127.0.0.1:3000");
        let scheme = if client.is_by_tls { "https" } else { "http" };
        format!("{scheme}://{host}")
    });
    Site { origin, is_open }
}

/// Assets without scripts: below a prefix, scripts would request addresses of another server.
fn without_scripts(assets: &Assets) -> Assets {
    Assets { stylesheet: assets.stylesheet.clone(), ..Assets::default() }
}

/// Content security policy of a page. Resources of this server are not trusted as such, because users put files into
/// the lake:
///
/// - Scripts and styles need the nonce of this response, or are imported by such a script (`strict-dynamic`).
/// - A worker cannot have a nonce, and its address cannot be listed, because a server behind a proxy does not reliably
///   know its own name. So `worker-src` is `'self'`, and the trusted types (`app::shell`) allow only one address.
/// - Trusted types keep text from becoming a script, and pages from registering a service worker.
///
/// `reloads`: cargo-leptos signals reloads by a WebSocket of another port, with a script that violates trusted types.
fn content_security_policy(nonce: &str, reloads: bool) -> String {
    let reload = if reloads { " ws:" } else { "" };
    let types = if reloads { "" } else { "; require-trusted-types-for 'script'; trusted-types default" };
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'nonce-{nonce}'; \
         worker-src 'self'; img-src 'self'; connect-src 'self'{reload}; object-src 'none'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'{types}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::ErrorCode;
    use lakeshore::model::error::Refusal;

    #[test]
    fn a_form_leads_back_to_this_site_with_the_number_of_its_refusal() {
        let error = ApiError(Refusal::new(ErrorCode::PathHeld, "anything at all".to_owned()));
        let full =
            ServerFnUrlError::new("/fn/restore-trash", error).to_url("http://lake:3000/trash?page=1&refused=40000");
        let refused = FormRefusal { code: ErrorCode::PathHeld.number(), msg: "anything at all".to_owned() };
        assert_eq!(place_of_form(full.unwrap().as_str()), ("/trash?page=1&refused=40901".to_owned(), Some(refused)));
        let leads = |to: &str| {
            let (place, refused) = place_of_form(to);
            assert_eq!(refused, None, "{to}");
            place
        };
        assert_eq!(leads("https://lake/trash?__path=x"), "/trash");
        assert_eq!(leads("/trash?restored=1"), "/trash?restored=1");
        assert_eq!(leads("/keys?__path=x&a=b#sessions"), "/keys?a=b#sessions");
        for elsewhere in
            ["https://evil.example", "//evil.example/x", "https:///evil.example", "javascript:alert(1)", ""]
        {
            let place = leads(elsewhere);
            assert!(place.starts_with('/') && !place.starts_with("//"), "{elsewhere} leads to {place}");
        }
        let (unreadable, _) = place_of_form("/trash?__err=call-555-0100");
        assert_eq!(unreadable, format!("/trash?refused={}", ErrorCode::Invalid.number()));
    }
}
