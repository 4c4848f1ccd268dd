//! Outcome of a trash form, in the address that the form redirects to.

use crate::query::query_string;
use leptos_router::params::ParamsMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlashMessage {
    /// `why` is the code of the first refusal, or 0.
    Restored {
        pieces: u64,
        failed: u64,
        why: u32,
    },
    Emptied {
        pieces: u64,
        bytes: u64,
    },
}

impl FlashMessage {
    #[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "the server leads there"))]
    pub fn address(&self) -> String {
        let (restored, failed, why, emptied, bytes) = match self {
            Self::Restored { pieces, failed, why } => (Some(*pieces), Some(*failed), Some(u64::from(*why)), None, None),
            Self::Emptied { pieces, bytes } => (None, None, None, Some(*pieces), Some(*bytes)),
        };
        let text = |number: Option<u64>| number.filter(|number| *number > 0).map(|number| number.to_string());
        let [restored, failed, why, bytes] = [restored.map(|n| n.to_string()), text(failed), text(why), text(bytes)];
        let emptied = emptied.map(|pieces| pieces.to_string());
        query_string(
            "/trash",
            [
                ("restored", restored.as_deref()),
                ("failed", failed.as_deref()),
                ("why", why.as_deref()),
                ("emptied", emptied.as_deref()),
                ("bytes", bytes.as_deref()),
            ],
        )
    }

    pub fn from_map(map: &ParamsMap) -> Option<Self> {
        let number = |name: &str| map.get(name).and_then(|text| text.parse::<u64>().ok());
        match (number("restored"), number("emptied")) {
            (Some(pieces), _) => {
                let why = map.get("why").and_then(|code| code.parse().ok()).unwrap_or(0);
                Some(Self::Restored { pieces, failed: number("failed").unwrap_or(0), why })
            }
            (None, Some(pieces)) => Some(Self::Emptied { pieces, bytes: number("bytes").unwrap_or(0) }),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read_back_from_the_address() {
        let said = [
            FlashMessage::Restored { pieces: 2, failed: 1, why: 40901 },
            FlashMessage::Restored { pieces: 0, failed: 0, why: 0 },
            FlashMessage::Emptied { pieces: 2, bytes: 1_000_000_000 },
        ];
        for one in said {
            let address = one.address();
            let (_, query) = address.split_once('?').unwrap();
            let mut map = ParamsMap::new();
            for pair in query.split('&') {
                let (name, value) = pair.split_once('=').unwrap();
                map.insert(name.to_owned(), value.replace("%20", " "));
            }
            assert_eq!(FlashMessage::from_map(&map), Some(one));
        }
    }
}
