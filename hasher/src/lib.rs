//! SHA-256 of files, for the Web Worker of `worker.js`. Memory does not grow with the file: it is fed piece by piece.

use sha2::{Digest, Sha256};
use std::fmt::Write;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
#[derive(Default)]
pub struct Hasher(Sha256);

#[wasm_bindgen]
impl Hasher {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest in hexadecimal. The next file begins anew.
    pub fn finish(&mut self) -> String {
        self.0.finalize_reset().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
