//! Beginning of a text file, decompressed and decoded to UTF-8.

use super::encoding::{self, Decoded};
use super::source::Source;
use super::{Fault, joined};
use flate2::bufread::MultiGzDecoder;
use std::borrow::Cow;
use std::io::{self, Read};

/// Bytes that are read, and most bytes after decompression.
const HEAD_BYTES: usize = 1 << 20;
/// Bytes decompressed beyond that, to verify a small compressed file to its end.
const CHECKED_BYTES_MAX: u64 = 64 << 20;

pub(super) struct Head {
    /// UTF-8, apart from invalid bytes of the file itself.
    pub(super) bytes: Vec<u8>,
    pub(super) encoding: &'static str,
    pub(super) compression: Option<&'static str>,
    /// The file has no bytes beyond these.
    pub(super) is_whole: bool,
    /// Damage of the whole file, as a sentence in lower case. The part that was read is shown anyway.
    pub(super) damage: Option<String>,
}

/// Compressions that are not supported, by their first bytes.
const OTHER_COMPRESSIONS: [(&[u8], &str); 5] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "Zstandard"),
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
    (b"PK\x03\x04", "ZIP"),
    (&[0x04, 0x22, 0x4d, 0x18], "LZ4"),
];

/// Message of the `flate2` crate, which has a single kind of error.
const NO_GZIP_HEADER: &str = "invalid gzip header";
/// First bytes of a gzip stream.
pub(super) const GZIP: &[u8] = &[0x1f, 0x8b];

/// Whether a file is compressed with gzip, and has the name of such a file.
pub(super) fn is_gzip(first: &[u8], name: &str) -> bool {
    plain_name(name) != name && first.starts_with(GZIP)
}

/// Reason why a compressed file is not read, from its first bytes, unless [`is_gzip`].
pub(super) fn compression_not_read(first: &[u8]) -> Option<String> {
    if first.starts_with(GZIP) {
        return Some("it is compressed with gzip, but its name does not end in .gz".to_owned());
    }
    let (_, name) = OTHER_COMPRESSIONS.into_iter().find(|(magic, _)| first.starts_with(magic))?;
    Some(format!("not supported: it is compressed with {name}"))
}

/// Name without the extension of a supported compression.
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
        let is_named_gzip = plain_name(name) != name;
        if !is_named_gzip || !packed.starts_with(GZIP) {
            let damage =
                (is_named_gzip && has_all).then(|| "its name ends in .gz, but it is not compressed".to_owned());
            return Ok(Self::decoded(packed.to_vec(), None, has_all)?.with_damage(damage));
        }
        let mut bytes = Vec::new();
        let mut decoder = MultiGzDecoder::new(&packed[..]);
        // Bytes decompressed before a fault count.
        let mut unpacked = decoder.by_ref().take(bytes_max as u64 + 1).read_to_end(&mut bytes).map(|_| ());
        let is_longer = bytes.len() > bytes_max;
        if is_longer && has_all && unpacked.is_ok() {
            unpacked = io::copy(&mut decoder.take(CHECKED_BYTES_MAX), &mut io::sink()).map(|_| ());
        }
        let damage = match unpacked {
            Ok(()) => None,
            // The stream continues beyond the bytes that were read.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !has_all => None,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some("it is damaged: its gzip stream is cut off".to_owned())
            }
            // A gzip stream may follow another one; these bytes are not one.
            Err(error) if error.to_string() == NO_GZIP_HEADER && !bytes.is_empty() => {
                Some("it is damaged: extra bytes after its gzip stream".to_owned())
            }
            Err(error) => Some(format!("it is damaged: its gzip stream is invalid ({error})")),
        };
        let is_whole = has_all && damage.is_none() && !is_longer;
        if bytes.is_empty() && !is_whole {
            let problem = damage.unwrap_or_else(|| "its gzip stream does not begin in the first megabyte".to_owned());
            return Err(Fault::unreadable(problem));
        }
        bytes.truncate(bytes_max);
        Ok(Self::decoded(bytes, Some("gzip"), is_whole)?.with_damage(damage))
    }

    fn decoded(bytes: Vec<u8>, compression: Option<&'static str>, is_whole: bool) -> Result<Self, Fault> {
        let Decoded { bytes, encoding, damage } = encoding::decoded(bytes, is_whole)?;
        Ok(Self { bytes, encoding, compression, is_whole, damage })
    }

    /// Adds damage to that of the encoding.
    fn with_damage(mut self, damage: Option<String>) -> Self {
        self.damage = joined([damage, self.damage]);
        self
    }

    /// Decodes delimited values that are not UTF-8 but windows-1252.
    pub(super) fn in_older_encoding(mut self) -> Self {
        if self.encoding == "UTF-8" && encoding::is_windows_1252(&self.bytes, self.is_whole) {
            self.bytes = encoding::of_windows_1252(&self.bytes).into_bytes();
            self.encoding = "windows-1252";
        }
        self
    }

    /// Reason why a compressed file is not read, of a file that may have been decompressed once.
    pub(super) fn compression_not_read(&self) -> Option<String> {
        if self.compression.is_some() && self.bytes.starts_with(GZIP) {
            return Some("not supported: it is compressed with gzip twice".to_owned());
        }
        compression_not_read(&self.bytes)
    }

    /// Removes NUL bytes at the end, left by a writer that reserved more space than it used.
    pub(super) fn without_padding(mut self) -> Self {
        let length = self.bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let padding = self.bytes.len() - length;
        if padding > 1 && length > 0 {
            self.bytes.truncate(length);
            let damage = format!("it is damaged: it ends with {padding} NUL bytes");
            self.damage = self.damage.or_else(|| self.is_whole.then_some(damage));
        }
        self
    }

    /// Whether more than one byte in `one_in` is a control character.
    pub(super) fn is_binary(&self, one_in: usize) -> bool {
        let is_control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b);
        self.bytes.iter().filter(is_control).count() * one_in > self.bytes.len()
    }

    /// An archive of texts has few control characters.
    fn is_tar(&self) -> bool {
        self.bytes.get(257..262) == Some(b"ustar")
    }

    /// Whether the bytes are text, apart from a truncated last character and some invalid ones.
    pub(super) fn is_text(&self) -> bool {
        if self.bytes.is_empty() || self.is_binary(100) || self.is_tar() {
            return false;
        }
        let wrong = self.lossy().chars().filter(|&character| character == char::REPLACEMENT_CHARACTER).count();
        // Latin text in an older encoding still counts as text.
        wrong * 10 <= self.bytes.len()
    }

    pub(super) fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Lines with their numbers, from 1, without a truncated last line.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let end = if self.is_whole { self.bytes.len() } else { memchr::memrchr(b'\n', &self.bytes).unwrap_or(0) };
        (1..).zip(self.bytes[..end].split(|&byte| byte == b'\n'))
    }
}
