//! Shows untrusted text (names, cells, programs) with its invisible characters made visible.

/// Replaces each character that would hide, break or reorder the text by a visible sign: control characters, line and
/// paragraph separators, text direction characters, and characters without width. The renderer escapes HTML.
pub fn visible(text: String) -> String {
    if text.chars().any(is_hidden) { revealed(&text, false) } else { text }
}

/// Variant for text of several lines, which keeps line breaks and tabs.
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

/// Whether a character is replaced.
pub fn is_hidden(character: char) -> bool {
    // Fast path: most texts are ASCII.
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        u32::from(character),
        // C1 controls, the soft hyphen, and marks without width in Arabic and Mongolian.
        0x80..=0x9F | 0xAD | 0x34F | 0x61C | 0x180B..=0x180F
        // Empty Hangul letters, and blank Braille.
        | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x2800 | 0x3164 | 0xFFA0
        // Zero width and direction; line and paragraph separators; invisible operators.
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F
        // Variation selectors, except the two that select the look of an emoji; byte order mark; annotations.
        | 0xFE00..=0xFE0D | 0xFEFF | 0xFFF9..=0xFFFB
        // Musical format characters, tags, and further variation selectors.
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF
    )
}

/// Appends the sign: a control picture (U+2400 and on) for ASCII controls, the code point for others.
fn reveal(shown: &mut String, code: u32) {
    const PICTURES: u32 = 0x2400;
    const PICTURE_OF_DELETE: char = '\u{2421}';
    match code {
        0..0x20 => shown.extend(char::from_u32(PICTURES + code)),
        0x7F => shown.push(PICTURE_OF_DELETE),
        code => {
            shown.push_str("\u{27E8}U+");
            // `format!` with a width would add code to every page.
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
    fn invisible_characters_are_shown_by_signs() {
        assert_eq!(visible("a\u{202E}gpj.exe".into()), "a⟨U+202E⟩gpj.exe");
        assert_eq!(visible("a\0\x1b[31m\x7f\r\n".into()), "a␀␛[31m␡␍␊");
        assert_eq!(visible("a\u{9b}\u{200b}\u{feff}\u{e0041}".into()), "a⟨U+009B⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+E0041⟩");
        assert_eq!(visible_lines("a\n\tb\u{2066}\0".into()), "a\n\tb⟨U+2066⟩␀");
    }

    #[test]
    fn visible_text_is_unchanged() {
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
