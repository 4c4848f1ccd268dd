-- What was done in the lake, by whom, and how it came out: a row for each deed, written in its transaction. Files have none;
-- the row of a sync's end sums them up. Everything is kept, and nothing of it changes.

CREATE TABLE activity (
    activity_id   INTEGER PRIMARY KEY,
    at            INTEGER NOT NULL,
    what          TEXT    NOT NULL,
    outcome       TEXT    NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    -- The name of the key; empty for the lake itself, and for whoever has none.
    who           TEXT    NOT NULL,
    role          TEXT,
    -- What they were recognised by.
    means         TEXT    NOT NULL,
    key_id        INTEGER,
    address       TEXT,
    -- As a proxy, or whoever, has written it.
    forwarded_for TEXT,
    program       TEXT,
    path          TEXT,
    sync_id       INTEGER,
    subject       TEXT    NOT NULL,
    message       TEXT    NOT NULL,
    files         INTEGER,
    bytes         INTEGER
) STRICT;

CREATE INDEX activity_by_time ON activity (at, activity_id);
CREATE INDEX activity_by_who ON activity (who, activity_id);
CREATE INDEX activity_by_what ON activity (what, activity_id);
CREATE INDEX activity_of_syncs ON activity (sync_id, activity_id) WHERE sync_id IS NOT NULL;

-- Of each deed the place that it was done to, and each above it: a page of what was done below a place is a range of these.
CREATE TABLE activity_places (
    path        TEXT    NOT NULL,
    activity_id INTEGER NOT NULL REFERENCES activity (activity_id),
    PRIMARY KEY (path, activity_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER activity_is_not_changed BEFORE UPDATE ON activity BEGIN
    SELECT raise(ABORT, 'activity is only added to');
END;
CREATE TRIGGER activity_is_not_removed BEFORE DELETE ON activity BEGIN
    SELECT raise(ABORT, 'activity is only added to');
END;
-- REPLACE would remove a row without a DELETE.
CREATE TRIGGER activity_is_not_replaced BEFORE INSERT ON activity
WHEN EXISTS (SELECT 1 FROM activity WHERE activity_id = new.activity_id) BEGIN
    SELECT raise(ABORT, 'activity is only added to');
END;
CREATE TRIGGER activity_places_are_not_changed BEFORE UPDATE ON activity_places BEGIN
    SELECT raise(ABORT, 'activity is only added to');
END;
CREATE TRIGGER activity_places_are_not_removed BEFORE DELETE ON activity_places BEGIN
    SELECT raise(ABORT, 'activity is only added to');
END;

-- The trash by the syncs that have put it there. It covers the sums, and so holds every column that their query names.
CREATE INDEX trash_of_syncs ON trash (sync_id, trash_id, reason, files, bytes, trashed_at, restored_at, emptying_at)
    WHERE restored_at IS NULL AND emptying_at IS NULL;

-- Who has asked for what a restart finishes, in JSON; absent where it was asked for before there was activity.
ALTER TABLE syncs ADD COLUMN closing_actor TEXT;
ALTER TABLE trash ADD COLUMN restoring_actor TEXT;

ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
