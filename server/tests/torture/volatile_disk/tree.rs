//! Files and folders by number, as processes see them. Durability is in [`super::durable`].

use super::contents::Contents;
use super::durable::{Entry, NameChange, Order};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

pub type Number = u64;
pub const ROOT: Number = 1;

#[derive(Debug, Clone)]
pub enum Body {
    File(Contents),
    Folder(Folder),
    /// A socket, without content.
    Socket,
}

#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub now: BTreeMap<OsString, Number>,
    pub(super) durable: BTreeMap<OsString, Number>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub body: Body,
    pub mode: u16,
    pub modified: SystemTime,
    pub changed: SystemTime,
    pub links: u32,
    pub opens: u32,
    /// A current or earlier name.
    pub(super) at: Option<(Number, OsString)>,
    pub(super) durable_at: BTreeSet<(Number, OsString)>,
}

#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) nodes: HashMap<Number, Node>,
    next: Number,
    pub(super) order: Order,
    /// Pending changes by age, oldest first.
    pub(super) pending: BTreeMap<u64, NameChange>,
    changes: u64,
    /// Files without a current name.
    pub(super) unlinked: HashSet<Number>,
    /// Name in the root below which everything is durable at once.
    steady: Option<OsString>,
}

/// Number of files without a name that triggers a clean-up.
const UNLINKED_MAX: usize = 64;

impl Tree {
    pub fn new(order: Order, now: SystemTime) -> Self {
        let mut tree = Self {
            nodes: HashMap::new(),
            next: ROOT,
            order,
            pending: BTreeMap::new(),
            changes: 0,
            unlinked: HashSet::new(),
            steady: None,
        };
        let root = tree.make_node(Body::Folder(Folder::default()), 0o755, now);
        tree.node_mut(root).unwrap().links = 2;
        tree
    }

    pub fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    pub fn set_steady(&mut self, below: Option<&str>) {
        self.steady = below.map(OsString::from);
    }

