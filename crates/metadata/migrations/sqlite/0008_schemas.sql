-- What was read of files as they landed: their rows and columns, and in what they differ from their dataset's.

-- Each list of columns once, however many files have it.
CREATE TABLE schemas (
    schema_id INTEGER PRIMARY KEY,
    -- A schema, in JSON.
    content   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE file_schemas (
    history_id  INTEGER PRIMARY KEY,
    -- Absent where counting would mean reading it all.
    row_count   INTEGER,
    -- Absent where it has no columns, or they cannot be read.
    schema_id   INTEGER REFERENCES schemas (schema_id),
    -- What it differs from; absent where it does not.
    baseline_id INTEGER REFERENCES schemas (schema_id),
    problem     TEXT
) STRICT;

-- How many files of a sync have which columns, and which of them came first.
CREATE TABLE sync_schemas (
    sync_id   INTEGER NOT NULL REFERENCES syncs (sync_id),
    schema_id INTEGER NOT NULL REFERENCES schemas (schema_id),
    files     INTEGER NOT NULL,
    first_id  INTEGER NOT NULL,
    PRIMARY KEY (sync_id, schema_id)
) STRICT, WITHOUT ROWID;

-- What the last sync that finished, and brought columns, has left. Its own files are compared with what was there before it.
CREATE TABLE dataset_schemas (
    path      TEXT    PRIMARY KEY,
    sync_id   INTEGER NOT NULL,
    schema_id INTEGER NOT NULL REFERENCES schemas (schema_id),
    before_id INTEGER REFERENCES schemas (schema_id)
) STRICT, WITHOUT ROWID;

-- What becomes of a file that differs. A dataset that is not here warns.
CREATE TABLE schema_policies (
    path   TEXT PRIMARY KEY,
    policy TEXT NOT NULL CHECK (policy IN ('ignore', 'warn', 'hold'))
) STRICT, WITHOUT ROWID;

-- Files of a sync that differ.
CREATE TABLE differing_files (
    sync_id    INTEGER NOT NULL REFERENCES syncs (sync_id),
    history_id INTEGER NOT NULL,
    PRIMARY KEY (sync_id, history_id)
) STRICT, WITHOUT ROWID;

-- Uploads that have landed and were not looked at yet.
CREATE TABLE uninspected (history_id INTEGER PRIMARY KEY) STRICT;

CREATE TRIGGER uploads_landed AFTER INSERT ON uploads WHEN new.status = 'Finished' BEGIN
    INSERT INTO uninspected VALUES (new.history_id);
END;

CREATE TRIGGER uploads_landed_later AFTER UPDATE OF status ON uploads
WHEN new.status = 'Finished' AND old.status <> 'Finished' BEGIN
    INSERT INTO uninspected VALUES (new.history_id);
END;

-- Of what was there before, the last sync of each dataset is looked at, so that the next is compared with it.
INSERT INTO uninspected
SELECT history_id FROM uploads JOIN datasets ON sync_id = last_sync_id WHERE status = 'Finished';

-- Files of the sync that differ; and, while it is held because of them, how many they were.
ALTER TABLE syncs ADD COLUMN num_differing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE syncs ADD COLUMN held_differing INTEGER NOT NULL DEFAULT 0;
