//! API keys: their rights, and how a key is made and recognised.

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

/// A key as lists show it, without its secret, of which only a hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub key_id: KeyId,
    pub name: String,
    pub role: Role,
    /// Lake path to which the key is bound; absent: the whole lake.
    pub path_prefix: Option<LakePath>,
    /// Public prefix of the secret, to tell keys apart.
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Name of the key that made it; empty if unknown.
    #[serde(default)]
    pub created_by: String,
}

impl Key {
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether the last use is old enough that a use at this time is written.
    pub fn is_last_used_before(&self, at: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last.plus(LAST_USE_GRANULARITY) <= at)
    }

    /// Rights of a caller that uses this key, by these credentials.
    pub fn grant(&self, means: AuthMethod) -> Grant {
        let trace = Trace { means, key_id: Some(self.key_id), ..Trace::default() };
        let principal = Principal::Key(self.key_id);
        Grant { principal, trace, ..Grant::new(&self.name, self.role, self.path_prefix.clone()) }
    }
}

/// Properties of a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    pub name: String,
    pub role: Role,
    pub path_prefix: Option<LakePath>,
    pub expires_at: Option<Timestamp>,
}

/// Rights of a recognised caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Identity that every rule uses.
    pub principal: Principal,
    /// Name of the key, for display only: no rule uses it.
    pub name: String,
    pub role: Role,
    pub path_prefix: Option<LakePath>,
    /// For the audit log only: no rule uses it.
    pub trace: Trace,
}

/// Caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No key, from a network that is not open: every call is refused.
    Anonymous,
    /// No key, from an open network: as documented, reading is free, an upload needs the id of an open sync, and
    /// everything else needs a key. The network tells guests apart where a resource is shared.
    Guest(Network),
    /// Bound to the role and the prefix of the key, also from an open network.
    Known(Grant),
}

/// Checks whether `caller` may change files at `path`.
pub fn may_write(caller: &Caller, path: &LakePath) -> Result<(), Error> {
    let grant = caller.known()?;
    grant.has_role(Role::Write)?;
    grant.covers(path)
}

/// Checks whether `caller` may manage keys and purge the whole trash. A key with a prefix may not, as it could make a
/// key without one.
pub fn may_administer(caller: &Caller) -> Result<(), Error> {
    let grant = caller.known()?;
    grant.has_role(Role::Admin)?;
    match &grant.path_prefix {
        None => Ok(()),
        Some(prefix) => Err(Error::WholeLake { name: grant.name.clone(), prefix: prefix.clone() }),
    }
}

/// Checks whether `caller` may purge trash from `path`.
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

    /// Refuses a caller without any rights. Checked before any look-up.
    pub fn may_do_anything(&self) -> Result<(), Error> {
        match self {
            Self::Known(_) | Self::Guest(_) => Ok(()),
            Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// Checks whether the caller may read. Returns the prefix that limits the visible paths.
    pub fn may_read(&self) -> Result<Option<LakePath>, Error> {
        match self {
            Self::Known(grant) => Ok(grant.path_prefix.clone()),
            Self::Guest(_) => Ok(None),
            Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// Refuses a caller that may not write anywhere. Checked before any look-up.
    pub fn may_write_somewhere(&self) -> Result<(), Error> {
        self.known()?.has_role(Role::Write)
    }

    /// Refuses a caller that may not purge anywhere. Checked before any look-up.
    pub fn may_destroy_somewhere(&self) -> Result<(), Error> {
        self.known()?.has_role(Role::Admin)
    }

    /// Whether the caller may know of `path`. Otherwise the response is that of a missing path.
    pub fn sees(&self, path: &LakePath) -> bool {
        self.may_read_path(path).is_ok()
    }

    /// Checks whether the caller may read `path`.
    fn may_read_path(&self, path: &LakePath) -> Result<(), Error> {
        match self {
            Self::Known(grant) => grant.covers(path),
            Self::Guest(_) => Ok(()),
            Self::Anonymous => Err(Error::NoKey),
        }
    }

    /// Checks whether the caller may upload to the open sync on `path`.
    pub fn may_upload(&self, path: &LakePath) -> Result<(), Error> {
        match self {
            Self::Guest(_) => Ok(()),
            Self::Known(_) | Self::Anonymous => may_write(self, path),
        }
    }

    /// Checks whether the caller may upload a part, which has no path until it is joined with others.
    pub fn may_upload_parts(&self) -> Result<(), Error> {
        match self {
            Self::Guest(_) => Ok(()),
            Self::Known(_) | Self::Anonymous => self.known()?.has_role(Role::Write),
        }
    }

    /// Adds the source of the request.
    pub fn coming_from(mut self, origin: Origin) -> Self {
        if let Self::Known(grant) = &mut self {
            grant.trace.origin = origin;
        }
        self
    }

    /// Actor that is recorded for the actions of this caller.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Known(Grant { name, role, trace, .. }) => {
                Actor { name: name.clone(), role: Some(*role), trace: trace.clone() }
            }
            Self::Guest(_) | Self::Anonymous => Actor::default(),
        }
    }

    /// Owner of the uploads that this caller begins.
    pub fn principal(&self) -> Principal {
        match self {
            Self::Known(grant) => grant.principal,
            Self::Guest(_) | Self::Anonymous => Principal::Guest,
        }
    }

    /// Name for display.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(grant) => &grant.name,
            Self::Guest(_) | Self::Anonymous => "",
        }
    }
}

impl Error {
    /// Removes details that `caller` may not see: the conflicting sync or trash item may be above the paths of its key.
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
    /// Rights of a caller without a key: see [`Key::grant`].
    pub fn new(name: &str, role: Role, path_prefix: Option<LakePath>) -> Self {
        let principal = Principal::FirstSignIn;
        Self { principal, name: name.to_owned(), role, path_prefix, trace: Trace::default() }
    }

    /// Whether the rights come from the sign-in link of the first start, not from a key.
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

/// Random secret of a key, a session or a sign-in link. Its text is shown once; only its [`SecretHash`] is stored.
pub struct Secret(String);

/// Public characters of a secret: they find the row, and tell keys apart in a list.
const HINT_CHARACTERS: usize = 12;

impl Secret {
    /// `lks_` and 256 random bits in hexadecimal: one word, so that a double click selects it.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("lks_{}", hex::encode(bytes)))
    }

    /// Secret as a client sent it, without a check.
    pub fn presented(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn hint(&self) -> String {
        self.0.chars().take(HINT_CHARACTERS).collect()
    }

    /// One round of SHA-256 is as safe as a slow hash here, since the secret has 256 random bits.
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

/// A new key with its secret, which is shown only once.
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
