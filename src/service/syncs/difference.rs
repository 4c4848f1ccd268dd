//! Comparison of a sync with its dataset, file by file.
//!
//! A full sync: its staging with the dataset, folder by folder, so that only one folder's names are in memory; also a
//! version in the trash with the dataset that replaced it. An incremental sync: its files landed so far, from the
//! history. Names that are not valid in lake paths, such as those that begin with a dot, are left out, as readers skip
//! them too.

use crate::model::access::key::Caller;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::limits::{DIFFERENCE_LOOK_UPS_MAX, DIFFERENCES_MAX, DIFFERENCES_NAMED_MAX, DIFFERENCES_SHARE_MAX};
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::sync::difference::{Change, ChangeKind, ChangesPage, CompareTrashed, Difference};
use crate::model::sync::job::{SyncJob, may_accept_uploads};
use crate::model::sync::status::SyncType;
use crate::model::trash::TrashKind;
use crate::ports::inspection::EntryKind;
use crate::ports::metadata::trash::TrashRecord;
use crate::ports::storage::FoundFile;
use crate::service::Lake;
use crate::service::access::caller_turns::CallerTurns;
use crate::service::syncs::row_tally::{KnownRows, RowTally};
use async_lock::Semaphore;
use std::collections::BTreeMap;

/// Concurrent comparisons; more wait, and each caller has one at a time.
pub(in crate::service) struct Comparisons {
    all: Semaphore,
    of_callers: CallerTurns,
}

impl Default for Comparisons {
    fn default() -> Self {
        let of_callers = CallerTurns::new("comparisons", DIFFERENCES_SHARE_MAX);
        Self { all: Semaphore::new(DIFFERENCES_MAX), of_callers }
    }
}

/// Changes that are listed by name.
pub(in crate::service) enum ChangeSelection {
    Page { kind: Option<ChangeKind>, skip: u64, size: u64 },
    FirstOfEachKind(u64),
}

impl ChangeSelection {
    pub(in crate::service) fn page(wanted: &ChangesPage) -> Result<Self, Error> {
        let Page { from, size, .. } = Page::new(wanted.from, wanted.size, Order::Asc)?;
        Ok(Self::Page { kind: wanted.kind, skip: from, size })
    }
}

/// Sizes on the old side and on the new side.
type Sizes = (Option<u64>, Option<u64>);
type FoundFiles = (Option<FoundFile>, Option<FoundFile>);

/// Location of one of two versions of a dataset.
enum Side {
    Live,
    Staged(SyncId),
    Trashed(TrashKey),
}

impl Side {
    /// Path of an entry; of the version itself when `relative` is empty.
    fn place(&self, dataset: &LakePath, relative: &str) -> Result<StoragePath, Error> {
        Ok(match (self, relative) {
            (Self::Live, _) => StoragePath::Live(dataset.join(relative)?),
            (Self::Staged(sync), "") => StoragePath::Staging(*sync),
            (Self::Staged(sync), _) => StoragePath::Staged { sync: *sync, relative: relative.to_owned() },
            (Self::Trashed(key), "") => StoragePath::trashed(key, dataset),
            (Self::Trashed(key), _) => {
                let (key, leaf) = (key.clone(), dataset.leaf().to_owned());
                StoragePath::InTrash { key, leaf, relative: relative.to_owned() }
            }
        })
    }
}

/// A file on one side.
pub(in crate::service) struct ComparedFile {
    pub(in crate::service) size_bytes: u64,
    pub(in crate::service) rows: KnownRows,
}

/// Two versions of a dataset.
struct Sides {
    dataset: LakePath,
    old: Side,
    new: Side,
}

/// Lists some of the changes, and counts all.
pub(in crate::service) struct DifferenceBuilder {
    difference: Difference,
    named: ChangeSelection,
    pub(in crate::service) rows: RowTally,
}

impl DifferenceBuilder {
    pub(in crate::service) fn new(sync_id: Option<SyncId>, trash_id: Option<TrashId>, named: ChangeSelection) -> Self {
        Self { difference: Difference::empty(sync_id, trash_id), named, rows: RowTally::default() }
    }

