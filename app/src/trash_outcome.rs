//! Outcome of a trash form, in the address that the form redirects to.

use crate::query::local;
use crate::refusal;
use crate::routes::TRASH;
use leptos_router::params::ParamsMap;

/// Parameters of an address that hold the result.
const SAID: [&str; 6] = ["restored", "failed", "why", "undo", "emptied", "bytes"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlashMessage {
    /// `why` is the code of the first refusal, or 0.
    Restored {
        items: u64,
        failed: u64,
        why: u32,
        /// Items that it moved to the trash: restoring them undoes it.
        undo: Vec<u64>,
    },
    Emptied {
        items: u64,
        bytes: u64,
    },
}

impl FlashMessage {
    /// `back` is the list of the trash where the form was; any other address leads to the whole list.
    #[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "only the server redirects there"))]
    pub fn address(&self, back: &str) -> String {
        let mut pairs = Vec::new();
        let mut say = |name: &str, number: u64| pairs.push(format!("{name}={number}"));
        match self {
            Self::Restored { items, failed, why, undo } => {
                say("restored", *items);
                for (name, number) in [("failed", *failed), ("why", u64::from(*why))] {
                    if number > 0 {
                        say(name, number);
                    }
                }
                if !undo.is_empty() {
                    pairs.push(format!("undo={}", undo.iter().map(u64::to_string).collect::<Vec<_>>().join(",")));
                }
            }
            Self::Emptied { items, bytes } => {
                say("emptied", *items);
                if *bytes > 0 {
                    say("bytes", *bytes);
                }
            }
        }
        let back = local(back);
        // Headers are ASCII; the pages escape everything else.
        let back = if back.starts_with(TRASH) && back.is_ascii() { back } else { TRASH };
        let (path, query) = back.split_once('?').unwrap_or((back, ""));
        // Results and refusals of earlier forms are dropped.
        let kept = query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !(pair.is_empty() || SAID.contains(&name) || name == refusal::PARAMETER)
        });
        let query = kept.map(str::to_owned).chain(pairs).collect::<Vec<_>>().join("&");
        format!("{path}?{query}")
    }

    pub fn from_map(map: &ParamsMap) -> Option<Self> {
        let number = |name: &str| map.get(name).and_then(|text| text.parse::<u64>().ok());
        match (number("restored"), number("emptied")) {
            (Some(items), _) => {
                let why = map.get("why").and_then(|code| code.parse().ok()).unwrap_or(0);
                let undo = map.get("undo").unwrap_or_default();
                let undo = undo.split(',').filter_map(|id| id.parse().ok()).collect();
                Some(Self::Restored { items, failed: number("failed").unwrap_or(0), why, undo })
            }
            (None, Some(items)) => Some(Self::Emptied { items, bytes: number("bytes").unwrap_or(0) }),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flash_message_is_read_back_from_its_address() {
        let said = [
            FlashMessage::Restored { items: 2, failed: 1, why: 40901, undo: vec![7, 9] },
            FlashMessage::Restored { items: 0, failed: 0, why: 0, undo: Vec::new() },
            FlashMessage::Emptied { items: 2, bytes: 1_000_000_000 },
        ];
        for one in said {
            let address = one.address("/trash?page=2&q=a&restored=4&undo=3&refused=40901");
            assert!(address.starts_with("/trash?page=2&q=a&"), "{address}");
            assert!(!address.contains("refused"), "{address}");
            assert!(one.address("https://elsewhere.example").starts_with("/trash?"));
            assert!(one.address("/keys").starts_with("/trash?"));
            assert!(one.address("/trash?q=ö").is_ascii());
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
