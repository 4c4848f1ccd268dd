//! The tables, brought up to date at every opening: `server/migrations/sqlite/`, counted by `PRAGMA user_version`.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

/// What was a name is the id of a key from here on.
const OWNERS: M<'_> = M::up(include_str!("../../../migrations/sqlite/0014_owners.sql"));

const STEPS: &[M<'_>] = &[
    M::up(include_str!("../../../migrations/sqlite/0001_lake.sql")),
    M::up(include_str!("../../../migrations/sqlite/0002_history_at_scale.sql")),
    M::up(include_str!("../../../migrations/sqlite/0003_trash_emptied.sql")),
    M::up(include_str!("../../../migrations/sqlite/0004_resumables.sql")),
    M::up(include_str!("../../../migrations/sqlite/0005_batches.sql")),
    M::up(include_str!("../../../migrations/sqlite/0006_taken_over.sql")),
    M::up(include_str!("../../../migrations/sqlite/0007_datasets.sql")),
    M::up(include_str!("../../../migrations/sqlite/0008_schemas.sql")),
    M::up(include_str!("../../../migrations/sqlite/0009_activity.sql")),
    M::up(include_str!("../../../migrations/sqlite/0010_sha512_of_resumables.sql")),
    M::up(include_str!("../../../migrations/sqlite/0011_search.sql")),
    M::up(include_str!("../../../migrations/sqlite/0012_pages_of_syncs_and_trash.sql")),
    M::up(include_str!("../../../migrations/sqlite/0013_inspections.sql")),
    OWNERS,
    M::up(include_str!("../../../migrations/sqlite/0015_sessions_and_duplicates.sql")),
    M::up(include_str!("../../../migrations/sqlite/0016_lake_identity.sql")),
];

pub(super) fn run(connection: &mut Connection) -> rusqlite_migration::Result<()> {
    adopt(connection)?;
    Migrations::from_slice(STEPS).to_latest(connection)
}

/// The first databases counted their migrations in a table of their own.
fn adopt(connection: &Connection) -> rusqlite::Result<()> {
    let counted_elsewhere = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')";
    if connection.query_row(counted_elsewhere, [], |row| row.get(0))? {
        connection.execute_batch("BEGIN; DROP TABLE _sqlx_migrations; PRAGMA user_version = 1; COMMIT;")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_the_first_version_keeps_its_rows_and_counts_them() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../migrations/sqlite/0001_lake.sql")).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE _sqlx_migrations (version BIGINT);
                 INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity, total_files)
                 VALUES ('n', '/a', 'IncrementalSync', 1, 'me', 1, 2);
                 INSERT INTO uploads (sync_id, ordinal, file_name, target, status, start_time)
                 VALUES (1, 1, 'x', '/a/dt=1/x', 'Finished', 1), (1, 2, 'y', '/a/dt=1/y', 'Failed', 1);",
            )
            .unwrap();
        run(&mut connection).unwrap();
        run(&mut connection).unwrap();
        let above = "SELECT group_concat(above.path, ' ') FROM uploads JOIN folders_above USING (folder_id) \
                     JOIN folders above ON above.folder_id = above_id WHERE history_id = 1 ORDER BY above.path";
        let above: String = connection.query_row(above, [], |row| row.get(0)).unwrap();
        assert!(above == "/a /a/dt=1" || above == "/a/dt=1 /a", "{above}");
        let count = |scope: i64| -> (i64, i64, i64) {
            let sql = "SELECT total, finished, failed FROM upload_counts WHERE scope = ? AND span = 10 LIMIT 1";
            connection.query_row(sql, [scope], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
        };
        for scope in 0..3 {
            assert_eq!(count(scope), (2, 1, 1), "scope {scope}");
        }
    }

    #[test]
    fn what_was_owned_by_a_name_is_owned_by_the_one_key_of_that_name_or_by_nobody() {
        let mut connection = Connection::open_in_memory().unwrap();
        let before = STEPS.len() - STEPS.iter().rev().position(|step| *step == OWNERS).unwrap() - 1;
        Migrations::from_slice(STEPS).to_version(&mut connection, before).unwrap();
        connection
            .execute_batch(
                "INSERT INTO api_keys (key_id, name, role, hint, hash, created_at, revoked_at) VALUES
                     (1, 'once', 'write', '', x'01', 1, NULL), (2, 'twice', 'write', '', x'02', 1, 5),
                     (3, 'twice', 'write', '', x'03', 6, NULL), (4, 'revoked', 'write', '', x'04', 1, 5);
                 INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity)
                 VALUES ('n', '/a', 'IncrementalSync', 1, 'once', 1);
                 INSERT INTO idempotency_keys (caller, key, fingerprint, sync_id, at)
                 VALUES ('once', 'k', x'00', 1, 7), ('twice', 'k', x'00', 1, 7), ('first sign-in', 'k', x'00', 1, 7);",
            )
            .unwrap();
        for (id, by) in (0_i64..).zip(["once", "twice", "revoked", "", "first sign-in", "gone"]) {
            let sql = "INSERT INTO resumables (token, file_name, partial, identity, durable_bytes, hash_state, metadata, \
                       is_told, parts, started_by, begun_at, expires_at) VALUES (?, '', '', '', 0, x'', '', 1, '', ?, 1, 9)";
            connection.execute(sql, (id, by)).unwrap();
        }
        run(&mut connection).unwrap();
        let owners = |sql: &str| -> Vec<String> {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<rusqlite::Result<_>>().unwrap()
        };
        assert_eq!(
            owners("SELECT owner FROM resumables ORDER BY resumable_id"),
            ["key-1", "unknown", "key-4", "guest", "first-sign-in", "unknown"]
        );
        assert_eq!(owners("SELECT owner FROM idempotency_keys ORDER BY owner"), ["first-sign-in", "key-1"]);
    }
}
