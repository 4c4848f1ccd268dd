//! A single request by `XMLHttpRequest`, because `fetch` reports no upload progress.

use super::super::answer::{Refused, judge};
use super::super::{Job, Progress};
use super::{HANDLES, ItemId};
use crate::query::percent_encoded;
use gloo_file::{Blob, File};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{FormData, ProgressEvent, XmlHttpRequest};

pub enum Body {
    Nothing,
    Form(FormData),
    Chunk(Blob),
}

pub struct Answer(XmlHttpRequest);

impl Answer {
    /// 0 if the request failed or was aborted.
    pub fn status(&self) -> u16 {
        self.0.status().unwrap_or(0)
    }

    pub fn text(&self) -> String {
        self.0.response_text().ok().flatten().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.0.get_response_header(name).ok().flatten()
    }

    pub fn judge(&self) -> Result<(), Refused> {
        judge(self.status(), &self.text())
    }
}

/// Sends a request for an item, which can be aborted by its id, and waits for the answer. `on_progress` receives the
/// bytes of the body.
pub async fn exchange(
    id: ItemId,
    method: &str,
    address: &str,
    headers: &[(&str, &str)],
    body: Body,
    on_progress: impl Fn(u64) + 'static,
) -> Result<Answer, Refused> {
    let request = open(method, address, headers)?;
    let on_progress =
        Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| on_progress(event.loaded() as u64));
    // Set before the request is sent, since browsers report progress only to earlier listeners.
    if !matches!(body, Body::Nothing) {
        request.upload()?.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    }
    // "loadend" fires once, however the request ends.
    let ended = js_sys::Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
    HANDLES.with_borrow_mut(|handles| handles.requests.insert(id, request.clone()));
    match &body {
        Body::Nothing => request.send()?,
        Body::Form(form) => request.send_with_opt_form_data(Some(form))?,
        Body::Chunk(chunk) => request.send_with_opt_blob(Some(chunk.as_ref()))?,
    }
    JsFuture::from(ended).await?;
    request.upload()?.set_onprogress(None);
    request.set_onloadend(None);
    HANDLES.with_borrow_mut(|handles| {
        // A retry may have registered a request of its own.
        if handles.requests.get(&id) == Some(&request) {
            handles.requests.remove(&id);
        }
    });
    Ok(Answer(request))
}

/// Sends a request without waiting for its answer.
pub fn send_and_forget(method: &str, address: &str, headers: &[(&str, &str)]) {
    if let Ok(request) = open(method, address, headers) {
        // On failure, the server expires the upload later.
        drop(request.send());
    }
}

fn open(method: &str, address: &str, headers: &[(&str, &str)]) -> Result<XmlHttpRequest, Refused> {
    let request = XmlHttpRequest::new()?;
    request.open_with_async(method, address, true)?;
    for (name, value) in headers {
        request.set_request_header(name, value)?;
    }
    Ok(request)
}

/// The documented upload: one part `file`.
pub async fn send_whole(job: &Job, file: &File, on_progress: impl Fn(Progress) + 'static) -> Result<(), Refused> {
    let form = FormData::new()?;
    form.append_with_blob_and_filename("file", file.as_ref(), &job.name)?;
    let sync = format!("/api/lake/file/upload?sync_id={}", job.sync_id);
    let address = if job.folder.is_empty() { sync } else { format!("{sync}&path={}", percent_encoded(&job.folder)) };
    let on_progress = move |bytes| on_progress(Progress::Sent(bytes));
    exchange(job.id, "POST", &address, &[], Body::Form(form), on_progress).await?.judge()
}
