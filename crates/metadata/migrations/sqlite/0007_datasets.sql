-- What each day has brought, and each quarter of an hour, counted as rows are written: charts, calendars and lists visit no
-- history. And what is known of each dataset.

-- A sync counts by the folder that is its path, from its start.
INSERT INTO folders (path)
WITH RECURSIVE up (path) AS (
    SELECT path FROM syncs
    UNION
    SELECT substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1) FROM up WHERE instr(substr(path, 2), '/') > 0
) SELECT path FROM up WHERE true ON CONFLICT DO NOTHING;
INSERT INTO folders_above
WITH RECURSIVE up (folder_id, path) AS (
    SELECT folder_id, path FROM folders
    UNION ALL
    SELECT folder_id, substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1) FROM up
    WHERE instr(substr(path, 2), '/') > 0
) SELECT up.folder_id, folders.folder_id FROM up JOIN folders USING (path) WHERE true ON CONFLICT DO NOTHING;

-- What counts, and when: uploads as they landed or failed, syncs as they began and as they failed.
CREATE VIEW day_facts (path, sync_type, at, files, bytes, failed, syncs, failed_syncs) AS
SELECT s.path, s.sync_type, u.end_time, u.status = 'Finished', CASE u.status WHEN 'Finished' THEN u.size_bytes ELSE 0 END,
       u.status = 'Failed', 0, 0
FROM uploads u JOIN syncs s USING (sync_id) WHERE u.status <> 'Syncing'
UNION ALL SELECT path, sync_type, start_time, 0, 0, 0, 1, 0 FROM syncs
UNION ALL SELECT path, sync_type, end_time, 0, 0, 0, 0, 1 FROM syncs WHERE status = 'Failed';

-- By the folder that is the sync's path; 0 is the whole lake. Days are counted from 1970-01-01.
CREATE TABLE day_counts (
    folder_id    INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    sync_type    TEXT    NOT NULL,
    files        INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    syncs        INTEGER NOT NULL,
    failed_syncs INTEGER NOT NULL,
    PRIMARY KEY (folder_id, day, sync_type)
) STRICT, WITHOUT ROWID;

INSERT INTO day_counts
SELECT folder_id, at / 86400000, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs)
FROM day_facts JOIN folders USING (path) GROUP BY 1, 2, 3
UNION ALL
SELECT 0, at / 86400000, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs)
FROM day_facts GROUP BY 2, 3;

-- Which datasets have had most: covers the sum.
CREATE INDEX day_counts_by_day ON day_counts (day, folder_id, bytes);

-- What came to a dataset as readers see it: files of incremental syncs as they landed, those of full syncs as they were
-- published.
CREATE VIEW arrival_facts (path, at, files, bytes) AS
SELECT s.path, u.end_time, 1, u.size_bytes FROM uploads u JOIN syncs s USING (sync_id)
WHERE s.sync_type = 'IncrementalSync' AND u.status = 'Finished'
UNION ALL
SELECT path, end_time, total_files - num_failed, size_bytes FROM syncs
WHERE sync_type = 'FullSync' AND status = 'Finished';

-- By quarters of an hour, counted from 1970-01-01.
CREATE TABLE arrivals (
    folder_id INTEGER NOT NULL,
    slot      INTEGER NOT NULL,
    files     INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (folder_id, slot)
) STRICT, WITHOUT ROWID;

INSERT INTO arrivals
SELECT folder_id, at / 900000, sum(files), sum(bytes) FROM arrival_facts JOIN folders USING (path) GROUP BY 1, 2;

ALTER TABLE datasets ADD COLUMN first_landed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN last_landed INTEGER NOT NULL DEFAULT 0;
-- What is expected of it, in JSON.
ALTER TABLE datasets ADD COLUMN rhythm TEXT;
-- Grows whenever something in it changes. What it holds is counted aside; that was at the change that was counted.
ALTER TABLE datasets ADD COLUMN change INTEGER NOT NULL DEFAULT 1;
ALTER TABLE datasets ADD COLUMN counted_change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN counted_at INTEGER;
ALTER TABLE datasets ADD COLUMN files INTEGER;
ALTER TABLE datasets ADD COLUMN bytes INTEGER;
-- Not to be counted again before.
ALTER TABLE datasets ADD COLUMN count_after INTEGER NOT NULL DEFAULT 0;

CREATE TEMPORARY TABLE landed AS SELECT path, min(at) AS first, max(at) AS last FROM arrival_facts GROUP BY path;
UPDATE datasets SET first_landed = landed.first, last_landed = landed.last FROM landed WHERE landed.path = datasets.path;
DROP TABLE landed;

CREATE INDEX datasets_uncounted ON datasets (count_after) WHERE change <> counted_change;
CREATE INDEX datasets_with_rhythm ON datasets (path) WHERE rhythm IS NOT NULL;
CREATE INDEX syncs_failed ON syncs (end_time) WHERE status = 'Failed';
-- Versions of a dataset.
CREATE INDEX trash_of_datasets ON trash (origin, trash_id)
    WHERE kind = 'Dataset' AND restored_at IS NULL AND emptying_at IS NULL;
