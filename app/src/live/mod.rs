//! Event stream in the browser: one for each tab, shared by its components.
//!
//! The stream begins at the event id of the first listening page, so no event between the two is missed. It is open
//! while a component listens and the tab is visible: browsers allow six connections to a server, and a hidden tab needs
//! none. After an interruption it continues after the last event; if that is not possible, the server sends `reset`,
//! and pages fetch again.

#[cfg_attr(feature = "hydrate", path = "stream.rs")]
#[cfg_attr(not(feature = "hydrate"), path = "stream_absent.rs")]
mod stream;

use crate::api::current_session;
use lakeshore::model::event::{EventId, FileLanded};
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::upload::in_flight::UploadInFlight;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Time for which the stream stays open without listeners, for changes of the page.
const LINGER: Duration = Duration::from_secs(2);
/// Delay after the server refused the stream. It doubles with each refusal, up to 32 times.
const RETRY_MS: u64 = 1000;
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// State of the stream, for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionState {
    /// No component listens.
    #[default]
    Off,
    Live,
    Reconnecting,
    /// The server refuses the stream, because the session has ended.
    SignedOut,
}

/// An event; each kind sets some of the fields.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ServerEvent {
    #[serde(rename = "type")]
    pub kind: String,
    /// Current state of its sync.
    pub sync: Option<SyncJob>,
    pub upload: Option<UploadInFlight>,
    pub sync_id: Option<SyncId>,
    pub history_id: Option<UploadId>,
    pub files: Vec<FileLanded>,
    pub num_replaced: u64,
}

impl ServerEvent {
    /// Whether earlier state may be wrong, so that it has to be fetched again.
    pub fn is_reset(&self) -> bool {
        self.kind == "reset"
    }

    pub fn sync_id(&self) -> Option<SyncId> {
        let of_upload = self.upload.as_ref().map(|upload| upload.sync_id);
        self.sync.as_ref().map(|sync| sync.sync_id).or(self.sync_id).or(of_upload)
    }

    /// Whether the sync is no longer open.
    pub fn is_end(&self) -> bool {
        matches!(self.kind.as_str(), "sync_published" | "sync_finished" | "sync_failed")
    }
}

type Listener = Arc<dyn Fn(&ServerEvent) + Send + std::marker::Sync>;

#[derive(Clone, Copy)]
pub struct Live {
    pub state: RwSignal<ConnectionState>,
    listeners: StoredValue<Vec<(u64, Listener)>>,
    next_listener: StoredValue<u64>,
    /// Last event received; before the first one, the event id of the first page.
    last: StoredValue<Option<EventId>>,
    refusals: StoredValue<u32>,
}

impl Live {
    pub fn provide() {
        let live = Self {
            state: RwSignal::new(ConnectionState::Off),
            listeners: StoredValue::default(),
            next_listener: StoredValue::default(),
            last: StoredValue::default(),
            refusals: StoredValue::default(),
        };
        provide_context(live);
        Effect::new(move |_| {
            let on_change = move || live.open_or_close();
            let handle = window_event_listener_untyped("visibilitychange", move |_| on_change());
            on_cleanup(move || handle.remove());
        });
    }

    pub fn here() -> Self {
        expect_context()
    }

    /// Calls `listener` for each event, as long as the calling component exists. `read_at` is the last event that the
    /// component's data includes. Returns whether the data has to be fetched again, because later events have been
    /// received.
    pub fn listen(
        self,
        read_at: EventId,
        listener: impl Fn(&ServerEvent) + Send + std::marker::Sync + 'static,
    ) -> bool {
        let number = self.next_listener.get_value();
        self.next_listener.set_value(number + 1);
        self.listeners.update_value(|listeners| listeners.push((number, Arc::new(listener))));
        on_cleanup(move || {
            self.listeners.try_update_value(|listeners| listeners.retain(|(one, _)| *one != number));
            set_timeout(move || self.open_or_close(), LINGER);
        });
        if self.last.with_value(Option::is_none) {
            self.last.set_value(Some(read_at));
        }
        self.open_or_close();
        !self.is_heard_in(read_at)
    }

    /// Whether data read at this event includes all received events.
    pub fn is_heard_in(self, read_at: EventId) -> bool {
        self.last.try_get_value().flatten().is_none_or(|last| read_at.includes(last))
    }

    fn open_or_close(self) {
        let Some(is_wanted) = self.listeners.try_with_value(|listeners| !listeners.is_empty()) else { return };
        if !is_wanted {
            stream::close();
            self.state.set(ConnectionState::Off);
        } else if document().hidden() {
            stream::close();
        } else if !stream::is_open() {
            stream::open(self, self.last.get_value());
        }
    }

    #[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser receives events"))]
    fn on_event(self, id: &str, json: &str) {
        let Ok(event) = crate::json::read::<ServerEvent>(json) else { return };
        if let Ok(id) = id.parse() {
            self.last.set_value(Some(id));
        }
        self.refusals.set_value(0);
        if self.state.get_untracked() != ConnectionState::Live {
            self.state.set(ConnectionState::Live);
        }
        // Listeners may add or remove others.
        for (_, listener) in self.listeners.get_value() {
            listener(&event);
        }
    }

    /// Handles an interruption. The browser reconnects by itself, unless the server refused the stream.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser receives events"))]
    fn on_break(self, is_refused: bool) {
        self.state.set(ConnectionState::Reconnecting);
        if is_refused {
            stream::close();
            let refusals = self.refusals.get_value();
            self.refusals.set_value(refusals + 1);
            let wait_ms = RETRY_MS << refusals.min(RETRY_DOUBLINGS_MAX);
            // The stream does not tell the status of the refusal.
            spawn_local(async move {
                if current_session().await.is_ok_and(|session| session.must_sign_in()) {
                    // Until the tab is shown again: the person may sign in in another one.
                    self.state.try_set(ConnectionState::SignedOut);
                } else {
                    set_timeout(move || self.open_or_close(), Duration::from_millis(wait_ms));
                }
            });
        }
    }
}
