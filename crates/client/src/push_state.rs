//! Local state of a push, by which the same command continues it: `$XDG_STATE_HOME/lakeshore/pushes/` has a folder for
//! each server, source, dataset and type.

use super::error::ClientError;
use super::private::PrivateFolder;
use lakeshore::LakePath;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::SyncType;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A sync that this push has started, or is about to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPush {
    /// For people who read the file.
    pub server: String,
    pub source: PathBuf,
    pub path: LakePath,
    pub sync_type: SyncType,
    pub name: String,
    /// Sent with the start: if the answer is lost, the same key returns the same sync.
    pub idempotency_key: String,
    /// Missing until the start was answered.
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

/// State folder of one push, locked by one process at a time.
pub struct PushState {
    folder: Arc<PrivateFolder>,
    /// By path.
    begun: Mutex<HashMap<String, Begun>>,
    _lock: File,
}

const PUSH: &str = "push.json";
const UPLOADS: &str = "uploads.jsonl";

impl PushState {
    pub fn open(server: &str, source: &Path, path: &LakePath, sync_type: SyncType) -> Result<Self, ClientError> {
        Self::open_below(&PrivateFolder::of_state()?.folder("pushes")?, server, source, path, sync_type)
    }

    fn open_below(
        base: &PrivateFolder,
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
        let folder = base.folder(&hex::encode(&digest[..12]))?;
        let failed = |error| ClientError::local(format!("cannot use {}", folder.path("lock").display()), error);
        let lock = folder.append("lock").map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| ClientError::Local(format!("another push of {} to {path} is running", source.display())))?;
        let begun = Mutex::new(read_begun(&folder));
        Ok(Self { folder: Arc::new(folder), begun, _lock: lock })
    }

    /// Folder of the plan.
    pub fn folder(&self) -> Arc<PrivateFolder> {
        self.folder.clone()
    }

    /// The open push. A record that cannot be read counts as missing: the server still has its sync.
    pub fn open_push(&self) -> Option<OpenPush> {
        serde_json::from_slice(&self.folder.read_all(PUSH).ok()??).ok()
    }

    /// Records the push durably, before the server is called.
    pub fn remember(&self, push: &OpenPush) -> Result<(), ClientError> {
        let written = serde_json::to_vec_pretty(push).map_err(std::io::Error::from);
        let written = written.and_then(|text| self.folder.write_durably(PUSH, &text));
        written.map_err(|error| ClientError::local(format!("cannot write {}", self.folder.path(PUSH).display()), error))
    }

    /// Forgets the sync, which has ended. The plan stays, for its digests.
    pub fn remove(&self) -> Result<(), ClientError> {
        self.begun.lock().clear();
        for name in [UPLOADS, PUSH] {
            self.folder.remove(name).map_err(|error| {
                ClientError::local(format!("cannot remove {}", self.folder.path(name).display()), error)
            })?;
        }
        Ok(())
    }

    /// Digest and address of the upload that was begun for this file and sync.
    pub fn begun(&self, sync_id: SyncId, path: &str) -> Option<(String, String)> {
        let begun = self.begun.lock();
        let begun = begun.get(path).filter(|begun| begun.sync_id == sync_id)?;
        Some((begun.sha256.clone(), begun.url.clone()))
    }

    pub fn remember_begun(&self, sync_id: SyncId, path: &str, sha256: &str, url: &str) -> Result<(), ClientError> {
        let upload = Begun { sync_id, path: path.to_owned(), sha256: sha256.to_owned(), url: url.to_owned() };
        let mut begun = self.begun.lock();
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec(&upload)?;
            text.push(b'\n');
            // The address of an upload is as secret as a key to it.
            self.folder.append(UPLOADS)?.write_all(&text)
        };
        write().map_err(|error| {
            ClientError::local(format!("cannot write {}", self.folder.path(UPLOADS).display()), error)
        })?;
        begun.insert(upload.path.clone(), upload);
        Ok(())
    }
}

/// Reads the uploads; the last line of a path counts. A truncated line is skipped: its upload expires on the server.
fn read_begun(folder: &PrivateFolder) -> HashMap<String, Begun> {
    let Ok(Some(file)) = folder.read(UPLOADS) else { return HashMap::new() };
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
        let state = PrivateFolder::open(&base.path().join("pushes")).unwrap();
        let open = |sync_type| PushState::open_below(&state, "http://x", Path::new("/f"), &path, sync_type);
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
        remembered.remove().unwrap();
        drop(remembered);
        let remembered = open(SyncType::FullSync).unwrap();
        assert_eq!((remembered.open_push(), remembered.begun(SyncId(7), "a")), (None, None));
    }
}
