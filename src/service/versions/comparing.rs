//! Comparison of two versions of a dataset by their file lists, without reading files.

use super::super::Lake;
use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::VersionNumber;
use crate::model::limits::VERSION_LOOK_UPS_MAX;
use crate::model::path::LakePath;
use crate::model::sync::difference::{ChangesPage, Difference};
use crate::model::version::{VersionFile, WhichVersion};
use crate::model::version_requests::CompareVersions;
use crate::ports::metadata::schema::SchemaId;
use crate::ports::metadata::version::VersionFilesQuery;
use crate::service::syncs::difference::{ChangeSelection, ComparedFile, DifferenceBuilder};
use crate::service::syncs::row_tally::KnownRows;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// Files of a version, read in pages.
struct Files<'a> {
    lake: &'a Lake,
    query: VersionFilesQuery,
    read: VecDeque<VersionFile>,
    is_over: bool,
}

impl<'a> Files<'a> {
    fn of(lake: &'a Lake, dataset: &LakePath, version: VersionNumber) -> Self {
        let query = VersionFilesQuery {
            dataset: dataset.clone(),
            version,
            below: None,
            after: None,
            size: VERSION_LOOK_UPS_MAX,
        };
        Self { lake, query, read: VecDeque::new(), is_over: false }
    }

    async fn next(&mut self) -> Result<Option<VersionFile>, Error> {
        if self.read.is_empty() && !self.is_over {
            let page = self.lake.0.state.version_files(&self.query).await?;
            self.is_over = (page.len() as u64) < self.query.size;
            self.query.after = page.last().map(|file| file.path.clone());
            self.read = page.into();
        }
        Ok(self.read.pop_front())
    }
}

impl Lake {
    /// Changes from one version of a dataset to another.
    pub async fn compare_versions(
        &self,
        caller: &Caller,
        wanted: &CompareVersions,
        page: &ChangesPage,
    ) -> Result<Difference, Error> {
        caller.may_read()?;
        let named = ChangeSelection::page(page)?;
        let dataset = self.exact_dataset(caller, &wanted.path).await?;
        for number in [wanted.old, wanted.new] {
            self.seen_version(&dataset, WhichVersion::Number(number)).await?;
        }
        self.compare_lists(caller, &dataset, wanted.old, wanted.new, named).await
    }

    pub(super) async fn compare_lists(
        &self,
        caller: &Caller,
        dataset: &LakePath,
        old: VersionNumber,
        new: VersionNumber,
        named: ChangeSelection,
    ) -> Result<Difference, Error> {
        let _turns = self.comparison_turn(caller).await?;
        let mut builder = DifferenceBuilder::new(None, None, named);
        let (mut old_files, mut new_files) = (Files::of(self, dataset, old), Files::of(self, dataset, new));
        let (mut old, mut new) = (old_files.next().await?, new_files.next().await?);
        loop {
            let order = match (&old, &new) {
                (Some(old), Some(new)) => old.path.cmp(&new.path),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return self.finished(builder).await,
            };
            let before = if order.is_le() { old.take() } else { None };
            let after = if order.is_ge() { new.take() } else { None };
            if before.is_some() {
                old = old_files.next().await?;
            }
            if after.is_some() {
                new = new_files.next().await?;
            }
            add(&mut builder, dataset, before, after);
        }
    }
}

fn add(builder: &mut DifferenceBuilder, dataset: &LakePath, old: Option<VersionFile>, new: Option<VersionFile>) {
    let Some(path) = new.as_ref().or(old.as_ref()).map(|file| &file.path) else { return };
    let path = dataset.relative(path).unwrap_or(path.as_str()).to_owned();
    let are_equal = old.as_ref().zip(new.as_ref()).is_some_and(|(old, new)| old.content == new.content);
    let compared = |file: VersionFile| ComparedFile {
        size_bytes: file.content.size_bytes,
        rows: KnownRows { count: file.rows, schema: file.schema_id.map(SchemaId) },
    };
    builder.add_file(path, old.map(compared), new.map(compared), are_equal);
}
