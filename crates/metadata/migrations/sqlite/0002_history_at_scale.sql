-- Pages of the history cost the same wherever they start, filtered too: rows are counted in blocks as they are added and
-- end, so that a page finds its first row by adding up some hundred counts instead of stepping over millions of rows.

-- The folders that uploads went to, and those above them. A filter by path is a filter by a folder.
CREATE TABLE folders (
    folder_id INTEGER PRIMARY KEY,
    path      TEXT    NOT NULL UNIQUE
) STRICT;

-- Each folder with itself and every folder above it.
CREATE TABLE folders_above (
    folder_id INTEGER NOT NULL REFERENCES folders (folder_id),
    above_id  INTEGER NOT NULL REFERENCES folders (folder_id),
    PRIMARY KEY (folder_id, above_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE uploads ADD COLUMN folder_id INTEGER REFERENCES folders (folder_id);

-- The target's folder; of an upload whose name was refused, the target is the folder.
CREATE TEMPORARY TABLE folder_of AS
SELECT history_id, CASE
    WHEN substr(target, -length(file_name) - 1) = '/' || file_name
    THEN substr(target, 1, length(rtrim(target, replace(target, '/', ''))) - 1)
    ELSE target
END AS path FROM uploads;
INSERT INTO folders (path)
WITH RECURSIVE up (path) AS (
    SELECT path FROM folder_of
    UNION
    SELECT substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1) FROM up WHERE instr(substr(path, 2), '/') > 0
) SELECT path FROM up;
INSERT INTO folders_above
WITH RECURSIVE up (folder_id, path) AS (
    SELECT folder_id, path FROM folders
    UNION ALL
    SELECT folder_id, substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1) FROM up
    WHERE instr(substr(path, 2), '/') > 0
) SELECT up.folder_id, folders.folder_id FROM up JOIN folders USING (path);
UPDATE uploads SET folder_id = (
    SELECT folder_id FROM folders JOIN folder_of USING (path) WHERE folder_of.history_id = uploads.history_id
);
DROP TABLE folder_of;

CREATE INDEX uploads_of_folder ON uploads (folder_id, history_id);
DROP INDEX uploads_of_sync_by_status;
CREATE INDEX uploads_in_flight ON uploads (sync_id, history_id) WHERE status = 'Syncing';
CREATE INDEX uploads_failed ON uploads (sync_id, ordinal) WHERE status = 'Failed';

-- Where each upload counts. Scope 0 is the whole history (scope_id 0), by history_id; scope 1 a sync, by ordinal; scope 2 a
-- folder with all that is below it, by history_id.
CREATE VIEW upload_positions (scope, scope_id, position, status) AS
SELECT 0, 0, history_id, status FROM uploads
UNION ALL SELECT 1, sync_id, ordinal, status FROM uploads
UNION ALL SELECT 2, above_id, history_id, status FROM uploads JOIN folders_above USING (folder_id);

-- How many have theirs in a block of 2^span positions.
CREATE TABLE upload_counts (
    scope    INTEGER NOT NULL,
    scope_id INTEGER NOT NULL,
    span     INTEGER NOT NULL,
    block    INTEGER NOT NULL,
    total    INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    PRIMARY KEY (scope, scope_id, span, block)
) STRICT, WITHOUT ROWID;

INSERT INTO upload_counts
SELECT scope, scope_id, span, position >> span, count(*), sum(status = 'Finished'), sum(status = 'Failed')
FROM upload_positions JOIN (SELECT 10 AS span UNION ALL SELECT 20)
GROUP BY scope, scope_id, span, position >> span;

-- The same for syncs, by sync_id. Syncs begin and end rarely enough for triggers.
CREATE TABLE sync_counts (
    sync_type TEXT    NOT NULL,
    status    TEXT    NOT NULL,
    span      INTEGER NOT NULL,
    block     INTEGER NOT NULL,
    total     INTEGER NOT NULL,
    PRIMARY KEY (sync_type, status, span, block)
) STRICT, WITHOUT ROWID;

INSERT INTO sync_counts
SELECT sync_type, status, span, sync_id >> span, count(*)
FROM syncs JOIN (SELECT 10 AS span UNION ALL SELECT 20) GROUP BY 1, 2, 3, 4;

CREATE TRIGGER syncs_counted AFTER INSERT ON syncs BEGIN
    INSERT INTO sync_counts VALUES
        (new.sync_type, new.status, 10, new.sync_id >> 10, 1), (new.sync_type, new.status, 20, new.sync_id >> 20, 1)
        ON CONFLICT DO UPDATE SET total = total + 1;
END;

CREATE TRIGGER syncs_counted_anew AFTER UPDATE OF status ON syncs WHEN old.status <> new.status BEGIN
    UPDATE sync_counts SET total = total - 1
    WHERE sync_type = old.sync_type AND status = old.status
      AND ((span = 10 AND block = old.sync_id >> 10) OR (span = 20 AND block = old.sync_id >> 20));
    INSERT INTO sync_counts VALUES
        (new.sync_type, new.status, 10, new.sync_id >> 10, 1), (new.sync_type, new.status, 20, new.sync_id >> 20, 1)
        ON CONFLICT DO UPDATE SET total = total + 1;
END;

DROP INDEX syncs_by_status;
DROP INDEX syncs_by_type;
CREATE INDEX syncs_by_status ON syncs (status, sync_type, sync_id);
CREATE INDEX syncs_by_type ON syncs (sync_type, sync_id);

-- What a group of uploads is about to do, from before the first of them gets its name until all of them have their rows.
CREATE TABLE landings (
    landings_id INTEGER PRIMARY KEY,
    -- A list of what each upload would be remembered as, in JSON.
    intended    TEXT NOT NULL
) STRICT;
