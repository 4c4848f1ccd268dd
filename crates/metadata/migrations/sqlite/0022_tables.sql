-- Tables of datasets on object storage, for readers of the bucket: docs/development/decisions/0047-tables-follow-versions.md.

-- Uploads of incremental syncs by the change with which they landed.
CREATE INDEX uploads_by_change ON uploads (tree_seq) WHERE tree_seq > 0 AND tree_id IS NOT NULL;

-- Of versions up to this change, tables follow the newest alone: files of older ones may be gone.
ALTER TABLE version_state ADD COLUMN tables_from INTEGER NOT NULL DEFAULT 0;
UPDATE version_state SET tables_from = last_seq;

-- By the folder that is the path of the dataset.
CREATE TABLE dataset_tables (
    folder_id     INTEGER PRIMARY KEY REFERENCES folders (folder_id),
    -- The version that was followed last: its entries are fixed.
    version       INTEGER NOT NULL,
    dataset_files INTEGER NOT NULL,
    table_files   INTEGER NOT NULL,
    -- The table after it, in JSON. Absent while no file has fitted a table.
    state         TEXT,
    -- Number of its last commit.
    last_commit   INTEGER,
    -- The version that has the newest manifest.
    manifest      INTEGER,
    -- Number of the commit that has the newest checkpoint, and actions of files since.
    checkpoint    INTEGER,
    actions       INTEGER NOT NULL DEFAULT 0,
    -- Why the version after it cannot be followed.
    problem       TEXT
) STRICT;

-- Schemas of files in the terms of tables, each once.
CREATE TABLE table_schemas (
    schema_id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256    BLOB NOT NULL UNIQUE,
    content   TEXT NOT NULL
) STRICT;

-- Uploads as tables need to know them.
CREATE TABLE table_files (
    history_id INTEGER PRIMARY KEY,
    -- Absent where the object was gone before it was read.
    object_key TEXT,
    -- Absent for files of other formats than Parquet.
    schema_id  INTEGER REFERENCES table_schemas (schema_id),
    stats      TEXT
) STRICT;

-- Files of Parquet of the version that was followed last that are not in the table, and why, in JSON.
CREATE TABLE table_outside (
    folder_id  INTEGER NOT NULL,
    history_id INTEGER NOT NULL,
    reasons    TEXT    NOT NULL,
    PRIMARY KEY (folder_id, history_id)
) STRICT, WITHOUT ROWID;

-- Objects whose bytes are fixed, and which may not be in the bucket yet.
CREATE TABLE table_entries (
    folder_id INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('commit', 'manifest')),
    -- Of a commit, its number; of a manifest, that of the version.
    number    INTEGER NOT NULL,
    draft_id  INTEGER NOT NULL,
    PRIMARY KEY (folder_id, version, kind)
) STRICT, WITHOUT ROWID;

-- The bytes of entries, in pieces. Those of a draft that no entry has are not fixed yet, or never will be.
CREATE TABLE table_drafts (
    draft_id   INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (draft_id, number)
) STRICT;
