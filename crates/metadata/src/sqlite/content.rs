//! Recorded digests and details of landed files.

use super::query::{Row, Value, rows};
use super::row::{bytes, number, time};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::metadata::upload::LandedContent;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

/// Number of files up to which a query counts as short, so that a download does not wait for lists.
pub(super) const FEW_FILES: usize = 16;

/// Selects the upload that landed as each file: among the last hundred with its path, the last with its identity. The
/// plus keeps SQLite from using the index of statuses.
fn landed(columns: &str, joined: &str) -> String {
    format!(
        "SELECT wanted.key AS file, {columns} FROM json_each(?) wanted CROSS JOIN uploads u ON u.history_id = ( \
         SELECT history_id FROM (SELECT history_id, identity FROM uploads WHERE target = wanted.value ->> 0 \
         AND +status = 'Finished' ORDER BY history_id DESC LIMIT 100) WHERE identity = wanted.value ->> 1 LIMIT 1) {joined}"
    )
}

/// Reads columns of the upload that landed as each file: `columns` of `uploads u`, and of the tables in `joined`.
pub(super) async fn of_landed<T: Clone + Send>(
    connection: &mut SqliteConnection,
    columns: &'static str,
    joined: &'static str,
    files: &[(LakePath, Identity)],
    decode: fn(&Row) -> sqlx::Result<T>,
) -> Result<Vec<Option<T>>, Error> {
    let wanted: Vec<_> = files.iter().map(|(target, identity)| (target.as_str(), identity.0.as_str())).collect();
    let mut of_files = vec![None; files.len()];
    let found = |row: &Row| {
        let file: i64 = row.try_get("file")?;
        if let Some(of_file) = usize::try_from(file).ok().and_then(|file| of_files.get_mut(file)) {
            *of_file = Some(decode(row)?);
        }
        Ok(())
    };
    rows(connection, AssertSqlSafe(landed(columns, joined)), vec![Value::rows(&wanted)?], found).await?;
    Ok(of_files)
}

pub(super) async fn landed_contents(
    connection: &mut SqliteConnection,
    files: &[(LakePath, Identity)],
) -> Result<Vec<Option<LandedContent>>, Error> {
    of_landed(
        connection,
        "u.size_bytes, u.sha256, max(u.end_time, coalesce(u.touched_at, 0)) AS end_time",
        "",
        files,
        |row| {
            let digest = Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? };
            Ok(LandedContent { digest, landed_at: time(row, "end_time")? })
        },
    )
    .await
}

/// The row of the upload that has landed at the place as just that.
pub(super) async fn landed_as(
    connection: &mut SqliteConnection,
    place: &str,
    identity: &Identity,
) -> Result<Option<i64>, Error> {
    let wanted = Value::rows(&[(place, identity.0.as_str())])?;
    let history_id = |row: &Row| row.try_get("history_id");
    Ok(rows(connection, AssertSqlSafe(landed("u.history_id", "")), vec![wanted], history_id).await?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use crate::sqlite::query::Select;

    #[tokio::test]
    async fn what_has_landed_is_found_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let select = Select::new(landed("u.size_bytes", "").replace('?', r#"'[["/a", "1"]]'"#));
        let steps = select.plan(&mut state.readers.look().await.unwrap()).await;
        let tables: Vec<_> = steps.iter().filter(|step| step.contains("uploads") || step.contains(" u ")).collect();
        let by_place = "SEARCH uploads USING INDEX uploads_by_target (target=?)";
        assert_eq!(tables, ["SEARCH u USING INTEGER PRIMARY KEY (rowid=?)", by_place], "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("B-TREE")), "sorts: {steps:?}");
    }
}
