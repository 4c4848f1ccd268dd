//! The event stream in the browser: one for each tab, shared by all that a page shows.
//!
//! It begins where the first page that listens was read, so that nothing is missed between the two. It is open while
//! somebody listens and the tab is seen: browsers allow six connections to a server, and a hidden tab needs none. After a break
//! it goes on from the last event; where that is not possible, the server says so, and pages ask anew.

#[cfg_attr(feature = "hydrate", path = "stream.rs")]
#[cfg_attr(not(feature = "hydrate"), path = "stream_absent.rs")]
mod stream;

use lakeshore::model::event::{EventId, FileLanded};
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::upload::in_flight::UploadInFlight;
use leptos::prelude::*;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How long the stream stays open without a listener: from one page to the next.
const LINGER: Duration = Duration::from_secs(2);
/// After the server has refused the stream, before the next try; twice as long after each, and at most 32 times.
const RETRY_MS: u64 = 1000;
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// How the stream stands, as a person may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionState {
    /// Nobody listens.
    #[default]
    Off,
    Live,
    Reconnecting,
}

/// An event as it is heard: of each kind, some of this is there.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ServerEvent {
    #[serde(rename = "type")]
    pub kind: String,
    /// The sync that it is about, as it stands now.
    pub sync: Option<SyncJob>,
    pub upload: Option<UploadInFlight>,
    pub sync_id: Option<SyncId>,
    pub history_id: Option<UploadId>,
    pub files: Vec<FileLanded>,
    pub num_replaced: u64,
}

impl ServerEvent {
    /// What was known may be wrong from here on: to be asked anew.
    pub fn is_reset(&self) -> bool {
        self.kind == "reset"
    }

    pub fn sync_id(&self) -> Option<SyncId> {
        let of_upload = self.upload.as_ref().map(|upload| upload.sync_id);
        self.sync.as_ref().map(|sync| sync.sync_id).or(self.sync_id).or(of_upload)
    }

    /// The sync is no longer open.
    pub fn is_end(&self) -> bool {
        matches!(self.kind.as_str(), "sync_published" | "sync_finished" | "sync_failed")
    }
}

type Listener = Arc<dyn Fn(&ServerEvent) + Send + std::marker::Sync>;

#[derive(Clone, Copy)]
pub struct Live {
    pub standing: RwSignal<ConnectionState>,
    listeners: StoredValue<Vec<(u64, Listener)>>,
    next_listener: StoredValue<u64>,
    /// The last event that was heard; before, the one up to which the first page was read.
    last: StoredValue<Option<EventId>>,
    refusals: StoredValue<u32>,
}

impl Live {
    pub fn provide() {
        let live = Self {
            standing: RwSignal::new(ConnectionState::Off),
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

    /// Calls `listener` with each event, for as long as the caller's component is there. `read_at`: up to which event the
    /// component's data holds everything. Gives whether it has to be asked anew, because later ones were heard already.
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

    /// Whether all that was heard is in what was read then.
    pub fn is_heard_in(self, read_at: EventId) -> bool {
        self.last.try_get_value().flatten().is_none_or(|last| read_at.includes(last))
    }

    fn open_or_close(self) {
        let Some(is_wanted) = self.listeners.try_with_value(|listeners| !listeners.is_empty()) else { return };
        if !is_wanted {
            stream::close();
            self.standing.set(ConnectionState::Off);
        } else if document().hidden() {
            stream::close();
        } else if !stream::is_open() {
            stream::open(self, self.last.get_value());
        }
    }

    #[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser hears"))]
    fn on_event(self, id: &str, json: &str) {
        let Ok(heard) = crate::json::read::<ServerEvent>(json) else { return };
        if let Ok(id) = id.parse() {
            self.last.set_value(Some(id));
        }
        self.refusals.set_value(0);
        if self.standing.get_untracked() != ConnectionState::Live {
            self.standing.set(ConnectionState::Live);
        }
        // A listener may bring others to come and go.
        for (_, listener) in self.listeners.get_value() {
            listener(&heard);
        }
    }

    /// The stream is broken. The browser opens it again by itself, unless the server has refused it.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser hears"))]
    fn on_break(self, is_refused: bool) {
        self.standing.set(ConnectionState::Reconnecting);
        if is_refused {
            stream::close();
            let refusals = self.refusals.get_value();
            self.refusals.set_value(refusals + 1);
            let wait_ms = RETRY_MS << refusals.min(RETRY_DOUBLINGS_MAX);
            set_timeout(move || self.open_or_close(), Duration::from_millis(wait_ms));
        }
    }
}
