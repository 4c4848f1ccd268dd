//! Opening of a lake and its database, for every command that needs both. They are paired by an identity stored in
//! both: a lake that is not mounted, another lake, or another database is refused before any write.

mod bucket;

use crate::config::{DataDir, LakePlace};
use crate::placement;
use anyhow::{Context, bail};
use lakeshore::model::storage_path::StoragePath;
use lakeshore::ports::{Files, random_bytes};
use lakeshore_metadata::disk_reserve::DiskReserve;
use lakeshore_metadata::lock::{LOOKS_AT_SERVERS, LockError, lock, look_again};
use lakeshore_metadata::postgres::{PostgresOptions, PostgresState};
use lakeshore_metadata::sqlite::{OpenError, SqliteState};
use lakeshore_metadata::store::{KnownLake, Opening, Store};
use lakeshore_storage::LakeState;
use lakeshore_storage::local::{self, LocalFiles, inspect_lake};
use lakeshore_storage::object::ObjectFiles;
use lakeshore_system::clock::SystemRandomness;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Mode of a data folder that only its owner may read.
const CLOSED: u32 = 0o700;
/// Like [`CLOSED`], but others may pass through it to a lake inside.
const PASSABLE: u32 = 0o711;

/// A database and its lake, held by this process exclusively.
pub struct Opened {
    pub store: Store,
    pub files: LakeFiles,
    _lock: OwnedFd,
}

impl Opened {
    /// Whether another server has taken the lake over, because this one seemed to have ended.
    pub fn is_taken_over(&self) -> bool {
        let files = match &self.files {
            LakeFiles::Objects(files) => files.is_taken_over(),
            LakeFiles::Folder(_) => false,
        };
        files || matches!(&self.store, Store::Postgres(state) if state.is_taken_over())
    }

    /// Gives the lake back, and closes the database.
    pub async fn close(&self) {
        let is_last = self.store.state().leave().await.unwrap_or(false);
        // Otherwise the others have it still.
        if let LakeFiles::Objects(files) = &self.files
            && is_last
        {
            files.release().await;
        }
        self.store.close().await;
    }
}

/// The bytes of a lake, wherever they are.
#[derive(Clone)]
pub enum LakeFiles {
    Folder(LocalFiles),
    Objects(ObjectFiles),
}

impl LakeFiles {
    pub fn port(&self) -> Arc<dyn Files> {
        match self {
            Self::Folder(files) => Arc::new(files.clone()),
            Self::Objects(files) => Arc::new(files.clone()),
        }
    }

    /// Checks by a write whether writes succeed, and says why not.
    pub async fn probe(&self) -> Result<(), String> {
        match self {
            Self::Folder(files) => {
                let files = files.clone();
                let probed = tokio::task::spawn_blocking(move || files.probe()).await;
                probed.map_err(|error| error.to_string())?.map_err(|fault| fault.to_string())
            }
            Self::Objects(files) => {
                files.probe().await.map_err(|fault| fault.to_string())?;
                files.may_write().map_err(|fault| fault.to_string())
            }
        }
    }
}

/// Opens both for a server: creates them if missing, and migrates an older database. `with_others`: other servers may have
/// them too, on PostgreSQL and object storage.
pub async fn open(
    data: &DataDir,
    postgres: Option<PostgresOptions>,
    lake: &LakePlace,
    with_others: bool,
) -> anyhow::Result<Opened> {
    open_lake(data, postgres, lake, if with_others { Purpose::ServeWithOthers } else { Purpose::Serve }).await
}

/// Opens both unchanged for a check: the current location of the lake is not recorded.
pub async fn open_to_check(data: &DataDir, lake: &LakePlace) -> anyhow::Result<Opened> {
    open_lake(data, data.metadata.clone(), lake, Purpose::Check).await
}

/// Pairs the lake with the database, and replaces the identities that either had. The former partner of each refuses it
/// from then on.
pub async fn adopt(data: &DataDir, lake: &LakePlace) -> anyhow::Result<Opened> {
    open_lake(data, data.metadata.clone(), lake, Purpose::Adopt).await
}

/// Purpose of opening the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Serve,
    ServeWithOthers,
    Check,
    Adopt,
}

impl Purpose {
    fn opening(self) -> Opening {
        match self {
            Self::Serve | Self::ServeWithOthers => Opening::Migrate,
            Self::Check => Opening::Existing,
            Self::Adopt => Opening::Make,
        }
    }
}

async fn open_lake(
    data: &DataDir,
    postgres: Option<PostgresOptions>,
    lake: &LakePlace,
    purpose: Purpose,
) -> anyhow::Result<Opened> {
    match lake {
        LakePlace::Folder(root) => open_pair(data, postgres, root, purpose).await,
        LakePlace::Bucket(settings) => bucket::open_pair(data, postgres, settings, purpose).await,
    }
}

