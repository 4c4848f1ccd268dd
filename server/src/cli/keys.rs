//! `lakeshore key …`: straight into the database, beside a server that may be running on it.

use super::moment::moment;
use super::table;
use crate::config::{CreateKey, KeyAction};
use crate::opening;
use anyhow::anyhow;
use lakeshore::Timestamp;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::access::key::{Key, NewKey};
use lakeshore::model::id::KeyId;
use lakeshore::ports::{Clock, State};
use lakeshore::service::KeyRing;
use lakeshore_metadata::sqlite::Opening;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use lakeshore_system::terminal;

pub async fn run(action: &KeyAction) -> anyhow::Result<()> {
    let (data, opening) = match action {
        // The first key may be made before the first start.
        KeyAction::Create(create) => (&create.data, Opening::Make),
        KeyAction::List(data) => (data, Opening::Existing),
        KeyAction::Revoke(revoke) => (&revoke.data, Opening::Existing),
    };
    let was_there = data.database().exists();
    let state = opening::open_database(data, opening).await?;
    if !was_there {
        terminal::say(&format!("made a new database at {}", data.database().display()));
    }
    let ring = KeyRing { state: &state, clock: &SystemClock, randomness: &SystemRandomness };
    let result = match action {
        KeyAction::Create(create) => create_key(&ring, create).await,
        KeyAction::List(_) => list_keys(&ring).await,
        KeyAction::Revoke(revoke) => revoke_key(&ring, &revoke.key).await,
    };
    state.close().await;
    result
}

async fn create_key(ring: &KeyRing<'_>, create: &CreateKey) -> anyhow::Result<()> {
    let new = NewKey {
        name: create.name.clone(),
        role: create.role,
        path_prefix: create.path_prefix.clone(),
        expires_at: create.expires.map(|lifetime| SystemClock.now().plus(lifetime)),
    };
    let created = ring.create(&new, &Actor::command_line()).await?;
    terminal::line(&mut terminal::output(), &created.secret)?;
    Ok(())
}

async fn list_keys(ring: &KeyRing<'_>) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let head = ["ID", "NAME", "ROLE", "PATH", "KEY", "CREATED", "BY", "LAST USED", "EXPIRES", "STATUS"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(ring.list().await?.iter().map(|key| row(key, now)));
    table::print(&mut terminal::output(), &rows, &[])?;
    Ok(())
}

fn row(key: &Key, now: Timestamp) -> [String; 10] {
    let status = match (key.revoked_at, key.is_active(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "active",
        (None, false) => "expired",
    };
    [
        key.key_id.0.to_string(),
        key.name.clone(),
        key.role.to_string(),
        key.path_prefix.as_ref().map_or("/".to_owned(), ToString::to_string),
        format!("{}…", key.hint),
        moment(Some(key.created_at), "-"),
        if key.created_by.is_empty() { "-".to_owned() } else { key.created_by.clone() },
        moment(key.last_used_at, "never"),
        moment(key.expires_at, "never"),
        status.to_owned(),
    ]
}

async fn revoke_key(ring: &KeyRing<'_>, wanted: &str) -> anyhow::Result<()> {
    let id = active_key(ring.state, wanted).await?;
    ring.revoke(id, &Actor::command_line()).await?;
    Ok(())
}

/// The active key of this id or name.
pub(super) async fn active_key(state: &dyn State, wanted: &str) -> anyhow::Result<KeyId> {
    let active: Vec<_> = state.keys().await?.into_iter().filter(|key| key.revoked_at.is_none()).collect();
    let by_id: Option<KeyId> = wanted.parse().ok().map(KeyId).filter(|id| active.iter().any(|key| key.key_id == *id));
    let named: Vec<_> = active.iter().filter(|key| key.name == wanted).collect();
    match (by_id, named.as_slice()) {
        (Some(id), _) => Ok(id),
        (None, [key]) => Ok(key.key_id),
        (None, []) => Err(lakeshore::Error::NoSuchKey(wanted.to_owned()).into()),
        (None, several) => {
            let ids: Vec<_> = several.iter().map(|key| key.key_id.0.to_string()).collect();
            Err(anyhow!("several keys have the name {wanted:?}; name one by its id: {}", ids.join(", ")))
        }
    }
}