    /// Adds a file by its two sides; `are_equal` matters only if it is on both.
    pub(in crate::service) fn add_file(
        &mut self,
        path: String,
        mut old: Option<ComparedFile>,
        mut new: Option<ComparedFile>,
        are_equal: bool,
    ) {
        // A file may have been replaced by the same content before it was read.
        if are_equal && let (Some(old), Some(new)) = (&mut old, &mut new) {
            old.rows.share(&mut new.rows);
        }
        let kind = match (&old, &new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ if are_equal => ChangeKind::Unchanged,
            _ => ChangeKind::Changed,
        };
        self.add(Change {
            path,
            kind,
            size_bytes: new.as_ref().map(|file| file.size_bytes),
            old_size_bytes: old.as_ref().map(|file| file.size_bytes),
            rows: new.as_ref().and_then(|file| file.rows.count),
            old_rows: old.as_ref().and_then(|file| file.rows.count),
        });
        old.into_iter().for_each(|file| self.rows.old.add(file.rows));
        new.into_iter().for_each(|file| self.rows.new.add(file.rows));
    }

    fn add(&mut self, change: Change) {
        self.difference.count(&change);
        let is_named = match &mut self.named {
            ChangeSelection::Page { kind, .. } if kind.is_some_and(|kind| kind != change.kind) => false,
            ChangeSelection::Page { skip, size, .. } if *skip == 0 => (self.difference.files.len() as u64) < *size,
            ChangeSelection::Page { skip, .. } => {
                *skip -= 1;
                false
            }
            ChangeSelection::FirstOfEachKind(size) => self.difference.totals(change.kind).files <= *size,
        };
        if is_named {
            self.difference.files.push(change);
        }
    }
}

impl Lake {
    /// Changes of a sync: for an open full sync, the effect of its publish; for an incremental one, its changes so far.
    /// Visits each file of the sync and of the dataset.
    pub async fn difference(&self, caller: &Caller, id: SyncId, page: &ChangesPage) -> Result<Difference, Error> {
        caller.may_read()?;
        self.compare(caller, id, ChangeSelection::page(page)?).await
    }

    /// [`Self::difference`] with the first files of each kind.
    pub async fn difference_in_short(&self, caller: &Caller, id: SyncId) -> Result<Difference, Error> {
        self.compare(caller, id, ChangeSelection::FirstOfEachKind(DIFFERENCES_NAMED_MAX)).await
    }

    /// Changes of a dataset since one of its versions went to the trash. Visits each file of both.
    pub async fn version_difference(
        &self,
        caller: &Caller,
        wanted: &CompareTrashed,
        page: &ChangesPage,
    ) -> Result<Difference, Error> {
        caller.may_read()?;
        let named = ChangeSelection::page(page)?;
        let id = wanted.trash_id;
        if !caller.sees(&wanted.path) {
            return Err(Error::NoSuchTrash(id));
        }
        let record = self.0.state.trash_record(id).await?;
        let is_version = |record: &TrashRecord| {
            record.entry.origin == wanted.path && record.entry.kind == TrashKind::Dataset && record.restoring.is_none()
        };
        let record = record.filter(is_version).ok_or(Error::NoSuchTrash(id))?;
        let mut builder = DifferenceBuilder::new(None, Some(id), named);
        let _turn = self.comparison_turn(caller).await?;
        let sides = Sides { dataset: wanted.path.clone(), old: Side::Trashed(record.key), new: Side::Live };
        self.compare_sides(&sides, &mut builder).await?;
        // If the version was restored or purged meanwhile, the comparison is incomplete.
        self.0.state.trash_record(id).await?.filter(is_version).ok_or(Error::NoSuchTrash(id))?;
        self.finished(builder).await
    }

