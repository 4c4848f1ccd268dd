//! Replaces `stream.rs` on the server, which renders pages and never listens.

use super::Live;
use lakeshore::model::event::EventId;

pub fn is_open() -> bool {
    false
}

pub fn close() {}

pub fn open(_live: Live, _last: Option<EventId>) {}
