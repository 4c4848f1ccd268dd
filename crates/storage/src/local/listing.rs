//! Pages of a folder, found in bounded memory.
//!
//! A folder returns its names in no order, so each pass reads all of them. A page near the beginning takes one pass,
//! which keeps the first names. A later page takes about three, wherever it begins: the first samples the names, the
//! second counts the names up to each sample, and the third keeps only the names from shortly before the page.

use super::fault::fault;
use super::stat::stat;
use lakeshore::Error;
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use std::collections::BinaryHeap;
use std::os::fd::OwnedFd;

/// Name in a folder. Folders sort first (`false` before `true`), then names by their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) is_file: bool,
    pub(super) name: String,
}

impl Name {
    fn key(&self) -> (bool, &str) {
        (self.is_file, &self.name)
    }
}

/// Bounds of the memory of a list. The page itself comes in addition.
struct Bounds {
    /// Names before the page that a pass keeps.
    skipped_max: u64,
    /// Samples of the names, an even number. Each second one is dropped when there are that many.
    samples_max: usize,
}

/// Each name is at most 255 bytes long, so a list needs a few megabytes at most.
const BOUNDS: Bounds = Bounds { skipped_max: 16 * 1024, samples_max: 8 * 1024 };

/// Names to list, read in passes.
trait Names {
    fn each(&self, visit: &mut dyn FnMut(bool, &str)) -> Result<(), Error>;

    fn is_shown(&self, name: &str) -> bool;
}

struct FolderNames<'a, F> {
    folder: &'a OwnedFd,
    is_shown: F,
}

/// A page of the shown names of files and folders.
pub(super) fn page(
    folder: &OwnedFd,
    from: u64,
    size: u64,
    is_shown: impl Fn(&str) -> bool,
) -> Result<Vec<Name>, Error> {
    find_page(&FolderNames { folder, is_shown }, from, size, &BOUNDS)
}

impl<F: Fn(&str) -> bool> Names for FolderNames<'_, F> {
    fn each(&self, visit: &mut dyn FnMut(bool, &str)) -> Result<(), Error> {
        for entry in Dir::read_from(self.folder).map_err(fault("listing a folder"))? {
            let entry = entry.map_err(fault("listing a folder"))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_file = match entry.file_type() {
                FileType::RegularFile => true,
                FileType::Directory => false,
                FileType::Unknown => match stat(self.folder, name) {
                    Ok(found) if found.is_file || found.is_folder => found.is_file,
                    Ok(_) | Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(fault("looking at a file")(errno)),
                },
                _ => continue,
            };
            visit(is_file, name);
        }
        Ok(())
    }

    fn is_shown(&self, name: &str) -> bool {
        (self.is_shown)(name)
    }
}

/// Position in the order of the names.
#[derive(Default)]
struct Position {
    /// Last name before it.
    after: Option<Name>,
    /// Number of names before it.
    skipped: u64,
}

fn find_page(names: &impl Names, from: u64, size: u64, bounds: &Bounds) -> Result<Vec<Name>, Error> {
    let mut begin = Position::default();
    if from > bounds.skipped_max {
        let Some(near) = position_near(names, from, bounds)? else { return Ok(Vec::new()) };
        begin = near;
    }
    // Samples can be far apart where the order of the folder is that of the names. Each step then takes one more pass.
    while from - begin.skipped > bounds.skipped_max {
        let mut kept = first_after(names, begin.after.as_ref(), bounds.skipped_max)?;
        if (kept.len() as u64) < bounds.skipped_max {
            return Ok(Vec::new());
        }
        begin = Position { after: kept.pop(), skipped: begin.skipped + bounds.skipped_max };
    }
    let skipped = from - begin.skipped;
    let mut page = first_after(names, begin.after.as_ref(), skipped.saturating_add(size))?;
    page.drain(..page.len().min(clamp(skipped)));
    Ok(page)
}

