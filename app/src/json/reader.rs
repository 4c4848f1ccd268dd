//! JSON reader for the browser: reads values that this server wrote, into the types that it wrote.
//!
//! serde_json accepts more, such as an array for a struct, and reports the position of errors. Its code was a tenth of
//! the first page. So the browser uses this reader, and the server, which has to read untrusted input, serde_json. See
//! `docs/development/decisions/0045-json-reader-in-the-browser.md`, also for `JSON.parse`.

mod deserializer;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde::de::{self, Expected, Unexpected};
use std::borrow::Cow;
use std::fmt;

/// The text is not JSON, or not of this type. It was then written by another version of the server, so details would
/// not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer that is not understood")
    }
}

impl std::error::Error for Unreadable {}

/// Drops all error details, which keeps their code out of the WASM.
impl de::Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    fn invalid_type(_: Unexpected, _: &dyn Expected) -> Self {
        Self
    }

    fn invalid_value(_: Unexpected, _: &dyn Expected) -> Self {
        Self
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }

    fn missing_field(_: &'static str) -> Self {
        Self
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self
    }
}

type Result<T> = std::result::Result<T, Unreadable>;

pub fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T> {
    let mut reader = Reader { text, at: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.next_byte().is_none() { Ok(value) } else { Err(Unreadable) }
}

enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

struct Reader<'de> {
    text: &'de str,
    /// Offset of the next byte.
    at: usize,
}

impl<'de> Reader<'de> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space, and returns the next byte without consuming it.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Consumes the byte if it is the next one.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.next_byte() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.takes(byte) { Ok(()) } else { Err(Unreadable) }
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.next_byte();
        let is_next = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    fn boolean(&mut self) -> Result<bool> {
        if self.takes_word("true") {
            Ok(true)
        } else if self.takes_word("false") {
            Ok(false)
        } else {
            Err(Unreadable)
        }
    }

    fn digits(&mut self, mut each: impl FnMut(u8)) -> Result<()> {
        let first = self.at;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            each(digit - b'0');
            self.at += 1;
        }
        if self.at > first { Ok(()) } else { Err(Unreadable) }
    }

    fn number(&mut self) -> Result<Number> {
        let is_negative = self.takes(b'-');
        let (mut significand, mut exponent, mut is_whole) = (0_u64, 0_i32, true);
        // Digits beyond the precision have no effect on a fraction, and turn an integer into a fraction.
        let mut push =
            |digit: u8, places: i32| match significand.checked_mul(10).and_then(|ten| ten.checked_add(digit.into())) {
                Some(longer) if exponent <= 0 || places > 0 => {
                    significand = longer;
                    exponent -= places;
                }
                _ => exponent += 1 - places,
            };
        self.digits(|digit| push(digit, 0))?;
        if self.byte() == Some(b'.') {
            self.at += 1;
            is_whole = false;
            self.digits(|digit| push(digit, 1))?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            is_whole = false;
            let is_small = self.byte() == Some(b'-');
            self.at += usize::from(is_small || self.byte() == Some(b'+'));
            let mut power = 0_i32;
            self.digits(|digit| power = power.saturating_mul(10).saturating_add(digit.into()))?;
            exponent = exponent.saturating_add(if is_small { -power } else { power });
        }
        if is_whole && exponent == 0 {
            return match (is_negative, i64::try_from(significand)) {
                (false, _) => Ok(Number::Unsigned(significand)),
                (true, Ok(number)) => Ok(Number::Signed(-number)),
                (true, Err(_)) => Err(Unreadable),
            };
        }
        let scale = 10_f64.powi(exponent.abs());
        let number = if exponent < 0 { significand as f64 / scale } else { significand as f64 * scale };
        Ok(Number::Float(if is_negative { -number } else { number }))
    }

    fn unsigned(&mut self) -> Result<u64> {
        self.next_byte();
        if let Number::Unsigned(number) = self.number()? { Ok(number) } else { Err(Unreadable) }
    }

    fn signed(&mut self) -> Result<i64> {
        self.next_byte();
        match self.number()? {
            Number::Unsigned(number) => i64::try_from(number).map_err(|_| Unreadable),
            Number::Signed(number) => Ok(number),
            Number::Float(_) => Err(Unreadable),
        }
    }

    fn float(&mut self) -> Result<f64> {
        self.next_byte();
        Ok(match self.number()? {
            Number::Unsigned(number) => number as f64,
            Number::Signed(number) => number as f64,
            Number::Float(number) => number,
        })
    }

    fn string(&mut self) -> Result<Cow<'de, str>> {
        self.expect(b'"')?;
        let mut text = Cow::Borrowed("");
        loop {
            let first = self.at;
            while !matches!(self.byte().ok_or(Unreadable)?, b'"' | b'\\') {
                self.at += 1;
            }
            // Both delimiters are ASCII, so the slice is at character boundaries.
            text += &self.text[first..self.at];
            let is_end = self.byte() == Some(b'"');
            self.at += 1;
            if is_end {
                return Ok(text);
            }
            let escaped = self.escaped()?;
            text.to_mut().push(escaped);
        }
    }

    /// Reads the character after a backslash.
    fn escaped(&mut self) -> Result<char> {
        let byte = self.byte().ok_or(Unreadable)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let units = match first {
                    0xD800..0xDC00 if self.takes_word("\\u") => [first, self.unit()?],
                    _ => [first, 0],
                };
                char::decode_utf16(units).next().ok_or(Unreadable)?.map_err(|_| Unreadable)?
            }
            _ => return Err(Unreadable),
        })
    }

    /// Reads four hexadecimal digits.
    fn unit(&mut self) -> Result<u16> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Unreadable)?;
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|_| Unreadable)
    }

    /// Skips a value.
    fn skip(&mut self) -> Result<()> {
        let mut depth = 0_usize;
        loop {
            match self.next_byte().ok_or(Unreadable)? {
                b'"' => drop(self.string()?),
                b'[' | b'{' => {
                    self.at += 1;
                    depth += 1;
                }
                b']' | b'}' => {
                    self.at += 1;
                    depth = depth.checked_sub(1).ok_or(Unreadable)?;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                b'n' if self.takes_word("null") => {}
                _ => drop(self.boolean()?),
            }
            // A comma or colon is possible only within, so this is the end of the value.
            if depth == 0 {
                return Ok(());
            }
        }
    }
}
