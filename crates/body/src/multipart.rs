//! `multipart/form-data` (RFC 7578) as a stream: the parts in order, and the bytes of each part as they arrive.
//!
//! Bytes are copied only where a delimiter may lie across two chunks, and only the head of a part, whose length is
//! bounded, is buffered. So memory does not grow with the size or shape of a body.

use crate::content_disposition::{UnreadableName, parameters_of, parse_disposition};
use crate::content_fields::{HeadOf, refuse_field};
use crate::digest_fields::DigestFields;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use memchr::memmem::Finder;

/// Longest head (header lines) of a part, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header lines of a part.
const HEAD_LINES_MAX: usize = 32;
/// Longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    #[error("the body was interrupted: {0}")]
    Broken(String),
    #[error("the body ended in the middle of a part")]
    Incomplete,
    #[error("the multipart body is malformed: {0}")]
    Malformed(&'static str),
}

/// The boundary that a Content-Type names. Where it names several, the last one counts: curl appends its own to a
/// Content-Type given by the user.
pub fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters_of(parameters).into_iter().rfind(|(name, _)| name == "boundary")?.1;
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX).then_some(boundary)
}

/// The head of a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    pub name: String,
    /// Absent when the part is a plain field, or its file name cannot be read.
    pub file_name: Option<String>,
    pub unreadable: Option<UnreadableName>,
    /// Whether the file name came as `filename*`.
    pub has_extended_name: bool,
    pub digests: DigestFields,
    /// `Content-Length`, which a part need not have.
    pub length: Option<u64>,
    /// The first field that announces other bytes than the file as it is.
    pub altered: Option<(String, Vec<u8>)>,
}

impl Part {
    /// Whether it is sent as a file.
    pub fn is_file(&self) -> bool {
        self.file_name.is_some() || self.unreadable.is_some()
    }
}

pub struct Multipart<S> {
    stream: S,
    /// Bytes that have arrived and were not returned yet.
    buffer: Bytes,
    /// Bytes of the body that have arrived.
    come_bytes: u64,
    delimiter: Finder<'static>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a delimiter: in the preamble or in a part.
    Inside,
    /// Directly after a delimiter.
    Delimited,
    /// After the last delimiter.
    Ended,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    pub fn new(stream: S, boundary: &str) -> Self {
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // Starts with a line break, so that the first delimiter looks like every other one.
        Self { stream, buffer: Bytes::from_static(b"\r\n"), come_bytes: 0, delimiter, state: State::Inside }
    }

    /// Returns the head of the next part, and skips the rest of the one before. `None` after the last part.
    pub async fn next_part(&mut self) -> Result<Option<Part>, MultipartError> {
        while self.chunk().await?.is_some() {}
        if self.state == State::Ended {
            return Ok(None);
        }
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            self.state = State::Ended;
            return Ok(None);
        }
        let head = self.head().await?;
        self.state = State::Inside;
        parse_head(&head).map(Some)
    }

    /// Reads and drops the bytes after the last delimiter, to the end of the body.
    pub async fn skip_epilogue(&mut self) -> Result<(), MultipartError> {
        while let Some(chunk) = self.stream.next().await {
            chunk.map_err(|error| MultipartError::Broken(error.to_string()))?;
        }
        Ok(())
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Remaining bytes of the part if it is the last of a body of `length` bytes. `None` if the length is too small.
    pub fn last_part_bytes(&self, length: u64) -> Option<u64> {
        // Two hyphens follow the last delimiter and, from every known client, a line break.
        let end = self.delimiter.needle().len() as u64 + 4;
        length.checked_sub(self.come_bytes)?.checked_add(self.buffer.len() as u64)?.checked_sub(end)
    }

    /// Returns the next bytes of the part; `None` at its end. Never empty.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        while self.state == State::Inside {
            if let Some(at) = self.delimiter.find(&self.buffer) {
                let bytes = self.buffer.split_to(at);
                let _ = self.buffer.split_to(self.delimiter.needle().len());
                self.state = State::Delimited;
                return Ok((!bytes.is_empty()).then_some(bytes));
            }
            let given = self.buffer.len() - self.undecided();
            if given > 0 {
                return Ok(Some(self.buffer.split_to(given)));
            }
            self.fill().await?;
        }
        Ok(None)
    }

    /// Number of bytes at the end of the buffer that may be the beginning of a delimiter.
    fn undecided(&self) -> usize {
        let needle = self.delimiter.needle();
        let longest = self.buffer.len().min(needle.len() - 1);
        (1..=longest).rev().find(|&length| self.buffer.ends_with(&needle[..length])).unwrap_or(0)
    }

    /// Reads the header lines of a part, up to and with the empty line.
    async fn head(&mut self) -> Result<Bytes, MultipartError> {
        // RFC 2046 allows blanks between the boundary and the line break.
        loop {
            let blanks = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if blanks < self.buffer.len() {
                let _ = self.buffer.split_to(blanks);
                break;
            }
            self.fill().await?;
        }
        loop {
            // The search includes the line break after the delimiter, so that a part without header lines ends too.
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n\r\n")
                && at <= HEAD_BYTES_MAX
            {
                let mut head = self.buffer.split_to(at + 4);
                if !head.starts_with(b"\r\n") {
                    return Err(MultipartError::Malformed("no line break after a boundary"));
                }
                return Ok(head.split_off(2));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(MultipartError::Malformed("the header of a part is longer than 16 KiB"));
            }
            self.fill().await?;
        }
    }

    /// Waits for the next chunk of the body.
    async fn fill(&mut self) -> Result<(), MultipartError> {
        match self.stream.next().await {
            None => Err(MultipartError::Incomplete),
            Some(Err(error)) => Err(MultipartError::Broken(error.to_string())),
            Some(Ok(more)) if self.buffer.is_empty() => {
                self.come_bytes += more.len() as u64;
                self.buffer = more;
                Ok(())
            }
            Some(Ok(more)) => {
                self.come_bytes += more.len() as u64;
                let mut joined = BytesMut::with_capacity(self.buffer.len() + more.len());
                joined.extend_from_slice(&self.buffer);
                joined.extend_from_slice(&more);
                self.buffer = joined.freeze();
                Ok(())
            }
        }
    }
}

