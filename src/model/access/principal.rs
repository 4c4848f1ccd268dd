//! Owners of uploads, parts, and responses stored under an `Idempotency-Key`. An owner is identified by the id of its
//! key, never by its name, since two keys may share a name.

use crate::model::id::KeyId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identity that rules use. A session has the identity of the key that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Principal {
    /// Any caller without a key. Guests are not told apart: an upload of a guest is open to every client with its
    /// token.
    Guest,
    Key(KeyId),
    /// Session of the first sign-in link, before any key exists.
    FirstSignIn,
    /// Owner recorded by an earlier version with a name alone, where no single key had that name. No caller has this
    /// identity.
    #[default]
    Unknown,
}

impl Principal {
    /// Whether a resource of `owner` belongs to this principal. A guest never owns one.
    pub fn owns(self, owner: Self) -> bool {
        match self {
            Self::Key(_) | Self::FirstSignIn => self == owner,
            Self::Guest | Self::Unknown => false,
        }
    }

    /// Reads the output of [`fmt::Display`]. Unreadable text gives an owner that no caller matches.
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
    fn a_principal_parses_from_its_own_text_and_other_text_is_unknown() {
        for one in [Principal::Guest, Principal::Key(KeyId(7)), Principal::FirstSignIn, Principal::Unknown] {
            assert_eq!(Principal::parse(&one.to_string()), one);
        }
        for wrong in ["", "key-", "key--1", "key-x", "etl", "Guest"] {
            assert_eq!(Principal::parse(wrong), Principal::Unknown, "{wrong:?}");
        }
    }

    #[test]
    fn guests_and_unknown_principals_own_nothing() {
        let key = Principal::Key(KeyId(1));
        assert!(key.owns(key) && Principal::FirstSignIn.owns(Principal::FirstSignIn));
        assert!(!key.owns(Principal::Key(KeyId(2))) && !key.owns(Principal::Guest));
        assert!(!Principal::Guest.owns(Principal::Guest) && !Principal::Unknown.owns(Principal::Unknown));
    }
}
