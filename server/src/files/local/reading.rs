//! Finding files beneath the root.

use super::fault::fault;
use super::inspect::parent;
use super::tree::{Tree, find_in};
use lakeshore::Error;
use lakeshore::place::Place;
use lakeshore::ports::files::FoundFile;
use std::os::fd::OwnedFd;

/// Neighbours in the list share the way to their folder.
pub(super) fn find(tree: &Tree, places: &[Place]) -> Result<Vec<Option<FoundFile>>, Error> {
    let mut known: Option<(Vec<String>, Option<OwnedFd>)> = None;
    let mut find_one = |place: &Place| {
        let mut components = place.components();
        let leaf = components.pop().unwrap_or_default();
        let folder = match &known {
            Some((same, folder)) if *same == components => folder,
            _ => &known.insert((components, parent(tree, place)?.map(|(folder, _)| folder))).1,
        };
        match folder {
            Some(folder) => find_in(folder, &leaf).map_err(fault("looking at a file")),
            None => Ok(None),
        }
    };
    places.iter().map(&mut find_one).collect()
}
