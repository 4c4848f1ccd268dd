-- Versions of landings are written after their uploads: docs/development/decisions/0035-versions.md.

-- Greatest id of the uploads whose versions are written. A later finished upload without a tree has none yet; its `tree_seq` is
-- then the id of the first upload of its group.
ALTER TABLE version_state ADD COLUMN last_landed INTEGER NOT NULL DEFAULT 0;
UPDATE version_state SET last_landed = (SELECT coalesce(max(history_id), 0) FROM uploads);
-- Name of the sender, if other than the one that started the sync.
ALTER TABLE uploads ADD COLUMN landed_by TEXT;
