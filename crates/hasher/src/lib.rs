//! SHA-256 of files, for the Web Worker of `worker.js`. Memory does not grow with the file: it is read piece by piece.

use gloo_file::futures::read_as_bytes;
use gloo_file::{Blob, File};
use js_sys::Function;
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Bytes of a file that are read at once.
const PIECE_BYTES: u64 = 4 << 20;

/// The digest of a file in hexadecimal. `on_read` is called with the bytes read so far, and answers whether to go on.
///
/// # Errors
///
/// The file cannot be read, is no longer as long as it was, or `on_read` has ended it.
#[wasm_bindgen]
pub async fn digest(file: web_sys::File, on_read: Function) -> Result<String, JsValue> {
    let file = File::from(file);
    let size_bytes = file.size();
    let piece_from = |at: u64| read_as_bytes(&Blob::slice(&file, at, size_bytes.min(at + PIECE_BYTES)));
    let mut hash = Sha256::new();
    let mut at = 0;
    let mut next = (size_bytes > 0).then(|| piece_from(0));
    while let Some(reading) = next.take() {
        let piece = reading.await.map_err(|_| JsValue::UNDEFINED)?;
        if piece.len() as u64 != PIECE_BYTES.min(size_bytes - at) {
            return Err(JsValue::UNDEFINED);
        }
        at += piece.len() as u64;
        // Asked for before this one is hashed: the disk reads while the processor calculates.
        next = (at < size_bytes).then(|| piece_from(at));
        hash.update(&piece);
        if !on_read.call1(&JsValue::UNDEFINED, &JsValue::from_f64(at as f64))?.is_truthy() {
            return Err(JsValue::UNDEFINED);
        }
    }
    Ok(hex::encode(hash.finalize()))
}
