//! Values that identify something: UUIDs, hashes, network addresses and colours. They are texts, but no names of columns.

use std::net::{IpAddr, SocketAddr};

/// Fewest digits of a hash: shorter ones may be words, such as `deadbeef`.
const HASH_DIGITS_MIN: usize = 16;
const HASHES: [&str; 4] = ["md5", "sha1", "sha256", "sha512"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identifier {
    Uuid,
    Hash,
    Mac,
    Ip,
    Colour,
}

/// Class, and a test for its values.
type Class = (Identifier, fn(&str) -> bool);

impl Identifier {
    pub(super) fn of(value: &str) -> Option<Self> {
        let classes: [Class; 5] = [
            (Self::Uuid, is_uuid),
            (Self::Hash, |value| has_digit(value) && is_hash(value)),
            (Self::Mac, is_mac),
            (Self::Ip, is_ip),
            (Self::Colour, is_colour),
        ];
        classes.into_iter().find(|(_, is_one)| is_one(value)).map(|(class, _)| class)
    }

    /// Whether a value is of this class, judged beside other values of it: then a hash may lack digits below ten.
    pub(super) fn includes(self, value: &str) -> bool {
        Self::of(value) == Some(self) || (self == Self::Hash && is_hash(value))
    }

    /// Class of nine in ten values of a column.
    pub(super) fn of_column(values: &[&str]) -> Option<Self> {
        let class = values.iter().find_map(|value| Self::of(value))?;
        let agreeing = values.iter().filter(|value| class.includes(value)).count();
        (agreeing * 10 >= values.len() * 9).then_some(class)
    }
}

fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_hex(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the separator divides a value into this number of hexadecimal groups, each of `digits`.
fn is_of_groups(value: &str, separator: char, groups: usize, digits: usize) -> bool {
    value.split(separator).count() == groups
        && value.split(separator).all(|group| group.len() == digits && is_hex(group))
}

fn is_uuid(value: &str) -> bool {
    let value = value.strip_prefix("urn:uuid:").unwrap_or(value);
    let value = value.strip_prefix('{').and_then(|value| value.strip_suffix('}')).unwrap_or(value);
    let mut groups = value.split('-');
    let is_of_lengths = [8, 4, 4, 4, 12]
        .into_iter()
        .all(|length| groups.next().is_some_and(|group| group.len() == length && is_hex(group)));
    is_of_lengths && groups.next().is_none()
}

fn is_hash(value: &str) -> bool {
    let value = match value.split_once(':') {
        Some((kind, digits)) if HASHES.iter().any(|hash| kind.eq_ignore_ascii_case(hash)) => digits,
        _ => value.strip_prefix("0x").unwrap_or(value),
    };
    value.len() >= HASH_DIGITS_MIN && is_hex(value)
}

fn is_mac(value: &str) -> bool {
    let is_of_pairs = |separator| is_of_groups(value, separator, 6, 2) || is_of_groups(value, separator, 8, 2);
    is_of_pairs(':') || is_of_pairs('-') || (has_digit(value) && is_of_groups(value, '.', 3, 4))
}

/// Matches IPv4 and IPv6, also with a port, the length of a prefix, or a zone.
fn is_ip(value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let address = match value.split_once('/') {
        Some((address, length)) if is_number(length) => address,
        Some(_) => return false,
        None => value.split_once('%').map_or(value, |(address, _)| address),
    };
    has_digit(value) && (address.parse::<IpAddr>().is_ok() || value.parse::<SocketAddr>().is_ok())
}

/// Matches `#ff0000`, and `#ff0000cc` with an opacity.
fn is_colour(value: &str) -> bool {
    value.strip_prefix('#').is_some_and(|digits| matches!(digits.len(), 6 | 8) && is_hex(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_told_from_words_of_the_same_letters() {
        for (value, class) in [
            ("550e8400-e29b-41d4-a716-446655440000", Some(Identifier::Uuid)),
            ("{550E8400-E29B-41D4-A716-446655440000}", Some(Identifier::Uuid)),
            ("d41d8cd98f00b204e9800998ecf8427e", Some(Identifier::Hash)),
            ("0x00000000deadbeef", Some(Identifier::Hash)),
            ("sha256:e3b0c44298fc1c14", Some(Identifier::Hash)),
            ("aa:bb:cc:dd:ee:ff", Some(Identifier::Mac)),
            ("00-1A-2B-3C-4D-5E", Some(Identifier::Mac)),
            ("001a.2b3c.4d5e", Some(Identifier::Mac)),
            ("192.168.0.1", Some(Identifier::Ip)),
            ("10.0.0.0/8", Some(Identifier::Ip)),
            ("10.0.0.1:8080", Some(Identifier::Ip)),
            ("fe80::1%eth0", Some(Identifier::Ip)),
            ("2001:db8::/32", Some(Identifier::Ip)),
            ("#ff0000", Some(Identifier::Colour)),
            ("deadbeef", None),
            ("cafe", None),
            ("deadbeefdeadbeef", None),
            ("550e8400-e29b-41d4-a716", None),
            ("face.cafe.beef", None),
            ("dead::beef", None),
            ("999.1.1.1", None),
            ("12:30:45", None),
            ("#general", None),
            ("", None),
        ] {
            assert_eq!(Identifier::of(value), class, "{value}");
        }
        assert!(Identifier::Hash.includes("deadbeefdeadbeef") && !Identifier::Hash.includes("deadbeef"));
    }
}
