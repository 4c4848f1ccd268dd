//! Restore of a version. A complete version in the trash is exchanged with the dataset, as by a restore from the trash.
//! The files of any other version are copied ([`super::copying`]). In both cases the old content goes to the trash, and
//! restoring the version before undoes it.
//!
//! The restore is planned, then it holds the path, so that no other change can make a version of the dataset. If one
//! was made between the two, it is planned again: its figures are those of the version that it replaces.

use super::super::Lake;
use super::damage::Damage;
use crate::model::access::key::{Caller, may_write};
use crate::model::error::Error;
use crate::model::id::{SyncId, TrashId, VersionNumber};
use crate::model::limits::DIFFERENCES_NAMED_MAX;
use crate::model::path::LakePath;
use crate::model::sync::difference::Difference;
use crate::model::totals::Totals;
use crate::model::version::{Version, VersionKind, WhichVersion};
use crate::model::version_requests::{RestoreVersion, RestoredVersion};
use crate::service::syncs::difference::ChangeSelection;
use crate::service::trash::listing::BegunRestore;

fn totals(version: &Version) -> Totals {
    Totals { files: version.files, bytes: version.size_bytes }
}

/// How a version is restored.
enum Method {
    /// A trash item has all of it.
    Exchange(TrashId),
    Copies,
}

/// Effect of a restore, as of the version that was current when it was planned.
struct Plan {
    version: Version,
    current: Version,
    difference: Difference,
    is_shrinking: bool,
    /// The dataset has the files of the version already.
    is_same: bool,
    damage: Damage,
    method: Method,
}

impl Plan {
    fn refuse(self, dataset: &LakePath, is_confirmed: bool) -> Result<Self, Error> {
        let Self { version, current, damage, is_shrinking, .. } = self;
        damage.refuse(dataset, version.version)?;
        if is_shrinking && !is_confirmed {
            let (replaced, restored) = (totals(&current), totals(&version));
            return Err(Error::RestoreHeld { path: dataset.clone(), version: version.version, replaced, restored });
        }
        Ok(Self { version, current, damage: Damage::default(), is_shrinking, ..self })
    }

    fn answer(self) -> RestoredVersion {
        RestoredVersion {
            version: self.version.version,
            replaced_version: self.current.version,
            new_version: None,
            is_shrinking: self.is_shrinking,
            num_gone: self.damage.files,
            difference: self.difference,
        }
    }
}

/// A restore that holds its path.
enum PathHold<'a> {
    Exchange(Box<BegunRestore<'a>>),
    Copies(SyncId),
}

impl Lake {
    pub async fn restore_version(&self, caller: &Caller, wanted: &RestoreVersion) -> Result<RestoredVersion, Error> {
        caller.may_write_somewhere()?;
        let dataset = self.exact_dataset(caller, &wanted.path).await?;
        may_write(caller, &dataset)?;
        let plan = self.plan_restore(caller, &dataset, wanted.version).await?;
        if wanted.dry_run {
            if !plan.is_same && plan.damage.files == 0 {
                self.check_start_full(caller, &dataset).await?;
            }
            return Ok(plan.answer());
        }
        let plan = plan.refuse(&dataset, wanted.confirm)?;
        if plan.is_same {
            return Ok(plan.answer());
        }
        let hold = match self.hold_restore(caller, &dataset, &plan).await {
            // Restored or purged meanwhile.
            Err(Error::NoSuchTrash(_)) => {
                let plan =
                    self.plan_restore(caller, &dataset, wanted.version).await?.refuse(&dataset, wanted.confirm)?;
                self.hold_restore(caller, &dataset, &plan).await?
            }
            held => held?,
        };
        let restored = self.restore_held(caller, &dataset, wanted, plan, &hold).await;
        let is_done = match &restored {
            Ok(answer) => answer.new_version.is_some(),
            // It has begun to move files: it is completed in the background.
            Err(error) => error.is_unsettled() && matches!(hold, PathHold::Exchange(_)),
        };
        if !is_done {
            self.release_restore(&hold, restored.as_ref().err()).await;
        }
        restored
    }

