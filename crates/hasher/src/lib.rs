//! SHA-256 of files, for the Web Worker of `worker.js`. Files are read in chunks, so memory does not grow with the file.

use gloo_file::futures::read_as_bytes;
use gloo_file::{Blob, File};
use js_sys::Function;
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Bytes of one read.
const CHUNK_BYTES: u64 = 4 << 20;

/// Digest of a file in hexadecimal. `on_read` is called with the bytes read so far, and returns whether to continue.
///
/// # Errors
///
/// The file cannot be read, has become shorter, or `on_read` stopped it.
#[wasm_bindgen]
pub async fn digest(file: web_sys::File, on_read: Function) -> Result<String, JsValue> {
    let file = File::from(file);
    let size_bytes = file.size();
    let chunk_from = |at: u64| read_as_bytes(&Blob::slice(&file, at, size_bytes.min(at + CHUNK_BYTES)));
    let mut hash = Sha256::new();
    let mut at = 0;
    let mut next = (size_bytes > 0).then(|| chunk_from(0));
    while let Some(reading) = next.take() {
        let chunk = reading.await.map_err(|_| JsValue::UNDEFINED)?;
        if chunk.len() as u64 != CHUNK_BYTES.min(size_bytes - at) {
            return Err(JsValue::UNDEFINED);
        }
        at += chunk.len() as u64;
        // Requested before this one is hashed, so that disk and processor work in parallel.
        next = (at < size_bytes).then(|| chunk_from(at));
        hash.update(&chunk);
        if !on_read.call1(&JsValue::UNDEFINED, &JsValue::from_f64(at as f64))?.is_truthy() {
            return Err(JsValue::UNDEFINED);
        }
    }
    Ok(hex::encode(hash.finalize()))
}
