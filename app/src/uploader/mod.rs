//! Uploader of the browser. It belongs to the whole dashboard, not to the Upload page, so uploads continue on other
//! pages.
//!
//! [`queue`] decides, `browser` transfers, and [`Uploader`] updates the pages by signals: at most a few times a second,
//! and with one signal for each visible row, so that ten thousand files stay smooth.

#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser sends"))]
mod answer;
#[cfg_attr(feature = "hydrate", path = "browser/mod.rs")]
#[cfg_attr(not(feature = "hydrate"), path = "browser_absent.rs")]
mod browser;
mod intake;
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser sends"))]
pub mod item;
mod lifecycle;
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser sends"))]
mod link;
pub mod queue;
pub mod rate;
mod sending;
pub mod totals;
mod unfinished;

#[cfg(feature = "hydrate")]
pub use browser::use_hasher;
pub use browser::{dropped, picked};
pub use intake::LeftOut;
pub use unfinished::Unfinished;

use crate::browser::{ask_before_leaving, now_ms};
use crate::error::ApiError;
use item::{Failure, Item, ItemId};
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::SyncType;
use leptos::ev;
use leptos::prelude::*;
use leptos::reactive::owner::WeakOwner;
use queue::{FailureGroup, Queue, Shown};
use std::collections::HashMap;
use std::time::Duration;
use totals::{Filter, Totals};

/// Interval for updates of progress and of the queue's time.
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Files are chosen; nothing was sent.
    Preparing,
    Starting,
    Sending,
    /// No request is running, and the sync is open.
    Settled,
    Ending,
    Ended,
    Aborted,
}

/// Target of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub sync_id: SyncId,
    pub path: String,
    pub sync_type: SyncType,
}

/// Fields of an item that sending needs.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser sends"))]
pub struct Job {
    id: ItemId,
    sync_id: SyncId,
    folder: String,
    name: String,
    relative_path: String,
    size_bytes: u64,
    sha256: Option<String>,
    is_small: bool,
}

/// Progress of a file.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser sends"))]
pub enum Progress {
    /// Bytes that the server has received.
    At(u64),
    /// Bytes sent so far.
    Sent(u64),
}

/// Event of the digest worker.
#[derive(Debug)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser reads files"))]
pub enum HashEvent {
    /// Bytes read so far.
    Read(ItemId, u64),
    Hashed(ItemId, Result<String, Failure>),
    /// This browser cannot compute digests.
    Impossible,
}

/// Visible rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub filter: Filter,
    pub first: usize,
    pub rows: usize,
}

impl Default for View {
    fn default() -> Self {
        Self { filter: Filter::All, first: 0, rows: 30 }
    }
}

/// Handle of the dashboard's only uploader.
#[derive(Clone, Copy)]
pub struct Uploader {
    queue: StoredValue<Queue>,
    rows: StoredValue<HashMap<ItemId, ArcRwSignal<Item>>>,
    pub phase: RwSignal<Phase>,
    pub target: RwSignal<Option<Target>>,
    pub totals: RwSignal<Totals>,
    pub view: RwSignal<View>,
    /// Visible rows, in order.
    pub shown: RwSignal<Shown>,
    pub failures: RwSignal<Vec<FailureGroup>>,
    pub is_paused: RwSignal<bool>,
    /// Seconds until a broken link is retried.
    pub broken: RwSignal<Option<i64>>,
    pub left_out: RwSignal<LeftOut>,
    pub end_when_done: RwSignal<bool>,
    /// Whether a chosen folder keeps its name below the lake path. Otherwise its contents land at the lake path, as with
    /// `lakeshore push`.
    pub keeps_folder_name: RwSignal<bool>,
    /// Why the start, the end or the abort was refused.
    pub error: RwSignal<Option<ApiError>>,
    /// Open sync that blocks the start.
    pub in_the_way: RwSignal<Option<SyncJob>>,
    /// State of this upload when an earlier page was left.
    pub before: RwSignal<Option<Unfinished>>,
    remembered: StoredValue<Option<Unfinished>>,
    /// Owner of the dashboard; weak, because it owns the uploader.
    owner: StoredValue<Option<WeakOwner>>,
    is_awake: StoredValue<bool>,
}

