//! API keys: who may do what, and how a key is made and recognised.

use crate::model::access::actor::{Actor, AuthMethod, Origin, Trace};
use crate::model::access::network::Network;
use crate::model::access::principal::Principal;
use crate::model::access::role::Role;
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::limits::LAST_USE_GRANULARITY;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// A key as lists show it: everything but its secret, of which only a hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub key_id: KeyId,
    pub name: String,
    pub role: Role,
    /// The key is for this place and what is below it; absent: for the whole lake.
    pub path_prefix: Option<LakePath>,
    /// The public beginning of the secret, to tell keys apart.
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// The name of the key that made it; empty where nobody knows any more.
    #[serde(default)]
    pub created_by: String,
}

impl Key {
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether its last use is so long ago that one at this time is to be written.
    pub fn is_last_used_before(&self, at: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last.plus(LAST_USE_GRANULARITY) <= at)
    }

    /// What whoever came by these means of the key is allowed.
    pub fn grant(&self, means: AuthMethod) -> Grant {
        let trace = Trace { means, key_id: Some(self.key_id), ..Trace::default() };
        let principal = Principal::Key(self.key_id);
        Grant { principal, trace, ..Grant::new(&self.name, self.role, self.path_prefix.clone()) }
    }
}

/// What a new key should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    pub name: String,
    pub role: Role,
    pub path_prefix: Option<LakePath>,
    pub expires_at: Option<Timestamp>,
}

/// What somebody is allowed, once recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who it is, for every rule.
    pub principal: Principal,
    /// The key's name, for people to read: nothing is allowed or refused by it.
    pub name: String,
    pub role: Role,
    pub path_prefix: Option<LakePath>,
    /// For the record only: nothing is allowed or refused by it.
    pub trace: Trace,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No key, from a network to which the lake is not open: every call is refused.
    Anonymous,
    /// No key, from a network to which the lake is open: as documented, reading is free, an upload needs the id of an open
    /// sync, and everything else needs a key. With its network, by which guests are told apart where they share something.
    Guest(Network),
    /// Held to the role and the prefix of the key, from an open network too.
    Known(Grant),
}

/// May `caller` change what lies at `path`? Gives the name to remember.
pub fn may_write(caller: &Caller, path: &LakePath) -> Result<(), Error> {
    let grant = caller.known()?;
    grant.has_role(Role::Write)?;
    grant.covers(path)
}

/// May `caller` manage the keys, and empty the whole trash? A key with a prefix may not: it could make itself one without.
pub fn may_administer(caller: &Caller) -> Result<(), Error> {
    let grant = caller.known()?;
    grant.has_role(Role::Admin)?;
    match &grant.path_prefix {
        None => Ok(()),
        Some(prefix) => Err(Error::WholeLake { name: grant.name.clone(), prefix: prefix.clone() }),
    }
}

/// May `caller` remove for good what came from `path`?
pub fn may_destroy(caller: &Caller, path: &LakePath) -> Result<(), Error> {
    let grant = caller.known()?;
    grant.has_role(Role::Admin)?;
    grant.covers(path)
}

