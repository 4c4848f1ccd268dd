//! Folders of the lake sorted by size or time, and search below a folder.
//!
//! Both read every name, so both are bounded: names beyond the bound are ignored, and the result says so.

use crate::model::access::key::Caller;
use crate::model::dataset::browsing::{BrowseFolder, Browsed, FolderSort};
use crate::model::error::Error;
use crate::model::limits::BROWSED_NAMES_MAX;
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::ports::storage::FolderEntry;
use crate::service::Lake;
use crate::service::datasets::reading;
use std::cmp::Ordering;
use std::collections::VecDeque;

impl Lake {
    pub async fn browse_folder(&self, caller: &Caller, wanted: &BrowseFolder) -> Result<Browsed, Error> {
        let folder = self.readable_folder(caller, wanted.path.as_deref())?;
        let page = Page::new(wanted.from, wanted.size, wanted.order)?;
        let text = wanted.q.as_deref().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let _turn = match text.as_deref() {
            Some(text) => self.search_turn(caller, Some(text)).await?,
            None => Some(self.0.folder_lists.turn(caller).await?),
        };
        if text.is_none() && wanted.sort == FolderSort::Name && wanted.order == Order::Asc {
            let listed = self.0.files.list_folder(folder.as_ref(), page.from, page.size).await?;
            let listed = listed.ok_or_else(|| reading::no_such_folder(folder.as_ref()))?;
            return Ok(Browsed { entries: self.shown(listed).await?, folder, is_cut: false });
        }
        let (mut found, is_cut) = self.names_below(folder.as_ref(), text.as_deref()).await?;
        let in_order = |one: &FolderEntry, other: &FolderEntry| {
            let size = |entry: &FolderEntry| entry.file.as_ref().map_or(0, |file| file.size_bytes);
            let ordered = match wanted.sort {
                FolderSort::Name => one.path.cmp(&other.path),
                FolderSort::Size => size(one).cmp(&size(other)).then_with(|| one.path.cmp(&other.path)),
                FolderSort::Modified => one.modified_at.cmp(&other.modified_at).then_with(|| one.path.cmp(&other.path)),
            };
            let ordered = if wanted.order == Order::Desc { ordered.reverse() } else { ordered };
            one.file.is_some().cmp(&other.file.is_some()).then(ordered)
        };
        keep_page(&mut found, page, in_order);
        Ok(Browsed { entries: self.shown(found).await?, folder, is_cut })
    }

    /// Entries of the folder; with a text, also matching ones below it.
    async fn names_below(
        &self,
        folder: Option<&LakePath>,
        text: Option<&str>,
    ) -> Result<(Vec<FolderEntry>, bool), Error> {
        let mut names_left = BROWSED_NAMES_MAX;
        let mut found = Vec::new();
        let mut to_visit = VecDeque::from([folder.cloned()]);
        let mut is_first = true;
        while let Some(folder) = to_visit.pop_front() {
            let Some(mut listed) = self.0.files.list_folder(folder.as_ref(), 0, names_left + 1).await? else {
                if is_first {
                    return Err(reading::no_such_folder(folder.as_ref()));
                }
                // The folder was removed meanwhile.
                continue;
            };
            is_first = false;
            let is_cut = listed.len() as u64 > names_left;
            listed.truncate(usize::try_from(names_left).unwrap_or(usize::MAX));
            names_left -= listed.len() as u64;
            match text {
                None => found = listed,
                Some(text) => {
                    let folders = listed.iter().filter(|entry| entry.file.is_none());
                    to_visit.extend(folders.map(|entry| Some(entry.path.clone())));
                    found.extend(listed.into_iter().filter(|entry| entry.path.leaf().to_lowercase().contains(text)));
                }
            }
            if is_cut {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }
}

/// Keeps a page of the entries. Only the page is sorted, so that no other call waits for a sort of all names.
fn keep_page(found: &mut Vec<FolderEntry>, page: Page, in_order: impl Fn(&FolderEntry, &FolderEntry) -> Ordering) {
    let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let end = clamp(page.from.saturating_add(page.size));
    if end < found.len() {
        found.select_nth_unstable_by(end, &in_order);
        found.truncate(end);
    }
    let begin = clamp(page.from).min(found.len());
    if begin > 0 && begin < found.len() {
        found.select_nth_unstable_by(begin, &in_order);
    }
    found.drain(..begin);
    found.sort_unstable_by(in_order);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn a_kept_page_is_that_of_the_sorted_entries() {
        let entry = |number: u64| FolderEntry {
            path: LakePath::parse(&format!("/{:02}", number * 7 % 20)).unwrap(),
            modified_at: Timestamp(0),
            file: None,
        };
        let found: Vec<_> = (0..20).map(entry).collect();
        let in_order = |one: &FolderEntry, other: &FolderEntry| one.path.cmp(&other.path);
        let mut sorted = found.clone();
        sorted.sort_by(in_order);
        for (from, size) in (0..22_u64).flat_map(|from| [0, 1, 5, 20, u64::MAX].map(|size| (from, size))) {
            let expected: Vec<_> =
                (from..20.min(from.saturating_add(size))).map(|at| sorted[at as usize].clone()).collect();
            let mut page = found.clone();
            keep_page(&mut page, Page { from, size, order: Order::Asc }, in_order);
            assert_eq!(page, expected, "{size} from {from}");
        }
    }
}
