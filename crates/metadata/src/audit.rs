//! Audit log: the append-only table `activity`, and `activity_places`.

use crate::backend::{Backend, MetadataStore};
use crate::query::{Select, Value, clamp, direction, execute, values};
use crate::row::{activity, id};
use crate::transaction::Durability::Written;
use crate::transaction::{Counter, WriteTransaction};
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::audit::{Activity, AuditEntry, AuditQuery};
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;
use lakeshore::model::path::at_and_above;
use lakeshore::ports::metadata::audit::AuditStore;

#[async_trait]
impl<B: Backend> AuditStore for MetadataStore<B> {
    async fn record(&self, entry: &AuditEntry) -> Result<(), Error> {
        self.0.write(Written, entry.clone(), |writing, entry| Box::pin(writing.record(entry))).await
    }

    async fn activity(&self, wanted: &AuditQuery) -> Result<Vec<Activity>, Error> {
        select(wanted).fetch_all(&mut self.0.list().await?, activity).await
    }
}

/// The places count from the last entry back: a table that allocates its ids does not tell them before.
const INSERT: &str = "\
    INSERT INTO activity (activity_id, at, what, outcome, who, role, means, key_id, address, forwarded_for, program, path, \
        sync_id, subject, message, files, bytes) \
    SELECT $2 + key, CAST(value ->> 0 AS BIGINT), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
        CAST(value ->> 6 AS BIGINT), value ->> 7, value ->> 8, value ->> 9, value ->> 10, CAST(value ->> 11 AS BIGINT), \
        value ->> 12, value ->> 13, CAST(value ->> 14 AS BIGINT), CAST(value ->> 15 AS BIGINT) \
    FROM json_each($1) ORDER BY key; \
    INSERT INTO activity_places (path, activity_id) \
    SELECT value ->> 0, (SELECT max(activity_id) FROM activity) - CAST(value ->> 1 AS BIGINT) FROM json_each($3)";

/// Inserts audit entries. With ids of the counter, they have to be the last statements of a transaction: the ids are then
/// in the order of the commits.
pub(crate) async fn insert(writing: &mut impl WriteTransaction, entries: &[AuditEntry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let first = writing.new_ids(Counter::Activity, entries.len()).await?;
    let row = |entry: &'_ AuditEntry| {
        let (trace, origin) = (&entry.by.trace, &entry.by.trace.origin);
        serde_json::to_value((
            entry.at.0,
            entry.what.as_str(),
            entry.outcome.as_str(),
            &entry.by.name,
            entry.by.role.map(|role| role.as_str()),
            trace.means.as_str(),
            trace.key_id.map(|key_id| id(key_id.0)),
            &origin.address,
            &origin.forwarded_for,
            &origin.program,
            entry.path.as_ref().map(LakePath::as_str),
            entry.sync_id.map(|sync_id| id(sync_id.0)),
            &entry.subject,
            &entry.message,
            entry.totals.map(|totals| id(totals.files)),
            entry.totals.map(|totals| id(totals.bytes)),
        ))
    };
    let rows = entries.iter().map(row).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let of_paths = entries.iter().rev().zip(0_i64..).filter_map(|(entry, back)| Some((entry.path.as_ref()?, back)));
    let places: Vec<_> = of_paths
        .flat_map(|(path, back)| at_and_above(path.as_str()).into_iter().map(move |place| (place, back)))
        .collect();
    execute(writing, INSERT, values![Value::rows(&rows)?, first, Value::rows(&places)?]).await.map(drop)
}

