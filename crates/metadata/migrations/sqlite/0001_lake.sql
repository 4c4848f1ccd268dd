-- What the lake remembers. Times are milliseconds since 1970 UTC. Ids of syncs and uploads are dense: rows are only ever
-- added, by one writer, and never removed. So "skip N rows" is "id > N", and a page costs the same wherever it starts.

CREATE TABLE syncs (
    sync_id       INTEGER PRIMARY KEY,
    org_id        INTEGER NOT NULL DEFAULT 0,
    name          TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    sync_type     TEXT    NOT NULL CHECK (sync_type IN ('FullSync', 'IncrementalSync')),
    status        TEXT    NOT NULL DEFAULT 'Syncing' CHECK (status IN ('Syncing', 'Finished', 'Failed')),
    phase         TEXT    NOT NULL DEFAULT 'Open' CHECK (phase IN ('Open', 'Publishing', 'Aborting', 'Ended')),
    start_time    INTEGER NOT NULL,
    end_time      INTEGER NOT NULL DEFAULT 0,
    total_files   INTEGER NOT NULL DEFAULT 0,
    num_failed    INTEGER NOT NULL DEFAULT 0,
    num_in_flight INTEGER NOT NULL DEFAULT 0,
    size_bytes    INTEGER NOT NULL DEFAULT 0,
    message       TEXT    NOT NULL DEFAULT '',
    started_by    TEXT    NOT NULL,
    last_activity INTEGER NOT NULL,
    -- What it was closed for, while Publishing or Aborting.
    closing_staging     TEXT,
    closing_allow_empty INTEGER,
    closing_reason      TEXT,
    closing_message     TEXT,
    closing_by          TEXT
) STRICT;

CREATE INDEX syncs_by_status ON syncs (status, sync_id);
CREATE INDEX syncs_by_type ON syncs (sync_type, sync_id);
CREATE INDEX syncs_by_path ON syncs (path, sync_id);
CREATE INDEX syncs_not_ended ON syncs (sync_id, path, sync_type) WHERE phase <> 'Ended';

CREATE TABLE uploads (
    history_id INTEGER PRIMARY KEY,
    sync_id    INTEGER NOT NULL REFERENCES syncs (sync_id),
    -- Counts from 1 within the sync, dense too.
    ordinal    INTEGER NOT NULL,
    file_name  TEXT    NOT NULL,
    -- Where it lands, or was to land; only the folder when its name was refused.
    target     TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('Syncing', 'Finished', 'Failed')),
    start_time INTEGER NOT NULL,
    end_time   INTEGER NOT NULL DEFAULT 0,
    message    TEXT    NOT NULL DEFAULT '',
    size_bytes INTEGER NOT NULL DEFAULT 0,
    sha256     BLOB,
    partial    TEXT,
    identity   TEXT
) STRICT;

CREATE UNIQUE INDEX uploads_of_sync ON uploads (sync_id, ordinal);
CREATE INDEX uploads_by_status ON uploads (status, history_id);
CREATE INDEX uploads_of_sync_by_status ON uploads (sync_id, status, history_id);
CREATE INDEX uploads_by_target ON uploads (target, history_id);

CREATE TABLE datasets (
    path         TEXT    PRIMARY KEY,
    last_sync_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trash (
    trash_id      INTEGER PRIMARY KEY,
    -- The folder in the trash. A restore that replaces something hands it on to the next piece.
    trash_key     TEXT    NOT NULL,
    origin        TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('Dataset', 'File')),
    reason        TEXT    NOT NULL,
    sync_id       INTEGER,
    trashed_by    TEXT    NOT NULL,
    trashed_at    INTEGER NOT NULL,
    files         INTEGER,
    bytes         INTEGER,
    restored_at   INTEGER,
    restoring     TEXT,
    restoring_by  TEXT
) STRICT;

CREATE INDEX trash_kept ON trash (trash_id) WHERE restored_at IS NULL;
CREATE UNIQUE INDEX trash_slots ON trash (trash_key) WHERE restored_at IS NULL;
CREATE INDEX trash_uncounted ON trash (trash_id) WHERE restored_at IS NULL AND files IS NULL;
CREATE INDEX trash_restoring ON trash (trash_id) WHERE restoring IS NOT NULL;

CREATE TABLE api_keys (
    key_id       INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL,
    role         TEXT    NOT NULL CHECK (role IN ('read', 'write', 'admin')),
    path_prefix  TEXT,
    hint         TEXT    NOT NULL,
    hash         BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);

CREATE TABLE sessions (
    hash       BLOB    PRIMARY KEY,
    -- Absent for the session that the first sign-in link begins.
    key_id     INTEGER REFERENCES api_keys (key_id),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_key ON sessions (key_id);

-- At most one row: the one-time link of the last start.
CREATE TABLE sign_in_link (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    hash       BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