impl Caller {
    pub fn known(&self) -> Result<&Grant, Error> {
        match self {
            Self::Known(grant) => Ok(grant),
            Self::Guest(_) | Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// Refuses a caller who may do nothing at all. Asked before anything is looked up.
    pub fn may_do_anything(&self) -> Result<(), Error> {
        match self {
            Self::Known(_) | Self::Guest(_) => Ok(()),
            Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// May this caller read? Returns the prefix that limits what is shown.
    pub fn may_read(&self) -> Result<Option<LakePath>, Error> {
        match self {
            Self::Known(grant) => Ok(grant.path_prefix.clone()),
            Self::Guest(_) => Ok(None),
            Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// Refuses a caller who may change nothing anywhere. Asked before anything is looked up.
    pub fn may_write_somewhere(&self) -> Result<(), Error> {
        self.known()?.has_role(Role::Write)
    }

    /// Refuses a caller who may destroy nothing anywhere. Asked before anything is looked up.
    pub fn may_destroy_somewhere(&self) -> Result<(), Error> {
        self.known()?.has_role(Role::Admin)
    }

    /// Whether this caller may know what lies at `path`. What it may not know answers as what is not there.
    pub fn sees(&self, path: &LakePath) -> bool {
        self.may_read_path(path).is_ok()
    }

    /// May this caller read what lies at `path`?
    pub fn may_read_path(&self, path: &LakePath) -> Result<(), Error> {
        match self {
            Self::Known(grant) => grant.covers(path),
            Self::Guest(_) => Ok(()),
            Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// May this caller upload to the open sync on `path`?
    pub fn may_upload(&self, path: &LakePath) -> Result<(), Error> {
        match self {
            Self::Guest(_) => Ok(()),
            Self::Known(_) | Self::Anonymous => may_write(self, path),
        }
    }

    /// May this caller upload a part, which lies nowhere until it is joined with others?
    pub fn may_upload_parts(&self) -> Result<(), Error> {
        match self {
            Self::Guest(_) => Ok(()),
            Self::Known(_) | Self::Anonymous => self.known()?.has_role(Role::Write),
        }
    }

    /// The same, with where the request came from.
    pub fn coming_from(mut self, origin: Origin) -> Self {
        if let Self::Known(grant) = &mut self {
            grant.trace.origin = origin;
        }
        self
    }

    /// Whom the lake remembers as the one who did something.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Known(Grant { name, role, trace, .. }) => {
                Actor { name: name.clone(), role: Some(*role), trace: trace.clone() }
            }
            Self::Guest(_) | Self::Anonymous => Actor::default(),
        }
    }

    /// Who owns what this caller begins.
    pub fn principal(&self) -> Principal {
        match self {
            Self::Known(grant) => grant.principal,
            Self::Guest(_) | Self::Anonymous => Principal::Guest,
        }
    }

    /// The name that the lake shows.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(grant) => &grant.name,
            Self::Guest(_) | Self::Anonymous => "",
        }
    }
}

impl Error {
    /// The same refusal without what `caller` may not know: the sync, or the piece of trash, in the way of a path may lie
    /// above all that the key is for.
    #[must_use]
    pub fn for_caller(self, caller: &Caller) -> Self {
        match self {
            Self::PathHeld { path, held_path, .. } if !caller.sees(&held_path) => Self::PathHeldAbove(path),
            Self::PathRestoring { path, origin, .. } if !caller.sees(&origin) => Self::PathHeldAbove(path),
            other => other,
        }
    }
}

impl Grant {
    /// Of somebody without a key: see [`Key::grant`].
    pub fn new(name: &str, role: Role, path_prefix: Option<LakePath>) -> Self {
        let principal = Principal::FirstSignIn;
        Self { principal, name: name.to_owned(), role, path_prefix, trace: Trace::default() }
    }

    /// Whether it is of the sign-in link of the first start, not of a key.
    pub fn is_first_sign_in(&self) -> bool {
        self.trace.means == AuthMethod::Session && self.trace.key_id.is_none()
    }

    pub fn has_role(&self, needed: Role) -> Result<(), Error> {
        if self.role >= needed { Ok(()) } else { Err(Error::Role { name: self.name.clone(), role: self.role, needed }) }
    }

    pub fn covers(&self, path: &LakePath) -> Result<(), Error> {
        match &self.path_prefix {
            Some(prefix) if !prefix.contains(path) => {
                Err(Error::Prefix { name: self.name.clone(), prefix: prefix.clone(), path: path.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// A random secret: a key, a session, or a sign-in link. Its text is shown once; what is kept is [`SecretHash`].
pub struct Secret(String);

/// Characters of a secret that are no secret: they find the row, and tell keys apart in a list.
const HINT_CHARACTERS: usize = 12;

impl Secret {
    /// `lks_` and 256 random bits in hexadecimal: one word, so that a double click selects it whole.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("lks_{}", hex::encode(bytes)))
    }

    /// What somebody sent, whatever it is.
    pub fn presented(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn hint(&self) -> String {
        self.0.chars().take(HINT_CHARACTERS).collect()
    }

    /// The secret holds 256 random bits, so one round of SHA-256 keeps it as safe as a slow hash would.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Compared in constant time.
#[derive(Clone, Copy)]
pub struct SecretHash(pub [u8; 32]);

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A key as it was made: the only time that its secret is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    pub key: Key,
    pub secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, prefix: Option<&str>) -> Caller {
        let path_prefix = prefix.map(|prefix| LakePath::parse(prefix).unwrap());
        Caller::Known(Grant::new("etl", role, path_prefix))
    }

    #[test]
    fn writing_needs_a_key_of_the_role_and_of_the_path() {
        let path = LakePath::parse("/data/db").unwrap();
        assert!(matches!(may_write(&Caller::Anonymous, &path), Err(Error::NoKey)));
        assert!(matches!(may_write(&caller(Role::Read, None), &path), Err(Error::Role { .. })));
        assert!(matches!(may_write(&caller(Role::Write, Some("/data/db2")), &path), Err(Error::Prefix { .. })));
        assert!(may_write(&caller(Role::Write, Some("/data")), &path).is_ok());
    }

    #[test]
    fn a_guest_reads_and_uploads_and_a_key_is_held_to_its_own_rights() {
        let path = LakePath::parse("/data/db").unwrap();
        const GUEST: Caller = Caller::Guest(Network::Unknown);
        assert!(GUEST.may_read().unwrap().is_none() && GUEST.may_upload(&path).is_ok());
        assert!(matches!(may_write(&GUEST, &path), Err(Error::NoKey)));
        assert!(matches!(Caller::Anonymous.may_read(), Err(Error::NoKey)));
        assert!(matches!(Caller::Anonymous.may_upload(&path), Err(Error::NoKey)));
        let reader = caller(Role::Read, Some("/data"));
        assert_eq!(reader.may_read().unwrap().unwrap().as_str(), "/data");
        assert!(matches!(reader.may_upload(&path), Err(Error::Role { .. })));
        assert!(matches!(reader.may_upload_parts(), Err(Error::Role { .. })));
        let elsewhere = LakePath::parse("/other").unwrap();
        assert!(matches!(reader.may_read_path(&elsewhere), Err(Error::Prefix { .. })));
    }

    #[test]
    fn a_key_with_a_prefix_does_not_manage_keys() {
        assert!(may_administer(&caller(Role::Admin, None)).is_ok());
        assert!(may_administer(&caller(Role::Admin, Some("/data"))).is_err());
        assert!(may_administer(&caller(Role::Write, None)).is_err());
    }

    #[test]
    fn a_secret_is_never_shown_by_debug() {
        let secret = Secret::from_random([7; 32]);
        assert!(!format!("{secret:?}").contains("07"));
        assert!(secret.hash() == Secret::presented(&format!(" {}\n", secret.expose())).hash());
    }
}
