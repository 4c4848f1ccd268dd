//! `Content-Disposition` of a part or a request (RFC 6266, RFC 7578): the name of the field and of the file.
//!
//! A file name is decoded exactly, or refused with the reason: a guess would store the file under another name.

use crate::multipart::{MultipartError, Part};
use lakeshore::model::text::truncate;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Characters of a refused file name in its message.
const NAME_CHARACTERS_MAX: usize = 100;
const NOT_UTF8: &str = "it is not UTF-8";

/// A file name that cannot be decoded exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file name {:?} cannot be read: {problem}; send it in UTF-8, as filename=\"name\"",
    truncate(name, NAME_CHARACTERS_MAX)
)]
pub struct UnreadableName {
    /// As it was sent; bytes that are not UTF-8 are replaced.
    pub name: String,
    pub problem: &'static str,
}

/// Parses a `Content-Disposition`, of a part or of a request.
pub fn parse_disposition(value: &[u8]) -> Result<Part, MultipartError> {
    let text = String::from_utf8_lossy(value);
    let is_utf8 = matches!(text, Cow::Borrowed(_));
    let replaced_in = |text: &str| if is_utf8 { 0 } else { text.matches(char::REPLACEMENT_CHARACTER).count() };
    let mut replaced_elsewhere = replaced_in(&text);
    let mut part = Part::default();
    let mut extended: Option<String> = None;
    // Refusal of the plain name. It is only a fallback beside `filename*` (RFC 6266, section 4.3): .NET sends an encoded
    // word there, and others Latin-1.
    let mut plain: Option<UnreadableName> = None;
    for (name, value) in parameters_of(text.split_once(';').map_or("", |(_, parameters)| parameters)) {
        let mut refuse = |problem| {
            part.unreadable.get_or_insert_with(|| UnreadableName { name: value.clone(), problem });
        };
        match name.as_str() {
            "name" => part.name = unescape(&value),
            "filename" => {
                let name = unescape(&value);
                if part.file_name.as_ref().is_some_and(|other| *other != name) {
                    refuse("it is sent twice");
                }
                let replaced = replaced_in(&value);
                replaced_elsewhere -= replaced;
                if replaced > 0 {
                    plain.get_or_insert(UnreadableName { name: value, problem: NOT_UTF8 });
                } else if is_encoded_word(&value) {
                    plain.get_or_insert(UnreadableName { name: value, problem: "it is an encoded word (RFC 2047)" });
                }
                part.file_name = Some(name);
            }
            "filename*" => match extended_value(&value) {
                Ok(_) if replaced_in(&value) > 0 => refuse(NOT_UTF8),
                Ok(name) => {
                    if extended.as_ref().is_some_and(|other| *other != name) {
                        refuse("it is sent twice");
                    }
                    extended = Some(name);
                }
                Err(problem) => refuse(problem),
            },
            // Continuations (RFC 2231, section 3).
            _ if name.starts_with("filename*") => refuse("it is split into several parameters"),
            _ => {}
        }
    }
    part.has_extended_name = extended.is_some();
    if extended.is_none() {
        part.unreadable = part.unreadable.or(plain);
    }
    part.file_name = extended.or(part.file_name).filter(|_| part.unreadable.is_none());
    if replaced_elsewhere > 0 && part.unreadable.is_none() {
        return Err(MultipartError::Malformed("the name of a part is not UTF-8"));
    }
    Ok(part)
}

/// Decodes a file name that is percent-encoded as a whole, as aiohttp writes it into a form. `None` if it is no such
/// encoding, has only ASCII characters, which clients that do not encode may have sent too, or has folders, of which some
/// would be decoded and others not.
pub fn decode_quoted_name(name: &str) -> Option<String> {
    // A quotation mark was `%22`, which every client sends so.
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~' | b'"');
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let (first, escapes) = name.split_once('%')?;
    let is_escape = |escape: &str| {
        let after = escape.split_at_checked(2);
        after.is_some_and(|(digits, rest)| digits.bytes().all(is_digit) && rest.bytes().all(is_kept))
    };
    let is_encoding = first.bytes().all(is_kept) && escapes.split('%').all(is_escape);
    let decoded = percent_decode_str(name).decode_utf8().ok().filter(|_| is_encoding)?;
    (!decoded.is_ascii() && !decoded.contains('/')).then(|| decoded.into_owned())
}

