//! Operations of a lake, and the possible states after each.

use crate::clients::{ABSENT, FILES_OF_A_VERSION, Known, Ledger, Sender, digest, part_of};
use crate::server::{Stopped, TestServer, answer, lakeshore};
use crate::strace::wait_for_inspections;
use crate::volatile_disk::{Order, Tree, VolatileDisk};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders below the root of the disk: data folder, lake, and backups.
pub const DATA: &str = "data";
pub const LAKE: &str = "lake";
const BACKUPS: &str = "backups";

const SMALL_BYTES: usize = 60;
/// Too large to be collected in memory, so it has a file from its beginning.
const LARGE_BYTES: usize = 700_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    AddSmall,
    AddLarge,
    OverwriteSmall,
    OverwriteLarge,
    /// A form with a new file, a replaced one, and a large one.
    Form,
    CreateResumable,
    /// The last chunk of a resumable upload.
    PatchLast,
    /// A chunk in the middle of a resumable upload, which replaces a file when it is complete.
    PatchAmid,
    /// A full sync takes over unchanged files.
    TakeOver,
    PublishFirst,
    Publish,
    Abort,
    /// A start supersedes an older full sync.
    Supersede,
    RestoreFile,
    RestoreDataset,
    Purge,
    CreateKey,
    Backup,
}

/// Result of an operation, as its caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    Done,
    /// Certainly not done.
    Refused(String),
    /// May have been done.
    Unknown(String),
}

/// A lake just before an operation, and its stopped server.
pub struct Scene {
    operation: Operation,
    pub saved: Tree,
    known: Known,
    key: String,
    sync_id: u64,
    trash_id: u64,
}

/// Results of the operation for its caller.
#[derive(Default)]
pub struct Given {
    key: Option<String>,
    is_backed_up: bool,
}

/// A server with its folders on this disk.
pub fn server_on(disk: &Path, key: &str) -> Stopped {
    let (data, lake) = (disk.join(DATA), disk.join(LAKE));
    let options = ["--lake-root", lake.to_str().unwrap(), "--shrink-guard", "0.5"];
    let mut stopped = Stopped::new(tempfile::tempdir().unwrap(), data, &options);
    key.clone_into(&mut stopped.key);
    stopped
}

fn backup_on(disk: &Path) -> PathBuf {
    disk.join(BACKUPS).join("copy.db")
}

fn bytes(length: usize, mark: &str) -> Vec<u8> {
    let mut bytes = format!("{mark}:").into_bytes();
    bytes.resize(length, b'x');
    bytes
}

const fn length(is_large: bool) -> usize {
    if is_large { LARGE_BYTES } else { SMALL_BYTES }
}

impl Scene {
    /// `None` without FUSE.
    pub async fn set(operation: Operation) -> Option<Self> {
        let disk = VolatileDisk::new(Order::Journal)?;
        for folder in [DATA, BACKUPS] {
            disk.make_folder(folder);
        }
        let stopped = server_on(disk.path(), "").with_key();
        let mut server = stopped.start().await;
        let ledger = Arc::new(Ledger::default());
        let sender = Sender::to(&server, &ledger);
        let mut scene = Self {
            operation,
            saved: disk.save(),
            known: Known::default(),
            key: stopped.key.clone(),
            sync_id: 0,
            trash_id: 0,
        };
        scene.prepare(&server, &sender).await;
        scene.known = ledger.known().clone();
        // Background reads would mix with the calls of the operation.
        wait_for_inspections(&server).await;
        assert_eq!(server.stop(), Some(0), "{}", server.stderr());
        scene.saved = disk.save();
        Some(scene)
    }

