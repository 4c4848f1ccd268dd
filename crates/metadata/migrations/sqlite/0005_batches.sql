-- What a sync is to hold, declared before its end; starts that may be asked for again; full syncs that are held because
-- they would shrink their dataset.

ALTER TABLE syncs ADD COLUMN expected_count INTEGER;
ALTER TABLE syncs ADD COLUMN expected_bytes INTEGER;
-- Whether each file was named, in expected_files.
ALTER TABLE syncs ADD COLUMN expected_named INTEGER NOT NULL DEFAULT 0;

CREATE TABLE expected_files (
    sync_id    INTEGER NOT NULL REFERENCES syncs (sync_id),
    target     TEXT    NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256     BLOB,
    PRIMARY KEY (sync_id, target)
) STRICT, WITHOUT ROWID;

-- Answers to starts that brought an Idempotency-Key, by the name of who asked.
CREATE TABLE idempotency_keys (
    caller      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- SHA-256 of what was asked for.
    fingerprint BLOB    NOT NULL,
    sync_id     INTEGER NOT NULL REFERENCES syncs (sync_id),
    at          INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at);

-- Since when it is held; absent when it is not. The figures of the last try stay, and count while it is.
ALTER TABLE syncs ADD COLUMN held_since INTEGER;
ALTER TABLE syncs ADD COLUMN held_replaced_files INTEGER;
ALTER TABLE syncs ADD COLUMN held_replaced_bytes INTEGER;
ALTER TABLE syncs ADD COLUMN held_published_files INTEGER;
ALTER TABLE syncs ADD COLUMN held_published_bytes INTEGER;

-- What an upload of a sync has replaced.
CREATE INDEX trash_of_files ON trash (sync_id, origin) WHERE kind = 'File';