/// Query of a page. It uses the index of the narrowest filter; every index has the entries in order.
fn select(wanted: &AuditQuery) -> Select {
    let asked = &wanted.parameters;
    let mut select = match &wanted.place {
        Some(place) => {
            let joined = "SELECT a.* FROM activity_places p CROSS JOIN activity a WHERE a.activity_id = p.activity_id";
            let mut select = Select::new(joined);
            select.push(" AND p.path = ").bind(place.as_str());
            select
        }
        None => Select::new("SELECT a.* FROM activity a WHERE TRUE"),
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
    select.push(" ORDER BY ").push(key).push(direction(order));
    select.push(" LIMIT ").bind(clamp(wanted.size));
    select
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fetch_all;
    use crate::row::DbRow;
    use crate::sqlite::{SqliteState, open_writing};
    use lakeshore::Timestamp;
    use lakeshore::model::audit::{AuditAction, AuditId, AuditParameters};
    use lakeshore::model::id::SyncId;
    use sqlx::Executor;

    async fn opened() -> (SqliteState, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap(), folder)
    }

    #[tokio::test]
    async fn each_filter_finds_its_page_by_an_index_and_sorts_nothing() {
        let (state, _folder) = opened().await;
        let place = Some(LakePath::parse("/a").unwrap());
        let none = AuditParameters::default();
        let plans = [
            (AuditParameters { before: Some(AuditId(9)), ..none.clone() }, "USING INTEGER PRIMARY KEY (rowid<?)"),
            (AuditParameters { who: Some("ada".into()), ..none.clone() }, "activity_by_who (who=?"),
            (AuditParameters { what: Some(AuditAction::SignIn), ..none.clone() }, "activity_by_what (what=?"),
            (AuditParameters { sync_id: Some(SyncId(1)), ..none.clone() }, "activity_of_syncs (sync_id=?"),
            (AuditParameters { path: place, before: Some(AuditId(9)), ..none.clone() }, "(path=? AND activity_id<?)"),
            (AuditParameters { since: Some(Timestamp(5)), ..none.clone() }, "INDEX activity_by_time (at>?)"),
            (AuditParameters { until: Some(Timestamp(5)), ..none }, "INDEX activity_by_time (at<?)"),
        ];
        for (wanted, expected) in plans {
            let select = select(&wanted.query(None, false).unwrap().unwrap());
            let plan = select.plan(&mut state.0.look().await.unwrap()).await.join("; ");
            assert!(plan.contains(expected) && !plan.contains("B-TREE"), "{wanted:?}: {plan}");
            assert!(!plan.contains("SCAN a ") || !plan.contains("a.what"), "{plan}");
        }
    }

    #[tokio::test]
    async fn what_was_done_cannot_be_changed_removed_or_replaced() {
        let (state, folder) = opened().await;
        let mut entry = AuditEntry::settings_changed("x".into(), Timestamp(1));
        entry.path = Some(LakePath::parse("/a/b").unwrap());
        state.record(&entry).await.unwrap();
        let mut connection = open_writing(&folder.path().join("lakeshore.db")).await.unwrap();
        for sql in [
            "UPDATE activity SET who = 'eve'",
            "DELETE FROM activity",
            "REPLACE INTO activity (activity_id, at, what, outcome, who, means, subject, message) \
             VALUES (1, 1, 'sign_in', 'done', 'eve', 'key', '', '')",
            "UPDATE activity_places SET path = '/c'",
            "DELETE FROM activity_places",
        ] {
            let refused = connection.execute(sql).await.unwrap_err().to_string();
            assert!(refused.contains("activity is only added to"), "{sql}: {refused}");
        }
        let places = "SELECT group_concat(path, ' ') FROM (SELECT path FROM activity_places ORDER BY path)";
        let places: String = sqlx::query_scalar(places).fetch_one(&mut connection).await.unwrap();
        assert_eq!(places, "/a /a/b");
        state.close().await;
    }

    #[tokio::test]
    async fn an_entry_at_no_place_has_none_and_each_that_has_one_has_its_own() {
        let (state, _folder) = opened().await;
        for (what, path) in [("x", Some("/a/b")), ("y", None), ("z", Some("/a"))] {
            let path = path.map(|path| LakePath::parse(path).unwrap());
            let entry = AuditEntry { path, ..AuditEntry::settings_changed(what.into(), Timestamp(1)) };
            state.record(&entry).await.unwrap();
        }
        let sql = "SELECT p.path, subject || message AS what FROM activity_places p JOIN activity USING (activity_id) \
                   ORDER BY activity_id, p.path";
        let mut connection = state.0.look().await.unwrap();
        let found = fetch_all(&mut connection, sql, vec![], |row| Ok((row.get("path")?, row.get("what")?))).await;
        let found: Vec<(String, String)> = found.unwrap();
        let found: Vec<_> = found.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
        assert_eq!(found, [("/a", "x"), ("/a/b", "x"), ("/a", "z")]);
    }
}
