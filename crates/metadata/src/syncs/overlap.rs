//! Open syncs whose paths overlap with a path: on it, above it or below it. They are found by an index, so that a start
//! reads few rows however many syncs are open.

use super::sync_id;
use crate::query::{Connection, Dialect, Select, Text, Value, fetch_all, fetch_optional, values};
use crate::row::{DbRow, id, number, parsed, path};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::OPEN_SYNCS_SHARE_MAX;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::job::{OpenSync, blocking_types, obstacle};
use lakeshore::model::sync::status::SyncType;

const INDEX: &str = "syncs_open_by_path";

/// Open syncs below a path, in the order of their paths, of which the one with the smallest id is named as the
/// obstacle.
const BELOW_READ_MAX: u64 = 1000;

/// No sync has this id.
const NO_SYNC: i64 = -1;

/// Finds the smallest id. `$1`: paths at and above; `$2`, `$3`: range below; `$4`: a sync that does not count.
fn obstacle_text<D: Dialect>(types: &[SyncType]) -> String {
    let syncs = format!("syncs o{}", D::indexed_by(INDEX));
    let parts = types.iter().map(|sync_type| {
        let counts = format!("o.phase <> 'Ended' AND o.sync_type = '{}' AND o.sync_id <> $4", sync_type.as_str());
        format!(
            "SELECT (SELECT o.sync_id FROM {syncs} WHERE {counts} AND o.path = (place.value ->> 0) \
             ORDER BY o.sync_id LIMIT 1) AS sync_id FROM json_each($1) AS place \
             UNION ALL SELECT below.sync_id FROM (SELECT o.sync_id FROM {syncs} \
             WHERE {counts} AND o.path >= $2 AND o.path < $3 ORDER BY o.path, o.sync_id LIMIT {BELOW_READ_MAX}) AS below"
        )
    });
    let parts: Vec<_> = parts.collect();
    format!("SELECT min(held.sync_id) AS sync_id FROM ({}) AS held", parts.join(" UNION ALL "))
}

/// Open sync that blocks a new one. `superseded` does not count.
pub(super) async fn find_obstacle<C: Connection>(
    connection: &mut C,
    wanted: &LakePath,
    sync_type: SyncType,
    superseded: Option<SyncId>,
) -> Result<Option<OpenSync>, Error> {
    static FULL: Text = Text::new();
    static INCREMENTAL: Text = Text::new();
    let text = match sync_type {
        SyncType::FullSync => &FULL,
        SyncType::IncrementalSync => &INCREMENTAL,
    };
    let sql = text.of::<C::Db>(|| obstacle_text::<C::Db>(blocking_types(sync_type)));
    let (first, last) = wanted.range_below();
    let not_counted = superseded.map_or(NO_SYNC, |sync_id| id(sync_id.0));
    let values = values![Value::column(wanted.at_and_above())?, first, last, not_counted];
    let held = fetch_optional(connection, sql, values, |row| row.get::<Option<i64>>("sync_id")).await?.flatten();
    let Some(held) = held else { return Ok(None) };
    let sql = "SELECT sync_id, path, sync_type FROM syncs WHERE sync_id = ?";
    let held = fetch_optional(connection, sql, values![held], open_sync).await?;
    Ok(held.filter(|held| obstacle(wanted, sync_type, std::slice::from_ref(held)).is_some()))
}

fn open_sync(row: &impl DbRow) -> sqlx::Result<OpenSync> {
    let sync_type = parsed(row, "sync_type", SyncType::parse)?;
    Ok(OpenSync { sync_id: sync_id(row)?, path: path(row, "path")?, sync_type })
}

fn overlapping_text<D: Dialect>() -> String {
    let open = format!(
        "SELECT sync_id FROM syncs{} WHERE phase <> 'Ended' AND sync_type IN ('FullSync', 'IncrementalSync')",
        D::indexed_by(INDEX)
    );
    format!("{open} AND path IN (SELECT value ->> 0 FROM json_each($1)) UNION ALL {open} AND path >= $2 AND path < $3")
}

/// Ids of all open syncs whose paths overlap with this one.
pub(crate) async fn overlapping_syncs<C: Connection>(connection: &mut C, place: &LakePath) -> Result<Vec<i64>, Error> {
    static OVERLAPPING: Text = Text::new();
    let sql = OVERLAPPING.of::<C::Db>(overlapping_text::<C::Db>);
    let (first, last) = place.range_below();
    let values = values![Value::column(place.at_and_above())?, first, last];
    fetch_all(connection, sql, values, |row| Ok(id(number(row, "sync_id")?))).await
}

fn open_of_key<D: Dialect>(started_by: &str, superseded: Option<SyncId>) -> Select {
    let index = D::indexed_by("syncs_open_by_key");
    let mut open = Select::new(format!("SELECT 1 FROM syncs{index} WHERE phase <> 'Ended' AND started_by = "));
    open.bind(started_by).push(" AND sync_id <> ").bind(superseded.map_or(NO_SYNC, |sync_id| id(sync_id.0)));
    open
}

/// Refuses one more open sync of a key that has its share of them. `superseded` is about to be closed.
pub(super) async fn refuse_over_share<C: Connection>(
    connection: &mut C,
    started_by: &str,
    superseded: Option<SyncId>,
) -> Result<(), Error> {
    let open = open_of_key::<C::Db>(started_by, superseded);
    if open.has_at_most(OPEN_SYNCS_SHARE_MAX - 1, connection).await? {
        return Ok(());
    }
    let share_max = usize::try_from(OPEN_SYNCS_SHARE_MAX).unwrap_or(usize::MAX);
    Err(Error::OverShare { what: "open syncs", share_max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend as _;
    use crate::sqlite::SqliteState;
    use sqlx::Sqlite;

    #[tokio::test]
    async fn a_start_finds_open_syncs_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let mut connection = state.0.look().await.unwrap();
        for sync_type in [SyncType::FullSync, SyncType::IncrementalSync] {
            let plan = Select::new(obstacle_text::<Sqlite>(blocking_types(sync_type))).plan(&mut connection).await;
            let is_of_the_syncs = |step: &&String| step.contains(" o ");
            let steps: Vec<_> = plan.iter().filter(is_of_the_syncs).collect();
            assert_eq!(steps.len(), 2 * blocking_types(sync_type).len(), "{plan:?}");
            let by =
                |step: &&String| step.contains("(sync_type=? AND path=?") || step.contains("(sync_type=? AND path>?");
            assert!(steps.iter().all(|step| step.contains("SEARCH") && by(step)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("USE TEMP B-TREE FOR ORDER BY")), "{plan:?}");
        }
        let plan = Select::new(overlapping_text::<Sqlite>()).plan(&mut connection).await.join("; ");
        assert!(plan.contains("(sync_type=? AND path=?)") && plan.contains("(sync_type=? AND path>?"), "{plan}");
        let plan = open_of_key::<Sqlite>("me", None).plan(&mut connection).await.join("; ");
        assert!(plan.contains("syncs_open_by_key (started_by=?"), "{plan}");
    }
}
