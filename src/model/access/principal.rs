//! Who owns something: an upload, a part, the answer to an `Idempotency-Key`. By the id of a key, never by its name:
//! names are for people, and two keys may share one.

use crate::model::id::KeyId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The one identity that rules go by. A session is that of the key that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Principal {
    /// Anybody without a key. Guests are not told apart: what one of them owns is reached by whoever knows its token.
    Guest,
    Key(KeyId),
    /// The session of the first sign-in link, before there was a key.
    FirstSignIn,
    /// Remembered by a name alone, by an earlier version, where no one key had that name. Nobody is this.
    #[default]
    Unknown,
}

impl Principal {
    /// Whether what `owner` owns is this one's own. Nothing is a guest's own.
    pub fn owns(self, owner: Self) -> bool {
        match self {
            Self::Key(_) | Self::FirstSignIn => self == owner,
            Self::Guest | Self::Unknown => false,
        }
    }

    /// As [`fmt::Display`] has written it. What cannot be read belongs to nobody.
    pub fn parse(text: &str) -> Self {
        match text {
            "guest" => Self::Guest,
            "first-sign-in" => Self::FirstSignIn,
            _ => text
                .strip_prefix("key-")
                .and_then(|id| id.parse().ok())
                .map_or(Self::Unknown, |id| Self::Key(KeyId(id))),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("guest"),
            Self::Key(KeyId(id)) => write!(f, "key-{id}"),
            Self::FirstSignIn => f.write_str("first-sign-in"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_read_as_it_was_written_and_anything_else_is_nobody() {
        for one in [Principal::Guest, Principal::Key(KeyId(7)), Principal::FirstSignIn, Principal::Unknown] {
            assert_eq!(Principal::parse(&one.to_string()), one);
        }
        for wrong in ["", "key-", "key--1", "key-x", "etl", "Guest"] {
            assert_eq!(Principal::parse(wrong), Principal::Unknown, "{wrong:?}");
        }
    }

    #[test]
    fn what_guests_and_nobody_own_is_nobodys_own() {
        let key = Principal::Key(KeyId(1));
        assert!(key.owns(key) && Principal::FirstSignIn.owns(Principal::FirstSignIn));
        assert!(!key.owns(Principal::Key(KeyId(2))) && !key.owns(Principal::Guest));
        assert!(!Principal::Guest.owns(Principal::Guest) && !Principal::Unknown.owns(Principal::Unknown));
    }
}
