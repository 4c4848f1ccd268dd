//! Sends a large file by tus 1.0 (https://tus.io/protocols/resumable-upload): created once, sent in chunks that suit
//! the link, and resumed after a failure, a pause, or a restart of server or browser.

use super::super::answer::{Refused, judge};
use super::super::{Job, Progress};
use super::transport::{Body, exchange, send_and_forget};
use super::{HANDLES, ItemId};
use gloo_file::{Blob, File};
use lakeshore::ErrorCode;
use lakeshore::model::digest::Digest;
use lakeshore::model::upload::resumable::UnfinishedResumable;

use std::collections::HashMap;
use wasm_bindgen::JsValue;

const ADDRESS: &str = "/api/lake/files";
const VERSION: (&str, &str) = ("Tus-Resumable", "1.0.0");
/// Rows of one list request for unfinished uploads.
const LISTED: usize = 1000;

/// An upload created on the server.
#[derive(Clone)]
pub struct Begun {
    pub address: String,
    /// Digest announced at its creation.
    sha256: Option<String>,
}

pub async fn send(job: &Job, file: &File, on_progress: impl Fn(Progress) + Clone + 'static) -> Result<(), Refused> {
    let (address, mut offset) = match go_on(job).await? {
        Some(found) => found,
        None => (create(job).await?, 0),
    };
    on_progress(Progress::At(offset));
    while offset < job.size_bytes {
        offset = append(job, file, &address, offset, on_progress.clone()).await?;
        on_progress(Progress::At(offset));
    }
    Ok(())
}

/// Discards an upload on the server.
pub fn discard(address: String) {
    send_and_forget("DELETE", &address, &[VERSION]);
}

/// Finds the upload of this file, created by this page or an earlier one, and its offset.
async fn go_on(job: &Job) -> Result<Option<(String, u64)>, Refused> {
    let begun = HANDLES.with_borrow(|handles| handles.begun.get(&job.id).cloned());
    if let Some(begun) = begun {
        if begun.sha256 == job.sha256 {
            if let Some((offset, _)) = look(job.id, &begun.address).await? {
                return Ok(Some((begun.address, offset)));
            }
        } else {
            // The file has changed since.
            discard(begun.address);
        }
        HANDLES.with_borrow_mut(|handles| handles.begun.remove(&job.id));
    }
    let Some(address) = unfinished(job).await? else { return Ok(None) };
    let looked = look(job.id, &address).await?;
    // Only now: without an answer, the next attempt has to find it again. Each is resumed only once.
    HANDLES.with_borrow_mut(|handles| handles.unfinished.as_mut()?.remove(&job.relative_path));
    let Some((offset, metadata)) = looked else { return Ok(None) };
    match (metadata.split(',').find(|pair| pair.starts_with("sha256 ")), digest_pair(job)?) {
        (Some(kept), Some(ours)) if kept == ours => {
            keep(job, &address);
            Ok(Some((address, offset)))
        }
        (Some(_), Some(_)) => {
            discard(address);
            Ok(None)
        }
        // Created by another client: its bytes may not be those of this file.
        _ => Ok(None),
    }
}

/// Offset and metadata of an upload; `None` if it does not exist.
async fn look(id: ItemId, address: &str) -> Result<Option<(u64, String)>, Refused> {
    let answer = exchange(id, "HEAD", address, &[VERSION], Body::Nothing, |_| {}).await?;
    if matches!(answer.status(), 404 | 410) {
        return Ok(None);
    }
    answer.judge()?;
    let offset = answer.header("Upload-Offset").and_then(|offset| offset.parse().ok());
    Ok(offset.map(|offset| (offset, answer.header("Upload-Metadata").unwrap_or_default())))
}

/// Address of an unfinished upload with this path.
async fn unfinished(job: &Job) -> Result<Option<String>, Refused> {
    if HANDLES.with_borrow(|handles| handles.unfinished.is_none()) {
        let listed = list_unfinished(job).await?;
        // Another file may have listed them meanwhile, and removed its own.
        HANDLES.with_borrow_mut(|handles| {
            handles.unfinished.get_or_insert(listed);
        });
    }
    Ok(HANDLES.with_borrow(|handles| handles.unfinished.as_ref()?.get(&job.relative_path).cloned()))
}