    /// Changes that restoring a dataset from the trash would make, with the first files of each kind. Files that come back
    /// are added.
    pub(in crate::service) async fn restore_difference(
        &self,
        caller: &Caller,
        record: &TrashRecord,
    ) -> Result<Difference, Error> {
        let mut builder = DifferenceBuilder::new(
            None,
            Some(record.entry.trash_id),
            ChangeSelection::FirstOfEachKind(DIFFERENCES_NAMED_MAX),
        );
        let _turn = self.comparison_turn(caller).await?;
        let new = Side::Trashed(record.key.clone());
        self.compare_sides(&Sides { dataset: record.entry.origin.clone(), old: Side::Live, new }, &mut builder).await?;
        self.finished(builder).await
    }

    /// Turn for a comparison: the caller's own, and one of the shared ones.
    pub(in crate::service) async fn comparison_turn(
        &self,
        caller: &Caller,
    ) -> Result<(impl Sized + '_, impl Sized + '_), Error> {
        Ok((self.0.comparisons.of_callers.turn(caller).await?, self.0.comparisons.all.acquire().await))
    }

    async fn compare(&self, caller: &Caller, id: SyncId, named: ChangeSelection) -> Result<Difference, Error> {
        let sync = self.sync(caller, id).await?;
        let mut builder = DifferenceBuilder::new(Some(sync.sync_id), None, named);
        let _turn = self.comparison_turn(caller).await?;
        match sync.sync_type {
            SyncType::IncrementalSync => self.compare_landed(&sync, &mut builder).await?,
            SyncType::FullSync => {
                // A published or aborted sync has nothing to compare; checked again afterwards.
                may_accept_uploads(&self.record(sync.sync_id).await?)?;
                let (dataset, new) = (sync.path.clone(), Side::Staged(sync.sync_id));
                self.compare_sides(&Sides { dataset, old: Side::Live, new }, &mut builder).await?;
                may_accept_uploads(&self.record(sync.sync_id).await?)?;
            }
        }
        self.finished(builder).await
    }

    /// Adds the rows of both sides, and the difference of the columns of most files.
    pub(in crate::service) async fn finished(&self, builder: DifferenceBuilder) -> Result<Difference, Error> {
        let DifferenceBuilder { mut difference, rows, .. } = builder;
        difference.rows = rows.totals();
        if let (Some(new), Some(old)) = (rows.new.schema(), rows.old.schema())
            && new != old
            && let (Some(new), Some(old)) = (self.0.state.schema(new).await?, self.0.state.schema(old).await?)
        {
            difference.schema = new.differs_from(&old).map(|schema| schema.in_short());
        }
        Ok(difference)
    }

