//! Short texts for people: numbers with separators, sizes, and the beginning of a long text.

/// The first characters of a text, at most `characters_max`.
pub fn truncate(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}

/// `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `1,204 files`
pub fn counted(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", count(number)) }
}

/// Decimal units, as usual for disks and networks: `512 B`, `3.1 GB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let (mut unit, mut size) = (0, 1000);
    let whole = |size: u64| number.saturating_add(size / 2) / size;
    // Rounding would give four digits.
    while whole(size) >= 1000 && unit + 1 < UNITS.len() {
        size *= 1000;
        unit += 1;
    }
    let unit = UNITS[unit];
    let in_tenths = number.saturating_add(size / 20) / (size / 10);
    if in_tenths < 1000 { format!("{} {unit}", tenths(in_tenths)) } else { format!("{} {unit}", whole(size)) }
}

/// `1.4` for 14. Formatting floating-point numbers would add code to every page.
pub fn tenths(number: u64) -> String {
    format!("{}.{}", number / 10, number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(truncate("größer", 3), "grö");
        assert_eq!(truncate("ab", 3), "ab");
    }

    #[test]
    fn bytes_never_show_four_digits() {
        let written = [0, 999, 1000, 3_100_000_000, 99_949, 999_949, 999_500_000, 200_000_000, u64::MAX].map(bytes);
        let expected = ["0 B", "999 B", "1.0 kB", "3.1 GB", "99.9 kB", "1.0 MB", "1.0 GB", "200 MB", "18.4 EB"];
        assert_eq!(written, expected.map(str::to_owned));
    }
}
