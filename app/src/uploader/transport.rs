//! One file, one request: the documented upload by `XMLHttpRequest`, since `fetch` tells no progress of what it sends.

use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FormData, ProgressEvent, XmlHttpRequest};

/// Why a file did not arrive.
pub struct Refused {
    pub message: String,
}

impl Refused {
    /// It never came to the server.
    pub fn here(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}

impl From<JsValue> for Refused {
    fn from(_: JsValue) -> Self {
        Self::here("the browser cannot read or send this file; it may have been moved or changed, so choose it again")
    }
}

pub async fn send(
    request: &XmlHttpRequest,
    file: &File,
    address: &str,
    name: &str,
    on_progress: impl Fn(u64) + 'static,
) -> Result<(), Refused> {
    let form = FormData::new()?;
    form.append_with_blob_and_filename("file", file, name)?;
    request.open_with_async("POST", address, true)?;
    let on_progress =
        Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| on_progress(event.loaded() as u64));
    // Listened to before the request opens its stream: browsers report progress only to those who did.
    request.upload()?.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    // "loadend" comes once, whichever way it ended.
    let ended = js_sys::Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
    request.send_with_opt_form_data(Some(&form))?;
    JsFuture::from(ended).await?;
    request.upload()?.set_onprogress(None);
    drop(on_progress);
    answer(request)
}

fn answer(request: &XmlHttpRequest) -> Result<(), Refused> {
    // The status of a request that broke off, or was broken off, is 0.
    let status = request.status().unwrap_or(0);
    if status == 0 {
        return Err(Refused::here("the connection broke off; check that the server runs, then retry"));
    }
    let text = request.response_text().ok().flatten().unwrap_or_default();
    match leptos::serde_json::from_str::<Answer>(&text) {
        Ok(Answer { code: 0, .. }) if (200..300).contains(&status) => Ok(()),
        Ok(Answer { code, msg: Some(msg) }) if code != 0 => Err(Refused { message: msg }),
        _ => Err(Refused { message: format!("the server, or something before it, answered {status}; retry") }),
    }
}

/// The documented answer to an upload.
#[derive(serde::Deserialize)]
struct Answer {
    code: u32,
    msg: Option<String>,
}
