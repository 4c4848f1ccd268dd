//! The browser's uploader. It belongs to the whole dashboard, not to the Upload page, so that files go on while the
//! person looks at other pages.
//!
//! [`queue`] decides, `browser` moves bytes, and [`Uploader`] tells the pages by signals: a few times a second at most,
//! and one signal per visible row, so that ten thousand files stay smooth.

#[cfg_attr(feature = "hydrate", path = "browser.rs")]
#[cfg_attr(not(feature = "hydrate"), path = "browser_absent.rs")]
mod browser;
mod conduct;
mod intake;
pub mod queue;
mod rate;

pub use browser::{dropped, picked};
pub use intake::LeftOut;

use crate::browser::{ask_before_leaving, now_ms};
use crate::error::ApiError;
use lakeshore::sync::{Sync, SyncId};
use leptos::ev;
use leptos::prelude::*;
use queue::{Item, ItemId, Queue, Totals};
use std::collections::HashMap;
use std::time::Duration;

/// Rows of the queue that the page shows; the rest is counted.
const ROWS_MAX: usize = 200;
/// How often the page hears of progress.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Files are chosen; nothing was sent yet.
    Preparing,
    Starting,
    Sending,
    /// Nothing is on its way any more, and the sync is open still.
    Settled,
    Ending,
    Ended,
    Aborted,
}

/// Where the files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub sync_id: SyncId,
    pub path: String,
}

/// A handle on the one uploader of the dashboard.
#[derive(Clone, Copy)]
pub struct Uploader {
    queue: StoredValue<Queue>,
    rows: StoredValue<HashMap<ItemId, ArcRwSignal<Item>>>,
    pub phase: RwSignal<Phase>,
    pub target: RwSignal<Option<Target>>,
    pub totals: RwSignal<Totals>,
    /// The rows to show, in order.
    pub shown: RwSignal<Vec<ItemId>>,
    pub left_out: RwSignal<LeftOut>,
    pub end_when_done: RwSignal<bool>,
    /// Why the start, the end or the abort was refused.
    pub error: RwSignal<Option<ApiError>>,
    /// The open sync that keeps this one from starting.
    pub in_the_way: RwSignal<Option<Sync>>,
}

impl Uploader {
    pub fn provide() {
        let uploader = Self {
            queue: StoredValue::new(Queue::default()),
            rows: StoredValue::new(HashMap::new()),
            phase: RwSignal::new(Phase::Preparing),
            target: RwSignal::new(None),
            totals: RwSignal::new(Totals::default()),
            shown: RwSignal::new(Vec::new()),
            left_out: RwSignal::new(LeftOut::default()),
            end_when_done: RwSignal::new(true),
            error: RwSignal::new(None),
            in_the_way: RwSignal::new(None),
        };
        provide_context(uploader);
        uploader.publish_while_busy();
        uploader.guard_leaving();
    }

    pub fn here() -> Self {
        expect_context()
    }

    /// True while leaving the page would lose something.
    pub fn is_busy(self) -> bool {
        matches!(self.phase.get(), Phase::Starting | Phase::Sending | Phase::Ending)
    }

    pub fn row(self, id: ItemId) -> Option<ArcRwSignal<Item>> {
        self.rows.with_value(|rows| rows.get(&id).cloned())
    }

    /// Tells the pages how the queue stands.
    fn publish(self) {
        self.queue.with_value(|queue| {
            let shown = queue.shown(ROWS_MAX);
            self.rows.update_value(|rows| publish_rows(rows, queue, &shown));
            if self.shown.with_untracked(|now| *now != shown) {
                self.shown.set(shown);
            }
            let totals = queue.totals(now_ms());
            if self.totals.with_untracked(|now| *now != totals) {
                self.totals.set(totals);
            }
        });
    }

    fn publish_while_busy(self) {
        let is_sending = Memo::new(move |_| self.phase.get() == Phase::Sending);
        Effect::new(move |_| {
            if is_sending.get()
                && let Ok(interval) = set_interval_with_handle(move || self.publish(), PUBLISH_EVERY)
            {
                on_cleanup(move || interval.clear());
            }
        });
    }

    /// The browser asks before the document is left, but only while something would be lost: a listener alone keeps
    /// some browsers from going back to the page quickly.
    fn guard_leaving(self) {
        let is_busy = Memo::new(move |_| self.is_busy());
        Effect::new(move |_| {
            if is_busy.get() {
                let listener = window_event_listener(ev::beforeunload, |event| ask_before_leaving(&event));
                on_cleanup(move || listener.remove());
            }
        });
    }
}

/// One signal per shown row; only those that changed are set.
fn publish_rows(rows: &mut HashMap<ItemId, ArcRwSignal<Item>>, queue: &Queue, shown: &[ItemId]) {
    let mut kept = HashMap::with_capacity(shown.len());
    for item in shown.iter().filter_map(|id| queue.item(*id)) {
        let row = match rows.remove(&item.id) {
            Some(row) => {
                if row.with_untracked(|now| now != item) {
                    row.set(item.clone());
                }
                row
            }
            None => ArcRwSignal::new(item.clone()),
        };
        kept.insert(item.id, row);
    }
    *rows = kept;
}