async fn open_pair(
    data: &DataDir,
    postgres: Option<PostgresOptions>,
    root: &Path,
    purpose: Purpose,
) -> anyhow::Result<Opened> {
    let adopts = purpose == Purpose::Adopt;
    let data_dir = &data.path;
    placement::check(data_dir, &data.database(), root)?;
    let lake = || format!("the lake root {}", root.display());
    let is_served = |inspected: &Result<LakeState, _>| inspected.as_ref().is_ok_and(|state| state.is_served);
    let lake_state = if adopts {
        LakeState::default()
    } else {
        look_again(LOOKS_AT_SERVERS, || inspect_lake(root), is_served).await.with_context(lake)?
    };
    if lake_state.is_served {
        return Err(local::OpenError::InUse).with_context(lake);
    }
    refuse_missing_database(data, postgres.as_ref(), &lake_state, root)?;
    make_data_folder(data_dir, is_below(root, data_dir))?;
    let lock = take_data_folder(data_dir).await?;
    // Another process may have held both meanwhile, and paired them.
    let lake_state = if adopts { lake_state } else { inspect_lake(root).with_context(lake)? };
    let place = std::path::absolute(root).unwrap_or_else(|_| root.to_owned()).display().to_string();
    let store = open_store(data, postgres, &place, purpose).await?;
    let identity = if adopts { new_identity()? } else { agree(&store, &lake_state, data_dir, root).await? };
    // The lake root is written only now, since it may be the empty folder of an unmounted disk.
    let files = LocalFiles::open(root).with_context(lake)?;
    pair(&store, &files, identity, root, purpose).await.with_context(lake)?;
    Ok(Opened { store, files: LakeFiles::Folder(files), _lock: lock })
}

/// Refuses a lake that belongs to a database where the data folder has none, or an empty one: a new database would be
/// misleading at a mistyped path.
fn refuse_missing_database(
    data: &DataDir,
    postgres: Option<&PostgresOptions>,
    lake_state: &LakeState,
    root: &Path,
) -> Result<(), Mismatch> {
    let is_missing = || data.database().metadata().map_or(true, |found| found.is_file() && found.len() == 0);
    if postgres.is_none() && lake_state.identity.is_some() && is_missing() {
        return Err(Mismatch::NoDatabase { data_dir: data.path.clone(), root: root.to_owned() });
    }
    Ok(())
}

async fn take_data_folder(data_dir: &Path) -> anyhow::Result<OwnedFd> {
    let is_held = |locked: &Result<_, LockError>| matches!(locked, Err(LockError::Held));
    let lock = look_again(LOOKS_AT_SERVERS, || lock(data_dir), is_held).await;
    lock.with_context(|| data_dir.display().to_string())
}

async fn open_store(
    data: &DataDir,
    postgres: Option<PostgresOptions>,
    place: &str,
    purpose: Purpose,
) -> anyhow::Result<Store> {
    Ok(match postgres {
        Some(postgres) => Store::Postgres(Box::new(open_postgres(&postgres, place, purpose).await?)),
        None => Store::Sqlite(open_on_any_disk(&data.database(), &data.path, purpose).await?),
    })
}

/// A lake has one node, this one, until it ends, or several that know of each other.
async fn open_postgres(postgres: &PostgresOptions, place: &str, purpose: Purpose) -> anyhow::Result<PostgresState> {
    let state = PostgresState::open_for(postgres, purpose.opening()).await?;
    let holder = format!("{} (lake {place})", this_process());
    Ok(match purpose {
        Purpose::ServeWithOthers => state.serve_with_others(&holder).await?,
        Purpose::Serve | Purpose::Check | Purpose::Adopt => state.serve_alone(&holder).await?,
    })
}

/// This process, for people.
fn this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

