//! Versions that are kept beyond the limits of the trash.

use super::super::PostgresState;
use super::super::query::{changed, values};
use super::super::writing::Durability::Synced;
use super::super::writing::transaction;
use crate::row::id;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::{Error, Timestamp};

/// Whether a row of the table `trash` holds bytes of a pinned version: a tree that was live in it, or a file that was open in one.
pub(in super::super) const PINNED: &str = "EXISTS (SELECT 1 FROM version_pins p CROSS JOIN LATERAL ( \
        WITH moved AS ( \
            SELECT f.history_id FROM version_files f WHERE f.trash_key = trash.trash_key AND f.is_copy \
            UNION ALL SELECT f.history_id FROM trees e JOIN version_files f ON f.tree_id = e.tree_id \
            WHERE e.trash_key = trash.trash_key AND f.is_copy) \
        SELECT e.tree_id, 0::bigint AS from_seq, NULL::bigint AS until_seq FROM trees e WHERE e.trash_key = trash.trash_key \
        UNION ALL SELECT f.tree_id, f.from_seq, f.until_seq FROM version_files f WHERE f.trash_key = trash.trash_key \
        UNION ALL SELECT f.tree_id, f.from_seq, f.until_seq FROM moved JOIN uploads u USING (history_id) \
            JOIN version_files f ON f.tree_id = u.tree_id AND f.path = u.target AND f.from_seq = u.tree_seq \
        UNION ALL SELECT f.tree_id, f.from_seq, f.until_seq FROM moved JOIN version_files f \
            ON f.history_id = moved.history_id AND f.is_copy \
    ) held JOIN tree_spans s ON s.tree_id = held.tree_id \
    WHERE s.from_seq <= p.seq AND (s.until_seq IS NULL OR s.until_seq > p.seq) \
    AND held.from_seq <= p.seq AND (held.until_seq IS NULL OR held.until_seq > p.seq) \
    AND (p.path = trash.origin OR starts_with(trash.origin, p.path || '/') \
        OR starts_with(p.path, trash.origin || '/')))";

/// Path of a dataset of [`PINNED`].
pub(in super::super) fn pinned_path() -> String {
    let selected = PINNED.replacen("EXISTS (SELECT 1 FROM", "(SELECT p.path FROM", 1);
    format!("{} LIMIT 1)", selected.strip_suffix(')').unwrap_or(&selected))
}

pub(super) async fn set(
    state: &PostgresState,
    dataset: &LakePath,
    version: VersionNumber,
    note: Option<&str>,
    by: &Actor,
    at: Timestamp,
) -> Result<bool, Error> {
    let deed = AuditEntry::version_pinned(dataset, version, note, by, at);
    transaction!(state, Synced, |writing| {
        // Behind whoever is about to remove what it holds.
        writing.lock_history().await?;
        let changes = match note {
            Some(note) => {
                let sql = "INSERT INTO version_pins (folder_id, number, seq, path, note, pinned_by, pinned_at) \
                           SELECT f.folder_id, v.number, v.seq, f.path, $3, $4, $5 FROM folders f \
                           JOIN versions v ON v.folder_id = f.folder_id WHERE f.path = $1 AND v.number = $2 \
                           ON CONFLICT (folder_id, number) DO UPDATE SET note = excluded.note, \
                           pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at";
                changed(writing, sql, values![dataset.as_str(), id(version.0), note, deed.by.name, at.0]).await?
            }
            None => {
                let sql = "DELETE FROM version_pins WHERE folder_id = (SELECT folder_id FROM folders WHERE path = ?) \
                           AND number = ?";
                changed(writing, sql, values![dataset.as_str(), id(version.0)]).await?
            }
        };
        if changes > 0 {
            writing.record(&deed);
        }
        Ok(changes > 0)
    })
}
