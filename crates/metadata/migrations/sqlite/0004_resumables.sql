-- Uploads that may come in many requests. Each has its row in `uploads` from its beginning, but for parts, of which several
-- are joined into one. A row stays until it expires, so that a sender whose last answer was lost can learn how it ended;
-- how that was, the row in `uploads` says.

CREATE TABLE resumables (
    resumable_id  INTEGER PRIMARY KEY,
    token         TEXT    NOT NULL,
    upload_id     INTEGER REFERENCES uploads (history_id),
    sync_id       INTEGER REFERENCES syncs (sync_id),
    file_name     TEXT    NOT NULL,
    target        TEXT,
    partial       TEXT    NOT NULL,
    identity      TEXT    NOT NULL,
    -- In bytes; absent while the sender has not said.
    length        INTEGER,
    -- How much is on stable storage, and the state of the hash there.
    durable_bytes INTEGER NOT NULL,
    hash_state    BLOB    NOT NULL,
    metadata      TEXT    NOT NULL,
    -- What the whole must have.
    sha256        BLOB,
    -- Whether the sender may know the token: it does not before the request that began it is answered.
    is_told       INTEGER NOT NULL,
    -- Tokens, in order, parted by spaces.
    parts         TEXT    NOT NULL,
    -- The token of what a part was joined into.
    joined_into   TEXT,
    started_by    TEXT    NOT NULL,
    begun_at      INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX resumables_by_token ON resumables (token);
-- Parts have none.
CREATE UNIQUE INDEX resumables_by_upload ON resumables (upload_id) WHERE upload_id IS NOT NULL;
CREATE INDEX resumables_of_sync ON resumables (sync_id);
CREATE INDEX resumables_by_expiry ON resumables (expires_at);
CREATE INDEX resumables_that_are_parts ON resumables (resumable_id) WHERE upload_id IS NULL;