/// Releases a part of the reserve when the disk is too full to open a database.
async fn open_on_any_disk(database: &Path, data_dir: &Path, purpose: Purpose) -> anyhow::Result<SqliteState> {
    let reserve = DiskReserve::in_data_folder(data_dir);
    loop {
        match SqliteState::open_for(database, purpose.opening()).await {
            Ok(state) if purpose == Purpose::Serve => return Ok(state.with_reserve(reserve)),
            Ok(state) => return Ok(state),
            Err(_) if purpose == Purpose::Serve && reserve.is_disk_full() && reserve.release() => {}
            Err(error) if reserve.is_disk_full() => {
                let path = database.display().to_string();
                return Err(OpenError::DiskFull { path, source: Box::new(error) }.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn make_data_folder(path: &Path, holds_lake: bool) -> anyhow::Result<()> {
    let mode = if holds_lake { PASSABLE } else { CLOSED };
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot create the data folder {}", path.display()))
}

fn is_below(root: &Path, data_dir: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute(root).starts_with(absolute(data_dir))
}

fn new_identity() -> anyhow::Result<String> {
    Ok(hex::encode(random_bytes::<16>(&SystemRandomness)?))
}

#[derive(Debug, thiserror::Error)]
enum Mismatch {
    #[error(
        "the database in {} belongs to the lake {identity}{}, and {} is not that lake: it has no identity. Mount its disk, choose the lake with --lake-root, or assign this folder to the database with \"lakeshore adopt\"",
        data_dir.display(), was_at(was_at_root), root.display()
    )]
    NoLake { data_dir: PathBuf, identity: String, was_at_root: String, root: PathBuf },
    #[error(
        "the database in {} belongs to the lake {known}{}, and {} is another lake, {found}; choose the right --lake-root or --data-dir, or assign the lake to the database with \"lakeshore adopt\"",
        data_dir.display(), was_at(was_at_root), root.display()
    )]
    OtherLake { data_dir: PathBuf, known: String, was_at_root: String, root: PathBuf, found: String },
    #[error(
        "the lake {} belongs to a database, and {} has none, or an empty one; choose its data folder with --data-dir, or restore a backup: put a copy made by \"lakeshore backup\" there as lakeshore.db",
        root.display(), data_dir.display()
    )]
    NoDatabase { data_dir: PathBuf, root: PathBuf },
    #[error(
        "the lake {} belongs to another database than the one in {}, which has no lake; choose its database with --data-dir, or assign the lake to this database with \"lakeshore adopt\"",
        root.display(), data_dir.display()
    )]
    OtherDatabase { data_dir: PathBuf, root: PathBuf },
    #[error(
        "the database in {} has datasets, and {} has none of them. Mount its disk, choose the lake with --lake-root, or assign this folder to the database with \"lakeshore adopt\"",
        data_dir.display(), root.display()
    )]
    NothingThere { data_dir: PathBuf, root: PathBuf },
}

fn was_at(root: &str) -> String {
    if root.is_empty() { String::new() } else { format!(" (last at {root})") }
}

/// Identity that the two have or get, or the reason why they do not belong together.
async fn agree(state: &Store, lake_state: &LakeState, data_dir: &Path, root: &Path) -> anyhow::Result<String> {
    // For people: where the database is.
    let (data_dir, root) = (PathBuf::from(state.shown(data_dir)), root.to_owned());
    match (state.known_lake().await?, &lake_state.identity) {
        (Some(known), Some(found)) if known.identity == *found => Ok(known.identity),
        // An interrupted first start.
        (Some(known), None) if !known.is_paired => Ok(known.identity),
        (Some(KnownLake { identity, root: was_at_root, .. }), None) => {
            bail!(Mismatch::NoLake { data_dir, identity, was_at_root, root })
        }
        (Some(KnownLake { identity: known, root: was_at_root, .. }), Some(found)) => {
            bail!(Mismatch::OtherLake { data_dir, known, was_at_root, root, found: found.clone() })
        }
        (None, Some(_)) => bail!(Mismatch::OtherDatabase { data_dir, root }),
        // Both new, or both of a version without identities.
        (None, None) if state.is_unused().await? => {
            if lake_state.has_engine_folder && lake_state.holds_something {
                bail!(Mismatch::OtherDatabase { data_dir, root });
            }
            new_identity()
        }
        (None, None) if lake_state.has_engine_folder && holds_what_it_should(state, &root).await? => new_identity(),
        (None, None) => bail!(Mismatch::NothingThere { data_dir, root }),
    }
}

/// Whether at least one path of an older database exists; otherwise its lake is elsewhere.
async fn holds_what_it_should(state: &Store, root: &Path) -> anyhow::Result<bool> {
    let evidence = state.evidence().await?;
    let is_there = |place: StoragePath| root.join(place.shown()).symlink_metadata().is_ok();
    let datasets = evidence.datasets.into_iter().map(StoragePath::Live);
    let trash = evidence.trash.into_iter().map(StoragePath::TrashSlot);
    let mut expected = datasets.chain(trash).peekable();
    Ok(expected.peek().is_none() || expected.any(is_there))
}

/// Stores the identity on both sides, so that the next start completes an interrupted one.
async fn pair(
    state: &Store,
    files: &LocalFiles,
    identity: String,
    root: &Path,
    purpose: Purpose,
) -> anyhow::Result<()> {
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned()).display().to_string();
    let known = KnownLake { identity, is_paired: true, root };
    // Read again, now that no other process can serve it.
    let found = if purpose == Purpose::Adopt { None } else { files.identity()? };
    if let Some(before) = state.known_lake().await?
        && found.as_ref() == Some(&known.identity)
        && (before == known || purpose == Purpose::Check && before.is_paired && before.identity == known.identity)
    {
        return Ok(());
    }
    match found {
        Some(found) if found == known.identity => {}
        Some(_) => bail!("its identity was changed during the start; start again"),
        None => {
            state.know_lake(&KnownLake { is_paired: false, ..known.clone() }).await?;
            files.set_identity(&known.identity)?;
        }
    }
    Ok(state.know_lake(&known).await?)
}
