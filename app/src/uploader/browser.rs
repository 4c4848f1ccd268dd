//! The browser's part of an upload: the files' handles and the requests on their way, by the number of their item.
//! `browser_absent.rs` stands in for it on the server.

#[path = "folder.rs"]
mod folder;
#[path = "transport.rs"]
mod transport;

pub use folder::{Chosen, dropped, picked};
pub use transport::Refused;

use super::queue::ItemId;
use std::cell::RefCell;
use std::collections::HashMap;
use web_sys::{File, XmlHttpRequest};

/// What the browser knows about files, but no signal can hold: handles belong to this thread alone.
#[derive(Default)]
struct Handles {
    files: HashMap<ItemId, File>,
    requests: HashMap<ItemId, XmlHttpRequest>,
}

thread_local! {
    static HANDLES: RefCell<Handles> = RefCell::default();
}

pub fn keep(id: ItemId, file: File) {
    HANDLES.with_borrow_mut(|handles| handles.files.insert(id, file));
}

/// Lets go of the file: it has arrived.
pub fn release(id: ItemId) {
    HANDLES.with_borrow_mut(|handles| handles.files.remove(&id));
}

pub fn release_all() {
    HANDLES.with_borrow_mut(|handles| *handles = Handles::default());
}

/// Breaks the request off; [`send`] then ends with a refusal.
pub fn abort(id: ItemId) {
    // Out of the borrow first: breaking off may call back at once.
    let request = HANDLES.with_borrow_mut(|handles| handles.requests.remove(&id));
    if let Some(request) = request {
        // One that has ended already needs no breaking off.
        drop(request.abort());
    }
}

/// Sends the file kept under `id` to `address`, as the documented upload: one part `file`, named `name`.
pub async fn send(
    id: ItemId,
    address: String,
    name: String,
    on_progress: impl Fn(u64) + 'static,
) -> Result<(), Refused> {
    let file = HANDLES.with_borrow(|handles| handles.files.get(&id).cloned());
    let file = file.ok_or_else(|| Refused::here("the browser has let go of this file; choose it again"))?;
    let request = XmlHttpRequest::new().map_err(|_| Refused::here("the browser cannot send it; reload the page"))?;
    HANDLES.with_borrow_mut(|handles| handles.requests.insert(id, request.clone()));
    let result = transport::send(&request, &file, &address, &name, on_progress).await;
    HANDLES.with_borrow_mut(|handles| {
        // A retry may have begun meanwhile, with a request of its own.
        if handles.requests.get(&id) == Some(&request) {
            handles.requests.remove(&id);
        }
    });
    result
}
