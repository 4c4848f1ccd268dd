-- Entries of the logs of tables that nobody needs any more: docs/development/decisions/0043-delta-checkpoints.md.

-- The first entry that may be in the bucket: commits and checkpoints by their commit, manifests by their version.
ALTER TABLE dataset_tables ADD COLUMN log_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dataset_tables ADD COLUMN manifests_from INTEGER NOT NULL DEFAULT 0;

-- Checkpoints in the bucket, each with the newest version that it has.
CREATE TABLE table_checkpoints (
    folder_id INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (folder_id, number)
) STRICT, WITHOUT ROWID;

INSERT INTO table_checkpoints (folder_id, number, version)
SELECT folder_id, checkpoint, version FROM dataset_tables WHERE checkpoint IS NOT NULL;