async fn list_unfinished(job: &Job) -> Result<HashMap<String, String>, Refused> {
    let mut found = HashMap::new();
    for page in 0.. {
        let from = page * LISTED;
        let address = format!("{ADDRESS}?sync_id={}&from={from}&size={LISTED}", job.sync_id);
        let answer = exchange(job.id, "GET", &address, &[], Body::Nothing, |_| {}).await?;
        if answer.status() != 200 {
            answer.judge()?;
        }
        let listed: Vec<UnfinishedResumable> = crate::json::read(&answer.text()).unwrap_or_default();
        let is_last = listed.len() < LISTED;
        // The browser sends names relative to the sync's path, with a leading slash. Uploads of other keys have no
        // token here.
        let named = listed.into_iter().filter_map(|upload| {
            let token = upload.token?;
            Some((upload.file_name.trim_start_matches('/').to_owned(), format!("{ADDRESS}/{token}")))
        });
        found.extend(named);
        if is_last {
            break;
        }
    }
    Ok(found)
}

async fn create(job: &Job) -> Result<String, Refused> {
    let mut metadata = format!(
        "relativePath {},filename {}",
        // The slash distinguishes a file called "null" from a missing value.
        base64(format!("/{}", job.relative_path).as_bytes())?,
        base64(job.name.as_bytes())?
    );
    let length = job.size_bytes.to_string();
    let digest = match job.sha256.as_deref().and_then(Digest::parse_sha256) {
        Some(digest) => Some(format!("sha-256=:{}:", base64(&digest)?)),
        None => None,
    };
    if let Some(pair) = digest_pair(job)? {
        metadata = format!("{metadata},{pair}");
    }
    let mut headers = vec![VERSION, ("Upload-Length", length.as_str()), ("Upload-Metadata", metadata.as_str())];
    headers.extend(digest.as_deref().map(|digest| ("Repr-Digest", digest)));
    let address = format!("{ADDRESS}?sync_id={}", job.sync_id);
    let answer = exchange(job.id, "POST", &address, &headers, Body::Nothing, |_| {}).await?;
    let created = answer.judge().and_then(|()| answer.header("Location").ok_or(Refused::Broken));
    match created {
        Ok(address) => {
            keep(job, &address);
            Ok(address)
        }
        Err(refused) => {
            if refused == Refused::Broken {
                // The upload may exist although the answer was lost; the next attempt looks for it.
                HANDLES.with_borrow_mut(|handles| handles.unfinished = None);
            }
            Err(refused)
        }
    }
}

/// Sends the next chunk, and returns the offset after it.
async fn append(
    job: &Job,
    file: &File,
    address: &str,
    offset: u64,
    on_progress: impl Fn(Progress) + 'static,
) -> Result<u64, Refused> {
    let end = job.size_bytes.min(offset + HANDLES.with_borrow(|handles| handles.chunk_size.bytes()));
    let chunk = Blob::slice(file, offset, end);
    let begun_at_ms = js_sys::Date::now();
    let at = offset.to_string();
    let headers = [VERSION, ("Upload-Offset", at.as_str()), ("Content-Type", "application/offset+octet-stream")];
    let on_progress = move |bytes| on_progress(Progress::Sent(offset + bytes));
    let answer = exchange(job.id, "PATCH", address, &headers, Body::Chunk(chunk), on_progress).await?;
    let judged = judge(answer.status(), &answer.text());
    HANDLES.with_borrow_mut(|handles| match &judged {
        Ok(()) => handles.chunk_size.learn(end - offset, js_sys::Date::now() - begun_at_ms),
        Err(Refused::Broken) => handles.chunk_size.broke(),
        Err(Refused::Fault(failure) | Refused::Final(failure)) => {
            // The upload has ended; the next attempt creates a new one.
            if failure.code == ErrorCode::ResumableEnded.number() || failure.code == ErrorCode::DigestMismatch.number()
            {
                handles.begun.remove(&job.id);
            }
        }
        Err(Refused::SignedOut) => {}
    });
    judged?;
    Ok(answer.header("Upload-Offset").and_then(|offset| offset.parse().ok()).unwrap_or(end))
}

fn keep(job: &Job, address: &str) {
    let begun = Begun { address: address.to_owned(), sha256: job.sha256.clone() };
    HANDLES.with_borrow_mut(|handles| handles.begun.insert(job.id, begun));
}

/// Digest in the metadata, which identifies the upload's bytes after a restart of the browser.
fn digest_pair(job: &Job) -> Result<Option<String>, Refused> {
    match &job.sha256 {
        Some(sha256) => Ok(Some(format!("sha256 {}", base64(sha256.as_bytes())?))),
        None => Ok(None),
    }
}

fn base64(bytes: &[u8]) -> Result<String, Refused> {
    // The browser's `btoa` takes one character for each byte.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let window = web_sys::window().ok_or(JsValue::UNDEFINED)?;
    Ok(window.btoa(&text)?)
}