    async fn compare_landed(&self, sync: &SyncJob, builder: &mut DifferenceBuilder) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let landed = self.0.state.landed_changes(sync.sync_id, after, DIFFERENCE_LOOK_UPS_MAX).await?;
            let Some(last) = landed.last() else { return Ok(()) };
            after = last.ordinal;
            for file in landed {
                builder.rows.new.add(KnownRows { count: file.row_count, schema: None });
                builder.add(Change {
                    path: sync.path.relative(&file.target).unwrap_or(file.target.as_str()).to_owned(),
                    kind: if file.has_replaced { ChangeKind::Changed } else { ChangeKind::Added },
                    size_bytes: Some(file.size_bytes),
                    old_size_bytes: None,
                    rows: file.row_count,
                    old_rows: None,
                });
            }
        }
    }

    /// Visits each folder's files by name, then its subfolders.
    async fn compare_sides(&self, sides: &Sides, builder: &mut DifferenceBuilder) -> Result<(), Error> {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let old = sides.old.place(&sides.dataset, &folder)?;
            let new = sides.new.place(&sides.dataset, &folder)?;
            let mut files: BTreeMap<String, Sizes> = BTreeMap::new();
            let mut below = Vec::new();
            for (place, is_new) in [(&old, false), (&new, true)] {
                for entry in self.0.files.list(place).await? {
                    let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
                    match entry.kind {
                        _ if sides.dataset.join(&path).is_err() => {}
                        EntryKind::Folder => below.push(path),
                        EntryKind::File => {
                            let sizes = files.entry(path).or_default();
                            let size = if is_new { &mut sizes.1 } else { &mut sizes.0 };
                            *size = Some(entry.size_bytes);
                        }
                        EntryKind::Other => {}
                    }
                }
            }
            below.sort_unstable_by(|one, other| other.cmp(one));
            below.dedup();
            folders.append(&mut below);
            self.compare_folder(sides, files, builder).await?;
        }
        Ok(())
    }

    async fn compare_folder(
        &self,
        sides: &Sides,
        files: BTreeMap<String, Sizes>,
        builder: &mut DifferenceBuilder,
    ) -> Result<(), Error> {
        let files: Vec<_> = files.into_iter().collect();
        for some in files.chunks(usize::try_from(DIFFERENCE_LOOK_UPS_MAX).unwrap_or(usize::MAX)) {
            let found = self.find_both(sides, some).await?;
            let equal = self.are_equal(sides, some, &found).await?;
            let rows = self.rows_of_both(sides, some, &found).await?;
            for (((path, (old, new)), are_equal), (old_rows, new_rows)) in some.iter().zip(equal).zip(rows) {
                let file = |(size_bytes, rows)| ComparedFile { size_bytes, rows };
                let (old, new) = (old.zip(old_rows).map(file), new.zip(new_rows).map(file));
                builder.add_file(path.clone(), old, new, are_equal);
            }
        }
        Ok(())
    }

    /// Files removed meanwhile count as missing.
    async fn find_both(&self, sides: &Sides, files: &[(String, Sizes)]) -> Result<Vec<FoundFiles>, Error> {
        let mut places = Vec::with_capacity(2 * files.len());
        for (path, _) in files {
            places.push(sides.old.place(&sides.dataset, path)?);
            places.push(sides.new.place(&sides.dataset, path)?);
        }
        let mut found = self.0.files.find(&places).await?.into_iter();
        Ok(files.iter().map(|_| (found.next().flatten(), found.next().flatten())).collect())
    }

    /// Whether each file has the same size and the same known digest on both sides.
    async fn are_equal(
        &self,
        sides: &Sides,
        files: &[(String, Sizes)],
        found: &[FoundFiles],
    ) -> Result<Vec<bool>, Error> {
        let mut asked = Vec::new();
        let pairs: Vec<_> = files
            .iter()
            .zip(found)
            .map(|((path, (old, new)), found)| match found {
                (Some(one), Some(other)) if old == new => Some((path, one, other)),
                _ => None,
            })
            .collect();
        for (path, one, other) in pairs.iter().flatten() {
            let target = sides.dataset.join(path)?;
            asked.push((target.clone(), (*one).clone()));
            asked.push((target, (*other).clone()));
        }
        let mut known = self.known_digests(&asked).await?.into_iter();
        let mut digest = || known.next().flatten();
        Ok(pairs.iter().map(|pair| pair.is_some_and(|_| are_equal(digest(), digest()))).collect())
    }

    /// Known rows of each file, on each side where it exists.
    async fn rows_of_both(
        &self,
        sides: &Sides,
        files: &[(String, Sizes)],
        found: &[FoundFiles],
    ) -> Result<Vec<(Option<KnownRows>, Option<KnownRows>)>, Error> {
        let mut asked = Vec::new();
        for ((path, _), (old, new)) in files.iter().zip(found) {
            let target = sides.dataset.join(path)?;
            asked.extend(old.iter().chain(new).map(|file| (target.clone(), file.identity.clone())));
        }
        let mut landed = self.0.state.landed_rows(&asked).await?.into_iter();
        let mut known = |size: Option<u64>, file: &Option<FoundFile>| {
            let landed = file.as_ref().and_then(|file| {
                landed.next().flatten().filter(|landed| {
                    file.is_as_landed(landed.size_bytes, landed.landed_at) && self.is_certain(landed.landed_at)
                })
            });
            size.map(|_| landed.map_or_else(KnownRows::default, KnownRows::from))
        };
        let both = files
            .iter()
            .zip(found)
            .map(|((_, (old_size, new_size)), (old, new))| (known(*old_size, old), known(*new_size, new)));
        Ok(both.collect())
    }
}

fn are_equal(old: Option<Digest>, new: Option<Digest>) -> bool {
    old.is_some() && old == new
}
