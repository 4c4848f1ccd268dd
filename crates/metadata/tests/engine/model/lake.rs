//! The model: a lake in as few words as possible.

use super::*;

pub(super) type Files = BTreeMap<String, String>;

#[derive(Debug)]
pub(super) struct ModelSync {
    pub(super) path: &'static str,
    pub(super) sync_type: SyncType,
    pub(super) status: Status,
    pub(super) staged: Files,
    pub(super) total: u64,
    pub(super) failed: u64,
    pub(super) landed: u64,
    pub(super) is_held: bool,
    pub(super) last_activity: i64,
    /// When something that its row does not tell of was asked of it.
    pub(super) last_call: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelItem {
    pub(super) id: u64,
    pub(super) origin: String,
    pub(super) kind: TrashKind,
    /// By the rest of each path behind the origin.
    pub(super) files: Files,
}

/// A lake in as few words as possible.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) live: Files,
    pub(super) syncs: Vec<ModelSync>,
    pub(super) datasets: Vec<&'static str>,
    pub(super) trash: Vec<ModelItem>,
    /// Items that were ever in the trash.
    pub(super) items: u64,
    pub(super) now: i64,
    pub(super) started_at: i64,
}

pub(super) fn is_within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn overlap(one: &str, other: &str) -> bool {
    is_within(one, other) || is_within(other, one)
}

impl ModelSync {
    /// Its time to be left alone begins anew.
    pub(super) fn hold(&mut self, now: i64) {
        if !self.is_held {
            self.last_activity = now;
        }
        self.is_held = true;
    }
}

impl Model {
    /// Everything at a place, taken away from there.
    pub(super) fn take(&mut self, place: &str) -> Files {
        let taken = self.live.extract_if(.., |path, _| is_within(path, place));
        taken.map(|(path, content)| (path[place.len()..].to_owned(), content)).collect()
    }

    pub(super) fn put(&mut self, place: &str, files: Files) {
        self.live.extend(files.into_iter().map(|(rest, content)| (format!("{place}{rest}"), content)));
    }

    pub(super) fn discard(&mut self, origin: &str, kind: TrashKind, files: Files) {
        if !files.is_empty() {
            self.items += 1;
            self.trash.push(ModelItem { id: self.items, origin: origin.to_owned(), kind, files });
        }
    }

    pub(super) fn has_datasets_below(&self, path: &str) -> bool {
        self.datasets.iter().any(|dataset| *dataset != path && is_within(dataset, path))
    }

    pub(super) fn is_held(&self, path: &str, wants_it_alone: bool) -> bool {
        self.syncs.iter().any(|sync| {
            let one_is_full = wants_it_alone || sync.sync_type == SyncType::FullSync;
            sync.status == Status::Syncing && one_is_full && overlap(sync.path, path)
        })
    }

    /// The full sync on this very path that gives way to a new start.
    pub(super) fn ghost(&self, path: &str) -> Option<usize> {
        let silent_since = self.now - SUPERSEDE_AFTER.as_millis() as i64;
        let is_silent = |sync: &ModelSync| {
            [sync.last_activity, sync.last_call, self.started_at].into_iter().all(|heard| heard <= silent_since)
        };
        self.syncs.iter().position(|sync| {
            let is_open = sync.status == Status::Syncing && sync.sync_type == SyncType::FullSync;
            is_open && sync.path == path && (sync.is_held || is_silent(sync))
        })
    }

    pub(super) fn remember(&mut self, dataset: &'static str) {
        if !self.datasets.contains(&dataset) {
            self.datasets.push(dataset);
        }
    }

    pub(super) fn start(&mut self, path: &'static str, sync_type: SyncType) -> Result<(), ErrorCode> {
        let is_full = sync_type == SyncType::FullSync;
        let ghost = self.ghost(path);
        if ghost.is_none() && self.is_held(path, is_full) {
            return Err(ErrorCode::PathHeld);
        }
        if is_full && self.has_datasets_below(path) {
            return Err(ErrorCode::DatasetsBelow);
        }
        if let Some(ghost) = ghost {
            self.abort(ghost)?;
        }
        let (last_activity, last_call) = (self.now, 0);
        let (status, staged) = (Status::Syncing, Files::new());
        let (total, failed, landed) = (0, 0, 0);
        let is_held = false;
        self.syncs.push(ModelSync {
            path,
            sync_type,
            status,
            staged,
            total,
            failed,
            landed,
            is_held,
            last_activity,
            last_call,
        });
        Ok(())
    }

    pub(super) fn open(&mut self, sync: usize) -> Result<&mut ModelSync, ErrorCode> {
        let found = self.syncs.get_mut(sync).ok_or(ErrorCode::NoSuchSync)?;
        if found.status == Status::Syncing { Ok(found) } else { Err(ErrorCode::SyncEnded) }
    }

    pub(super) fn upload(&mut self, sync: usize, name: &str, content: String) -> Result<(), ErrorCode> {
        let now = self.now;
        let found = self.open(sync)?;
        found.total += 1;
        found.landed += 1;
        found.is_held = false;
        found.last_activity = now;
        let (path, target) = (found.path, format!("{}/{name}", found.path));
        let replaced = match found.sync_type {
            SyncType::FullSync => found.staged.insert(format!("/{name}"), content),
            SyncType::IncrementalSync => {
                self.remember(path);
                self.live.insert(target.clone(), content)
            }
        };
        if let Some(old) = replaced {
            self.discard(&target, TrashKind::File, Files::from([(String::new(), old)]));
        }
        Ok(())
    }

