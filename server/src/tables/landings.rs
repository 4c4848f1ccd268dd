//! Changes of groups of landings. Those of versions that follow each other are looked up together: it costs as many statements as one.

use super::change::{Change, Member, candidate, removal};
use super::describing::TOGETHER_MAX;
use super::{FollowError, Shared};
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::table::{LandedInVersion, StoredTable, TableFile, VersionHead};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Landings of versions that follow each other.
pub(super) struct Landings {
    of_version: BTreeMap<VersionNumber, Vec<LandedInVersion>>,
    /// The files that landed, and those from before that they replaced.
    known: HashMap<UploadId, TableFile>,
}

impl Shared {
    /// Landings of the first of these versions, and of those after it whose files are known, or read ahead in time.
    pub(super) async fn landings(&self, dataset: &LakePath, versions: &[VersionHead]) -> Result<Landings, FollowError> {
        let mut of_version: BTreeMap<_, _> = versions.iter().map(|head| (head.version, Vec::new())).collect();
        if let (Some(first), Some(last)) = (versions.first(), versions.last()) {
            for landed in self.state.landed_in(dataset, first.version..=last.version).await? {
                of_version.entry(landed.version).or_insert_with(Vec::new).push(landed);
            }
        }
        let mut num_files = 0;
        let is_beyond = |(index, files): (usize, &Vec<_>)| {
            num_files += files.len();
            index > 0 && num_files > TOGETHER_MAX
        };
        keep_first(&mut of_version, is_beyond);
        let mut wanted = of_version.values().next().map_or(0, Vec::len);
        let members: Vec<_> = of_version.values().flatten().map(Member::from).collect();
        let (mut known, mut unread) = (HashMap::new(), HashSet::new());
        for some in members.chunks(TOGETHER_MAX) {
            let (files, missing) = self.known_ahead(dataset, some, wanted).await?;
            wanted = wanted.saturating_sub(some.len());
            known.extend(files);
            unread.extend(missing);
        }
        keep_first(&mut of_version, |(_, files)| files.iter().any(|file| unread.contains(&file.upload_id)));
        let replaced: Vec<_> = of_version.values().flatten().filter_map(|file| file.replaced).collect();
        let replaced: Vec<_> = replaced.into_iter().filter(|upload_id| !known.contains_key(upload_id)).collect();
        for some in replaced.chunks(TOGETHER_MAX) {
            known.extend(self.known_already(dataset, some).await?);
        }
        Ok(Landings { of_version, known })
    }
}

/// Keeps the versions before the first of which this is true.
fn keep_first(
    of_version: &mut BTreeMap<VersionNumber, Vec<LandedInVersion>>,
    mut is_beyond: impl FnMut((usize, &Vec<LandedInVersion>)) -> bool,
) {
    let beyond = of_version.iter().enumerate().find(|(index, (_, files))| is_beyond((*index, files)));
    if let Some(first) = beyond.map(|(_, (version, _))| *version) {
        of_version.split_off(&first);
    }
}

impl Landings {
    /// Changes of one of the versions, for the table as the version before has left it; `outside` are files that have come since these
    /// were looked up, and that are not in it. `None` where more has changed, or for a version that was not looked up.
    pub(super) fn change(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        version: &VersionHead,
        is_outside: impl Fn(UploadId) -> bool,
    ) -> Option<Change> {
        let landed = self.of_version.get(&version.version)?;
        let replaced: BTreeMap<_, _> = landed.iter().filter_map(|file| Some((file.replaced?, &file.path))).collect();
        if table.dataset_files + landed.len() as u64 != version.files + replaced.len() as u64 {
            return None;
        }
        let in_table = |upload_id: &UploadId| self.known.get(upload_id).filter(|_| !is_outside(*upload_id));
        let removed: Vec<_> = replaced
            .iter()
            .filter_map(|(upload_id, path)| removal(dataset, path, in_table(upload_id)?, version.at))
            .collect();
        let candidates = landed.iter().filter_map(|file| {
            let known = self.known.get(&file.upload_id)?;
            Some(candidate(dataset, &Member::from(file), known, known.schema?))
        });
        let kept = table.table_files.saturating_sub(removed.len() as u64);
        Some(Change { candidates: candidates.collect(), removed, kept, gone: Some(replaced.into_keys().collect()) })
    }
}
