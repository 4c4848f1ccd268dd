//! Escapes text for terminals and logs; every line that a command prints passes through here.
//!
//! Names, messages and errors come from other people: from the lake, from a server, from files of this machine. A
//! control character in them would move the cursor, change the title or the clipboard, or forge a line; a bidirectional
//! or invisible character would show a name that differs from the real one. They are printed by their number, as Rust
//! writes it. Where a script needs the exact text, `--json` has it: [`json_line`] escapes in JSON's own way, which
//! loses nothing.

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};

/// Escapes every character that a terminal would not show as itself: C0, DEL, C1, line and paragraph separators,
/// bidirectional controls, zero-width and other format characters, private and unassigned ones.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_visible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_visible(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    Cow::Owned(shown)
}

/// Combining marks are visible: they are part of the letters of most scripts.
fn is_visible(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\0'..='\u{9f}' => false,
        // Tags and variation selectors are invisible, and can carry a hidden text.
        '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' => false,
        // Blank characters that Unicode classes as letters.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' | '\u{34f}' | '\u{17b4}' | '\u{17b5}' => false,
        '\u{180b}'..='\u{180f}' => false,
        // With a character before it, `escape_debug` leaves combining marks alone, and still escapes unprintable
        // characters.
        _ => {
            let mut after_a_letter = String::from("a");
            after_a_letter.push(character);
            after_a_letter.escape_debug().nth(1) == Some(character)
        }
    }
}

/// Writes one line for people.
pub fn line(output: &mut impl Write, text: &(impl Display + ?Sized)) -> io::Result<()> {
    writeln!(output, "{}", visible(&text.to_string()))
}

/// Writes one line to standard error.
#[expect(clippy::disallowed_methods, reason = "the one module that uses the standard streams")]
pub fn say(text: &(impl Display + ?Sized)) {
    // A failure to report has nowhere to be reported.
    let _ = line(&mut io::stderr().lock(), text);
}

/// Standard output, for the result of a command. Lines are written by [`line`] and [`json_line`].
#[expect(clippy::disallowed_methods, reason = "the one module that uses the standard streams")]
pub fn output() -> io::StdoutLock<'static> {
    io::stdout().lock()
}

/// Whether standard error is a terminal.
#[expect(clippy::disallowed_methods, reason = "the one module that uses the standard streams")]
pub fn is_watched() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// Writes one line of JSON, with every character escaped that a terminal would not show. Parsers read the same value.
pub fn json_line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *output, Visible(CompactFormatter));
    value.serialize(&mut serializer)?;
    writeln!(output)
}

struct Visible(CompactFormatter);

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| !is_visible(*character)) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            let mut escaped = String::new();
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").map_err(io::Error::other)?;
            }
            writer.write_all(escaped.as_bytes())?;
            written = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
}

/// Escapes the messages of panics like every other line, since they may quote text of other people.
pub fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| say(&panic.to_string())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_script_is_shown_as_it_is() {
        for text in ["a b-c_d.csv", "Übergröße", "データ", "e\u{301}te", "हिन्दी", "\"it's\" \\ 100 %", "📦", "…·—"]
        {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn characters_that_a_terminal_obeys_or_hides_are_written_by_their_number() {
        let hostile = [
            "\0",
            "\x07",
            "\x08",
            "\n",
            "\r",
            "\t",
            "\x1b[2J",
            "\x7f",
            "\u{85}",
            "\u{9b}31m",
            "\u{9d}",
            "\u{ad}",
            "\u{61c}",
            "\u{180e}",
            "\u{200b}",
            "\u{200c}",
            "\u{200d}",
            "\u{200e}",
            "\u{2028}",
            "\u{2029}",
            "\u{202e}",
            "\u{2060}",
            "\u{2066}",
            "\u{2069}",
            "\u{feff}",
            "\u{fff9}",
            "\u{e0041}",
            "\u{e000}",
            "\u{fe0f}",
            "\u{3164}",
            "\u{1d173}",
        ];
        for text in hostile {
            let shown = visible(text).into_owned();
            let first = text.chars().next().unwrap();
            assert!(shown.starts_with('\\') && !shown.contains(first), "{shown:?}");
            assert_eq!(visible(&shown), shown, "and it stays so");
            let mut json = Vec::new();
            json_line(&mut json, &format!("a{text}b")).unwrap();
            let json = String::from_utf8(json).unwrap();
            assert!(!json.trim_end_matches('\n').contains(first), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), format!("a{text}b"));
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        let mut output = Vec::new();
        line(&mut output, "a\nb\r\nc").unwrap();
        assert_eq!(output, b"a\\nb\\r\\nc\n");
    }
}
