//! Durability of names: the durable ones, the pending changes, and the result of a power cut.

use super::tree::{Body, Number, ROOT, Tree};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;

/// Durability rules of a file system; both kinds are in common use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One journal, as in ext4 and XFS: a sync of any file makes all earlier changes of names durable, and a cut keeps
    /// a prefix of the later ones.
    Journal,
    /// Only the guarantees of POSIX: a name is durable after a sync of its folder. A cut keeps any of the others.
    Strict,
}

pub type Entry = (Number, OsString, Option<Number>);

/// An atomic change of names.
#[derive(Debug, Clone)]
pub struct NameChange {
    pub entries: Vec<Entry>,
    /// Removed folders, which were empty before.
    pub emptied: Vec<Number>,
}

impl NameChange {
    /// Whether this change can only be kept together with an earlier one.
    fn rests_on(&self, earlier: &Self) -> bool {
        earlier.entries.iter().any(|(folder, name, _)| {
            self.emptied.contains(folder) || self.entries.iter().any(|(own, other, _)| own == folder && other == name)
        })
    }
}

/// Deeper than any path of the tests.
const DEPTH_MAX: usize = 100;

impl Tree {
    /// Applies a successful sync of a file or folder.
    pub fn sync(&mut self, number: Number) -> Result<(), Errno> {
        if let Body::File(contents) = &mut self.node_mut(number)?.body {
            contents.sync();
        }
        let is_folder = matches!(self.node(number)?.body, Body::Folder(_));
        let ages: Vec<_> = match self.order {
            Order::Journal => self.pending.keys().copied().collect(),
            Order::Strict if !is_folder => Vec::new(),
            Order::Strict => {
                let touches = |change: &NameChange| change.entries.iter().any(|(folder, ..)| *folder == number);
                self.pending.iter().filter(|(_, change)| touches(change)).map(|(age, _)| *age).collect()
            }
        };
        ages.into_iter().for_each(|age| self.commit(age));
        Ok(())
    }

    pub fn fail_sync(&mut self, number: Number) {
        if let Ok(contents) = self.contents_mut(number) {
            contents.fail_sync();
        }
    }

    /// Makes a change durable, with those that it depends on.
    pub(super) fn commit(&mut self, age: u64) {
        let Some(change) = self.pending.get(&age).cloned() else { return };
        // Before the changes that this one depends on: new files may be lost with the folder that they were moved to.
        let was_durable = |tree: &Self, number| tree.nodes.get(&number).is_some_and(|node| !node.durable_at.is_empty());
        let moved: Vec<_> =
            change.entries.iter().filter(|(_, _, number)| number.is_some_and(|it| was_durable(self, it))).collect();
        let earlier: Vec<_> = self
            .pending
            .range(..age)
            .filter(|(_, earlier)| change.rests_on(earlier))
            .map(|(earlier, _)| *earlier)
            .collect();
        earlier.into_iter().for_each(|earlier| self.commit(earlier));
        if self.pending.remove(&age).is_none() {
            return;
        }
        for (folder, name, number) in &change.entries {
            let Ok(entries) = self.folder_mut(*folder) else { continue };
            let before = match number {
                Some(number) => entries.durable.insert(name.clone(), *number),
                None => entries.durable.remove(name),
            };
            let place = (*folder, name.clone());
            if let Some(before) = before.and_then(|before| self.nodes.get_mut(&before)) {
                before.durable_at.remove(&place);
            }
            if let Some(node) = number.and_then(|number| self.nodes.get_mut(&number)) {
                node.durable_at.insert(place);
            }
        }
        // Durable files are not lost by a move into a folder that is not durable.
        for (folder, ..) in moved {
            while let Some(unreachable) = self.durably_unreachable(*folder) {
                let links =
                    |change: &NameChange| change.entries.iter().any(|(.., number)| *number == Some(unreachable));
                let Some(age) = self.pending.iter().find(|(_, change)| links(change)).map(|(age, _)| *age) else {
                    break;
                };
                self.commit(age);
            }
        }
    }

    /// Folder above this one without a durable name.
    fn durably_unreachable(&self, folder: Number) -> Option<Number> {
        let mut at = folder;
        for _ in 0..DEPTH_MAX {
            match self.nodes.get(&at).and_then(|node| node.durable_at.first()) {
                _ if at == ROOT => break,
                Some((above, _)) => at = *above,
                None => return Some(at),
            }
        }
        None
    }

    /// Copy with everything durable, and nothing open.
    pub fn settled(&self) -> Self {
        let mut settled = self.clone();
        let ages: Vec<_> = self.pending.keys().copied().collect();
        ages.into_iter().for_each(|age| settled.commit(age));
        for node in settled.nodes.values_mut() {
            node.opens = 0;
            if let Body::File(contents) = &mut node.body {
                contents.sync();
            }
        }
        settled
    }

    /// Power cut: the state that a start finds, all of it durable.
    pub fn cut(&self, random: &mut StdRng) -> Self {
        let mut left = self.clone();
        let ages: Vec<_> = self.pending.keys().copied().collect();
        let kept_of_ten = [0, 3, 7, 10][random.random_range(0..4)];
        match self.order {
            Order::Journal => {
                let kept = if kept_of_ten == 0 { 0 } else { random.random_range(0..=ages.len()) };
                ages[..kept].iter().for_each(|age| left.commit(*age));
            }
            Order::Strict => {
                let kept = ages.iter().filter(|_| random.random_range(0..10) < kept_of_ten);
                kept.for_each(|age| left.commit(*age));
            }
        }
        left.pending.clear();
        left.start_again(random);
        left
    }

    /// Keeps only files that are reachable by durable names.
    fn start_again(&mut self, random: &mut StdRng) {
        let mut links: BTreeMap<Number, u32> = BTreeMap::from([(ROOT, 2)]);
        let mut open = vec![ROOT];
        let mut at = HashMap::new();
        while let Some(number) = open.pop() {
            let Ok(folder) = self.folder_mut(number) else { continue };
            folder.now = folder.durable.clone();
            for (name, below) in folder.now.clone() {
                *links.entry(below).or_default() += 1;
                at.insert(below, (number, name));
                if self.folder(below).is_ok() {
                    open.push(below);
                }
            }
        }
        self.nodes.retain(|number, _| links.contains_key(number));
        self.unlinked.clear();
        // Ordered, so that a seed repeats the result.
        for (number, links) in links {
            let is_steady = self.is_steady(number);
            let Some(node) = self.nodes.get_mut(&number) else { continue };
            (node.links, node.opens, node.at) = (links, 0, at.remove(&number));
            if let Body::File(contents) = &mut node.body {
                if is_steady {
                    contents.sync();
                }
                *contents = contents.cut(random);
            }
        }
    }
}
