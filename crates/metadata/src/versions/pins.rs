//! Versions that are kept beyond the limits of the trash.

use crate::backend::Backend;
use crate::query::{Dialect, Text, execute, values};
use crate::row::id;
use crate::transaction::Durability::Synced;
use crate::transaction::WriteTransaction;
use lakeshore::Error;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;

/// Whether a row of the table `trash` holds bytes of a pinned version: a tree that was live in it, or a file that was open in one.
pub(crate) fn pinned<D: Dialect>() -> &'static str {
    static PINNED: Text = Text::new();
    PINNED.of::<D>(|| {
        format!(
            "EXISTS (SELECT 1 FROM version_pins p CROSS JOIN ( \
                 WITH moved AS ( \
                     SELECT f.history_id FROM version_files f WHERE f.trash_key = trash.trash_key AND {copy} \
                     UNION ALL SELECT f.history_id FROM trees e CROSS JOIN version_files f \
                     WHERE e.trash_key = trash.trash_key AND f.tree_id = e.tree_id AND {copy}) \
                 SELECT e.tree_id, CAST(0 AS BIGINT) AS from_seq, CAST(NULL AS BIGINT) AS until_seq FROM trees e \
                     WHERE e.trash_key = trash.trash_key \
                 UNION ALL SELECT f.tree_id, f.from_seq, f.until_seq FROM version_files f WHERE f.trash_key = trash.trash_key \
                 UNION ALL SELECT f.tree_id, f.from_seq, f.until_seq FROM moved CROSS JOIN uploads u \
                     CROSS JOIN version_files f WHERE u.history_id = moved.history_id AND f.tree_id = u.tree_id \
                     AND f.path = u.target AND f.from_seq = u.tree_seq \
                 UNION ALL SELECT f.tree_id, f.from_seq, f.until_seq FROM moved CROSS JOIN version_files f \
                     WHERE f.history_id = moved.history_id AND {copy} \
             ) AS held CROSS JOIN tree_spans s WHERE s.tree_id = held.tree_id \
             AND s.from_seq <= p.seq AND (s.until_seq IS NULL OR s.until_seq > p.seq) \
             AND held.from_seq <= p.seq AND (held.until_seq IS NULL OR held.until_seq > p.seq) \
             AND (p.path = trash.origin OR substr(trash.origin, 1, length(p.path) + 1) = p.path || '/' \
                 OR substr(p.path, 1, length(trash.origin) + 1) = trash.origin || '/'))",
            copy = format_args!("f.is_copy{}", D::SET)
        )
    })
}

/// Path of a dataset of [`pinned`].
pub(crate) fn pinned_path<D: Dialect>() -> String {
    let selected = pinned::<D>().replacen("EXISTS (SELECT 1 FROM", "(SELECT p.path FROM", 1);
    format!("{} LIMIT 1)", selected.strip_suffix(')').unwrap_or(&selected))
}

pub(crate) async fn set<B: Backend>(
    backend: &B,
    dataset: &LakePath,
    version: VersionNumber,
    note: Option<&str>,
    entry: AuditEntry,
) -> Result<bool, Error> {
    let pin = (dataset.clone(), id(version.0), note.map(str::to_owned), entry);
    backend
        .write(Synced, pin, |writing, (dataset, version, note, entry)| {
            Box::pin(async move { set_in(writing, dataset, *version, note.as_deref(), entry).await })
        })
        .await
}

async fn set_in(
    writing: &mut impl WriteTransaction,
    dataset: &LakePath,
    version: i64,
    note: Option<&str>,
    entry: &AuditEntry,
) -> Result<bool, Error> {
    // Behind a removal of what it holds.
    writing.lock_history().await?;
    let changes = match note {
        Some(note) => {
            let sql = "INSERT INTO version_pins (folder_id, number, seq, path, note, pinned_by, pinned_at) \
                       SELECT f.folder_id, v.number, v.seq, f.path, $3, $4, $5 FROM folders f CROSS JOIN versions v \
                       WHERE v.folder_id = f.folder_id AND f.path = $1 AND v.number = $2 \
                       ON CONFLICT (folder_id, number) DO UPDATE SET note = excluded.note, \
                       pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at";
            execute(writing, sql, values![dataset.as_str(), version, note, entry.by.name, entry.at.0]).await?
        }
        None => {
            let sql = "DELETE FROM version_pins WHERE folder_id = (SELECT folder_id FROM folders WHERE path = ?) \
                       AND number = ?";
            execute(writing, sql, values![dataset.as_str(), version]).await?
        }
    };
    if changes > 0 {
        writing.record(entry).await?;
    }
    Ok(changes > 0)
}
