-- Trash is removed for good in small steps: a piece is marked, then its files go, then it is settled. Its row stays, and
-- tells who removed it and when.

ALTER TABLE trash ADD COLUMN emptying_at INTEGER;
ALTER TABLE trash ADD COLUMN emptying_by TEXT;
ALTER TABLE trash ADD COLUMN emptied_at INTEGER;

DROP INDEX trash_kept;
DROP INDEX trash_slots;
DROP INDEX trash_uncounted;
CREATE INDEX trash_kept ON trash (trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL;
-- What is being removed still has its folder.
CREATE UNIQUE INDEX trash_slots ON trash (trash_key) WHERE restored_at IS NULL AND emptied_at IS NULL;
CREATE INDEX trash_uncounted ON trash (trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL AND files IS NULL;
-- Covers the sum of all bytes, too; for that it has to hold every column that the query names.
CREATE INDEX trash_by_age ON trash (trashed_at, trash_id, restoring, bytes, restored_at, emptying_at)
    WHERE restored_at IS NULL AND emptying_at IS NULL;
CREATE INDEX trash_emptying ON trash (trash_id) WHERE emptying_at IS NOT NULL AND emptied_at IS NULL;
