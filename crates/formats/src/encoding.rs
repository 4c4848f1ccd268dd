//! Encodings of text: UTF-8 and UTF-16, and windows-1252 for delimited values that are not UTF-8.

use super::Fault;
use std::borrow::Cow;

/// windows-1252 is assumed if at least one line in this many is not UTF-8; fewer such lines are damaged.
const LINES_PER_WRONG_LINE_MAX: usize = 10;
/// Wrong lines for each line with characters of UTF-8, below which the file is UTF-8 with damage.
const WRONG_LINES_PER_UTF_8_LINE_MIN: usize = 10;
/// Pairs of bytes, or groups of four, that are looked at.
const UNITS_LOOKED_AT: usize = 64;

/// Characters of the bytes 0x80 to 0x9f. Five bytes have none.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Text as UTF-8, apart from invalid bytes of a file in UTF-8.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) encoding: &'static str,
    pub(super) damage: Option<String>,
}

/// Decodes UTF-16; other bytes are taken for UTF-8. The file may go on if it is not `is_whole`.
pub(super) fn decoded(bytes: Vec<u8>, is_whole: bool) -> Result<Decoded, Fault> {
    if is_utf_32(&bytes) {
        return Err(Fault::unreadable("not supported: its encoding is UTF-32"));
    }
    let plain = |bytes, encoding| Decoded { bytes, encoding, damage: None };
    Ok(match &bytes[..] {
        [0xff, 0xfe, text @ ..] => utf_16(text, "UTF-16 little-endian", u16::from_le_bytes, is_whole),
        [0xfe, 0xff, text @ ..] => utf_16(text, "UTF-16 big-endian", u16::from_be_bytes, is_whole),
        text if is_utf_16(text, 0) => {
            utf_16(text, "UTF-16 big-endian without a byte order mark", u16::from_be_bytes, is_whole)
        }
        text if is_utf_16(text, 1) => {
            utf_16(text, "UTF-16 little-endian without a byte order mark", u16::from_le_bytes, is_whole)
        }
        [0xef, 0xbb, 0xbf, text @ ..] => plain(text.to_vec(), "UTF-8 with a byte order mark"),
        _ => plain(bytes, "UTF-8"),
    })
}

/// Whether the bytes begin with a byte order mark of UTF-32, and characters of it follow.
fn is_utf_32(bytes: &[u8]) -> bool {
    let unit = match bytes {
        [0xff, 0xfe, 0, 0, ..] => u32::from_le_bytes,
        [0, 0, 0xfe, 0xff, ..] => u32::from_be_bytes,
        _ => return false,
    };
    let (units, _) = bytes.as_chunks::<4>();
    units.iter().take(UNITS_LOOKED_AT).all(|&bytes| char::from_u32(unit(bytes)).is_some())
}

/// Latin text has a NUL in each pair of bytes, always at the same position.
fn is_utf_16(bytes: &[u8], nul_at: usize) -> bool {
    let (pairs, _) = bytes[..bytes.len().min(2 * UNITS_LOOKED_AT)].as_chunks::<2>();
    pairs.len() > 2 && pairs.iter().all(|pair| pair[nul_at] == 0 && pair[1 - nul_at] != 0)
}

fn utf_16(text: &[u8], encoding: &'static str, unit: fn([u8; 2]) -> u16, is_whole: bool) -> Decoded {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
    // The second half of the last character may follow.
    units.pop_if(|last| !is_whole && (0xd800..0xdc00).contains(last));
    let mut lone = 0_u64;
    let characters = char::decode_utf16(units).map(|character| {
        character.unwrap_or_else(|_| {
            lone += 1;
            char::REPLACEMENT_CHARACTER
        })
    });
    let text: String = characters.collect();
    let halves = if lone == 1 { "1 half character".to_owned() } else { format!("{lone} half characters") };
    let damages = [
        (lone > 0).then(|| format!("{halves} of UTF-16, shown as \u{fffd}")),
        (is_whole && !rest.is_empty()).then(|| "it ends in the middle of a UTF-16 character".to_owned()),
    ];
    let damages: Vec<String> = damages.into_iter().flatten().collect();
    let damage = (!damages.is_empty()).then(|| format!("it is damaged: {}", damages.join("; ")));
    Decoded { bytes: text.into_bytes(), encoding, damage }
}

