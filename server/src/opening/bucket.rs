//! Opening a lake on object storage and its database.

use super::{
    LakeFiles, Mismatch, Opened, Purpose, agree, has_no_database, make_data_folder, new_identity, open_store,
    take_data_folder, this_process,
};
use crate::config::DataDir;
use crate::placement;
use anyhow::{Context, bail};
use lakeshore_metadata::postgres::PostgresOptions;
use lakeshore_metadata::store::{KnownLake, Store};
use lakeshore_storage::local;
use lakeshore_storage::object::{BucketSettings, ObjectFiles, look};
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

pub(super) async fn open_pair(
    data: &DataDir,
    postgres: Option<PostgresOptions>,
    settings: &BucketSettings,
    purpose: Purpose,
) -> anyhow::Result<Opened> {
    let adopts = purpose == Purpose::Adopt;
    let (data_dir, database) = (&data.path, data.database());
    placement::refuse_inside_a_lake(data_dir)?;
    let url = settings.lake.to_string();
    let root = Path::new(&url);
    let found = if adopts { local::LakeSight::default() } else { sight(settings).await? };
    if postgres.is_none() && found.identity.is_some() && has_no_database(&database) {
        bail!(Mismatch::NoDatabase { data_dir: data_dir.clone(), root: root.to_owned() });
    }
    make_data_folder(data_dir, false)?;
    let lock = take_data_folder(data_dir).await?;
    let store = match open_store(data, postgres, &url, purpose).await? {
        Store::Postgres(state) => Store::Postgres(Box::new(state.with_namespace())),
        store => store,
    };
    // Another server may have paired them, while this one waited for its place.
    let found = if purpose == Purpose::ServeWithOthers { sight(settings).await? } else { found };
    let identity = if adopts { new_identity()? } else { agree(&store, &found, data_dir, root).await? };
    let files = ObjectFiles::new(settings, store.namespace(), Arc::new(SystemClock), Arc::new(SystemRandomness))?;
    let server = format!("{} (database {})", this_process(), store.shown(data_dir));
    let place = place(&store, data_dir).await?;
    match store.group() {
        Some(group) => files.serve_with_group(&server, &place, group).await?,
        None => files.serve_alone(&server, &place).await?,
    }
    pair(&store, &files, identity, url, purpose).await?;
    Ok(Opened { store, files: LakeFiles::Objects(files), _lock: lock })
}

/// Name that no two servers share at once: this process has the lock of the database.
async fn place(store: &Store, data_dir: &Path) -> anyhow::Result<String> {
    if let Store::Postgres(state) = store
        && let Some(place) = state.place().await?
    {
        return Ok(format!("postgres:{place}"));
    }
    let found = data_dir.metadata().with_context(|| data_dir.display().to_string())?;
    // Numbers of disks and files are those of one machine.
    let machine = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Ok(format!("folder:{}/{}/{}", machine.trim(), found.dev(), found.ino()))
}

/// State of a bucket, in the terms of a folder. It has no folder of the engine that could be of another lake.
async fn sight(settings: &BucketSettings) -> anyhow::Result<local::LakeSight> {
    let found = look(settings).await?;
    let holds_something = found.holds_something;
    Ok(local::LakeSight { identity: found.identity, holds_something, ..local::LakeSight::default() })
}

/// Writes the identity down on both sides, so that a start that is cut short is finished by the next.
async fn pair(
    state: &Store,
    files: &ObjectFiles,
    identity: String,
    root: String,
    purpose: Purpose,
) -> anyhow::Result<()> {
    let known = KnownLake { identity, is_paired: true, root };
    let found = files.identity().await?;
    if purpose == Purpose::Check && found.as_ref() == Some(&known.identity) {
        return Ok(());
    }
    if state.known_lake().await?.as_ref() == Some(&known) && found.as_ref() == Some(&known.identity) {
        return Ok(());
    }
    state.know_lake(&KnownLake { is_paired: false, ..known.clone() }).await?;
    if purpose == Purpose::Adopt {
        files.set_identity(&known.identity).await?;
    } else if !files.set_first_identity(&known.identity).await? {
        bail!("another server has begun to use {} meanwhile; start again", known.root);
    }
    state.know_lake(&known).await.context("recording the lake in the database")
}
