//! Comparison of Parquet column types given as text.

/// Types that an older version of this server named differently: the old name, and the new one.
const RENAMED: [(&str, &str); 6] = [
    ("time[ms]", "time[ms, UTC]"),
    ("time[us]", "time[us, UTC]"),
    ("time[ns]", "time[ns, UTC]"),
    ("binary(16)", "uuid"),
    ("interval(daytime)", "interval"),
    ("binary", "enum"),
];

/// Whether readers of `old` are unaffected by `new`. A type of only nulls, of a column or within one, matches every
/// type.
pub(super) fn agree(old: &str, new: &str) -> bool {
    const NULL: &str = "null";
    if old == new || old == NULL || new == NULL {
        return true;
    }
    if RENAMED.contains(&(old, new)) {
        return true;
    }
    let (Some((old_kind, old_parts)), Some((new_kind, new_parts))) = (nested(old), nested(new)) else { return false };
    old_kind == new_kind
        && old_parts.len() == new_parts.len()
        && old_parts.iter().zip(&new_parts).all(|(old, new)| match old_kind {
            "struct" => match (old.split_once(": "), new.split_once(": ")) {
                (Some((old_name, old)), Some((new_name, new))) => old_name == new_name && agree(old, new),
                _ => false,
            },
            _ => agree(old, new),
        })
}

/// `map<string, list<int64>>` is a `map` of `string` and `list<int64>`.
fn nested(words: &str) -> Option<(&str, Vec<&str>)> {
    let (kind, inner) = words.strip_suffix('>')?.split_once('<')?;
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_u32, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(inner[begin..at].trim_start());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(inner[begin..].trim_start());
    Some((kind, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_alone_agree_with_every_type_wherever_they_are() {
        for (one, other) in [
            ("null", "int64"),
            ("null", "map<string, list<int64>>"),
            ("list<null>", "list<struct<a: decimal(9, 2), b: timestamp[us, UTC]>>"),
            ("map<string, null>", "map<string, struct<a: int64>>"),
            ("struct<a: null, b: list<string>>", "struct<a: int64, b: list<null>>"),
        ] {
            assert!(agree(one, other) && agree(other, one), "{one} {other}");
        }
    }

    #[test]
    fn other_types_differ() {
        for (one, other) in [
            ("int64", "string"),
            ("list<int64>", "int64"),
            ("list<int64>", "list<string>"),
            ("struct<a: null>", "struct<b: int64>"),
            ("struct<a: null>", "struct<a: null, b: int64>"),
            ("map<null, string>", "map<int64, int64>"),
            ("time[us, UTC]", "time[us]"),
        ] {
            assert!(!agree(one, other), "{one} {other}");
        }
    }

    #[test]
    fn renamed_types_do_not_differ() {
        assert!(agree("list<time[us]>", "list<time[us, UTC]>"));
        assert!(agree("struct<id: binary(16)>", "struct<id: uuid>"));
    }
}