    pub fn node(&self, number: Number) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::NOENT)
    }

    pub fn node_mut(&mut self, number: Number) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::NOENT)
    }

    pub fn folder(&self, number: Number) -> Result<&Folder, Errno> {
        match &self.node(number)?.body {
            Body::Folder(folder) => Ok(folder),
            Body::File(_) | Body::Socket => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn folder_mut(&mut self, number: Number) -> Result<&mut Folder, Errno> {
        match &mut self.node_mut(number)?.body {
            Body::Folder(folder) => Ok(folder),
            Body::File(_) | Body::Socket => Err(Errno::NOTDIR),
        }
    }

    pub fn contents_mut(&mut self, number: Number) -> Result<&mut Contents, Errno> {
        match &mut self.node_mut(number)?.body {
            Body::File(contents) => Ok(contents),
            Body::Folder(_) => Err(Errno::ISDIR),
            Body::Socket => Err(Errno::NXIO),
        }
    }

    pub fn find(&self, folder: Number, name: &OsStr) -> Result<Number, Errno> {
        self.folder(folder)?.now.get(name).copied().ok_or(Errno::NOENT)
    }

    /// Current or earlier path of a file, below the root.
    pub fn path(&self, number: Number) -> String {
        let mut names = Vec::new();
        let mut at = number;
        while let Some((folder, name)) = self.nodes.get(&at).and_then(|node| node.at.as_ref()) {
            names.push(name.to_string_lossy().into_owned());
            at = *folder;
        }
        names.reverse();
        names.join("/")
    }

    pub fn path_in(&self, folder: Number, name: &OsStr) -> String {
        let parent = self.path(folder);
        if parent.is_empty() { name.to_string_lossy().into_owned() } else { format!("{parent}/{}", name.display()) }
    }

    fn make_node(&mut self, body: Body, mode: u16, now: SystemTime) -> Number {
        let number = self.next;
        self.next += 1;
        let node =
            Node { body, mode, modified: now, changed: now, links: 0, opens: 0, at: None, durable_at: BTreeSet::new() };
        self.nodes.insert(number, node);
        number
    }

    /// Makes a file or folder with this name.
    pub fn make(
        &mut self,
        parent: Number,
        name: &OsStr,
        body: Body,
        mode: u16,
        now: SystemTime,
    ) -> Result<Number, Errno> {
        if self.folder(parent)?.now.contains_key(name) {
            return Err(Errno::EXIST);
        }
        if self.node(parent)?.links == 0 {
            return Err(Errno::NOENT);
        }
        let number = self.make_node(body, mode, now);
        self.change(vec![(parent, name.to_owned(), Some(number))], Vec::new(), now)?;
        Ok(number)
    }

    pub fn link(&mut self, number: Number, parent: Number, name: &OsStr, now: SystemTime) -> Result<(), Errno> {
        if self.folder(parent)?.now.contains_key(name) {
            return Err(Errno::EXIST);
        }
        self.change(vec![(parent, name.to_owned(), Some(number))], Vec::new(), now)
    }

    pub fn remove(&mut self, parent: Number, name: &OsStr, folder_wanted: bool, now: SystemTime) -> Result<(), Errno> {
        let number = self.find(parent, name)?;
        let emptied = self.empty_folder(number, folder_wanted)?;
        self.change(vec![(parent, name.to_owned(), None)], emptied, now)
    }

    /// Checks that a folder is empty, and returns it; for a file, that a file is wanted, and returns nothing.
    fn empty_folder(&self, number: Number, folder_wanted: bool) -> Result<Vec<Number>, Errno> {
        match (&self.node(number)?.body, folder_wanted) {
            (Body::Folder(folder), true) if folder.now.is_empty() => Ok(vec![number]),
            (Body::Folder(_), true) => Err(Errno::NOTEMPTY),
            (Body::Folder(_), false) => Err(Errno::ISDIR),
            (Body::File(_) | Body::Socket, true) => Err(Errno::NOTDIR),
            (Body::File(_) | Body::Socket, false) => Ok(Vec::new()),
        }
    }

    pub fn rename(
        &mut self,
        from: (Number, &OsStr),
        to: (Number, &OsStr),
        is_exchange: bool,
        never_over: bool,
        now: SystemTime,
    ) -> Result<(), Errno> {
        let moved = self.find(from.0, from.1)?;
        let there = self.folder(to.0)?.now.get(to.1).copied();
        let entry = |(folder, name): (Number, &OsStr), number| (folder, name.to_owned(), number);
        let (gone, emptied) = match (is_exchange, there) {
            (true, None) => return Err(Errno::NOENT),
            (true, Some(there)) => (Some(there), Vec::new()),
            (false, Some(_)) if never_over => return Err(Errno::EXIST),
            (false, Some(there)) if there == moved => return Ok(()),
            (false, Some(there)) => {
                let is_folder = matches!(self.node(moved)?.body, Body::Folder(_));
                (None, self.empty_folder(there, is_folder)?)
            }
            (false, None) => (None, Vec::new()),
        };
        self.change(vec![entry(from, gone), entry(to, Some(moved))], emptied, now)
    }

    /// Applies a change of names that is visible at once and durable later.
    fn change(&mut self, entries: Vec<Entry>, emptied: Vec<Number>, now: SystemTime) -> Result<(), Errno> {
        for (folder, name, number) in &entries {
            let before = match number {
                Some(number) => self.folder_mut(*folder)?.now.insert(name.clone(), *number),
                None => self.folder_mut(*folder)?.now.remove(name),
            };
            self.node_mut(*folder)?.modified = now;
            self.node_mut(*folder)?.changed = now;
            if let Some(before) = before {
                self.node_mut(before)?.links -= 1;
            }
            if let Some(number) = number {
                self.node_mut(*number)?.links += 1;
                self.node_mut(*number)?.at = Some((*folder, name.clone()));
            }
            for number in before.into_iter().chain(*number) {
                self.node_mut(number)?.changed = now;
                if self.node(number)?.links == 0 {
                    self.unlinked.insert(number);
                } else {
                    self.unlinked.remove(&number);
                }
            }
        }
        self.changes += 1;
        let is_steady = entries.iter().all(|(folder, ..)| self.is_steady(*folder));
        self.pending.insert(self.changes, NameChange { entries, emptied });
        if is_steady {
            self.commit(self.changes);
        }
        if self.unlinked.len() > UNLINKED_MAX {
            self.forget_unreachable();
        }
        Ok(())
    }

    pub fn is_steady(&self, number: Number) -> bool {
        let Some(steady) = &self.steady else { return false };
        let mut at = number;
        while let Some((folder, name)) = self.nodes.get(&at).and_then(|node| node.at.as_ref()) {
            if *folder == ROOT {
                return name == steady;
            }
            at = *folder;
        }
        false
    }

    /// Drops files that have no name, are not open, and cannot come back by a cut.
    pub fn forget_unreachable(&mut self) {
        let linked: HashSet<Number> =
            self.pending.values().flat_map(|change| change.entries.iter().filter_map(|(.., number)| *number)).collect();
        let gone: Vec<_> = self
            .unlinked
            .iter()
            .copied()
            .filter(|number| {
                let node = &self.nodes[number];
                node.opens == 0 && node.durable_at.is_empty() && !linked.contains(number)
            })
            .collect();
        for number in gone {
            self.unlinked.remove(&number);
            // The kernel may still ask for its attributes.
            if let Ok(contents) = self.contents_mut(number) {
                contents.clear();
            }
        }
    }
}