fn parse_head(head: &[u8]) -> Result<Part, MultipartError> {
    let mut lines = [httparse::EMPTY_HEADER; HEAD_LINES_MAX];
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(head, &mut lines) else {
        return Err(MultipartError::Malformed("the header of a part cannot be read"));
    };
    let mut dispositions = lines.iter().filter(|line| line.name.eq_ignore_ascii_case("content-disposition"));
    let (disposition, None) = (dispositions.next(), dispositions.next()) else {
        return Err(MultipartError::Malformed("a part has two Content-Disposition headers"));
    };
    let mut part = disposition.map(|line| parse_disposition(line.value)).transpose()?.unwrap_or_default();
    for line in lines.iter() {
        part.digests.take(line.name, line.value);
        if line.name.eq_ignore_ascii_case("content-length") {
            part.length = std::str::from_utf8(line.value).ok().and_then(|text| text.trim().parse().ok());
        }
        if part.altered.is_none() && refuse_field(line.name, line.value, HeadOf::Part).is_err() {
            part.altered = Some((line.name.to_owned(), line.value.to_vec()));
        }
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Parts = Vec<(Part, Vec<u8>)>;

    fn parse(chunks: Vec<Bytes>, boundary: &str) -> Result<Parts, MultipartError> {
        let stream = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let mut multipart = Multipart::new(stream, boundary);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut parts = Vec::new();
            while let Some(part) = multipart.next_part().await? {
                let mut bytes = Vec::new();
                while let Some(chunk) = multipart.chunk().await? {
                    assert!(!chunk.is_empty());
                    bytes.extend_from_slice(&chunk);
                }
                parts.push((part, bytes));
            }
            Ok(parts)
        })
    }

    fn body(boundary: &str, files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, bytes) in files {
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body
    }

    #[test]
    fn the_last_boundary_of_a_content_type_is_true() {
        let curl = "multipart/form-data; boundary=---011000010111000001101001; boundary=------------------------0d1d";
        assert_eq!(boundary(curl).unwrap(), "------------------------0d1d");
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a;b\"").unwrap(), "a;b");
        for wrong in
            ["application/json", "multipart/form-data", "multipart/mixed; boundary=x", "text/plain; boundary=x"]
        {
            assert_eq!(boundary(wrong), None, "{wrong}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }

    #[test]
    fn a_part_has_at_most_one_content_disposition() {
        let head = |lines: &str| parse_head(format!("{lines}\r\n\r\n").as_bytes());
        let disposition = "Content-Disposition: form-data; name=\"file\"; filename=\"dữ liệu.csv\"";
        assert_eq!(head(disposition).unwrap().file_name.unwrap(), "dữ liệu.csv");
        assert_eq!(head("Content-Type: text/csv").unwrap().file_name, None);
        let refused = head(&format!("{disposition}\r\ncontent-disposition: form-data; name=file; filename=b"));
        assert!(refused.unwrap_err().to_string().contains("two Content-Disposition headers"));
    }

    #[test]
    fn a_body_that_ends_early_or_has_no_boundary_is_an_error() {
        let whole = body("b", &[("a.csv".into(), b"1,2".to_vec())]);
        for end in 0..whole.len() - 4 {
            let result = parse(vec![Bytes::copy_from_slice(&whole[..end])], "b");
            assert!(matches!(result, Err(MultipartError::Incomplete)), "cut at {end}: {result:?}");
        }
        assert!(parse(vec![Bytes::from_static(b"no boundary at all")], "b").is_err());
    }

    #[test]
    fn a_head_without_end_is_refused_before_it_fills_memory() {
        let endless = std::iter::repeat_n(Bytes::from_static(&[b'x'; 1024]), 64);
        let chunks = std::iter::once(Bytes::from_static(b"--b\r\n")).chain(endless).collect();
        assert!(matches!(parse(chunks, "b"), Err(MultipartError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn parts_are_the_same_however_the_body_is_cut(
            contents in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\r\n-b01x".to_vec()), 0..60), 0..4),
            cuts in prop::collection::vec(1_usize..9, 1..400),
        ) {
            let boundary = "b01";
            // Contents that hold the delimiter cannot be part of such a body.
            prop_assume!(contents.iter().all(|bytes| memchr::memmem::find(bytes, b"\r\n--b01").is_none()));
            prop_assume!(contents.iter().all(|bytes| !bytes.starts_with(b"--b01")));
            let files: Vec<_> = contents.into_iter().enumerate().map(|(i, bytes)| (format!("f{i}"), bytes)).collect();
            let whole = body(boundary, &files);
            let mut chunks = Vec::new();
            let mut rest = Bytes::from(whole);
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() { break; }
                chunks.push(rest.split_to(cut.min(rest.len())));
            }
            let parts = parse(chunks, boundary).unwrap();
            let expected: Parts = files
                .into_iter()
                .map(|(name, bytes)| (Part { name: "file".into(), file_name: Some(name), ..Part::default() }, bytes))
                .collect();
            prop_assert_eq!(parts, expected);
        }
    }
}
