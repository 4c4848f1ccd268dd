//! Recorded digests and details of landed files.

use crate::query::{Connection, Dialect, RowOf, Value, fetch_all};
use crate::row::{DbRow, bytes, index, number, time};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::metadata::upload::LandedContent;

/// Number of files up to which a query counts as short, so that a download does not wait for lists.
pub(crate) const FEW_FILES: usize = 16;

/// Selects the upload that landed as each file: among the last hundred with its path, which come in their order, the last
/// with its identity. The index of statuses is of no use.
fn landed<D: Dialect>(columns: &str, joined: &str) -> String {
    let status = format!("{}status", D::UNINDEXED);
    format!(
        "SELECT wanted.key AS file, {columns} FROM json_each(?) AS wanted CROSS JOIN uploads u {joined} \
         WHERE u.history_id = ( \
         SELECT history_id FROM (SELECT history_id, identity FROM uploads WHERE target = wanted.value ->> 0 \
         AND {status} = 'Finished' ORDER BY history_id DESC LIMIT 100) AS last WHERE identity = wanted.value ->> 1 LIMIT 1)"
    )
}

/// Reads columns of the upload that landed as each file: `columns` of `uploads u`, and of the tables in `joined`.
pub(crate) async fn of_landed<C: Connection, T: Clone + Send>(
    connection: &mut C,
    columns: &'static str,
    joined: &'static str,
    files: &[(LakePath, Identity)],
    decode: fn(&RowOf<C>) -> sqlx::Result<T>,
) -> Result<Vec<Option<T>>, Error> {
    let wanted: Vec<_> = files.iter().map(|(target, identity)| (target.as_str(), identity.0.as_str())).collect();
    let mut of_files = vec![None; files.len()];
    let found = |row: &RowOf<C>| {
        if let Some(of_file) = of_files.get_mut(index(row, "file")?) {
            *of_file = Some(decode(row)?);
        }
        Ok(())
    };
    fetch_all(connection, landed::<C::Db>(columns, joined), vec![Value::rows(&wanted)?], found).await?;
    Ok(of_files)
}

pub(crate) async fn landed_contents(
    connection: &mut impl Connection,
    files: &[(LakePath, Identity)],
) -> Result<Vec<Option<LandedContent>>, Error> {
    let columns = "u.size_bytes, u.sha256, max(u.end_time, coalesce(u.touched_at, 0)) AS end_time";
    of_landed(connection, columns, "", files, landed_content).await
}

fn landed_content(row: &impl DbRow) -> sqlx::Result<LandedContent> {
    let digest = Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? };
    Ok(LandedContent { digest, landed_at: time(row, "end_time")? })
}

/// The row of the upload that has landed at the place as just that.
pub(crate) async fn landed_as<C: Connection>(
    connection: &mut C,
    place: &str,
    identity: &Identity,
) -> Result<Option<i64>, Error> {
    let wanted = Value::rows(&[(place, identity.0.as_str())])?;
    let sql = landed::<C::Db>("u.history_id", "");
    Ok(fetch_all(connection, sql, vec![wanted], |row| row.get("history_id")).await?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend as _;
    use crate::query::Select;
    use crate::sqlite::SqliteState;

    #[tokio::test]
    async fn what_has_landed_is_found_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let select = Select::new(landed::<sqlx::Sqlite>("u.size_bytes", "").replace('?', r#"'[["/a", "1"]]'"#));
        let steps = select.plan(&mut state.0.look().await.unwrap()).await;
        let tables: Vec<_> = steps.iter().filter(|step| step.contains("uploads") || step.contains(" u ")).collect();
        let by_place = "SEARCH uploads USING INDEX uploads_by_target (target=?)";
        assert_eq!(tables, ["SEARCH u USING INTEGER PRIMARY KEY (rowid=?)", by_place], "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("B-TREE")), "sorts: {steps:?}");
    }
}
