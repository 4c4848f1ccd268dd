//! Implementation of `lakeshore check`: compares the metadata, the lake and the trash, and repairs what can be repaired
//! without destroying anything.
//!
//! Runs only while no server does. Each part checks, reports, repairs if requested, and checks again: a finding counts
//! as repaired when it is not found again.

mod files;
mod trash;
mod unfinished;

use super::Lake;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::storage_path::TrashKey;
use serde::Serialize;

/// Options of a check.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Repairs findings where possible.
    pub repair: bool,
    /// Reads every file, and compares its SHA-256.
    pub digests: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The metadata store is damaged.
    Damaged,
    /// A step was interrupted by a stop; the next start completes it.
    Unfinished,
    /// A partial file without an upload.
    StrayPartial,
    /// Staged files of a sync that is not open.
    StrayStaging,
    /// A trash folder without a row.
    UnknownTrash,
    /// A row without its trash folder.
    MissingTrash,
    /// An empty folder in the trash: useless and harmless.
    EmptySlot,
    /// A landed file is not at its path.
    MissingFile,
    WrongSize,
    WrongDigest,
    /// A file without an upload: it was added by hand, or the metadata is older than the file.
    UnknownFile,
    /// A counter differs from the rows.
    Miscount,
}

impl FindingKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the finding is only a note, not an error.
    fn is_note(self) -> bool {
        matches!(self, Self::UnknownFile | Self::EmptySlot)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// Path below the lake root, or the subject in the metadata.
    pub path: String,
    pub detail: String,
    /// Effect of a repair. Absent if a person has to decide.
    pub repair: Option<&'static str>,
    pub repaired: bool,
}

impl Finding {
    fn new(kind: FindingKind, path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, path: path.into(), detail: detail.into(), repair: None, repaired: false }
    }

    fn repair(self, repair: &'static str) -> Self {
        Self { repair: Some(repair), ..self }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.path == other.path
    }
}

/// Number of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Checked {
    pub findings: u64,
    pub repaired: u64,
    pub notes: u64,
}

impl Checked {
    pub fn is_clean(&self) -> bool {
        self.findings == self.repaired
    }
}

/// A check in progress.
struct Check<'a> {
    lake: &'a Lake,
    options: CheckOptions,
    report: &'a mut (dyn FnMut(&Finding) + Send),
    checked: Checked,
    /// Paths where unfinished steps may still move files. They are not checked.
    in_doubt: Vec<LakePath>,
    keys_in_doubt: Vec<TrashKey>,
}

impl Lake {
    /// Checks everything, and reports each finding as it is found. No server may run.
    pub async fn check(
        &self,
        options: CheckOptions,
        report: &mut (dyn FnMut(&Finding) + Send),
    ) -> Result<Checked, Error> {
        let checked = Checked::default();
        let (in_doubt, keys_in_doubt) = (Vec::new(), Vec::new());
        let mut check = Check { lake: self, options, report, checked, in_doubt, keys_in_doubt };
        let damage = self.0.state.damage().await?;
        if !damage.is_empty() {
            // Damaged metadata is no basis for other checks or repairs.
            for line in damage {
                check.tell(&Finding::new(FindingKind::Damaged, "the database", format!("{line}; restore a backup")));
            }
            return Ok(check.checked);
        }
        check.unfinished().await?;
        check.trash().await?;
        check.files().await?;
        check.counters().await?;
        Ok(check.checked)
    }
}

impl Check<'_> {
    fn tell(&mut self, finding: &Finding) {
        if finding.kind.is_note() {
            self.checked.notes += 1;
        } else {
            self.checked.findings += 1;
            self.checked.repaired += u64::from(finding.repaired);
        }
        (self.report)(finding);
    }

    /// Reports findings; those that are not in `left` have been repaired.
    fn tell_all(&mut self, found: Vec<Finding>, left: &[Finding]) {
        for finding in found {
            let repaired = !left.iter().any(|left| left.is_same(&finding));
            self.tell(&Finding { repaired, ..finding });
        }
    }

    async fn counters(&mut self) -> Result<(), Error> {
        let found = self.miscounts().await?;
        let mut left = found.clone();
        if self.options.repair && !found.is_empty() {
            self.lake.0.state.recount().await?;
            left = self.miscounts().await?;
        }
        self.tell_all(found, &left);
        Ok(())
    }

    async fn miscounts(&self) -> Result<Vec<Finding>, Error> {
        let miscounts = self.lake.0.state.miscounts().await?.into_iter();
        let finding = |miscount: crate::ports::inspection::Miscount| {
            Finding::new(FindingKind::Miscount, miscount.of, miscount.difference).repair("recounts the rows")
        };
        Ok(miscounts.map(finding).collect())
    }
}
