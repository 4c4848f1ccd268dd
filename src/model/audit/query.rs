//! Filters of the audit log: as clients send them, and checked for one caller.

use super::{AuditAction, AuditEntry, AuditId};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{ACTIVITY_SIZE_DEFAULT, LIST_SIZE_MAX};
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Parameters of the list, as clients send them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditParameters {
    /// Entries before this one only; absent: the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<AuditId>,
    /// Entries after this one only, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<AuditId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Name of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<AuditAction>,
    /// Entries on this path or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    /// Earliest time, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Latest time, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Checked filter of a list. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    pub parameters: AuditParameters,
    pub size: u64,
    /// Entries on this path or below: the deeper of the requested path and the caller's own.
    pub place: Option<LakePath>,
    /// Excludes entries that concern no lake path.
    pub places_only: bool,
}

impl AuditParameters {
    /// Checks the parameters for a caller who may see the paths below `scope`. `None` when no entry can match.
    pub fn query(&self, scope: Option<LakePath>, places_only: bool) -> Result<Option<AuditQuery>, Error> {
        let size = self.size.unwrap_or(ACTIVITY_SIZE_DEFAULT);
        if size > LIST_SIZE_MAX {
            let more = "ask for more in several pages, with before";
            return Err(Error::Invalid(format!("size is at most {LIST_SIZE_MAX}; {more}")));
        }
        if self.before.is_some() && self.after.is_some() {
            return Err(Error::Invalid(
                "before asks for older entries, and after for newer ones; send one of them".into(),
            ));
        }
        let place = match (self.path.clone(), scope) {
            (Some(path), Some(scope)) if scope.contains(&path) => Some(path),
            (Some(path), Some(scope)) if path.contains(&scope) => Some(scope),
            (Some(_), Some(_)) => return Ok(None),
            (path, scope) => path.or(scope),
        };
        Ok(Some(AuditQuery { parameters: self.clone(), size, place, places_only }))
    }
}

impl AuditQuery {
    /// Whether an entry matches the filter, apart from paging.
    pub fn holds(&self, entry: &AuditEntry) -> bool {
        let wanted = &self.parameters;
        let is_below = |place: &LakePath| entry.path.as_ref().is_some_and(|path| place.contains(path));
        wanted.who.as_ref().is_none_or(|who| *who == entry.by.name)
            && wanted.what.is_none_or(|what| what == entry.what)
            && wanted.sync_id.is_none_or(|sync_id| entry.sync_id == Some(sync_id))
            && wanted.since.is_none_or(|since| entry.at >= since)
            && wanted.until.is_none_or(|until| entry.at < until)
            && self.place.as_ref().is_none_or(is_below)
            && (!self.places_only || entry.path.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<LakePath> {
        Some(LakePath::parse(text).unwrap())
    }

    #[test]
    fn a_query_uses_the_deeper_of_path_and_scope_and_is_empty_if_they_are_disjoint() {
        let wanted = |text: &str| AuditParameters { path: path(text), ..AuditParameters::default() };
        let place = |text: &str, scope: Option<LakePath>| {
            wanted(text).query(scope, true).unwrap().map(|query| query.place.unwrap().to_string())
        };
        assert_eq!(place("/a/b", path("/a")).unwrap(), "/a/b");
        assert_eq!(place("/a", path("/a/b")).unwrap(), "/a/b");
        assert_eq!(place("/a", None).unwrap(), "/a");
        assert_eq!(place("/c", path("/a")), None);
    }
}
