//! Files and folders by number: the names that processes see, those that are on stable storage, and the changes of names
//! between the two.

use super::contents::Contents;
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

pub type Number = u64;
pub const ROOT: Number = 1;

/// How a file system keeps its promises: both kinds are found among those that people use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One journal, as of ext4 and XFS: each sync of anything makes all changes of names durable that came before, and a cut
    /// leaves the first of the others.
    Journal,
    /// No more than POSIX promises: a name is durable when its folder was synced. A cut leaves any of the others.
    Strict,
}

#[derive(Debug, Clone)]
pub enum Body {
    File(Contents),
    Folder(Folder),
}

#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub now: BTreeMap<OsString, Number>,
    durable: BTreeMap<OsString, Number>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub body: Body,
    pub mode: u16,
    pub modified: SystemTime,
    pub changed: SystemTime,
    pub links: u32,
    pub opens: u32,
    /// A name that it has or had.
    at: Option<(Number, OsString)>,
    durable_at: BTreeSet<(Number, OsString)>,
}

type Entry = (Number, OsString, Option<Number>);

/// One change of names, which happens whole or not at all.
#[derive(Debug, Clone)]
struct NameChange {
    entries: Vec<Entry>,
    /// Folders that it removes: what was in them has left them before.
    emptied: Vec<Number>,
}

impl NameChange {
    /// Whether this one can only be kept with an earlier one.
    fn rests_on(&self, earlier: &Self) -> bool {
        earlier.entries.iter().any(|(folder, name, _)| {
            self.emptied.contains(folder) || self.entries.iter().any(|(own, other, _)| own == folder && other == name)
        })
    }
}

#[derive(Debug, Clone)]
pub struct Tree {
    nodes: HashMap<Number, Node>,
    next: Number,
    order: Order,
    /// Oldest first, by their age.
    pending: BTreeMap<u64, NameChange>,
    changes: u64,
    /// Without a name now.
    unlinked: HashSet<Number>,
    /// A file system that loses nothing has this name in the root: what is below is durable at once.
    steady: Option<OsString>,
}

/// Files without a name are looked at when there are so many.
const UNLINKED_MAX: usize = 64;
const DEPTH_MAX: usize = 100;

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
            Body::File(_) => Err(Errno::NOTDIR),
        }
    }

    fn folder_mut(&mut self, number: Number) -> Result<&mut Folder, Errno> {
        match &mut self.node_mut(number)?.body {
            Body::Folder(folder) => Ok(folder),
            Body::File(_) => Err(Errno::NOTDIR),
        }
    }

    pub fn contents_mut(&mut self, number: Number) -> Result<&mut Contents, Errno> {
        match &mut self.node_mut(number)?.body {
            Body::File(contents) => Ok(contents),
            Body::Folder(_) => Err(Errno::ISDIR),
        }
    }

    pub fn find(&self, folder: Number, name: &OsStr) -> Result<Number, Errno> {
        self.folder(folder)?.now.get(name).copied().ok_or(Errno::NOENT)
    }

    /// Where a file is, or was, as a path below the root.
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

    /// A new file or folder of that name.
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

    /// The folder, which has to be empty; nothing where it is a file, which has to be wanted.
    fn empty_folder(&self, number: Number, folder_wanted: bool) -> Result<Vec<Number>, Errno> {
        match (&self.node(number)?.body, folder_wanted) {
            (Body::Folder(folder), true) if folder.now.is_empty() => Ok(vec![number]),
            (Body::Folder(_), true) => Err(Errno::NOTEMPTY),
            (Body::Folder(_), false) => Err(Errno::ISDIR),
            (Body::File(_), true) => Err(Errno::NOTDIR),
            (Body::File(_), false) => Ok(Vec::new()),
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

    /// A change of names that processes see at once, and that is durable later.
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

    /// The sync of a file or folder has succeeded.
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

    /// Makes a change durable, with those that it rests on.
    fn commit(&mut self, age: u64) {
        let Some(change) = self.pending.get(&age).cloned() else { return };
        // Before the changes that this one rests on: what is new may be lost with the folder that it was moved to.
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
        // What was durable is not lost by a move into a folder that is not.
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

    /// The folder on the way to this one that has no durable name.
    fn durably_unreachable(&self, folder: Number) -> Option<Number> {
        let mut at = folder;
        // No deeper than that: no test makes such paths.
        for _ in 0..DEPTH_MAX {
            match self.nodes.get(&at).and_then(|node| node.durable_at.first()) {
                _ if at == ROOT => break,
                Some((above, _)) => at = *above,
                None => return Some(at),
            }
        }
        None
    }

    /// The same, with everything on stable storage, and nothing open.
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

    /// A power cut. What is left is what a start finds, all of it durable.
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

    /// Only what can be reached by durable names is there.
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
        // In their order, for a seed to give the same again.
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

    /// Lets go of what has no name, is not open, and cannot come back by a cut.
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
            // The kernel may still ask what it is.
            if let Ok(contents) = self.contents_mut(number) {
                contents.clear();
            }
        }
    }
}