    async fn prepare(&mut self, server: &TestServer, sender: &Sender) {
        // Files of each kind exist before, and must survive.
        let first = sender.start("/inc", "IncrementalSync").await.unwrap();
        sender.upload_own(first, "/inc/a", SMALL_BYTES).await.unwrap();
        sender.upload_own(first, "/inc/large", LARGE_BYTES).await.unwrap();
        sender.upload_own(first, "/inc/trashed", SMALL_BYTES).await.unwrap();
        sender.upload_own(first, "/inc/trashed", SMALL_BYTES + 1).await.unwrap();
        sender.close("end", first).await.unwrap();
        let version = sender.stage("/full").await.unwrap();
        sender.publish("/full", version).await.unwrap();
        match self.operation {
            Operation::TakeOver => self.sync_id = sender.start("/full", "FullSync").await.unwrap(),
            Operation::PublishFirst => self.sync_id = sender.stage("/new").await.unwrap(),
            Operation::Publish | Operation::Abort => self.sync_id = sender.stage("/full").await.unwrap(),
            Operation::Supersede => self.sync_id = sender.hold("/full").await.unwrap(),
            Operation::RestoreDataset => {
                let version = sender.stage("/full").await.unwrap();
                sender.publish("/full", version).await.unwrap();
                self.trash_id = newest_item(server, "/full").await;
            }
            Operation::RestoreFile | Operation::Purge => self.trash_id = newest_item(server, "/inc/trashed").await,
            Operation::CreateKey | Operation::Backup => {}
            _ => self.sync_id = sender.start("/inc", "IncrementalSync").await.unwrap(),
        }
        if matches!(self.operation, Operation::PatchAmid | Operation::PatchLast) {
            let (status, said) = sender.begin(self.sync_id, "/inc/large", &bytes(LARGE_BYTES, "resumed")).await;
            assert_eq!(status, 201, "{said}");
            let (status, said) = sender.send_up_to(LARGE_BYTES / 3).await;
            assert_eq!(status, 204, "{said}");
        }
    }

    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::new(Ledger::knowing(self.known.clone()))
    }

    pub fn stopped(&self, disk: &Path) -> Stopped {
        server_on(disk, &self.key)
    }

    pub async fn run(&self, server: &TestServer, ledger: &Arc<Ledger>, given: &mut Given) -> Answered {
        let sender = Sender::to(server, ledger);
        match self.operation {
            Operation::AddSmall => self.upload(server, ledger, &[("sub/new", false)]).await,
            Operation::AddLarge => self.upload(server, ledger, &[("sub/new", true)]).await,
            Operation::OverwriteSmall => self.upload(server, ledger, &[("a", false)]).await,
            Operation::OverwriteLarge => self.upload(server, ledger, &[("large", true)]).await,
            Operation::Form => self.upload(server, ledger, &[("new", false), ("a", false), ("large", true)]).await,
            Operation::CreateResumable => {
                judge(sender.begin(self.sync_id, "/inc/begun", &bytes(LARGE_BYTES, "begun")).await)
            }
            Operation::PatchAmid => judge(sender.send_up_to(LARGE_BYTES / 2).await),
            Operation::PatchLast => judge(sender.send_up_to(LARGE_BYTES).await),
            Operation::TakeOver => judge(self.take_over(server).await),
            Operation::PublishFirst => self.publish(server, ledger, "/new").await,
            Operation::Publish => self.publish(server, ledger, "/full").await,
            Operation::Abort => judge(server.try_abort(self.sync_id).await),
            Operation::Supersede => judge(server.try_start("/full", "FullSync").await),
            Operation::RestoreFile => self.restore(server, ledger, "/inc/trashed").await,
            Operation::RestoreDataset => self.restore(server, ledger, "/full").await,
            Operation::Purge => self.purge(server, ledger).await,
            Operation::CreateKey => make_key(server, given),
            Operation::Backup => back_up(server, given),
        }
    }

    async fn upload(&self, server: &TestServer, ledger: &Ledger, files: &[(&str, bool)]) -> Answered {
        // Each attempt has its own content, to tell the results apart.
        let attempt = |name: &str| ledger.known().files.get(&format!("/inc/{name}")).map_or(0, Vec::len);
        let contents: Vec<_> = files
            .iter()
            .map(|(name, is_large)| {
                let content = bytes(length(*is_large), &format!("new {name} {}", attempt(name)));
                (name.rsplit('/').next().unwrap(), content)
            })
            .collect();
        let form: Vec<_> = contents.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
        let below = files[0].0.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("&path={folder}"));
        let mut before = Vec::new();
        for ((name, _), (_, bytes)) in files.iter().zip(&contents) {
            let path = format!("/inc/{name}");
            let mut known = ledger.known();
            let allowed = known.files.entry(path.clone()).or_insert_with(|| vec![ABSENT.to_owned()]);
            before.push((path, allowed.clone()));
            allowed.push(digest(bytes));
        }
        let answered = judge(server.try_upload(&format!("sync_id={}{below}", self.sync_id), &form).await);
        let mut known = ledger.known();
        match &answered {
            Answered::Done => {
                for ((path, _), (_, bytes)) in before.into_iter().zip(&contents) {
                    known.files.insert(path, vec![digest(bytes)]);
                    known.acknowledged.push(digest(bytes));
                }
            }
            // Of several files some may have landed.
            Answered::Refused(_) if files.len() == 1 => known.files.extend(before),
            _ => {}
        }
        answered
    }

    async fn take_over(&self, server: &TestServer) -> (u16, Value) {
        let version = self.known.versions["/full"][0];
        let files: Vec<_> = (0..FILES_OF_A_VERSION)
            .map(|file| {
                let bytes = part_of(version, file);
                json!({ "path": format!("part-{file}"), "size_bytes": bytes.len(), "sha256": digest(&bytes) })
            })
            .collect();
        let body = json!({ "sync_id": self.sync_id, "files": files, "take_over": true, "api_key": server.key });
        answer(server.post("/api/lake/file/missing", &body)).await
    }

    async fn publish(&self, server: &TestServer, ledger: &Ledger, path: &str) -> Answered {
        let before = ledger.known().versions[path].clone();
        ledger.known().versions.entry(path.to_owned()).or_default().push(self.sync_id);
        let answered = judge(server.try_end(self.sync_id, json!({})).await);
        let after = match &answered {
            Answered::Done => vec![self.sync_id],
            Answered::Refused(_) => before,
            Answered::Unknown(_) => return answered,
        };
        ledger.known().versions.insert(path.to_owned(), after);
        answered
    }

    async fn restore(&self, server: &TestServer, ledger: &Ledger, path: &str) -> Answered {
        let is_file = self.operation == Operation::RestoreFile;
        // The restored content is only known afterwards.
        if is_file {
            ledger.known().files.insert(path.to_owned(), Vec::new());
        } else {
            ledger.known().versions.insert(path.to_owned(), Vec::new());
        }
        let wanted = json!({ "api_key": server.key, "trash_id": self.trash_id });
        let answered = judge(answer(server.post("/api/lake/trash/restore", &wanted)).await);
        let mut known = ledger.known();
        match &answered {
            Answered::Refused(_) if is_file => {
                known.files.insert(path.to_owned(), self.known.files[path].clone());
            }
            Answered::Refused(_) => {
                known.versions.insert(path.to_owned(), self.known.versions[path].clone());
            }
            Answered::Done if is_file => {
                let live = digest(&std::fs::read(server.lake().join(&path[1..])).unwrap());
                assert_ne!(vec![live.clone()], self.known.files[path], "it is back");
                known.files.insert(path.to_owned(), vec![live]);
            }
            Answered::Done => {
                let live = crate::clients::version_in(&server.lake().join(&path[1..]));
                assert_ne!(vec![live], self.known.versions[path], "it is back");
                known.versions.insert(path.to_owned(), vec![live]);
            }
            Answered::Unknown(_) => {}
        }
        answered
    }

    async fn purge(&self, server: &TestServer, ledger: &Ledger) -> Answered {
        let purged = server.files(".lakeshore/trash");
        ledger.known().emptied.extend(purged.values().map(|bytes| digest(bytes)));
        let wanted = json!({ "api_key": server.key, "trash_id": self.trash_id });
        judge(answer(server.post("/api/lake/trash/empty", &wanted)).await)
    }

    /// Checks that results given to the caller are still valid after the cut.
    pub async fn verify(&self, server: &TestServer, given: &Given) {
        if let Some(key) = &given.key {
            let keyed = json!({ "name": "test", "path": "/keyed", "api_key": key, "sync_type": "IncrementalSync" });
            let (status, said) = answer(server.post("/api/ingestion/file/sync/start", &keyed)).await;
            assert_eq!(status, 200, "a key that was given is a key: {said}");
            server.end_sync(said["sync_id"].as_u64().unwrap()).await;
        }
        if given.is_backed_up {
            let disk = server.data_dir().parent().unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::copy(backup_on(disk), folder.path().join("lakeshore.db")).unwrap();
            let keys = lakeshore(&["key", "list", "--data-dir", folder.path().to_str().unwrap()]);
            let said = String::from_utf8_lossy(&keys.stderr);
            assert!(keys.status.success(), "a backup that was made can be used: {said}");
        }
    }
}

