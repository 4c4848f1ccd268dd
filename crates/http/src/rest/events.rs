//! `/api/events`: server-sent events (HTML Living Standard, section 9.2), and `/api/ingestion/file/sync/in-flight`.
//!
//! A stream ends when the server stops, the key that opened it is no longer valid, or the client disconnects. A client
//! that reconnects with the id of its last event receives the events since, or `reset` if they are unknown.

use super::body::Parameters;
use crate::AppState;
use crate::client_network::ClientNetwork;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use lakeshore::model::event::EventFilter;
use lakeshore::model::event::EventId;
use lakeshore::model::page::ListParameters;
use lakeshore::model::upload::in_flight::UploadInFlight;
use lakeshore::service::{SerializedEvent, Subscription};
use lakeshore::{Error, LakePath};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Interval of comments on a silent stream, since proxies close silent connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Interval in which a stream repeats the checks of a request: the caller, and its right to read.
const ALLOWED_MAX: Duration = Duration::from_secs(5);
/// Delay before a client reconnects.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub struct EventParameters {
    sync_id: Option<String>,
    path: Option<LakePath>,
    /// For clients that cannot send the header.
    last_event_id: Option<String>,
}

pub async fn events(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    ClientNetwork(network): ClientNetwork,
    Parameters(parameters): Parameters<EventParameters>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    if app_state.stopping.is_cancelled() {
        return Err(Error::ShuttingDown.into());
    }
    let sync_id = parameters.sync_id.as_deref().map(super::syncs::sync_id).transpose()?;
    let filter = EventFilter { sync_id, path: parameters.path };
    let last =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).or(parameters.last_event_id.as_deref());
    // A malformed id counts as unknown, and is answered with `reset`.
    let unknown = EventId { start: 0, number: 0 };
    let last = last.filter(|id| !id.is_empty()).map(|id| id.parse().unwrap_or(unknown));
    let subscription = app_state.lake.subscribe(&caller, network, filter, last)?;
    let is_known = caller.known().is_ok();
    let listener =
        Listener { allowed_at: Instant::now(), app_state, credentials, subscription, is_greeted: false, is_known };
    // The next events are taken when those before are written, so a slow reader holds no more than one batch.
    let events = stream::unfold(listener, Listener::step).flat_map(stream::iter);
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).into_response();
    let head = response.headers_mut();
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Keeps nginx from buffering the stream.
    head.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// An open stream.
struct Listener {
    app_state: Arc<AppState>,
    credentials: Credentials,
    subscription: Subscription,
    is_greeted: bool,
    /// Opened with a key or a session, and ends with it.
    is_known: bool,
    /// Time of the last check, by a clock that nobody sets.
    allowed_at: Instant,
}

impl Listener {
    fn until_asked_again(&self) -> Duration {
        ALLOWED_MAX.saturating_sub(self.allowed_at.elapsed()).max(Duration::from_millis(1))
    }

    /// Repeats the check when it is due. `None` if the key or session is gone, or may no longer read.
    async fn ask_again(&mut self) -> Option<()> {
        let lake = &self.app_state.lake;
        if self.allowed_at.elapsed() >= ALLOWED_MAX {
            let caller = self.credentials.caller(lake, None).await.ok()?;
            caller.may_read().ok()?;
            if self.is_known {
                caller.known().ok()?;
            }
            self.allowed_at = Instant::now();
        }
        Some(())
    }

    async fn step(mut self) -> Option<(Vec<Event>, Self)> {
        let app_state = self.app_state.clone();
        let mut silence = Duration::ZERO;
        let told = loop {
            let wait = self.until_asked_again().min(KEEP_ALIVE - silence);
            let told = tokio::select! {
                told = timeout(wait, self.subscription.next()) => told,
                () = app_state.stopping.cancelled() => return None,
            };
            self.ask_again().await?;
            silence += wait;
            if told.is_ok() || silence >= KEEP_ALIVE {
                break told;
            }
        };
        let events = match told {
            Ok(told) => told.iter().map(|told| self.event(told)).collect(),
            // A comment with the id: the client reconnects from there, without an event.
            Err(_) => vec![Event::default().comment("nothing new").id(self.subscription.last().to_string())],
        };
        Some((events, self))
    }

    /// The first event of the stream also has the delay.
    fn event(&mut self, told: &SerializedEvent) -> Event {
        let is_first = !std::mem::replace(&mut self.is_greeted, true);
        let event = if is_first { Event::default().retry(RETRY) } else { Event::default() };
        event.id(told.id.to_string()).event(told.kind).data(&told.json)
    }
}

pub async fn in_flight(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<UploadInFlight>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.in_flight(&caller, &parameters).await?))
}