/// Whether delimited values that are not UTF-8 are windows-1252, which includes the letters of Latin-1.
///
/// Several signs have to agree, because any bytes can be read as windows-1252:
/// - one line in ten, or more, is not UTF-8; fewer lines are damaged lines of a file in UTF-8;
/// - hardly a line has characters of UTF-8, whole or cut off;
/// - most bytes beyond ASCII stand alone between letters of ASCII, unlike those of Cyrillic or Chinese encodings;
/// - these bytes have characters, and are not 0xff, which is rare as a letter and usual as garbage.
pub(super) fn is_windows_1252(bytes: &[u8], is_whole: bool) -> bool {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let end = if is_whole { bytes.len() } else { bytes.iter().rposition(is_end).unwrap_or(0) };
    let (mut lines, mut wrong_lines, mut utf_8_lines) = (0, 0, 0);
    let (mut high_bytes, mut in_runs, mut garbage) = (0, 0, 0);
    for line in bytes[..end].split(is_end).filter(|line| !line.is_empty()) {
        lines += 1;
        if line.is_ascii() {
            continue;
        }
        // An invalid part of several bytes is a character of UTF-8 that was cut off.
        let is_of_utf_8 = line.utf8_chunks().any(|chunk| !chunk.valid().is_ascii() || chunk.invalid().len() > 1);
        utf_8_lines += usize::from(is_of_utf_8);
        if std::str::from_utf8(line).is_ok() {
            continue;
        }
        wrong_lines += 1;
        let high = |byte: &u8| !byte.is_ascii();
        high_bytes += line.iter().filter(|byte| high(byte)).count();
        in_runs += line.windows(2).filter(|pair| pair.iter().all(high)).count();
        garbage += line.iter().filter(|byte| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d | 0xff)).count();
    }
    wrong_lines > 0
        && wrong_lines * LINES_PER_WRONG_LINE_MAX >= lines
        && utf_8_lines * WRONG_LINES_PER_UTF_8_LINE_MIN <= wrong_lines
        && in_runs * 2 < high_bytes
        && garbage * 10 <= high_bytes
}

pub(super) fn of_windows_1252(bytes: &[u8]) -> String {
    let character = |&byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
    };
    bytes.iter().map(character).collect()
}

/// Text with a replacement for each invalid part. `None` if nothing but damage is left of it.
pub(super) fn undamaged(value: &[u8]) -> Option<Cow<'_, str>> {
    let text = String::from_utf8_lossy(value);
    let is_damage = |character: char| matches!(character, char::REPLACEMENT_CHARACTER | '\0');
    let is_lost = text.contains(is_damage) && text.chars().all(|one| is_damage(one) || one.is_whitespace());
    (!is_lost).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8], is_whole: bool) -> (String, Option<String>) {
        let decoded = decoded(bytes.to_vec(), is_whole).unwrap();
        (String::from_utf8(decoded.bytes).unwrap(), decoded.damage)
    }

    fn utf_16_of(units: &[u16]) -> Vec<u8> {
        [0xfeff].iter().chain(units).flat_map(|unit| unit.to_le_bytes()).collect()
    }

    #[test]
    fn text_is_windows_1252_only_if_nothing_speaks_for_utf_8() {
        let rare = format!("id,name\n{}1,M\u{fc}ller\n", "1,x\n".repeat(50));
        let rare: Vec<u8> = rare.chars().map(|character| character as u8).collect();
        for (bytes, expected) in [
            (&b"id,name\n1,M\xfcller\n2,K\xf6ln\n"[..], true),
            (b"id,name\n1,M\xfcller\n2,Rome\n3,Bern\n", true),
            (b"id,name\r1,M\xfcller\r2,Rome\r", true),
            (b"price\n5 \x80\n6 \x80\n", true),
            (b"id,name\n1,plain\n", false),
            ("id,name\n1,Müller\n2,Köln\n".as_bytes(), false),
            (b"id,name\n1,M\xc3\xbcller\n2,K\xf6ln\n", false),
            (b"a,b\n1,x\xff\n2,y\n", false),
            (b"a,b\n1,\xe2\x82\n2,\xf0\x9f\x92\n", false),
            (b"id,name\n1,\xcf\xf0\xe8\xe2\xe5\xf2\n2,\xcc\xe8\xf0\n", false),
            (&rare, false),
        ] {
            assert_eq!(is_windows_1252(bytes, true), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert!(!is_windows_1252(b"a,b\n1,x\n2,K\xf6", false), "a cut off line tells nothing");
        assert_eq!(of_windows_1252(b"K\xf6ln \x80 \x93x\x94"), "Köln € “x”");
    }

    #[test]
    fn half_characters_of_utf_16_are_counted() {
        let (text, damage) = text_of(&utf_16_of(&[0x61, 0xd83d, 0x62, 0xde00]), true);
        assert_eq!(text, "a\u{fffd}b\u{fffd}");
        assert_eq!(damage.as_deref(), Some("it is damaged: 2 half characters of UTF-16, shown as \u{fffd}"));
        let (_, damage) = text_of(&[utf_16_of(&[0xdc00]), vec![0]].concat(), true);
        let damage = damage.unwrap();
        assert!(damage.contains("1 half character") && damage.contains("in the middle"), "{damage}");
        assert_eq!(text_of(&utf_16_of(&[0x61, 0xd83d, 0xde00]), true), ("a😀".to_owned(), None));
        assert_eq!(text_of(&utf_16_of(&[0x61, 0xd83d]), false), ("a".to_owned(), None), "its other half follows");
    }

    #[test]
    fn utf_32_is_not_taken_for_utf_16() {
        let text = |unit: fn(u32) -> [u8; 4]| ['\u{feff}', 'a', '✓'].map(|one| unit(u32::from(one))).concat();
        for bytes in [text(u32::to_le_bytes), text(u32::to_be_bytes)] {
            let fault = decoded(bytes, true).err().unwrap();
            assert_eq!(fault.to_string(), "not supported: its encoding is UTF-32");
        }
        assert!(decoded(vec![0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff], true).is_ok(), "no characters follow");
    }
}
