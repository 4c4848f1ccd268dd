//! Opening a lake on object storage and its database.

use super::{
    LakeFiles, Opened, Purpose, agree, make_data_folder, new_identity, open_store, refuse_missing_database,
    take_data_folder, this_process,
};
use crate::config::DataDir;
use crate::placement;
use anyhow::{Context, bail};
use lakeshore_metadata::postgres::PostgresOptions;
use lakeshore_metadata::store::{KnownLake, Store};
use lakeshore_storage::LakeState;
use lakeshore_storage::object::{BucketSettings, ObjectFiles, inspect_lake};
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
    let data_dir = &data.path;
    placement::refuse_inside_a_lake(data_dir)?;
    let url = settings.lake.to_string();
    let root = Path::new(&url);
    let lake_state = if adopts { LakeState::default() } else { inspect_lake(settings).await? };
    refuse_missing_database(data, postgres.as_ref(), &lake_state, root)?;
    make_data_folder(data_dir, false)?;
    let lock = take_data_folder(data_dir).await?;
    let store = match open_store(data, postgres, &url, purpose).await? {
        Store::Postgres(state) => Store::Postgres(Box::new(state.with_namespace())),
        store => store,
    };
    // Another server may have paired them, while this one waited for its place.
    let lake_state = if purpose == Purpose::ServeWithOthers { inspect_lake(settings).await? } else { lake_state };
    let identity = if adopts { new_identity()? } else { agree(&store, &lake_state, data_dir, root).await? };
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