    async fn plan_restore(&self, caller: &Caller, dataset: &LakePath, version: VersionNumber) -> Result<Plan, Error> {
        let version = self.seen_version(dataset, WhichVersion::Number(version)).await?;
        let current = self.seen_version(dataset, WhichVersion::Current).await?;
        let named = ChangeSelection::FirstOfEachKind(DIFFERENCES_NAMED_MAX);
        let difference = self.compare_lists(caller, dataset, current.version, version.version, named).await?;
        let (replaced, restored) = (totals(&current), totals(&version));
        let guard = &self.0.limits.shrink_guard;
        let is_emptying = restored.files == 0 && replaced.files > 0;
        let is_shrinking = is_emptying || (replaced.files > 0 && guard.holds(dataset, replaced, restored));
        let are_equal = version.list_digest == current.list_digest && version.is_complete && current.is_complete;
        // The list says nothing about files that were removed or changed by hand.
        let is_same = are_equal && self.damage(dataset, current.version).await?.files == 0;
        let damage = if is_same { Damage::default() } else { self.damage(dataset, version.version).await? };
        let method = match self.0.state.trash_of_version(dataset, version.version).await? {
            Some(trash_id) => Method::Exchange(trash_id),
            None if !version.is_complete => {
                let why = "the lake does not know all of its files; restore it from the trash";
                let (path, dataset) = (dataset.clone(), dataset.clone());
                return Err(Error::VersionGone { path, dataset, version: version.version, why });
            }
            None => Method::Copies,
        };
        Ok(Plan { version, current, difference, is_shrinking, is_same, damage, method })
    }

    async fn hold_restore(&self, caller: &Caller, dataset: &LakePath, plan: &Plan) -> Result<PathHold<'_>, Error> {
        match plan.method {
            Method::Exchange(trash_id) => {
                let alone = self.0.restoring.lock().await;
                Ok(PathHold::Exchange(Box::new(self.begin_restore(caller, trash_id, alone).await?)))
            }
            Method::Copies => self.begin_copies(caller, dataset, plan.version.version).await.map(PathHold::Copies),
        }
    }

    /// Restores with the path held. Has no new version if the dataset was the same already; nothing has changed then,
    /// nor after an error that is not unsettled.
    async fn restore_held(
        &self,
        caller: &Caller,
        dataset: &LakePath,
        wanted: &RestoreVersion,
        mut plan: Plan,
        hold: &PathHold<'_>,
    ) -> Result<RestoredVersion, Error> {
        if self.0.state.current_version(dataset).await? != Some(plan.current.version) {
            plan = self.plan_restore(caller, dataset, wanted.version).await?.refuse(dataset, wanted.confirm)?;
            if plan.is_same {
                return Ok(plan.answer());
            }
        }
        let sync_id = match hold {
            PathHold::Exchange(begun) => {
                self.finish_restore(begun).await?;
                None
            }
            PathHold::Copies(sync_id) => {
                self.publish_copies(caller, *sync_id, dataset, plan.version.version).await?;
                Some(*sync_id)
            }
        };
        // No other change could make a version of the dataset until this one had made its own.
        let made = WhichVersion::Number(VersionNumber(plan.current.version.0.saturating_add(1)));
        let made = self.seen_version(dataset, made).await?;
        debug_assert_eq!((made.kind, made.sync_id), (VersionKind::Restore, sync_id), "made by this restore");
        Ok(RestoredVersion { new_version: Some(made.version), ..plan.answer() })
    }

    async fn release_restore(&self, hold: &PathHold<'_>, cause: Option<&Error>) {
        match hold {
            // If that fails, the restore is completed in the background.
            PathHold::Exchange(begun) => {
                let _ = self.cancel_restore(begun).await;
            }
            PathHold::Copies(sync_id) => self.drop_copies(*sync_id, cause).await,
        }
    }
}