/// Position at or before `from`, as near as samples tell; `None` if there are no more names than `from`.
fn position_near(names: &impl Names, from: u64, bounds: &Bounds) -> Result<Option<Position>, Error> {
    let mut samples: Vec<Name> = Vec::new();
    let (mut total, mut stride) = (0_u64, 1_u64);
    names.each(&mut |is_file, name| {
        if !names.is_shown(name) {
            return;
        }
        if total.is_multiple_of(stride) {
            samples.push(Name { is_file, name: name.to_owned() });
            if samples.len() >= bounds.samples_max {
                let mut is_kept = false;
                samples.retain(|_| {
                    is_kept = !is_kept;
                    is_kept
                });
                stride *= 2;
            }
        }
        total += 1;
    })?;
    if total <= from {
        return Ok(None);
    }
    samples.sort_unstable();
    // Names up to each sample that are behind the sample before it.
    let mut counts = vec![0_u64; samples.len()];
    names.each(&mut |is_file, name| {
        let first_behind = samples.partition_point(|sample| sample.key() < (is_file, name));
        if let Some(count) = counts.get_mut(first_behind)
            && names.is_shown(name)
        {
            *count += 1;
        }
    })?;
    let mut near = Position::default();
    for (sample, count) in samples.into_iter().zip(counts) {
        if near.skipped + count > from {
            break;
        }
        near = Position { after: Some(sample), skipped: near.skipped + count };
    }
    Ok(Some(near))
}

/// The first `size` names after one, in order.
fn first_after(names: &impl Names, after: Option<&Name>, size: u64) -> Result<Vec<Name>, Error> {
    let size = clamp(size);
    // The last kept name is on top.
    let mut first: BinaryHeap<Name> = BinaryHeap::new();
    names.each(&mut |is_file, name| {
        let key = (is_file, name);
        let is_before = after.is_some_and(|after| key <= after.key());
        let is_behind = first.len() == size && first.peek().is_none_or(|last| last.key() < key);
        if is_before || is_behind || !names.is_shown(name) {
            return;
        }
        first.push(Name { is_file, name: name.to_owned() });
        if first.len() > size {
            first.pop();
        }
    })?;
    Ok(first.into_sorted_vec())
}

fn clamp(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Listed {
        names: Vec<Name>,
        passes: Cell<u64>,
    }

    impl Names for Listed {
        fn each(&self, visit: &mut dyn FnMut(bool, &str)) -> Result<(), Error> {
            self.passes.set(self.passes.get() + 1);
            self.names.iter().for_each(|name| visit(name.is_file, &name.name));
            Ok(())
        }

        fn is_shown(&self, name: &str) -> bool {
            !name.starts_with('.')
        }
    }

    /// Files and folders in an order that is not that of their names, a seventh of them hidden.
    fn shuffled(count: u64) -> Listed {
        let name = |number: u64| {
            let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let dot = if number % 7 == 6 { "." } else { "" };
            Name { is_file: number % 5 != 4, name: format!("{dot}{hash:016x}") }
        };
        Listed { names: (0..count).map(name).collect(), passes: Cell::default() }
    }

    fn assert_all_pages(listed: &Listed, bounds: &Bounds) {
        let mut sorted: Vec<_> = listed.names.iter().filter(|name| listed.is_shown(&name.name)).cloned().collect();
        sorted.sort();
        for from in (0..sorted.len() + 3).step_by(3) {
            for size in [0, 1, 7] {
                let page: Vec<_> = sorted.iter().skip(from).take(size).cloned().collect();
                assert_eq!(find_page(listed, from as u64, size as u64, bounds).unwrap(), page, "{size} from {from}");
            }
        }
    }

    #[test]
    fn a_page_is_found_wherever_it_begins() {
        let bounds = Bounds { skipped_max: 10, samples_max: 8 };
        for count in [0, 1, 9, 10, 11, 12, 100, 300] {
            let listed = shuffled(count);
            assert_all_pages(&listed, &bounds);
            let sorted = Listed { names: listed.names.iter().rev().cloned().collect(), ..shuffled(0) };
            assert_all_pages(&sorted, &bounds);
        }
        assert_eq!(find_page(&shuffled(50), u64::MAX, u64::MAX, &bounds).unwrap(), []);
        assert_eq!(find_page(&shuffled(70), 0, u64::MAX, &bounds).unwrap().len(), 60);
    }

    #[test]
    fn a_page_far_behind_takes_three_passes() {
        let listed = shuffled(200_000);
        let shown = (0..200_000).filter(|number| number % 7 != 6).count() as u64;
        for (from, passes) in [(0, 1), (16 * 1024, 1), (16 * 1024 + 1, 3), (90_000, 3), (shown - 1, 3), (u64::MAX, 1)] {
            listed.passes.set(0);
            let page = find_page(&listed, from, 10, &BOUNDS).unwrap();
            assert_eq!(page.len(), if from < shown - 1 { 10 } else { usize::from(from == shown - 1) }, "{from}");
            assert_eq!(listed.passes.get(), passes, "{from}");
        }
    }
}
