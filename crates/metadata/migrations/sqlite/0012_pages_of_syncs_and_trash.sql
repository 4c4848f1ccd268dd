-- Pages of syncs and of the trash step over narrow entries of an index to where they begin, not over whole rows.

-- All that a list of syncs can be filtered by, in the order of the list.
CREATE INDEX syncs_in_order ON syncs (sync_id, status, sync_type, path, name);
DROP INDEX syncs_by_path;
CREATE INDEX syncs_by_path ON syncs (path, sync_id, status, sync_type, name);

DROP INDEX trash_kept;
CREATE INDEX trash_kept ON trash (trash_id, sync_id, origin, trashed_by) WHERE restored_at IS NULL AND emptying_at IS NULL;
CREATE INDEX trash_by_place ON trash (origin, trash_id, sync_id, trashed_by) WHERE restored_at IS NULL AND emptying_at IS NULL;
