//! The queue of an upload: which file goes next, what has become of each, and how far it all is. It knows no browser
//! and no clock: times are handed in.

use super::rate::{RateMeter, time_left_ms};
use std::collections::VecDeque;

/// Files on their way at the same time. Browsers open at most six connections to one host over HTTP/1.1; the page
/// itself needs some of them.
pub const PARALLEL_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub usize);

#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Waiting,
    Sending { bytes_sent: u64, rate: RateMeter },
    Arrived,
    Failed { message: String },
    Cancelled,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub id: ItemId,
    pub name: String,
    /// Relative to the sync's path; empty for the path itself.
    pub folder: String,
    pub size_bytes: u64,
    pub state: State,
}

impl Item {
    /// Folder and name, as the lake will show it below the sync's path.
    pub fn relative_path(&self) -> String {
        if self.folder.is_empty() { self.name.clone() } else { format!("{}/{}", self.folder, self.name) }
    }

    pub fn bytes_sent(&self) -> u64 {
        match &self.state {
            State::Sending { bytes_sent, .. } => *bytes_sent,
            State::Arrived => self.size_bytes,
            _ => 0,
        }
    }

    pub fn bytes_per_second(&self, now_ms: i64) -> Option<f64> {
        match &self.state {
            State::Sending { rate, .. } => rate.bytes_per_second(now_ms),
            _ => None,
        }
    }

    pub fn time_left_ms(&self, now_ms: i64) -> Option<i64> {
        time_left_ms(self.size_bytes - self.bytes_sent(), self.bytes_per_second(now_ms))
    }

    pub fn may_retry(&self) -> bool {
        matches!(self.state, State::Failed { .. } | State::Cancelled)
    }

    pub fn may_cancel(&self) -> bool {
        matches!(self.state, State::Waiting | State::Sending { .. })
    }
}

/// All files together. Cancelled ones count in `cancelled` only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    pub waiting: usize,
    pub sending: usize,
    pub arrived: usize,
    pub failed: usize,
    pub cancelled: usize,
    pub bytes: u64,
    pub bytes_sent: u64,
    pub bytes_per_second: Option<f64>,
    pub time_left_ms: Option<i64>,
}

impl Totals {
    /// Files that are to arrive, or have.
    pub fn files(&self) -> usize {
        self.waiting + self.sending + self.arrived + self.failed
    }

    pub fn is_settled(&self) -> bool {
        self.waiting == 0 && self.sending == 0
    }

    /// Hundred only when everything has arrived.
    pub fn percent(&self) -> u64 {
        match (self.bytes_sent, self.bytes) {
            (_, 0) if self.is_settled() => 100,
            (_, 0) => 0,
            (sent, all) if sent >= all => {
                if self.arrived == self.files() {
                    100
                } else {
                    99
                }
            }
            (sent, all) => ((sent as f64 / all as f64) * 100.0) as u64,
        }
    }
}

#[derive(Debug, Default)]
pub struct Queue {
    items: Vec<Item>,
    waiting: VecDeque<ItemId>,
    sending: usize,
    /// Bytes that have gone over the wire in all, failed attempts too: for the rate.
    bytes_moved: u64,
    rate: RateMeter,
}

