//! The beginning of a text file, as UTF-8, whatever it was written in.

use super::Fault;
use super::source::Source;
use flate2::bufread::MultiGzDecoder;
use std::borrow::Cow;
use std::io::Read;

/// What is looked at of a text, before and after it is unpacked.
const HEAD_BYTES: usize = 1 << 20;

pub(super) struct Head {
    /// UTF-8, but for what is wrong in the file itself.
    pub(super) bytes: Vec<u8>,
    pub(super) encoding: &'static str,
    pub(super) compression: Option<&'static str>,
    /// Nothing comes behind it.
    pub(super) is_whole: bool,
}

/// A name without the ending of a compression that is read.
pub(super) fn plain_name(name: &str) -> &str {
    match name.len().checked_sub(3).and_then(|at| name.split_at_checked(at)) {
        Some((plain, ending)) if ending.eq_ignore_ascii_case(".gz") => plain,
        _ => name,
    }
}

impl Head {
    pub(super) fn read(source: &Source, name: &str) -> Result<Self, Fault> {
        Self::look(source, name, HEAD_BYTES)
    }

    pub(super) fn look(source: &Source, name: &str, bytes_max: usize) -> Result<Self, Fault> {
        let packed = source.read(0, bytes_max)?;
        let has_all = packed.len() as u64 == source.len();
        if !packed.starts_with(&[0x1f, 0x8b]) || plain_name(name) == name {
            return Ok(Self::decoded(packed.to_vec(), None, has_all));
        }
        let mut bytes = Vec::new();
        // What was unpacked before a fault counts: a file that goes on is cut off here as well.
        let unpacked = MultiGzDecoder::new(&packed[..]).take(bytes_max as u64 + 1).read_to_end(&mut bytes);
        let is_whole = has_all && unpacked.is_ok() && bytes.len() <= bytes_max;
        if bytes.is_empty() && !is_whole {
            return Err(Fault::unreadable("it is not what gzip has written, as its name says"));
        }
        bytes.truncate(bytes_max);
        Ok(Self::decoded(bytes, Some("gzip"), is_whole))
    }

    fn decoded(bytes: Vec<u8>, compression: Option<&'static str>, is_whole: bool) -> Self {
        let utf_16 = |encoding, unit: fn([u8; 2]) -> u16| {
            let units = bytes[2..].as_chunks::<2>().0.iter().map(|&pair| unit(pair));
            let text: String =
                char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            Self { bytes: text.into_bytes(), encoding, compression, is_whole }
        };
        match &bytes[..] {
            [0xff, 0xfe, ..] => utf_16("UTF-16 little-endian", u16::from_le_bytes),
            [0xfe, 0xff, ..] => utf_16("UTF-16 big-endian", u16::from_be_bytes),
            [0xef, 0xbb, 0xbf, text @ ..] => {
                Self { bytes: text.to_vec(), encoding: "UTF-8 with a byte order mark", compression, is_whole }
            }
            _ => Self { bytes, encoding: "UTF-8", compression, is_whole },
        }
    }

    /// Readable, but perhaps for its last character, which may be cut, and some wrong ones.
    pub(super) fn is_text(&self) -> bool {
        let is_control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b);
        if self.bytes.is_empty() || self.bytes.iter().any(|byte| is_control(&byte)) {
            return false;
        }
        let wrong = self.lossy().chars().filter(|&character| character == char::REPLACEMENT_CHARACTER).count();
        // Latin letters with accents, in an old encoding, are still a text.
        wrong * 10 <= self.bytes.len()
    }

    pub(super) fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Lines with their numbers, from 1; without the last one where it is cut off.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let end = if self.is_whole { self.bytes.len() } else { memchr::memrchr(b'\n', &self.bytes).unwrap_or(0) };
        (1..).zip(self.bytes[..end].split(|&byte| byte == b'\n'))
    }
}
