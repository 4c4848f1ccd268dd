//! Audit log: the append-only table `activity`, and `activity_places`.

use super::PostgresState;
use super::query::{Select, Value, changed, clamp};
use super::writing::Durability::Synced;
use super::writing::{Counter, Writing, transaction};
use crate::backend::Backend as _;
use crate::row::{activity, id};
use crate::versions::heads::at_and_above;
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::audit::{Activity, AuditEntry, AuditQuery};
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::audit::AuditStore;

#[async_trait]
impl AuditStore for PostgresState {
    async fn record(&self, deed: &AuditEntry) -> Result<(), Error> {
        transaction!(self, Synced, |writing| {
            writing.record(deed);
            Ok(())
        })
    }

    async fn activity(&self, wanted: &AuditQuery) -> Result<Vec<Activity>, Error> {
        let mut connection = self.list().await?;
        select(wanted).rows(&mut connection, activity).await
    }
}

const INSERT: &str = "\
    INSERT INTO activity (activity_id, at, what, outcome, who, role, means, key_id, address, forwarded_for, program, path, \
        sync_id, subject, message, files, bytes) \
    SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
        (value ->> 7)::bigint, value ->> 8, value ->> 9, value ->> 10, value ->> 11, (value ->> 12)::bigint, value ->> 13, \
        value ->> 14, (value ->> 15)::bigint, (value ->> 16)::bigint FROM json_each($1); \
    INSERT INTO activity_places (path, activity_id) SELECT value ->> 0, (value ->> 1)::bigint FROM json_each($2)";

/// Inserts the audit entries of a transaction, as its last statements: they have ids in the order of the commits.
pub(super) async fn insert(writing: &mut Writing, deeds: &[AuditEntry]) -> Result<(), Error> {
    if deeds.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(deeds.len()).map_err(Error::internal)?;
    let last = writing.next_ids(Counter::Activity, count).await?;
    let with_ids = || deeds.iter().zip(last + 1..);
    let row = |(deed, activity_id): (&AuditEntry, i64)| {
        let trace = &deed.by.trace;
        let head = (activity_id, deed.at.0, deed.what.as_str(), deed.outcome.as_str(), deed.by.name.clone());
        let by =
            (deed.by.role.map(|role| role.as_str()), trace.means.as_str(), trace.key_id.map(|key_id| id(key_id.0)));
        let origin = (&trace.origin.address, &trace.origin.forwarded_for, &trace.origin.program);
        let of = (deed.path.as_ref().map(LakePath::as_str), deed.sync_id.map(|sync_id| id(sync_id.0)));
        let counted = deed.totals.map(|totals| (id(totals.files), id(totals.bytes))).unzip();
        flat(&[
            json(&head)?,
            json(&by)?,
            json(&origin)?,
            json(&of)?,
            json(&(&deed.subject, &deed.message))?,
            json(&counted)?,
        ])
    };
    let rows = with_ids().map(row).collect::<Result<Vec<_>, Error>>()?;
    let of_paths = with_ids().filter_map(|(deed, activity_id)| Some((deed.path.as_ref()?, activity_id)));
    let places: Vec<_> = of_paths
        .flat_map(|(path, activity_id)| at_and_above(path.as_str()).into_iter().map(move |place| (place, activity_id)))
        .collect();
    changed(writing, INSERT, vec![Value::rows(&rows)?, Value::rows(&places)?]).await.map(drop)
}

fn json(values: &impl serde::Serialize) -> Result<serde_json::Value, Error> {
    serde_json::to_value(values).map_err(Error::internal)
}

/// One row of several tuples: serde writes tuples of up to sixteen values.
fn flat(parts: &[serde_json::Value]) -> Result<Vec<serde_json::Value>, Error> {
    Ok(parts.iter().filter_map(|part| part.as_array()).flatten().cloned().collect())
}

/// Query of a page. It uses the index of the narrowest filter; every index has the entries in order.
fn select(wanted: &AuditQuery) -> Select {
    let asked = &wanted.parameters;
    let mut select = match &wanted.place {
        Some(place) => {
            let joined = "SELECT a.* FROM activity_places p JOIN activity a ON a.activity_id = p.activity_id";
            let mut select = Select::new(format!("{joined} WHERE p.path = "));
            select.bind(place.as_str());
            select
        }
        None => Select::new("SELECT a.* FROM activity a WHERE true"),
    };
    let key = if wanted.place.is_some() { "p.activity_id" } else { "a.activity_id" };
    if let Some(who) = &asked.who {
        select.push(" AND a.who = ").bind(who);
    }
    if let Some(what) = asked.what {
        select.push(" AND a.what = ").bind(what.as_str());
    }
    if let Some(sync_id) = asked.sync_id {
        select.push(" AND a.sync_id = ").bind(id(sync_id.0));
    }
    if wanted.places_only {
        select.push(" AND a.path IS NOT NULL");
    }
    if let Some(since) = asked.since {
        // Entries are in the order of their times, except after a clock was set back.
        select.push(" AND a.at >= ").bind(since.0).push(" AND ").push(key);
        select.push(" >= (SELECT activity_id FROM activity WHERE at >= ").bind(since.0);
        select.push(" ORDER BY at, activity_id LIMIT 1)");
    }
    if let Some(until) = asked.until {
        select.push(" AND a.at < ").bind(until.0).push(" AND ").push(key);
        select.push(" <= (SELECT activity_id FROM activity WHERE at < ").bind(until.0);
        select.push(" ORDER BY at DESC, activity_id DESC LIMIT 1)");
    }
    if let Some(before) = asked.before {
        select.push(" AND ").push(key).push(" < ").bind(id(before.0));
    }
    if let Some(after) = asked.after {
        select.push(" AND ").push(key).push(" > ").bind(id(after.0));
    }
    let order = if asked.after.is_some() { Order::Asc } else { Order::Desc };
    select.push(" ORDER BY ").push(key).push(crate::query::direction(order));
    select.push(" LIMIT ").bind(clamp(wanted.size));
    select
}
