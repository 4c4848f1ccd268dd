//! Audit log: the append-only table `activity`, and `activity_places`.

use super::SqliteState;
use super::job::Durability::Written;
use super::query::{Select, Value, changed, clamp, values};
use super::row::{activity, id};
use super::writing::Writing;
use async_trait::async_trait;
use lakeshore::Error;
use lakeshore::model::audit::{Activity, AuditEntry, AuditQuery};
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::audit::AuditStore;

#[async_trait]
impl AuditStore for SqliteState {
    async fn record(&self, deed: &AuditEntry) -> Result<(), Error> {
        let deed = deed.clone();
        self.writer.write(Written, move |writing| Box::pin(async move { record(writing, &deed).await })).await
    }

    async fn activity(&self, wanted: &AuditQuery) -> Result<Vec<Activity>, Error> {
        let mut connection = self.readers.list().await?;
        select(wanted).rows(&mut connection, activity).await
    }
}

/// Records an action in its own transaction, and logs it after the commit.
pub(super) async fn record(writing: &mut Writing, deed: &AuditEntry) -> Result<(), Error> {
    let sql = "INSERT INTO activity (at, what, outcome, who, role, means, key_id, address, forwarded_for, program, path, \
               sync_id, subject, message, files, bytes) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16); \
               INSERT INTO activity_places (path, activity_id) SELECT value, last_insert_rowid() FROM json_each($17)";
    let (trace, path) = (&deed.by.trace, deed.path.as_ref().map(LakePath::as_str));
    let values = values![
        deed.at.0,
        deed.what.as_str(),
        deed.outcome.as_str(),
        deed.by.name,
        deed.by.role.map(|role| role.as_str()),
        trace.means.as_str(),
        trace.key_id.map(|key_id| id(key_id.0)),
        trace.origin.address,
        trace.origin.forwarded_for,
        trace.origin.program,
        path,
        deed.sync_id.map(|sync_id| id(sync_id.0)),
        deed.subject,
        deed.message,
        deed.totals.map(|totals| id(totals.files)),
        deed.totals.map(|totals| id(totals.bytes)),
        Value::rows(&path.map(places).unwrap_or_default())?,
    ];
    changed(writing, sql, values).await?;
    writing.log(deed);
    Ok(())
}

/// The path, and each path above it.
fn places(path: &str) -> Vec<&str> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    ends.map(|end| &path[..end]).collect()
}

/// Query of a page. It uses the index of the narrowest filter; every index has the entries in order.
fn select(wanted: &AuditQuery) -> Select {
    let asked = &wanted.parameters;
    let mut select = match &wanted.place {
        Some(place) => {
            let joined = "SELECT a.* FROM activity_places p CROSS JOIN activity a ON a.activity_id = p.activity_id";
            let mut select = Select::new(format!("{joined} WHERE p.path = "));
            select.bind(place.as_str());
            select
        }
        None => Select::new("SELECT a.* FROM activity a WHERE 1"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connection::open_writing;
    use crate::sqlite::query::{Row, rows};
    use lakeshore::Timestamp;
    use lakeshore::model::audit::{AuditAction, AuditId, AuditParameters};
    use lakeshore::model::id::SyncId;
    use sqlx::{Executor, Row as _};

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
            let plan = select.plan(&mut state.readers.look().await.unwrap()).await.join("; ");
            assert!(plan.contains(expected) && !plan.contains("B-TREE"), "{wanted:?}: {plan}");
            assert!(!plan.contains("SCAN a ") || !plan.contains("a.what"), "{plan}");
        }
    }

    #[tokio::test]
    async fn what_was_done_cannot_be_changed_removed_or_replaced() {
        let (state, folder) = opened().await;
        let mut deed = AuditEntry::settings_changed("x".into(), Timestamp(1));
        deed.path = Some(LakePath::parse("/a/b").unwrap());
        state.record(&deed).await.unwrap();
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
    async fn a_deed_at_no_place_has_none_and_each_that_has_one_has_its_own() {
        let (state, _folder) = opened().await;
        for (what, path) in [("x", Some("/a/b")), ("y", None), ("z", Some("/a"))] {
            let path = path.map(|path| LakePath::parse(path).unwrap());
            let deed = AuditEntry { path, ..AuditEntry::settings_changed(what.into(), Timestamp(1)) };
            state.record(&deed).await.unwrap();
        }
        let sql = "SELECT p.path, subject || message AS what FROM activity_places p JOIN activity USING (activity_id) \
                   ORDER BY activity_id, p.path";
        let decode = |row: &Row| Ok((row.try_get("path")?, row.try_get("what")?));
        let mut connection = state.readers.look().await.unwrap();
        let found: Vec<(String, String)> = rows(&mut connection, sql, vec![], decode).await.unwrap();
        let found: Vec<_> = found.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
        assert_eq!(found, [("/a", "x"), ("/a/b", "x"), ("/a", "z")]);
    }
}
