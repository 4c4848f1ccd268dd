//! Web Worker that computes the digests of files, so that the page stays smooth. Its script is
//! `crates/hasher/worker.js`.

use super::super::HashEvent;
use super::super::item::{Failure, ItemId};
use super::file_of;
use gloo_file::Blob;
use js_sys::{Array, Object, Reflect};
use std::cell::RefCell;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

#[derive(Default)]
struct Hasher {
    /// Address of its script; absent if the site was built without it.
    address: Option<String>,
    worker: Option<Worker>,
}

thread_local! {
    static HASHER: RefCell<Hasher> = RefCell::default();
}

/// Sets the address of the worker's script.
pub fn use_hasher(address: Option<String>) {
    HASHER.with_borrow_mut(|hasher| hasher.address = address);
}

pub fn is_hashing_possible() -> bool {
    HASHER.with_borrow(|hasher| hasher.address.is_some())
}

/// Computes the digests of the files. `on_events` of the first call receives the events of all calls.
pub fn hash(ids: &[ItemId], on_events: impl Fn(Vec<HashEvent>) + 'static) {
    let on_events = std::rc::Rc::new(on_events);
    let files = Array::new();
    let mut gone = Vec::new();
    for id in ids {
        match file_of(*id) {
            Some(file) => {
                files.push(&Array::of2(&number(*id), &Blob::from(file).into()));
            }
            None => gone.push(HashEvent::Hashed(
                *id,
                Err(Failure::here("the browser no longer has access to this file; select it again")),
            )),
        }
    }
    if !gone.is_empty() {
        on_events(gone);
    }
    let is_sent = worker(on_events.clone()).and_then(|worker| worker.post_message(&object("files", &files)));
    if is_sent.is_err() {
        on_events(vec![HashEvent::Impossible]);
    }
}

/// Removes the file from the queue, or interrupts it.
pub fn cancel_hashing(id: ItemId) {
    HASHER.with_borrow(|hasher| {
        if let Some(worker) = &hasher.worker {
            // On failure, the file is read to its end in vain.
            drop(worker.post_message(&object("cancel", &number(id))));
        }
    });
}

fn worker(on_events: std::rc::Rc<impl Fn(Vec<HashEvent>) + 'static>) -> Result<Worker, JsValue> {
    if let Some(worker) = HASHER.with_borrow(|hasher| hasher.worker.clone()) {
        return Ok(worker);
    }
    let address = HASHER.with_borrow(|hasher| hasher.address.clone()).ok_or(JsValue::UNDEFINED)?;
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let worker = Worker::new_with_options(&address, &options)?;
    let of_failure = on_events.clone();
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let events: Array = event.data().unchecked_into();
        on_events(events.iter().filter_map(|event| read(&event)).collect());
    });
    // The script could not be loaded.
    let on_error = Closure::<dyn Fn()>::new(move || of_failure(vec![HashEvent::Impossible]));
    worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    // The closures live as long as the page, like the worker.
    on_message.forget();
    on_error.forget();
    HASHER.with_borrow_mut(|hasher| hasher.worker = Some(worker.clone()));
    Ok(worker)
}

fn read(event: &JsValue) -> Option<HashEvent> {
    let field = |name: &str| Reflect::get(event, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
    if field("impossible").is_truthy() {
        return Some(HashEvent::Impossible);
    }
    let id = ItemId(field("id").as_f64()? as usize);
    if let Some(bytes) = field("bytes").as_f64() {
        return Some(HashEvent::Read(id, bytes as u64));
    }
    Some(HashEvent::Hashed(id, field("sha256").as_string().ok_or_else(unreadable)))
}

fn unreadable() -> Failure {
    Failure::here("the browser cannot read this file, which may have been moved or changed; select it again")
}

fn number(id: ItemId) -> JsValue {
    JsValue::from_f64(id.0 as f64)
}

fn object(name: &str, value: &JsValue) -> JsValue {
    let object = Object::new();
    // Setting a field of a plain object cannot fail.
    drop(Reflect::set(&object, &JsValue::from_str(name), value));
    object.into()
}
