//! Multipart bodies of any bytes, split anywhere: no panic, the same parts and the same refusal for every split, and
//! minimal buffering.
//!
//! The first byte of the input selects the split; the rest is the body. Its boundary is taken from its first line, or
//! `b`.

#![no_main]

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use lakeshore_body::multipart::{Multipart, MultipartError, Part};
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::convert::Infallible;

const BOUNDARY_BYTES_MAX: usize = 70;

/// The parts (the last may be incomplete), and how the scan ended.
type Outcome = (Vec<(Part, Vec<u8>)>, &'static str);

fuzz_target!(|input: &[u8]| {
    let Some((&seed, body)) = input.split_first() else { return };
    let boundary = boundary(body);
    let whole = scan(vec![Bytes::copy_from_slice(body)], &boundary);
    let delimiter = format!("\r\n--{boundary}");
    for (_, bytes) in &whole.0 {
        assert!(!bytes.windows(delimiter.len()).any(|window| window == delimiter.as_bytes()));
    }
    for chunks in [cut(body, |_| 1), cut(body, |at| 1 + usize::from(seed.wrapping_mul(31).wrapping_add(at)) % 97)] {
        assert_eq!(scan(chunks, &boundary), whole);
    }
});

fn boundary(body: &[u8]) -> String {
    let line = body.strip_prefix(b"--").and_then(|rest| rest.split(|&byte| byte == b'\r').next());
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    line.filter(|line| (1..=BOUNDARY_BYTES_MAX).contains(&line.len())).unwrap_or("b").to_owned()
}

/// Splits a body into chunks, whose lengths `length` computes from their numbers.
fn cut(body: &[u8], length: impl Fn(u8) -> usize) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(body);
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        chunks.push(rest.split_to(length(chunks.len() as u8).min(rest.len())));
    }
    chunks
}

fn scan(chunks: Vec<Bytes>, boundary: &str) -> Outcome {
    let longest = chunks.iter().map(Bytes::len).max().unwrap_or(0);
    let taken = Cell::new(0);
    let stream = stream::iter(chunks.into_iter().map(|chunk| {
        taken.set(taken.get() + chunk.len());
        Ok::<_, Infallible>(chunk)
    }));
    let mut multipart = Multipart::new(stream, boundary);
    let mut parts: Vec<(Part, Vec<u8>)> = Vec::new();
    let scanned = async {
        while let Some(part) = multipart.next_part().await? {
            parts.push((part, Vec::new()));
            loop {
                let before = taken.get();
                let chunk = multipart.chunk().await?;
                // A delimiter may lie across chunks; the scan never waits for more bytes than that.
                assert!(taken.get() - before <= longest + boundary.len() + 4, "the scan gathers bytes of a part");
                let Some(chunk) = chunk else { break };
                assert!(!chunk.is_empty());
                if let Some((_, bytes)) = parts.last_mut() {
                    bytes.extend_from_slice(&chunk);
                }
            }
        }
        Ok(())
    };
    // The stream is always ready, so the scan must never be pending.
    let end = match scanned.now_or_never() {
        None => panic!("the scan waits for nothing"),
        Some(Ok(())) => "whole",
        Some(Err(MultipartError::Incomplete)) => "incomplete",
        Some(Err(MultipartError::Malformed(_))) => "malformed",
        Some(Err(MultipartError::Broken(_))) => panic!("the stream does not break"),
    };
    (parts, end)
}
