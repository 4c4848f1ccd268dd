//! Browser side of an upload: file handles and running requests, by item id. On the server, `browser_absent.rs` takes
//! its place.

mod folder;
mod hashing;
mod storage;
mod transport;
mod tus;

pub use folder::{Chosen, dropped, picked};
pub use hashing::{cancel_hashing, hash, is_hashing_possible, use_hasher};
pub use storage::{discard_record, recall, remember};

use super::answer::Refused;
use super::item::ItemId;
use super::link::ChunkSize;
use super::{Job, Progress};
use gloo_file::futures::read_as_array_buffer;
use gloo_file::{Blob, File};
use std::cell::RefCell;
use std::collections::HashMap;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::XmlHttpRequest;

/// State that signals cannot hold, because the handles belong to this thread.
#[derive(Default)]
struct Handles {
    files: HashMap<ItemId, File>,
    requests: HashMap<ItemId, XmlHttpRequest>,
    begun: HashMap<ItemId, tus::Begun>,
    /// Unfinished uploads of the sync on the server: addresses by relative path. Absent until they were listed.
    unfinished: Option<HashMap<String, String>>,
    chunk_size: ChunkSize,
}

thread_local! {
    static HANDLES: RefCell<Handles> = RefCell::default();
}

pub fn keep(id: ItemId, file: File) {
    HANDLES.with_borrow_mut(|handles| handles.files.insert(id, file));
}

/// Drops the handle of a file that has arrived.
pub fn release(id: ItemId) {
    HANDLES.with_borrow_mut(|handles| {
        handles.files.remove(&id);
        handles.begun.remove(&id);
    });
}

pub fn release_all() {
    HANDLES.with_borrow_mut(|handles| *handles = Handles { chunk_size: handles.chunk_size, ..Handles::default() });
}

/// Marks a new sync, which has no unfinished uploads.
pub fn nothing_is_unfinished() {
    HANDLES.with_borrow_mut(|handles| handles.unfinished = Some(HashMap::new()));
}

/// Aborts the request; [`send`] then returns an error.
pub fn abort(id: ItemId) {
    // Taken out before the abort, which may call back at once.
    let request = HANDLES.with_borrow_mut(|handles| handles.requests.remove(&id));
    if let Some(request) = request {
        // Fails only for a request that has ended.
        drop(request.abort());
    }
}

/// Aborts the request, and discards the upload on the server, which would wait for the rest.
pub fn discard(id: ItemId) {
    abort(id);
    if let Some(begun) = HANDLES.with_borrow_mut(|handles| handles.begun.remove(&id)) {
        tus::discard(begun.address);
    }
}

fn file_of(id: ItemId) -> Option<File> {
    HANDLES.with_borrow(|handles| handles.files.get(&id).cloned())
}

/// Sends the job's file: a small one in one request, a large one from its last offset.
pub async fn send(job: Job, on_progress: impl Fn(Progress) + Clone + 'static) -> Result<(), Refused> {
    let file = file_of(job.id)
        .ok_or_else(|| Refused::here("the browser no longer has access to this file; select it again"))?;
    let result = if job.is_small {
        transport::send_whole(&job, &file, on_progress).await
    } else {
        tus::send(&job, &file, on_progress).await
    };
    match result {
        // Browsers report an unreadable file like a network failure.
        Err(Refused::Broken) if !is_readable(&file).await => Err(JsValue::UNDEFINED.into()),
        result => result,
    }
}

/// Whether the file is still as it was when it was chosen.
async fn is_readable(file: &File) -> bool {
    read_as_array_buffer(&Blob::slice(file, 0, 1)).await.is_ok()
}

impl From<JsValue> for Refused {
    fn from(_: JsValue) -> Self {
        Self::here("the browser cannot read or send this file, which may have been moved or changed; select it again")
    }
}

/// Yields to the browser, for painting and input.
pub async fn breathe() {
    let pause = js_sys::Promise::new(&mut |resolve, _| {
        let window = web_sys::window();
        // Without a window, nothing has to be awaited.
        if window.is_none_or(|window| window.set_timeout_with_callback(&resolve).is_err()) {
            drop(resolve.call0(&JsValue::UNDEFINED));
        }
    });
    drop(JsFuture::from(pause).await);
}

/// Calls back whenever the browser is online again, as long as the page lives.
pub fn on_online(then: impl Fn() + 'static) {
    let Some(window) = web_sys::window() else { return };
    let listener = Closure::<dyn Fn()>::new(then);
    // Adding a listener cannot fail.
    drop(window.add_event_listener_with_callback("online", listener.as_ref().unchecked_ref()));
    listener.forget();
}
