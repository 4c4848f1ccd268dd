//! Files and folders of the in-memory storage, with the steps of its moves.

use super::faults::Faults;
use crate::model::error::Error;
use crate::model::storage_path::{Identity, StoragePath};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::ports::storage::{FoundFile, LandingOutcome};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Tree {
    /// Files and folders by path, as components joined by slashes.
    pub(super) nodes: BTreeMap<String, Node>,
    made: u64,
    pub(super) faults: Faults,
    pub(super) writes_at_once: bool,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) identity: Identity,
    /// Absent for a folder.
    pub(super) bytes: Option<Vec<u8>>,
}

pub(super) fn at(place: &StoragePath) -> String {
    place.components().join("/")
}

impl Tree {
    pub(super) fn make(&mut self, path: String, bytes: Option<Vec<u8>>) -> Identity {
        self.made += 1;
        let identity = Identity(self.made.to_string());
        self.nodes.insert(path, Node { identity: identity.clone(), bytes });
        identity
    }

    /// Files never change here, so both times are zero.
    pub(super) fn find(&self, path: &str) -> Option<FoundFile> {
        let node = self.nodes.get(path)?;
        let size_bytes = node.bytes.as_ref()?.len() as u64;
        let (modified_at, changed_at) = (Timestamp(0), Timestamp(0));
        Some(FoundFile { identity: node.identity.clone(), size_bytes, modified_at, changed_at })
    }

    pub(super) fn is(&self, path: &str, identity: &Identity) -> bool {
        self.nodes.get(path).is_some_and(|node| node.identity == *identity)
    }

    /// Removes and returns everything at `path` and below, with paths relative to it.
    pub(super) fn take(&mut self, path: &str) -> Vec<(String, Node)> {
        let below = format!("{path}/");
        let paths: Vec<_> =
            self.nodes.keys().filter(|other| *other == path || other.starts_with(&below)).cloned().collect();
        paths
            .into_iter()
            .filter_map(|found| Some((found[path.len()..].to_owned(), self.nodes.remove(&found)?)))
            .collect()
    }

    pub(super) fn put(&mut self, path: &str, nodes: Vec<(String, Node)>) {
        for (rest, node) in nodes {
            self.nodes.insert(format!("{path}{rest}"), node);
        }
    }

    /// Moves `from` to `to`, and the old content of `to` to `slot`. Makes missing parent folders of `to`.
    pub(super) fn swap(&mut self, from: &str, to: &str, slot: &str) -> Result<LandingOutcome, Error> {
        let mut parent = String::new();
        for component in to.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            parent = if parent.is_empty() { component.to_owned() } else { format!("{parent}/{component}") };
            match self.nodes.get(&parent) {
                Some(Node { bytes: Some(_), .. }) => {
                    return Err(Error::InTheWay(format!("{parent} is a file; use another path")));
                }
                Some(_) => {}
                None => {
                    self.make(parent.clone(), None);
                }
            }
        }
        let is_folder = |node: Option<&Node>| node.map(|node| node.bytes.is_none());
        if let Some(kind) = is_folder(self.nodes.get(to))
            && Some(kind) != is_folder(self.nodes.get(from))
        {
            return Err(Error::InTheWay(format!("{to} is of another kind; use another path")));
        }
        let moved = self.take(from);
        let old = self.take(to);
        self.put(to, moved);
        // A folder without files is not moved to the trash, as nothing is lost.
        let kept = old.iter().any(|(_, node)| node.bytes.is_some());
        if kept {
            self.put(slot, old);
        }
        Ok(if kept { LandingOutcome::Replaced } else { LandingOutcome::Added })
    }

    pub(super) fn outcome_of_earlier(&self, slot: &str) -> LandingOutcome {
        if self.nodes.contains_key(slot) { LandingOutcome::Replaced } else { LandingOutcome::Added }
    }

    pub(super) fn below(&self, path: &str) -> impl DoubleEndedIterator<Item = (&String, &Node)> {
        let below = format!("{path}/");
        self.nodes.iter().filter(move |(other, _)| *other == below.trim_end_matches('/') || other.starts_with(&below))
    }

    /// All names below, with their identities.
    pub(super) fn state(&self, path: &str) -> Identity {
        let names = self.below(path).map(|(path, node)| format!("{path}={}", node.identity.0));
        Identity(names.collect::<Vec<_>>().join("/"))
    }

    pub(super) fn totals(&self, path: &str) -> Totals {
        self.below(path).filter_map(|(_, node)| node.bytes.as_ref()).fold(Totals::default(), |totals, bytes| Totals {
            files: totals.files + 1,
            bytes: totals.bytes + bytes.len() as u64,
        })
    }
}