impl Queue {
    pub fn add(&mut self, folder: String, name: String, size_bytes: u64) -> ItemId {
        let id = ItemId(self.items.len());
        self.items.push(Item { id, name, folder, size_bytes, state: State::Waiting });
        self.waiting.push_back(id);
        id
    }

    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(id.0)
    }

    /// Takes the next file to send, while there is room beside those on their way.
    pub fn next(&mut self, now_ms: i64) -> Option<Item> {
        if self.sending >= PARALLEL_MAX {
            return None;
        }
        while let Some(id) = self.waiting.pop_front() {
            let Some(item) = self.items.get_mut(id.0) else { continue };
            // What was cancelled while it waited stands in line still.
            if item.state == State::Waiting {
                let mut rate = RateMeter::default();
                rate.record(now_ms, 0);
                item.state = State::Sending { bytes_sent: 0, rate };
                self.sending += 1;
                return Some(item.clone());
            }
        }
        None
    }

    /// So many bytes of the file have gone. The form around it counts on the wire, but not here.
    pub fn progress(&mut self, id: ItemId, bytes: u64, now_ms: i64) {
        let Some(item) = self.items.get_mut(id.0) else { return };
        let size_bytes = item.size_bytes;
        if let State::Sending { bytes_sent, rate } = &mut item.state {
            let bytes = bytes.min(size_bytes);
            self.bytes_moved += bytes.saturating_sub(*bytes_sent);
            *bytes_sent = bytes;
            rate.record(now_ms, bytes);
            self.rate.record(now_ms, self.bytes_moved);
        }
    }

    pub fn arrived(&mut self, id: ItemId, now_ms: i64) {
        let size_bytes = self.item(id).map_or(0, |item| item.size_bytes);
        self.progress(id, size_bytes, now_ms);
        self.finish(id, State::Arrived);
    }

    pub fn failed(&mut self, id: ItemId, message: String) {
        self.finish(id, State::Failed { message });
    }

    /// Ends what was on its way. What was cancelled meanwhile stays so.
    fn finish(&mut self, id: ItemId, state: State) {
        if let Some(item) = self.items.get_mut(id.0)
            && matches!(item.state, State::Sending { .. })
        {
            item.state = state;
            self.sending -= 1;
        }
    }

    /// True when the file was on its way, so that its request has to be broken off.
    pub fn cancel(&mut self, id: ItemId) -> bool {
        let Some(item) = self.items.get_mut(id.0) else { return false };
        let was_sending = matches!(item.state, State::Sending { .. });
        if item.may_cancel() {
            item.state = State::Cancelled;
        }
        if was_sending {
            self.sending -= 1;
        }
        was_sending
    }

    /// Cancels everything that has not arrived. Gives what was on its way.
    pub fn cancel_all(&mut self) -> Vec<ItemId> {
        let ids: Vec<_> = self.items.iter().filter(|item| item.may_cancel()).map(|item| item.id).collect();
        ids.into_iter().filter(|id| self.cancel(*id)).collect()
    }

    pub fn retry(&mut self, id: ItemId) {
        if let Some(item) = self.items.get_mut(id.0)
            && item.may_retry()
        {
            item.state = State::Waiting;
            // It may stand in line still, from before it was cancelled.
            if !self.waiting.contains(&id) {
                self.waiting.push_back(id);
            }
        }
    }

    pub fn retry_failed(&mut self) {
        let is_failed = |item: &&Item| matches!(item.state, State::Failed { .. });
        let ids: Vec<_> = self.items.iter().filter(is_failed).map(|item| item.id).collect();
        for id in ids {
            self.retry(id);
        }
    }

    pub fn totals(&self, now_ms: i64) -> Totals {
        let mut totals = Totals::default();
        for item in &self.items {
            let count = match item.state {
                State::Waiting => &mut totals.waiting,
                State::Sending { .. } => &mut totals.sending,
                State::Arrived => &mut totals.arrived,
                State::Failed { .. } => &mut totals.failed,
                State::Cancelled => &mut totals.cancelled,
            };
            *count += 1;
            if item.state != State::Cancelled {
                totals.bytes += item.size_bytes;
                totals.bytes_sent += item.bytes_sent();
            }
        }
        if totals.sending > 0 {
            totals.bytes_per_second = self.rate.bytes_per_second(now_ms);
            totals.time_left_ms = time_left_ms(totals.bytes - totals.bytes_sent, totals.bytes_per_second);
        }
        totals
    }

    /// The rows to show, at most `rows_max`. When not all fit, those that failed or are on their way come first.
    pub fn shown(&self, rows_max: usize) -> Vec<ItemId> {
        if self.items.len() <= rows_max {
            return self.items.iter().map(|item| item.id).collect();
        }
        let of_rank = |rank: u8| self.items.iter().filter(move |item| urgency(&item.state) == rank).map(|item| item.id);
        (0..=3).flat_map(of_rank).take(rows_max).collect()
    }
}

