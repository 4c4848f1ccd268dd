-- A start finds the open syncs on its path, above and below it, and counts those of its key.
CREATE INDEX syncs_open_by_path ON syncs (sync_type, path, sync_id) WHERE phase <> 'Ended';
CREATE INDEX syncs_open_by_key ON syncs (started_by, sync_id) WHERE phase <> 'Ended';
