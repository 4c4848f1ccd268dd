//! Check of interrupted steps and of files without an owner: a repair completes and removes them, as the next start
//! does.

use super::{Check, Finding, FindingKind};
use crate::model::error::Error;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use std::collections::BTreeSet;

const GOES_ON: &str = "completes or undoes it, as the next start does";
const KEEPS: &str = "moves it to the trash, as the next start does";
const REMOVES: &str = "removes it, as the next start does";

impl Check<'_> {
    pub(super) async fn unfinished(&mut self) -> Result<(), Error> {
        let mut found = self.find_unfinished().await?;
        let mut left = found.clone();
        if self.options.repair && !found.is_empty() {
            let recovered = self.lake.recover().await?;
            left = self.find_unfinished().await?;
            for fault in recovered.faults {
                let finding = Finding::new(FindingKind::Unfinished, "a recovery step", fault_text(&fault));
                left.push(finding.clone());
                found.push(finding);
            }
        }
        self.tell_all(found, &left);
        Ok(())
    }

    async fn find_unfinished(&mut self) -> Result<Vec<Finding>, Error> {
        self.in_doubt.clear();
        self.keys_in_doubt.clear();
        let mut found = Vec::new();
        let mut add = |path: String, detail: String| {
            found.push(Finding::new(FindingKind::Unfinished, path, detail).repair(GOES_ON));
        };
        let state = &self.lake.0.state;
        let mut partials = BTreeSet::new();
        for (id, uploads) in state.unfinished_landings().await? {
            if uploads.is_empty() {
                add(format!("landings {}", id.0), "a group of landings without an upload".into());
            }
            for upload in uploads {
                add(upload.target.to_string(), format!("an upload of sync {} was about to land", upload.sync_id));
                self.keys_in_doubt.push(TrashKey::of_upload(&upload.partial));
                partials.insert(upload.partial.as_str().to_owned());
                self.in_doubt.push(upload.target);
            }
        }
        for upload in state.unfinished_uploads().await? {
            let path = StoragePath::Partial(upload.partial.clone()).shown();
            add(path, format!("the upload {} was in flight", upload.upload_id));
            partials.insert(upload.partial.as_str().to_owned());
        }
        let resumables = self.lake.unfinished_resumables().await?;
        for (record, message) in self.lake.lost_resumables(&resumables).await? {
            let path = StoragePath::Partial(record.partial).shown();
            add(path, format!("a resumable upload ({:?}) that cannot be resumed: {message}", record.file_name));
        }
        partials.extend(resumables.into_keys().map(|partial| partial.as_str().to_owned()));
        for record in state.closing_syncs().await? {
            let id = record.sync.sync_id;
            add(record.sync.path.to_string(), format!("sync {id} was ending"));
            self.keys_in_doubt.push(TrashKey::of_sync(id));
            self.in_doubt.push(record.sync.path);
        }
        for record in state.unfinished_restores().await? {
            add(record.entry.origin.to_string(), format!("trash {} was being restored", record.entry.trash_id));
            self.in_doubt.push(record.entry.origin);
        }
        let open = state.open_syncs().await?;
        let files = &self.lake.0.files;
        for entry in files.list(&StoragePath::Partials).await? {
            if !partials.contains(&entry.name) {
                let path = format!("{}/{}", StoragePath::Partials.shown(), entry.name);
                let finding = Finding::new(FindingKind::StrayPartial, path, "belongs to no upload in flight");
                found.push(finding.repair(REMOVES));
            }
        }
        for entry in files.list(&StoragePath::Stagings).await? {
            if !StoragePath::staging_owner(&entry.name).is_some_and(|owner| open.contains(&owner)) {
                let path = format!("{}/{}", StoragePath::Stagings.shown(), entry.name);
                let finding = Finding::new(FindingKind::StrayStaging, path, "belongs to no open sync");
                found.push(finding.repair(KEEPS));
            }
        }
        Ok(found)
    }
}

/// Text of a fault with its cause, since only operators run a check.
fn fault_text(fault: &Error) -> String {
    match fault {
        Error::Internal(source) => source.to_string(),
        other => other.to_string(),
    }
}
