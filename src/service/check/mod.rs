//! `lakeshore check`: do the state, the lake and the trash agree? And what of it can be repaired without destroying anything.
//!
//! Only while no server runs. Each part looks, reports, repairs where it was asked to, and looks again: a finding is
//! repaired when it is not found any more.

mod files;
mod trash;
mod unfinished;

use super::Lake;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::storage_path::TrashKey;
use serde::Serialize;

/// What to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Repair what can be.
    pub repair: bool,
    /// Read every file, and compare its SHA-256.
    pub digests: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The store of the state is broken.
    Damaged,
    /// A stop has cut it short; the next start goes on with it.
    Unfinished,
    /// The bytes of an upload that nobody remembers.
    StrayPartial,
    /// What was staged for a sync that is not open.
    StrayStaging,
    /// Something in the trash that no row tells of.
    UnknownTrash,
    /// A row tells of trash that is not there.
    MissingTrash,
    /// An empty folder in the trash: of no use, and no harm.
    EmptySlot,
    /// A file that has landed is not where it was.
    MissingFile,
    WrongSize,
    WrongDigest,
    /// No upload brought it: somebody has put it there, or the state is older than it.
    UnknownFile,
    /// A counter disagrees with the rows.
    Miscount,
}

impl FindingKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Worth knowing, and nothing wrong.
    pub fn is_note(self) -> bool {
        matches!(self, Self::UnknownFile | Self::EmptySlot)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// Where: a place below the lake root, or what it is in the state.
    pub path: String,
    pub detail: String,
    /// What a repair does about it. Absent: it is for a person to decide.
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

/// How many findings there were.
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

/// A check on its way.
struct Check<'a> {
    lake: &'a Lake,
    options: CheckOptions,
    report: &'a mut (dyn FnMut(&Finding) + Send),
    checked: Checked,
    /// Where something unfinished may still move: what lies there is not judged.
    in_doubt: Vec<LakePath>,
    keys_in_doubt: Vec<TrashKey>,
}

impl Lake {
    /// Compares everything with everything, and reports each finding as it comes. No server may run.
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
            // What such a state says is no ground to judge, or to repair, anything else by.
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

    /// Reports what was found; what is not among `left` any more has been repaired.
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