/// Decodes `UTF-8''h%C3%A9.csv` (RFC 8187), which some clients use for names beyond ASCII. Its predecessor RFC 5987
/// also allowed ISO-8859-1.
fn extended_value(value: &str) -> Result<String, &'static str> {
    let mut parts = value.splitn(3, '\'');
    let (Some(charset), Some(_language), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("filename* begins with an encoding and two apostrophes (RFC 8187)");
    };
    let mut escapes = text.split('%').skip(1).map(|escape| escape.as_bytes().first_chunk::<2>());
    if !escapes.all(|escape| escape.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))) {
        return Err("a percent sign in it is not followed by two hexadecimal digits");
    }
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    match charset.trim().to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).map_err(|_| NOT_UTF8),
        "iso-8859-1" => Ok(bytes.into_iter().map(char::from).collect()),
        _ => Err("its encoding is not supported"),
    }
}

/// Whether a name is an encoded word of mails, `=?utf-8?B?…?=` (RFC 2047).
fn is_encoded_word(value: &str) -> bool {
    let inside = value.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?="));
    let mut parts = inside.unwrap_or_default().split('?');
    let charset = parts.next().is_some_and(|charset| !charset.is_empty());
    charset && parts.next().is_some_and(|kind| matches!(kind, "B" | "b" | "Q" | "q")) && parts.next().is_some()
}

/// Undoes the escapes that browsers and curl use in a name, and no others (HTML, "multipart/form-data encoding").
fn unescape(value: &str) -> String {
    value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// `; name=value; name="quoted value"`, names in lower case.
pub(super) fn parameters_of(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let Some(end) = rest.find(['=', ';']) else { return parameters };
        let (name, after) = rest.split_at(end);
        // A name without a value is skipped, and takes nothing of the next parameter.
        let Some(after) = after.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        parameters.push((name, value));
        rest = behind;
    }
}

