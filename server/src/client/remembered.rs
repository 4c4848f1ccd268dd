//! What a push remembers on this machine, so that the same command goes on where the last one ended: in
//! `$XDG_STATE_HOME/lakeshore/pushes/`, a folder for each server, source, dataset and type.

use super::error::ClientError;
use super::settings::base;
use lakeshore::LakePath;
use lakeshore::sync::{SyncId, SyncType};
use lakeshore::upload::hexadecimal;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A sync that this push has started, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPush {
    /// For people who look into the file.
    pub server: String,
    pub source: PathBuf,
    pub path: LakePath,
    pub sync_type: SyncType,
    pub name: String,
    /// Sent with the start: when its answer was lost, the same key gives the same sync.
    pub idempotency_key: String,
    /// Absent until the start was answered.
    pub sync_id: Option<SyncId>,
}

/// A resumable upload that was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begun {
    sync_id: SyncId,
    path: String,
    sha256: String,
    url: String,
}

/// The folder of one push. Held by one process at a time.
pub struct Remembered {
    folder: PathBuf,
    /// By path.
    begun: Mutex<HashMap<String, Begun>>,
    _lock: File,
}

impl Remembered {
    pub fn open(server: &str, source: &Path, path: &LakePath, sync_type: SyncType) -> Result<Self, ClientError> {
        let base = base("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
            ClientError::Usage("there is no place to remember a push in; set HOME or XDG_STATE_HOME".into())
        })?;
        Self::open_below(&base.join("pushes"), server, source, path, sync_type)
    }

    fn open_below(
        base: &Path,
        server: &str,
        source: &Path,
        path: &LakePath,
        sync_type: SyncType,
    ) -> Result<Self, ClientError> {
        let parts = [
            server.as_bytes(),
            source.as_os_str().as_encoded_bytes(),
            path.as_str().as_bytes(),
            sync_type.as_str().as_bytes(),
        ];
        let digest = Sha256::digest(parts.join(&0));
        let folder = base.join(hexadecimal(&digest[..12]));
        let failed =
            |error: &dyn std::fmt::Display| ClientError::local(format!("cannot use {}", folder.display()), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| failed(&error))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"));
        let lock = lock.map_err(|error| failed(&error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| ClientError::Local(format!("another push of {} to {path} is running", source.display())))?;
        let begun = Mutex::new(read_begun(&folder.join("uploads.jsonl")));
        Ok(Self { folder, begun, _lock: lock })
    }

    /// Where the plan is.
    pub fn plan(&self) -> PathBuf {
        self.folder.join("plan.jsonl")
    }

    fn push(&self) -> PathBuf {
        self.folder.join("push.json")
    }

    fn uploads(&self) -> PathBuf {
        self.folder.join("uploads.jsonl")
    }

    /// The push that was left open. One that cannot be read is as good as none: the server still has its sync.
    pub fn open_push(&self) -> Option<OpenPush> {
        serde_json::from_slice(&std::fs::read(self.push()).ok()?).ok()
    }

    /// Remembers it durably, before the server is told.
    pub fn remember(&self, push: &OpenPush) -> Result<(), ClientError> {
        let (place, unfinished) = (self.push(), self.folder.join("push.new"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
            serde_json::to_writer_pretty(&mut file, push)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &place)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| ClientError::local(format!("cannot write {}", place.display()), error))
    }

    /// The sync has ended: the next push starts one of its own. The plan stays, for its digests.
    pub fn forget(&self) -> Result<(), ClientError> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for place in [self.uploads(), self.push()] {
            match std::fs::remove_file(&place) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ClientError::local(format!("cannot remove {}", place.display()), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where an upload of this file to this sync was begun: its digest then, and its address.
    pub fn begun(&self, sync_id: SyncId, path: &str) -> Option<(String, String)> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = begun.get(path).filter(|begun| begun.sync_id == sync_id)?;
        Some((begun.sha256.clone(), begun.url.clone()))
    }

    pub fn remember_begun(&self, sync_id: SyncId, path: &str, sha256: &str, url: &str) -> Result<(), ClientError> {
        let place = self.uploads();
        let upload = Begun { sync_id, path: path.to_owned(), sha256: sha256.to_owned(), url: url.to_owned() };
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec(&upload)?;
            text.push(b'\n');
            // The address of an upload is as good as a key to it.
            OpenOptions::new().create(true).append(true).mode(0o600).open(&place)?.write_all(&text)
        };
        write().map_err(|error| ClientError::local(format!("cannot write {}", place.display()), error))?;
        begun.insert(upload.path.clone(), upload);
        Ok(())
    }
}

/// The last line of a path counts. A line that was cut short is left out: its upload expires on the server.
fn read_begun(place: &Path) -> HashMap<String, Begun> {
    let Ok(file) = File::open(place) else { return HashMap::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let begun = lines.filter_map(|line| serde_json::from_str::<Begun>(&line).ok());
    begun.map(|begun| (begun.path.clone(), begun)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_remembered_until_it_is_forgotten_and_held_by_one() {
        let base = tempfile::tempdir().unwrap();
        let path = LakePath::parse("/data/t").unwrap();
        let open = |sync_type| Remembered::open_below(base.path(), "http://x", Path::new("/f"), &path, sync_type);
        let remembered = open(SyncType::FullSync).unwrap();
        assert!(matches!(open(SyncType::FullSync), Err(ClientError::Local(_))));
        assert!(open(SyncType::IncrementalSync).is_ok());
        let push = OpenPush {
            server: "http://x".into(),
            source: "/f".into(),
            path: path.clone(),
            sync_type: SyncType::FullSync,
            name: "n".into(),
            idempotency_key: "k".into(),
            sync_id: Some(SyncId(7)),
        };
        remembered.remember(&push).unwrap();
        remembered.remember_begun(SyncId(7), "a", "1", "/1").unwrap();
        remembered.remember_begun(SyncId(7), "a", "2", "/2").unwrap();
        drop(remembered);
        let remembered = open(SyncType::FullSync).unwrap();
        assert_eq!(remembered.open_push(), Some(push));
        assert_eq!(remembered.begun(SyncId(7), "a"), Some(("2".into(), "/2".into())));
        assert_eq!(remembered.begun(SyncId(8), "a"), None);
        remembered.forget().unwrap();
        drop(remembered);
        let remembered = open(SyncType::FullSync).unwrap();
        assert_eq!((remembered.open_push(), remembered.begun(SyncId(7), "a")), (None, None));
    }
}
