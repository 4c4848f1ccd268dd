//! Recorded digests and details of landed files.

use super::query::{Row, Value, rows};
use crate::row::{bytes, number, time};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::metadata::upload::LandedContent;
use sqlx::{PgConnection, Row as _};

/// Number of files up to which a query counts as short, so that a download does not wait for lists.
pub(super) const FEW_FILES: usize = 16;

/// Selects the upload that landed as each file: among the last hundred with its path, the last with its identity.
fn landed(columns: &str, joined: &str) -> String {
    format!(
        "SELECT wanted.key AS file, {columns} FROM json_rows(?) wanted CROSS JOIN LATERAL ( \
         SELECT history_id FROM (SELECT history_id, identity FROM uploads WHERE target = wanted.value ->> 0 \
         AND status = 'Finished' ORDER BY history_id DESC LIMIT 100) AS last \
         WHERE identity = wanted.value ->> 1 ORDER BY history_id DESC LIMIT 1) AS found \
         JOIN uploads u ON u.history_id = found.history_id {joined}"
    )
}

/// Reads columns of the upload that landed as each file: `columns` of `uploads u`, and of the tables in `joined`.
pub(super) async fn of_landed<T: Clone + Send>(
    connection: &mut PgConnection,
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
    rows(connection, &landed(columns, joined), vec![Value::rows(&wanted)?], found).await?;
    Ok(of_files)
}

pub(super) async fn landed_contents(
    connection: &mut PgConnection,
    files: &[(LakePath, Identity)],
) -> Result<Vec<Option<LandedContent>>, Error> {
    of_landed(connection, "u.size_bytes, u.sha256, greatest(u.end_time, u.touched_at) AS end_time", "", files, |row| {
        let digest = Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? };
        Ok(LandedContent { digest, landed_at: time(row, "end_time")? })
    })
    .await
}

/// The row of the upload that has landed at the place as just that.
pub(super) async fn landed_as(
    connection: &mut PgConnection,
    place: &str,
    identity: &Identity,
) -> Result<Option<i64>, Error> {
    let wanted = Value::rows(&[(place, identity.0.as_str())])?;
    let history_id = |row: &Row| row.try_get("history_id");
    Ok(rows(connection, &landed("u.history_id", ""), vec![wanted], history_id).await?.into_iter().next())
}
