-- Versions of datasets: docs/development/decisions/0035-versions.md. One counter, `seq`, numbers the changes of all datasets.

-- Files that move together, because they are one folder. The id is that of the sync that began it; -seq of what a publish or a
-- restore has parted from the tree around it.
CREATE TABLE trees (
    tree_id     INTEGER PRIMARY KEY,
    -- Current, former or intended path.
    path        TEXT    NOT NULL,
    is_live     INTEGER NOT NULL DEFAULT 0,
    -- Slot of the trash that holds it. A tree that is neither live nor in the trash is staged or purged.
    trash_key   TEXT,
    -- Of its open entries.
    files       INTEGER NOT NULL DEFAULT 0,
    bytes       INTEGER NOT NULL DEFAULT 0,
    digest      BLOB    NOT NULL,
    -- Rows of its open entries, and the number of entries whose rows are known.
    row_count   INTEGER NOT NULL DEFAULT 0,
    counted     INTEGER NOT NULL DEFAULT 0,
    -- 0: it holds files of which no upload is known.
    is_complete INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE UNIQUE INDEX trees_live ON trees (path) WHERE is_live = 1;
CREATE UNIQUE INDEX trees_in_trash ON trees (trash_key) WHERE trash_key IS NOT NULL;

-- When a tree was live at a path: from the first change on, before the second.
CREATE TABLE tree_spans (
    path      TEXT    NOT NULL,
    from_seq  INTEGER NOT NULL,
    until_seq INTEGER,
    tree_id   INTEGER NOT NULL REFERENCES trees (tree_id),
    PRIMARY KEY (path, from_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX tree_spans_of_tree ON tree_spans (tree_id, from_seq);

-- Which upload lies at a path of a tree, from one change on, before another; staged files from 0 on.
CREATE TABLE version_files (
    tree_id    INTEGER NOT NULL,
    path       TEXT    NOT NULL,
    from_seq   INTEGER NOT NULL,
    until_seq  INTEGER,
    history_id INTEGER NOT NULL,
    -- The slot of the trash that holds the file, once it was replaced by another.
    trash_key  TEXT,
    -- The file was an entry before: a restore has moved it.
    is_copy    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tree_id, path, from_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX version_files_copies ON version_files (history_id) WHERE is_copy = 1;
CREATE INDEX version_files_in_trash ON version_files (trash_key) WHERE trash_key IS NOT NULL;

-- By the folder that is the path of the dataset. Numbers are dense, from 1.
CREATE TABLE versions (
    folder_id     INTEGER NOT NULL REFERENCES folders (folder_id),
    number        INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    -- Ascends with the number, also where the clock was set back.
    at            INTEGER NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('publish', 'landing', 'restore')),
    sync_id       INTEGER,
    -- Of a restore, the version that it brought back, where that is known.
    restored_from INTEGER,
    -- Key of the maker, if another than that of the sync.
    key_id        INTEGER,
    made_by       TEXT    NOT NULL,
    files         INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    digest        BLOB    NOT NULL,
    is_complete   INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (folder_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX versions_by_seq ON versions (folder_id, seq);

-- The last change; and whether what was there before was made into versions. One row.
CREATE TABLE version_state (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    last_seq      INTEGER NOT NULL,
    is_backfilled INTEGER NOT NULL
) STRICT;
INSERT INTO version_state SELECT 1, 0, NOT EXISTS (SELECT 1 FROM uploads);

-- Growth of the rows of a dataset with a version, in blocks of 2^span versions, and of the files whose rows are known. Files
-- are counted after their landing, so this changes after the version is complete.
CREATE TABLE version_rows (
    folder_id INTEGER NOT NULL,
    span      INTEGER NOT NULL,
    block     INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    counted   INTEGER NOT NULL,
    PRIMARY KEY (folder_id, span, block)
) STRICT, WITHOUT ROWID;

-- Versions that are kept beyond the limits of the trash.
CREATE TABLE version_pins (
    folder_id INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    path      TEXT    NOT NULL,
    note      TEXT    NOT NULL,
    pinned_by TEXT    NOT NULL,
    pinned_at INTEGER NOT NULL,
    PRIMARY KEY (folder_id, number)
) STRICT, WITHOUT ROWID;

-- The version that a full sync of the lake itself brings back.
ALTER TABLE syncs ADD COLUMN restores_version INTEGER;
-- The entry that the upload has made as it landed: its tree, and from which change on.
ALTER TABLE uploads ADD COLUMN tree_id INTEGER;
ALTER TABLE uploads ADD COLUMN tree_seq INTEGER;
-- Last time at which a snapshot of the lake changed the file's times, without changing its bytes.
ALTER TABLE uploads ADD COLUMN touched_at INTEGER;

CREATE TABLE snapshots (
    snapshot_id INTEGER PRIMARY KEY,
    -- Its name in the lake's folder: random.
    token       TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    -- As `Principal` is written.
    owner       TEXT    NOT NULL,
    made_by     TEXT    NOT NULL,
    made_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    -- 'making', 'ready', 'dropped'
    state       TEXT    NOT NULL CHECK (state IN ('making', 'ready', 'dropped'))
) STRICT;

CREATE UNIQUE INDEX snapshots_by_token ON snapshots (token);
CREATE INDEX snapshots_by_expiry ON snapshots (expires_at);