async fn newest_item(server: &TestServer, path: &str) -> u64 {
    let items = server.rows(&format!("/api/lake/trash?size=1&order=desc&path={path}")).await;
    items[0]["trash_id"].as_u64().unwrap()
}

fn make_key(server: &TestServer, given: &mut Given) -> Answered {
    let data_dir = server.data_dir().to_str().unwrap();
    let output = lakeshore(&["key", "create", "--name", "given", "--role", "admin", "--data-dir", data_dir]);
    if !output.status.success() {
        return Answered::Refused(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    given.key = Some(String::from_utf8(output.stdout).unwrap().trim().to_owned());
    Answered::Done
}

fn back_up(server: &TestServer, given: &mut Given) -> Answered {
    let file = backup_on(server.data_dir().parent().unwrap());
    let data_dir = server.data_dir().to_str().unwrap();
    let output = lakeshore(&["backup", file.to_str().unwrap(), "--data-dir", data_dir]);
    given.is_backed_up = output.status.success();
    if given.is_backed_up {
        Answered::Done
    } else {
        Answered::Refused(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// For uploads, only this code leaves the outcome open.
const NOT_KNOWN_YET: u64 = 50006;

fn judge((status, said): (u16, Value)) -> Answered {
    match said["code"].as_u64() {
        _ if (200..300).contains(&status) => Answered::Done,
        Some(NOT_KNOWN_YET) => Answered::Unknown(said.to_string()),
        _ => Answered::Refused(format!("{status}: {said}")),
    }
}
