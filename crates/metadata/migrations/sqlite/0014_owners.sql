-- Who owns an upload, and whose an Idempotency-Key is: by the id of a key. A name that belongs to one key alone says which;
-- any other belongs to nobody from now on.

-- As `Principal` is written: "key-7", "guest", "first-sign-in", "unknown".
ALTER TABLE resumables ADD COLUMN owner TEXT NOT NULL DEFAULT 'unknown';

CREATE TEMP VIEW owners AS
SELECT name, 'key-' || min(key_id) AS owner FROM api_keys GROUP BY name HAVING count(*) = 1
UNION ALL
SELECT 'first sign-in', 'first-sign-in' WHERE NOT EXISTS (SELECT 1 FROM api_keys WHERE name = 'first sign-in');

UPDATE resumables SET owner = coalesce((SELECT o.owner FROM owners o WHERE o.name = started_by), 'unknown');
-- A part without a name was a visitor's.
UPDATE resumables SET owner = 'guest' WHERE started_by = '' AND upload_id IS NULL;

CREATE TABLE idempotency_keys_by_owner (
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- SHA-256 of what was asked for.
    fingerprint BLOB    NOT NULL,
    sync_id     INTEGER NOT NULL REFERENCES syncs (sync_id),
    at          INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

INSERT INTO idempotency_keys_by_owner (owner, key, fingerprint, sync_id, at)
SELECT o.owner, i.key, i.fingerprint, i.sync_id, i.at FROM idempotency_keys i JOIN owners o ON o.name = i.caller;

DROP VIEW owners;
DROP TABLE idempotency_keys;
ALTER TABLE idempotency_keys_by_owner RENAME TO idempotency_keys;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at);

-- Failed files that are counted and have no row, because their sync has many such; and how many rows it keeps of those that
-- failed before they had one.
ALTER TABLE syncs ADD COLUMN num_unlisted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE syncs ADD COLUMN refused_rows INTEGER NOT NULL DEFAULT 0;
