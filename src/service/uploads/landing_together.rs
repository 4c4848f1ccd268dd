//! Landing of a group in one transaction, where names and rows are in one store: no intent, and nothing to recover.

use crate::model::error::Error;
use crate::model::storage_path::TrashKey;
use crate::model::trash::{NewTrash, TrashKind, TrashReason};
use crate::ports::metadata::node::LandingUpload;
use crate::ports::metadata::upload::{CompletedUpload, LandedUpload, LandingsId};
use crate::ports::storage::{LandingOutcome, WrittenGroup};
use crate::service::Lake;
use crate::service::uploads::landing_step::Step;
use crate::service::uploads::unsettled::UnsettledGroup;

/// Id of groups without an intent. Nothing is stored under it.
const NO_INTENT: LandingsId = LandingsId(0);

impl Lake {
    /// Lands a group whose bytes are written, and answers its callers.
    pub(super) async fn land_together(&self, steps: Vec<Step>, written: Option<Box<dyn WrittenGroup>>) {
        if steps.is_empty() {
            return;
        }
        let sealed = match written {
            Some(group) => group.seal().await,
            None => Ok(()),
        };
        if let Err(error) = sealed.and_then(|()| self.0.files.may_write()) {
            return steps.into_iter().for_each(|step| step.fail(error.repeated()));
        }
        let landing = |step: &Step| LandingUpload {
            upload: step.upload.clone(),
            landing: step.landing.clone(),
            replaced: self.overwritten_by(&step.upload),
        };
        let group: Vec<_> = steps.iter().map(landing).collect();
        match self.0.state.land_together(&group, self.now()).await {
            Ok(outcomes) => self.answer_together(steps, outcomes),
            // Found out by where the files are.
            Err(error) if error.is_unsettled() => {
                let steps = steps.into_iter().map(|step| (step.unsettled(), error.repeated())).collect();
                self.0.commit_queue.leave_unsettled(UnsettledGroup { id: NO_INTENT, steps });
            }
            Err(error) => steps.into_iter().for_each(|step| step.fail(error.repeated())),
        }
    }

    fn answer_together(&self, steps: Vec<Step>, outcomes: Vec<Result<LandingOutcome, Error>>) {
        let mut landed = Vec::with_capacity(steps.len());
        let mut ended = Vec::with_capacity(steps.len());
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => {
                    self.0.size_cache.landed(step.upload.sync_id, outcome);
                    landed.push(self.landed(step.upload.clone(), outcome));
                    ended.push(step);
                }
                Err(error) => step.fail(error),
            }
        }
        // Before the answers: the end of a sync is told behind the landings before it.
        self.0.events.pending_changes().landed(&landed);
        ended.into_iter().for_each(Step::landed);
    }

    /// Record of an upload whose file is renamed.
    pub(in crate::service) fn landed(&self, upload: CompletedUpload, outcome: LandingOutcome) -> LandedUpload {
        let trash = (outcome == LandingOutcome::Replaced).then(|| self.overwritten_by(&upload));
        LandedUpload { upload, trash }
    }

    /// Item of the trash for the file that an upload replaces.
    fn overwritten_by(&self, upload: &CompletedUpload) -> NewTrash {
        NewTrash {
            key: TrashKey::of_upload(&upload.partial),
            origin: upload.target.clone(),
            kind: TrashKind::File,
            reason: TrashReason::Overwritten,
            sync_id: Some(upload.sync_id),
            by: upload.by.clone(),
            at: self.now(),
        }
    }
}