/// Returns the text up to the closing quote, and the rest. A backslash escapes a quote or a backslash; before any other
/// character it is literal, as in the paths that old browsers send.
fn quoted_string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            character => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_browsers_curl_and_python_write_them() {
        let name =
            |disposition: &str| parse_disposition(format!("form-data; {disposition}").as_bytes()).unwrap().file_name;
        assert_eq!(name("name=\"file\"; filename=\"a b.csv\"").unwrap(), "a b.csv");
        assert_eq!(name("name=file; filename=plain.csv").unwrap(), "plain.csv");
        assert_eq!(name("name=\"file\"; filename=\"say %22hi%22.csv\"").unwrap(), "say \"hi\".csv");
        assert_eq!(name("name=\"file\"; filename=\"say \\\"hi\\\".csv\"").unwrap(), "say \"hi\".csv");
        assert_eq!(name("name=\"file\"; filename=\"C:\\data\\x.csv\"").unwrap(), "C:\\data\\x.csv");
        assert_eq!(name("name=\"file\"; filename=\"x\"; filename*=UTF-8''h%C3%A9.csv").unwrap(), "hé.csv");
        assert_eq!(name("name=\"file\"; filename=\"dữ liệu.csv\"").unwrap(), "dữ liệu.csv");
        assert_eq!(name("name=\"file\"; filename=\"\"").unwrap(), "");
        assert_eq!(name("name=\"file\""), None);
    }

    #[test]
    fn a_name_in_another_encoding_is_decoded_or_refused() {
        let of = |disposition: &str| {
            let value = format!("form-data; name=\"file\"; {disposition}");
            let part = parse_disposition(value.as_bytes()).unwrap();
            part.unreadable.map_or(Ok(part.file_name.unwrap_or_default()), Err)
        };
        for (disposition, name) in [
            ("filename*=utf-8'en'h%c3%a9.csv", "hé.csv"),
            ("filename*=ISO-8859-1''h%E9.csv", "hé.csv"),
            ("filename*=UTF-8''it's%27.csv", "it's'.csv"),
            ("filename=\"x\"; filename*=\"UTF-8''h%C3%A9.csv\"", "hé.csv"),
            ("filename*=UTF-8''h%C3%A9.csv; filename=\"x\"", "hé.csv"),
            ("filename=\"a.csv\"; filename=a.csv", "a.csv"),
            ("filename=\"=?a.csv\"", "=?a.csv"),
            ("filename=\"100%25.csv\"", "100%25.csv"),
            // .NET's MultipartFormDataContent.
            (
                "filename=\"=?utf-8?B?c3BlY2lhbOKCrGZpbGVuYW1l?=\"; filename*=utf-8''special%E2%82%ACfilename",
                "special€filename",
            ),
            ("filename*=utf-8''a; filename=\"=?utf-8?B?YQ==?=\"", "a"),
        ] {
            assert_eq!(of(disposition).unwrap(), name, "{disposition}");
        }
        for (disposition, words) in [
            ("filename*=windows-1252''h%E9.csv", "encoding is not supported"),
            ("filename*=''a.csv", "encoding is not supported"),
            ("filename*=UTF-8''h%E9.csv", "not UTF-8"),
            ("filename*=UTF-8''h%zz.csv", "percent sign"),
            ("filename*=UTF-8''h%C3%A", "percent sign"),
            ("filename*=a.csv", "two apostrophes"),
            ("filename*0=\"a\"; filename*1=\".csv\"", "split into several"),
            ("filename*0*=UTF-8''a; filename=\"b\"", "split into several"),
            ("filename=\"a.csv\"; filename=\"b.csv\"", "sent twice"),
            ("filename=\"=?UTF-8?B?YQ==?=\"", "RFC 2047"),
            ("filename==?iso-8859-1?q?a=E9?=", "RFC 2047"),
            ("filename=\"=?UTF-8?B?YQ==?=\"; filename*=UTF-8''h%E9.csv", "not UTF-8"),
            ("filename=\"=?UTF-8?B?YQ==?=\"; filename*0=\"a\"", "split into several"),
            ("filename=\"=?UTF-8?B?YQ==?=\"; filename=\"b.csv\"; filename*=UTF-8''a", "sent twice"),
            ("filename*=UTF-8''a; filename*=UTF-8''b; filename=\"=?UTF-8?B?YQ==?=\"", "sent twice"),
        ] {
            let refused = of(disposition).unwrap_err().to_string();
            assert!(refused.contains(words), "{disposition}: {refused}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_kept_with_replaced_bytes() {
        let part = parse_disposition(b"form-data; name=\"file\"; filename=\"gr\xf6.csv\"").unwrap();
        assert_eq!((part.name.as_str(), part.file_name), ("file", None));
        assert_eq!(part.unreadable, Some(UnreadableName { name: "gr\u{FFFD}.csv".into(), problem: NOT_UTF8 }));
        assert!(parse_disposition(b"form-data; name=\"gr\xf6\"").is_err());
        let replaced = "form-data; name=\"file\"; filename=\"gr\u{FFFD}.csv\"";
        assert_eq!(parse_disposition(replaced.as_bytes()).unwrap().file_name.unwrap(), "gr\u{FFFD}.csv");
    }

    #[test]
    fn only_a_fallback_may_have_bytes_that_are_not_utf8() {
        let extended = "filename*=UTF-8''gr%C3%B6.csv";
        let of = |name: &str, plain: &str, extended: &str| {
            let value = format!("form-data; name={name}; filename=\"{plain}\"; {extended}");
            // Each character is one byte.
            parse_disposition(&value.chars().map(|byte| byte as u8).collect::<Vec<_>>())
        };
        let part = of("file", "gr\u{F6}.csv", extended).unwrap();
        assert_eq!((part.file_name.as_deref(), part.unreadable), (Some("grö.csv"), None));
        assert!(part.has_extended_name);
        assert!(of("gr\u{F6}", "gr\u{F6}.csv", extended).is_err());
        assert!(of("file", "gr\u{F6}.csv", &format!("{extended}; other=\u{F6}")).is_err());
        for damaged in ["filename*=UTF-8''gr\u{F6}.csv", "filename*=ISO-8859-1''gr\u{F6}.csv"] {
            for plain in ["gr.csv", "gr\u{F6}.csv"] {
                let part = of("file", plain, damaged).unwrap();
                assert_eq!((part.file_name, part.unreadable.unwrap().problem), (None, NOT_UTF8), "{damaged}");
            }
        }
    }

    #[test]
    fn only_a_complete_encoding_beyond_ascii_is_decoded() {
        for (name, decoded) in [
            ("gr%C3%B6%C3%9Fe%200.txt", Some("größe 0.txt")),
            ("%E8%A1%A8.csv", Some("表.csv")),
            ("\"%C3%B6\"", Some("\"ö\"")),
            ("a%20b.csv", None),
            ("50%25C3%25B6.csv", None),
            ("dt%3D1%2Fa.csv", None),
            ("dt%3D1%2Fgr%C3%B6.csv", None),
            ("dt=1%2Fa.csv", None),
            ("a%2fb.csv", None),
            ("a%2", None),
            ("gr%C3%B6 a.csv", None),
            ("gr%c3%b6.csv", None),
            ("gr%F6.csv", None),
            ("gr%C3%B6%", None),
            ("größe%C3%B6.csv", None),
            ("a.csv", None),
        ] {
            assert_eq!(decode_quoted_name(name).as_deref(), decoded, "{name}");
        }
    }
}
