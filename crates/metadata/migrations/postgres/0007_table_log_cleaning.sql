-- Entries of the logs of tables that nobody needs any more, as in ../sqlite.

-- The first entry that may be in the bucket: commits and checkpoints by their commit, manifests by their version.
ALTER TABLE dataset_tables ADD COLUMN log_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE dataset_tables ADD COLUMN manifests_from BIGINT NOT NULL DEFAULT 0;

-- Checkpoints in the bucket, each with the newest version that it has.
CREATE TABLE table_checkpoints (
    folder_id BIGINT NOT NULL,
    number    BIGINT NOT NULL,
    version   BIGINT NOT NULL,
    PRIMARY KEY (folder_id, number)
);

INSERT INTO table_checkpoints (folder_id, number, version)
SELECT folder_id, checkpoint, version FROM dataset_tables WHERE checkpoint IS NOT NULL;
