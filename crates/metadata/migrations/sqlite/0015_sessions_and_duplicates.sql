-- Sessions are listed, and end when nobody uses them. The one of the first sign-in lasts an hour from now on: those that began
-- with a longer time end here.
DROP INDEX sessions_by_key;
ALTER TABLE sessions RENAME TO sessions_before;
CREATE TABLE sessions (
    -- Never given twice: whoever ends one from a list ends that one.
    session_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    hash         BLOB    NOT NULL,
    -- Absent for the session that the first sign-in link begins.
    key_id       INTEGER REFERENCES api_keys (key_id),
    begun_at     INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    address      TEXT,
    program      TEXT
) STRICT;
INSERT INTO sessions (hash, key_id, begun_at, last_seen_at, expires_at)
    SELECT hash, key_id, expires_at - 30 * 24 * 3600 * 1000, CAST(strftime('%s', 'now') AS INTEGER) * 1000, expires_at
    FROM sessions_before WHERE key_id IS NOT NULL ORDER BY expires_at;
DROP TABLE sessions_before;
CREATE UNIQUE INDEX sessions_by_hash ON sessions (hash);
CREATE INDEX sessions_by_key ON sessions (key_id, session_id);
-- A key that was made before ends the link too.
DELETE FROM sign_in_link WHERE EXISTS (SELECT 1 FROM api_keys);

-- Uploads of a sync that took the place of another content which the sync itself had brought under the same name; and the first
-- of those names, as a JSON array.
ALTER TABLE syncs ADD COLUMN num_duplicates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE syncs ADD COLUMN duplicate_names TEXT;