impl Uploader {
    pub fn provide() {
        let uploader = Self {
            queue: StoredValue::new(Self::new_queue()),
            rows: StoredValue::new(HashMap::new()),
            phase: RwSignal::new(Phase::Preparing),
            target: RwSignal::new(None),
            totals: RwSignal::new(Totals::default()),
            view: RwSignal::new(View::default()),
            shown: RwSignal::new(Shown::default()),
            failures: RwSignal::new(Vec::new()),
            is_paused: RwSignal::new(false),
            broken: RwSignal::new(None),
            left_out: RwSignal::new(LeftOut::default()),
            end_when_done: RwSignal::new(true),
            keeps_folder_name: RwSignal::new(false),
            error: RwSignal::new(None),
            in_the_way: RwSignal::new(None),
            before: RwSignal::new(None),
            remembered: StoredValue::new(None),
            owner: StoredValue::new(Owner::current().map(|owner| owner.downgrade())),
            is_awake: StoredValue::new(false),
        };
        provide_context(uploader);
    }

    /// Returns the uploader, ready to send on every page. Called only by pages that send, so that the sending code is
    /// loaded with them.
    pub fn awake() -> Self {
        let uploader = Self::here();
        if !uploader.is_awake.get_value()
            && let Some(owner) = uploader.owner.get_value().and_then(|owner| owner.upgrade())
        {
            uploader.is_awake.set_value(true);
            owner.with(|| {
                uploader.tick_while_busy();
                uploader.guard_leaving();
                browser::on_online(move || uploader.try_now());
            });
        }
        uploader
    }

    fn new_queue() -> Queue {
        let mut queue = Queue::default();
        if !browser::is_hashing_possible() {
            queue.send_unread();
        }
        queue
    }

    pub fn here() -> Self {
        expect_context()
    }

    /// Whether leaving the page would lose progress.
    pub fn is_busy(self) -> bool {
        matches!(self.phase.get(), Phase::Starting | Phase::Sending | Phase::Ending)
    }

    pub fn row(self, id: ItemId) -> Option<ArcRwSignal<Item>> {
        self.rows.with_value(|rows| rows.get(&id).cloned())
    }

    /// Changes the visible rows.
    pub fn look_at(self, view: View) {
        if self.view.get_untracked() != view {
            self.view.set(view);
            self.publish_rows();
        }
    }

    /// Updates the signals of the pages.
    fn publish(self) {
        self.publish_rows();
        self.queue.with_value(|queue| {
            let now_ms = now_ms();
            set_changed(self.totals, queue.totals(now_ms));
            set_changed(self.failures, queue.failures());
            set_changed(self.is_paused, queue.is_paused());
            set_changed(self.broken, queue.link.wait_ms(now_ms).map(|wait_ms| (wait_ms + 999) / 1000));
        });
        self.remember();
    }

    /// Updates the visible rows; only the signals of changed rows are set.
    fn publish_rows(self) {
        let View { filter, first, rows } = self.view.get_untracked();
        self.queue.with_value(|queue| {
            let shown = queue.shown(filter, first, rows);
            self.rows.update_value(|rows| {
                let mut kept = HashMap::with_capacity(shown.ids.len());
                for item in shown.ids.iter().filter_map(|id| queue.item(*id)) {
                    let row = rows.remove(&item.id).unwrap_or_else(|| ArcRwSignal::new(item.clone()));
                    if row.with_untracked(|now| now != item) {
                        row.set(item.clone());
                    }
                    kept.insert(item.id, row);
                }
                *rows = kept;
            });
            set_changed(self.shown, shown);
        });
    }

    fn tick_while_busy(self) {
        let is_sending = Memo::new(move |_| self.phase.get() == Phase::Sending);
        Effect::new(move |_| {
            if is_sending.get()
                && let Ok(interval) = set_interval_with_handle(move || self.tick(), TICK)
            {
                on_cleanup(move || interval.clear());
            }
        });
    }

    /// Makes the browser ask before the document is left, but only during an upload, and while failed files could still be
    /// retried: the listener alone keeps some browsers from caching the page for Back.
    fn guard_leaving(self) {
        let is_guarded = Memo::new(move |_| {
            let has_failed = self.phase.get() == Phase::Settled && self.totals.with(|totals| totals.failed > 0);
            has_failed || self.is_busy()
        });
        Effect::new(move |_| {
            if is_guarded.get() {
                let listener = window_event_listener(ev::beforeunload, |event| ask_before_leaving(&event));
                on_cleanup(move || listener.remove());
            }
        });
    }
}

fn set_changed<T: PartialEq + Send + std::marker::Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|now| *now != value) {
        signal.set(value);
    }
}