    /// Offer of each name: the live bytes, or others where nothing is live.
    pub(super) fn offer(&self, sync: usize) -> Vec<(&'static str, String)> {
        let path = self.syncs.get(sync).map_or("/nowhere", |sync| sync.path);
        let content = |name| self.live.get(&format!("{path}/{name}")).cloned().unwrap_or("never sent".into());
        NAMES.map(|name| (name, content(name))).into()
    }

    /// Missing names, and numbers of files unchanged and taken over.
    pub(super) fn take_over(&mut self, sync: usize) -> Result<Missing, ErrorCode> {
        let now = self.now;
        let is_full = self.open(sync)?.sync_type == SyncType::FullSync;
        self.open(sync)?.last_call = now;
        let mut answer = Missing::default();
        let mut offer = self.offer(sync);
        offer.sort();
        for (name, content) in offer {
            if is_full && self.open(sync)?.staged.get(&format!("/{name}")) == Some(&content) {
                answer.unchanged += 1;
            } else if content == "never sent" {
                answer.missing.push(name.to_owned());
            } else {
                answer.unchanged += 1;
                if is_full {
                    answer.taken_over += 1;
                    self.upload(sync, name, content)?;
                }
            }
        }
        answer.missing.sort_by_key(|name| NAMES.iter().position(|known| known == name));
        Ok(answer)
    }

    pub(super) fn fail_upload(&mut self, sync: usize, code: ErrorCode) -> Result<(), ErrorCode> {
        let now = self.now;
        let found = self.open(sync)?;
        found.total += 1;
        found.failed += 1;
        found.last_activity = now;
        Err(code)
    }

    pub(super) fn end(&mut self, sync: usize, allow_empty: bool, confirm: bool) -> Result<(), ErrorCode> {
        let Some(found) = self.syncs.get_mut(sync) else { return Err(ErrorCode::NoSuchSync) };
        match found.status {
            Status::Finished => return Ok(()),
            Status::Failed => return Err(ErrorCode::SyncEnded),
            Status::Syncing => {}
        }
        if found.sync_type == SyncType::IncrementalSync {
            found.status = Status::Finished;
            return Ok(());
        }
        found.last_call = self.now;
        let old: Vec<_> = self.live.iter().filter(|(path, _)| is_within(path, found.path)).collect();
        let bytes = |contents: &mut dyn Iterator<Item = &String>| contents.map(String::len).sum::<usize>();
        let old_bytes = bytes(&mut old.iter().map(|(_, content)| *content));
        let is_shrinking = found.staged.len() * 2 < old.len() || bytes(&mut found.staged.values()) * 2 < old_bytes;
        if found.landed == 0 && !allow_empty {
            found.hold(self.now);
            return Err(ErrorCode::EmptyFullSync);
        }
        if found.landed > 0 && is_shrinking && !confirm {
            found.hold(self.now);
            return Err(ErrorCode::Held);
        }
        found.status = Status::Finished;
        found.is_held = false;
        let (path, staged) = (found.path, std::mem::take(&mut found.staged));
        let old = self.take(path);
        self.put(path, staged);
        self.discard(path, TrashKind::Dataset, old);
        self.remember(path);
        Ok(())
    }

    pub(super) fn abort(&mut self, sync: usize) -> Result<(), ErrorCode> {
        let Some(found) = self.syncs.get_mut(sync) else { return Err(ErrorCode::NoSuchSync) };
        match found.status {
            Status::Failed => return Ok(()),
            Status::Finished => return Err(ErrorCode::SyncEnded),
            Status::Syncing => {}
        }
        found.status = Status::Failed;
        found.is_held = false;
        let (path, staged) = (found.path, std::mem::take(&mut found.staged));
        self.discard(path, TrashKind::Dataset, staged);
        Ok(())
    }

    pub(super) fn restore(&mut self, item: usize) -> Result<(), ErrorCode> {
        let Some(found) = self.trash.get(item).cloned() else { return Err(ErrorCode::NoSuchTrash) };
        if self.is_held(&found.origin, found.kind == TrashKind::Dataset) {
            return Err(ErrorCode::PathHeld);
        }
        self.trash.remove(item);
        let old = self.take(&found.origin);
        self.put(&found.origin, found.files);
        self.discard(&found.origin, found.kind, old);
        Ok(())
    }

    pub(super) fn empty(&mut self, item: usize) -> Result<(), ErrorCode> {
        if item >= self.trash.len() {
            return Err(ErrorCode::NoSuchTrash);
        }
        self.trash.remove(item);
        Ok(())
    }

    pub(super) fn expire(&mut self) {
        let before = self.now - IDLE_MAX.as_millis() as i64;
        for sync in 0..self.syncs.len() {
            if self.syncs[sync].status == Status::Syncing && self.syncs[sync].last_activity < before {
                self.abort(sync).unwrap();
            }
        }
    }
}
