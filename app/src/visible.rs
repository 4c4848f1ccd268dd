//! Texts that other people have written (names, cells, programs), as pages show them: what cannot be seen is made visible.

/// The text with a visible sign for each character that would hide, break or reorder it: control characters, line and
/// paragraph separators, text-direction characters, and characters that take no room. What stays is shown as it is:
/// escaping for HTML is the renderer's.
pub fn visible(text: String) -> String {
    if text.chars().any(is_hidden) { revealed(&text, false) } else { text }
}

/// The same for a text of several lines: line breaks and tabs stay.
pub fn visible_lines(text: String) -> String {
    if text.chars().any(|character| is_hidden(character) && !is_layout(character)) {
        revealed(&text, true)
    } else {
        text
    }
}

fn revealed(text: &str, keeps_layout: bool) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !is_hidden(character) || keeps_layout && is_layout(character) {
            shown.push(character);
        } else {
            reveal(&mut shown, u32::from(character));
        }
    }
    shown
}

fn is_layout(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r')
}

/// Such a character.
pub fn is_hidden(character: char) -> bool {
    // Most texts are of ASCII.
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        u32::from(character),
        // C1 controls, the soft hyphen, and the marks of Arabic and Mongolian that take no room.
        0x80..=0x9F | 0xAD | 0x34F | 0x61C | 0x180B..=0x180F
        // Letters of Hangul that are nothing but an empty place, and blank Braille.
        | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x2800 | 0x3164 | 0xFFA0
        // Of no width, or of a direction; separators of lines and paragraphs; operators that are not seen.
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F
        // Variation selectors, but for the two that choose how an emoji looks; the byte order mark; annotations.
        | 0xFE00..=0xFE0D | 0xFEFF | 0xFFF9..=0xFFFB
        // Music that only joins, tags, and more variation selectors.
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF
    )
}

/// ASCII's controls have pictures of their own (U+2400 and on); the others are named by their number.
fn reveal(shown: &mut String, code: u32) {
    const PICTURES: u32 = 0x2400;
    const PICTURE_OF_DELETE: char = '\u{2421}';
    match code {
        0..0x20 => shown.extend(char::from_u32(PICTURES + code)),
        0x7F => shown.push(PICTURE_OF_DELETE),
        code => {
            shown.push_str("\u{27E8}U+");
            // `format!` with a width would bring code that each page loads.
            let digits = if code > 0xFFFF { 5 } else { 4 };
            for at in (0..digits).rev() {
                shown.extend(char::from_digit(code >> (4 * at) & 0xF, 16).map(|digit| digit.to_ascii_uppercase()));
            }
            shown.push('\u{27E9}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_by_a_sign() {
        assert_eq!(visible("a\u{202E}gpj.exe".into()), "a⟨U+202E⟩gpj.exe");
        assert_eq!(visible("a\0\x1b[31m\x7f\r\n".into()), "a␀␛[31m␡␍␊");
        assert_eq!(visible("a\u{9b}\u{200b}\u{feff}\u{e0041}".into()), "a⟨U+009B⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+E0041⟩");
        assert_eq!(visible_lines("a\n\tb\u{2066}\0".into()), "a\n\tb⟨U+2066⟩␀");
    }

    #[test]
    fn what_can_be_seen_stays_as_it_is() {
        for text in ["", "/data/dt=1/größe 日本 שלום.csv", "👩 <b>&amp;</b> \"'`"] {
            assert_eq!(visible(text.into()), text);
            assert_eq!(visible_lines(text.into()), text);
        }
    }

    #[test]
    fn no_direction_or_control_character_is_left_whatever_the_text_is() {
        for text in (0..=0x10FFFF_u32).filter_map(char::from_u32).map(String::from) {
            let shown = visible(text.clone());
            assert!(!shown.chars().any(|character| character.is_control()), "{text:?}");
            assert!(!shown.contains(|one: char| ('\u{202A}'..='\u{202E}').contains(&one)), "{text:?}");
            assert!(!shown.is_empty());
        }
    }
}