fn urgency(state: &State) -> u8 {
    match state {
        State::Sending { .. } => 0,
        State::Failed { .. } => 1,
        State::Waiting => 2,
        State::Arrived | State::Cancelled => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(files: usize) -> Queue {
        let mut queue = Queue::default();
        for index in 0..files {
            queue.add(String::new(), format!("{index}.csv"), 100);
        }
        queue
    }

    fn next(queue: &mut Queue) -> Option<usize> {
        queue.next(0).map(|item| item.id.0)
    }

    #[test]
    fn files_go_in_order_and_only_so_many_at_once() {
        let mut queue = queue(5);
        let started: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(started, [0, 1, 2]);
        queue.arrived(ItemId(1), 10);
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(3), None));
    }

    #[test]
    fn what_is_cancelled_while_it_waits_is_never_sent() {
        let mut queue = queue(2);
        assert!(!queue.cancel(ItemId(0)));
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(1), None));
        assert!(queue.cancel(ItemId(1)));
        assert!(queue.totals(0).is_settled());
    }

    #[test]
    fn a_late_answer_to_a_cancelled_file_changes_nothing() {
        let mut queue = queue(1);
        next(&mut queue);
        queue.cancel(ItemId(0));
        queue.failed(ItemId(0), "aborted".into());
        assert_eq!(queue.item(ItemId(0)).unwrap().state, State::Cancelled);
        queue.retry(ItemId(0));
        assert_eq!(next(&mut queue), Some(0));
    }

    #[test]
    fn only_what_failed_is_retried() {
        let mut queue = queue(3);
        while next(&mut queue).is_some() {}
        queue.arrived(ItemId(0), 1);
        queue.failed(ItemId(1), "disk full".into());
        queue.cancel(ItemId(2));
        queue.retry_failed();
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(1), None));
    }

    #[test]
    fn what_is_cancelled_and_retried_in_line_is_sent_once() {
        let mut queue = queue(1);
        queue.cancel(ItemId(0));
        queue.retry(ItemId(0));
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(0), None));
    }

    #[test]
    fn totals_count_every_file_once() {
        let mut queue = queue(6);
        while next(&mut queue).is_some() {}
        queue.arrived(ItemId(0), 1);
        queue.failed(ItemId(1), "refused".into());
        queue.progress(ItemId(2), 1000, 1);
        queue.cancel(ItemId(5));
        let totals = queue.totals(1);
        assert_eq!((totals.waiting, totals.sending, totals.arrived, totals.failed, totals.cancelled), (2, 1, 1, 1, 1));
        assert_eq!((totals.files(), totals.bytes, totals.bytes_sent, totals.percent()), (5, 500, 200, 40));
    }

    #[test]
    fn a_hundred_percent_means_that_all_has_arrived() {
        let mut queue = queue(1);
        next(&mut queue);
        queue.progress(ItemId(0), 100, 1);
        assert_eq!(queue.totals(1).percent(), 99);
        queue.arrived(ItemId(0), 2);
        assert_eq!(queue.totals(2).percent(), 100);
    }

    #[test]
    fn a_long_queue_shows_what_matters_first() {
        let mut queue = queue(1000);
        for _ in 0..2 {
            next(&mut queue);
        }
        queue.failed(ItemId(0), "refused".into());
        let shown = queue.shown(3);
        assert_eq!(shown, [ItemId(1), ItemId(0), ItemId(2)]);
    }

    #[test]
    fn rate_and_time_left_are_told_while_something_is_sent() {
        let mut queue = Queue::default();
        queue.add("dt=1".into(), "a".into(), 10_000);
        queue.next(0);
        for second in 0..=4 {
            queue.progress(ItemId(0), second * 1000, second as i64 * 1000);
        }
        let totals = queue.totals(4000);
        assert_eq!(totals.time_left_ms, Some(6000));
        assert_eq!(queue.item(ItemId(0)).unwrap().time_left_ms(4000), Some(6000));
        assert_eq!(queue.item(ItemId(0)).unwrap().relative_path(), "dt=1/a");
    }
}
