//! Implementation of `lakeshore key …`.

use super::administration;
use super::moment::moment;
use super::table;
use crate::config::{CreateKey, KeyAction};
use crate::control::Request;
use anyhow::anyhow;
use lakeshore::Timestamp;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::access::key::{Key, NewKey};
use lakeshore::model::id::KeyId;
use lakeshore::ports::{Clock, State};
use lakeshore::service::KeyRing;
use lakeshore_metadata::store::Opening;
use lakeshore_system::clock::SystemClock;
use lakeshore_system::terminal;
use std::io::Write;

pub async fn run(action: &KeyAction) -> anyhow::Result<()> {
    let (data, opening, request) = match action {
        // The first key may be made before the first start.
        KeyAction::Create(create) => (&create.data, Opening::Make, Request::CreateKey(new_key(create))),
        KeyAction::List(data) => (data, Opening::Existing, Request::ListKeys),
        KeyAction::Revoke(revoke) => (&revoke.data, Opening::Existing, Request::RevokeKey(revoke.key.clone())),
    };
    administration::run(data, opening, &request).await
}

fn new_key(create: &CreateKey) -> NewKey {
    NewKey {
        name: create.name.clone(),
        role: create.role,
        path_prefix: create.path_prefix.clone(),
        expires_at: create.expires.map(|lifetime| SystemClock.now().plus(lifetime)),
    }
}

pub(super) async fn create(ring: &KeyRing<'_>, new: &NewKey, output: &mut impl Write) -> anyhow::Result<()> {
    let created = ring.create(new, &Actor::command_line()).await?;
    terminal::line(output, &created.secret)?;
    Ok(())
}

pub(super) async fn list(ring: &KeyRing<'_>, output: &mut impl Write) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let head = ["ID", "NAME", "ROLE", "PATH", "KEY", "CREATED", "BY", "LAST USED", "EXPIRES", "STATUS"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(ring.list().await?.iter().map(|key| row(key, now)));
    table::print(output, &rows, &[])?;
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

pub(super) async fn revoke(ring: &KeyRing<'_>, wanted: &str) -> anyhow::Result<()> {
    let id = active_key(ring.state, wanted).await?;
    ring.revoke(id, &Actor::command_line()).await?;
    Ok(())
}

/// Active key with this id or name.
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
            Err(anyhow!("several keys have the name {wanted:?}; choose one by its id: {}", ids.join(", ")))
        }
    }
}
