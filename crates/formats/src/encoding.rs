//! Encodings of text: UTF-8 and UTF-16, and windows-1252 for delimited values that are not UTF-8.

use super::{Fault, joined};
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
    let damage = joined(damages).map(|damage| format!("it is damaged: {damage}"));
    Decoded { bytes: text.into_bytes(), encoding, damage }
}

/// Whether delimited values that are not UTF-8 are windows-1252, which includes the letters of Latin-1.
///
/// Several signs have to agree, because any bytes can be read as windows-1252:
/// - one line in ten, or more, is not UTF-8; fewer lines are damaged lines of a file in UTF-8;
/// - hardly a line has characters of UTF-8, whole or cut off ([`has_utf_8`]);
/// - fewer than half of the bytes beyond ASCII are followed by another one, unlike those of Cyrillic or Chinese
///   encodings; two between letters of ASCII do not count, as in the Portuguese `ação`;
/// - at most one such byte in ten is unlikely in windows-1252 ([`num_unlikely`]).
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
        utf_8_lines += usize::from(has_utf_8(line));
        if std::str::from_utf8(line).is_ok() {
            continue;
        }
        wrong_lines += 1;
        high_bytes += line.iter().filter(|byte| !byte.is_ascii()).count();
        in_runs += num_in_runs(line);
        garbage += num_unlikely(line);
    }
    wrong_lines > 0
        && wrong_lines * LINES_PER_WRONG_LINE_MAX >= lines
        && utf_8_lines * WRONG_LINES_PER_UTF_8_LINE_MIN <= wrong_lines
        && in_runs * 2 < high_bytes
        && garbage * 10 <= high_bytes
}

/// Whether a line has characters of UTF-8, whole or cut off.
fn has_utf_8(line: &[u8]) -> bool {
    line.utf8_chunks().any(|chunk| {
        // After a letter of ASCII, two invalid bytes may also be a letter and a quote of windows-1252.
        let is_word = chunk.valid().ends_with(|last: char| last.is_ascii_alphabetic());
        let is_cut_off = chunk.invalid().len() > if is_word { 2 } else { 1 };
        !chunk.valid().is_ascii() || is_cut_off
    })
}

/// Number of bytes beyond ASCII before another one, without pairs between letters of ASCII.
fn num_in_runs(line: &[u8]) -> usize {
    let is_letter = |at: Option<usize>| at.and_then(|at| line.get(at)).is_some_and(u8::is_ascii_alphabetic);
    let pairs = (0..).zip(line.windows(2)).filter(|(_, pair)| !pair[0].is_ascii() && !pair[1].is_ascii());
    pairs.filter(|&(at, _): &(usize, _)| !(is_letter(at.checked_sub(1)) && is_letter(Some(at + 2)))).count()
}

/// Number of bytes that are unlikely in windows-1252: those without a character, 0xff, which is rare as a letter and
/// usual as garbage, and signs directly before a letter of ASCII. Such signs are letters in Mac OS Roman and
/// windows-1250, and halves of characters in Shift JIS and Big5.
fn num_unlikely(line: &[u8]) -> usize {
    let has_no_character = |byte: &u8| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d | 0xff);
    let is_sign = |pair: &[u8]| {
        // Quotes, dashes, currencies, `°`, `µ`, `œ` and others stand before letters: `’s`, `°C`, `l·l`.
        let usual = b"\x80\x84\x8b\x91\x92\x93\x94\x96\x97\x9c\xa0\xa1\xa3\xa7\xab\xb0\xb4\xb5\xb7\xbf";
        let is_usual = usual.contains(&pair[0]);
        matches!(pair[0], 0x80..=0xbf) && !is_usual && !has_no_character(&pair[0]) && pair[1].is_ascii_alphabetic()
    };
    line.iter().filter(|byte| has_no_character(byte)).count() + line.windows(2).filter(|pair| is_sign(pair)).count()
}

pub(super) fn of_windows_1252(bytes: &[u8]) -> String {
    let character = |&byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
    };
    bytes.iter().map(character).collect()
}

/// Text with a replacement for each invalid part. `None` for a damaged value without letters, which may have been a
/// number.
pub(super) fn undamaged(value: &[u8]) -> Option<Cow<'_, str>> {
    let text = String::from_utf8_lossy(value);
    let is_damage = |character: char| matches!(character, char::REPLACEMENT_CHARACTER | '\0');
    let is_lost = text.contains(is_damage) && !text.chars().any(char::is_alphabetic);
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
    fn words_of_western_languages_are_windows_1252() {
        for bytes in [
            &b"id,nome\n1,Educa\xe7\xe3o\n2,Informa\xe7\xe3o\n"[..],
            b"Se\xe7\xe3o,Situa\xe7\xe3o\n1,2\n",
            b"id,name\n1,Stra\xdfe\n2,Gr\xfc\xdfe\n3,\xd6l\n",
            b"id,nombre\n1,\xbfQu\xe9?\n2,\xa1Ma\xf1ana!\n3,Espa\xf1a\n",
            b"id,nom\n1,\xe9t\xe9\n2,c\x9cur\n3,l\x92\xe2ge\n4,l\x92eau\n",
            b"id,nom\n1,\xabcaf\xe9\xbb\n2,\x93th\xe9\x94\n3,gel\xe9\x85\n4,No\xebl\n",
            b"id,nom\n1,paral\xb7lel\n2,col\xb7lecci\xf3\n3,l\xb4aigua\n",
            b"price,heat\n\x80EUR,20\xb0C\n5 \x80,21\xb0C\n",
            b"id,text\n1,it\x92s\n2,\x93so\x94\n3,a \x96 b\n",
        ] {
            assert!(is_windows_1252(bytes, true), "{}", of_windows_1252(bytes));
        }
    }

    #[test]
    fn words_in_other_encodings_are_not_windows_1252() {
        for (encoding, bytes) in [
            (
                "Shift JIS",
                &b"id,name\n1,\x83T\x83g\x83E\n2,\x83X\x83Y\x83L\n3,\x83^\x83J\x83n\x83V\n4,\x83^\x83i\x83J\n"[..],
            ),
            ("Big5", b"id,city\n1,\xa5x\xa5_\n2,\xa5x\xa4\xa4\n3,\xa5x\xabn\n4,\xb0\xaa\xb6\xaf\n"),
            ("Mac OS Roman", b"id,name\n1,M\x9fller\n2,K\x9aln\n"),
            ("windows-1250", b"id,city\n1,Pozna\xf1\n2,Wroc\xb3aw\n3,Gda\xf1sk\n"),
            ("GBK", b"id,city\n1,\xb1\xb1\xbe\xa9\n2,\xc9\xcf\xba\xa3\n"),
            ("KOI8-R", b"id,city\n1,\xed\xcf\xd3\xcb\xd7\xc1\n2,\xeb\xc1\xda\xc1\xce\xd8\n"),
        ] {
            assert!(!is_windows_1252(bytes, true), "{encoding}");
        }
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
