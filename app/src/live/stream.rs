//! The browser's `EventSource` (HTML Living Standard, section 9.2): at most one.

use super::Live;
use lakeshore::model::event::{EventId, EventKind};
use std::cell::RefCell;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventSource, MessageEvent};

struct Stream {
    source: EventSource,
    /// Kept alive as long as the source.
    _on_event: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(Event)>,
}

thread_local! {
    static STREAM: RefCell<Option<Stream>> = const { RefCell::new(None) };
}

pub fn is_open() -> bool {
    STREAM.with_borrow(Option::is_some)
}

pub fn close() {
    if let Some(stream) = STREAM.take() {
        stream.source.close();
    }
}

/// Opens the stream after the event `last`.
pub fn open(live: Live, last: Option<EventId>) {
    let address = last.map_or("/api/events".to_owned(), |last| format!("/api/events?last_event_id={last}"));
    let Ok(source) = EventSource::new(&address) else { return };
    let on_event = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        live.on_event(&event.last_event_id(), &event.data().as_string().unwrap_or_default());
    });
    for kind in EventKind::KINDS {
        // Adding a listener cannot fail.
        drop(source.add_event_listener_with_callback(kind, on_event.as_ref().unchecked_ref()));
    }
    let broken = source.clone();
    let on_error = Closure::<dyn FnMut(Event)>::new(move |_| {
        live.on_break(broken.ready_state() == EventSource::CLOSED);
    });
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    STREAM.set(Some(Stream { source, _on_event: on_event, _on_error: on_error }));
}
