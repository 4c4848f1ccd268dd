//! Access to resumable uploads: continuing, discarding, and seeing the token.
//!
//! An upload begun with a key needs that key, identified by its id. One begun by a guest is open to every client with
//! its token, so lists show that token only to administrators. To all others an upload is reported as missing.

use super::{Lake, TOGETHER};
use crate::model::access::key::{Caller, may_administer, may_destroy};
use crate::model::access::principal::Principal;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::page::Page;
use crate::model::upload::resumable::{Token, UnfinishedResumable};
use crate::ports::metadata::resumable::{ResumableId, ResumableRecord};

/// Requested use of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    GoOn,
    /// Also allowed to an administrator of its path.
    Discard,
}

/// Whether `principal`, which has the token, may continue an upload of `owner`.
pub(super) fn may_go_on(principal: Principal, owner: Principal) -> bool {
    owner == Principal::Guest || principal.owns(owner)
}

impl Lake {
    /// Upload that the caller may use this way.
    pub(super) async fn allowed_resumable(
        &self,
        caller: &Caller,
        token: &str,
        wanted: Wanted,
    ) -> Result<ResumableRecord, Error> {
        // Checked first: a caller that may not upload must not learn which uploads exist.
        caller.may_upload_parts()?;
        let unknown = || Error::NoSuchResumable(token.chars().take(64).collect());
        let known = Token::parse(token).ok_or_else(unknown)?;
        let record = self.0.state.resumable(&known).await?.ok_or_else(unknown)?;
        if is_allowed(caller, &record, wanted) { Ok(record) } else { Err(unknown()) }
    }

    /// Unfinished uploads that the caller may see, in the order of their begin. Only its own uploads, and those that it
    /// may discard as an administrator, have their token.
    pub async fn resumables(
        &self,
        caller: &Caller,
        sync_id: Option<SyncId>,
        page: &Page,
    ) -> Result<Vec<UnfinishedResumable>, Error> {
        let scope = caller.may_read()?;
        let is_own = |record: &ResumableRecord| {
            caller.principal().owns(record.owner) && is_allowed(caller, record, Wanted::GoOn)
        };
        let is_wanted = |record: &ResumableRecord| {
            let is_in_scope = match (&scope, &record.target) {
                (None, Some(_)) => true,
                (Some(scope), Some(target)) => scope.contains(target),
                // A part has no path yet.
                (_, None) => is_own(record) || administers(caller, record),
            };
            is_in_scope && (sync_id.is_none() || record.sync_id == sync_id)
        };
        let (mut skipped, mut listed) = (0, Vec::new());
        let mut after = ResumableId(0);
        loop {
            let records = self.0.state.unfinished_resumables(after, TOGETHER).await?;
            let Some(last) = records.last() else { return Ok(listed) };
            after = last.resumable_id;
            for record in records.into_iter().filter(is_wanted) {
                if listed.len() as u64 >= page.size {
                    return Ok(listed);
                }
                if skipped < page.from {
                    skipped += 1;
                } else {
                    let is_told = is_own(&record) || administers(caller, &record);
                    listed.push(shown(record, is_told));
                }
            }
        }
    }
}

fn is_allowed(caller: &Caller, record: &ResumableRecord, wanted: Wanted) -> bool {
    let may_upload = match &record.target {
        Some(target) => caller.may_upload(target),
        None => caller.may_upload_parts(),
    };
    may_upload.is_ok() && may_go_on(caller.principal(), record.owner)
        || wanted == Wanted::Discard && administers(caller, record)
}

/// Whether the caller administers the target of the upload; for a part, which has none, the whole lake.
fn administers(caller: &Caller, record: &ResumableRecord) -> bool {
    match &record.target {
        Some(target) => may_destroy(caller, target).is_ok(),
        None => may_administer(caller).is_ok(),
    }
}

fn shown(record: ResumableRecord, is_told: bool) -> UnfinishedResumable {
    UnfinishedResumable {
        token: Some(record.token).filter(|_| is_told),
        history_id: record.upload_id,
        sync_id: record.sync_id,
        file_name: record.file_name,
        offset: record.checkpoint.offset,
        length: record.length,
        start_time: record.begun_at,
        expires: record.expires_at,
    }
}
