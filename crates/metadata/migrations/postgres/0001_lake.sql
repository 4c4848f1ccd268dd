-- The tables of a lake, as in ../sqlite after its last migration. Times are milliseconds since 1970 UTC. Text is compared
-- byte by byte (COLLATE "C"), as paths are ordered by the engine.
--
-- Locks are taken in this order: the advisory lock of starts, rows of syncs by their ids, counters by the order of
-- `Counter` (the one of uploads is held by whoever changes the history or the versions), all other rows.

-- The last id of each kind. Not sequences: those have gaps, and later ids may become visible before earlier ones.
CREATE TABLE counters (
    name TEXT COLLATE "C" PRIMARY KEY,
    last BIGINT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO counters (name, last) VALUES
    ('resumables', 0), ('uploads', 0), ('syncs', 0), ('landings', 0), ('trash', 0), ('folders', 0), ('schemas', 0),
    ('api_keys', 0), ('sessions', 0), ('snapshots', 0), ('activity', 0);

-- A row for each commit of the last hour, so that a node whose connection broke during a commit finds out whether it
-- took place. A fence was put there by such a node: the commit did not take place, and cannot any more.
CREATE TABLE commits (
    token    BIGINT PRIMARY KEY,
    made_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    is_fence BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX commits_by_time ON commits (made_at);

-- The node that serves the lake. Every transaction that writes checks the epoch, which grows when another node takes over.
CREATE TABLE lake_node (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    BIGINT NOT NULL,
    -- For people: the host, the process and the lake root.
    holder   TEXT COLLATE "C" NOT NULL
);

INSERT INTO lake_node (only_row, epoch, holder) VALUES (1, 0, '');

-- First step of a transaction that writes. A node passes its epoch, and is refused once another has taken over; that one
-- waits for the transactions that passed. 7001 is the advisory lock of the epoch.
CREATE FUNCTION begin_write(of_token BIGINT, of_epoch BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF of_epoch IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(7001);
        IF NOT EXISTS (SELECT 1 FROM lake_node WHERE epoch = of_epoch) THEN
            RAISE EXCEPTION 'another node has taken over this lake' USING ERRCODE = 'LS001';
        END IF;
    END IF;
    INSERT INTO commits (token) VALUES (of_token);
END
$$;

-- Rows of a JSON array, numbered from 0.
CREATE FUNCTION json_rows(rows TEXT) RETURNS TABLE (key BIGINT, value JSONB) LANGUAGE sql IMMUTABLE ROWS 100 AS $$
    SELECT ordinality - 1, element FROM jsonb_array_elements(rows::jsonb) WITH ORDINALITY AS of (element, ordinality)
$$;

CREATE TABLE syncs (
    sync_id               BIGINT PRIMARY KEY,
    org_id                BIGINT NOT NULL DEFAULT 0,
    name                  TEXT COLLATE "C" NOT NULL,
    path                  TEXT COLLATE "C" NOT NULL,
    sync_type             TEXT COLLATE "C" NOT NULL CHECK (sync_type IN ('FullSync', 'IncrementalSync')),
    status                TEXT COLLATE "C" NOT NULL DEFAULT 'Syncing' CHECK (status IN ('Syncing', 'Finished', 'Failed')),
    phase                 TEXT COLLATE "C" NOT NULL DEFAULT 'Open'
        CHECK (phase IN ('Open', 'Publishing', 'Aborting', 'Ended')),
    start_time            BIGINT NOT NULL,
    end_time              BIGINT NOT NULL DEFAULT 0,
    total_files           BIGINT NOT NULL DEFAULT 0,
    num_failed            BIGINT NOT NULL DEFAULT 0,
    num_in_flight         BIGINT NOT NULL DEFAULT 0,
    size_bytes            BIGINT NOT NULL DEFAULT 0,
    message               TEXT COLLATE "C" NOT NULL DEFAULT '',
    started_by            TEXT COLLATE "C" NOT NULL,
    last_activity         BIGINT NOT NULL,
    -- Set while Publishing or Aborting.
    closing_staging       TEXT COLLATE "C",
    closing_allow_empty   BOOLEAN,
    closing_reason        TEXT COLLATE "C",
    closing_message       TEXT COLLATE "C",
    closing_by            TEXT COLLATE "C",
    -- In JSON.
    closing_actor         TEXT COLLATE "C",
    expected_count        BIGINT,
    expected_bytes        BIGINT,
    -- Whether each file was named, in expected_files.
    expected_named        BOOLEAN NOT NULL DEFAULT FALSE,
    held_since            BIGINT,
    held_replaced_files   BIGINT,
    held_replaced_bytes   BIGINT,
    held_published_files  BIGINT,
    held_published_bytes  BIGINT,
    num_differing         BIGINT NOT NULL DEFAULT 0,
    held_differing        BIGINT NOT NULL DEFAULT 0,
    -- Failed files that are counted and have no row.
    num_unlisted          BIGINT NOT NULL DEFAULT 0,
    refused_rows          BIGINT NOT NULL DEFAULT 0,
    num_duplicates        BIGINT NOT NULL DEFAULT 0,
    -- A JSON array.
    duplicate_names       TEXT COLLATE "C",
    -- The version that a full sync of the lake itself brings back.
    restores_version      BIGINT
) WITH (fillfactor = 80);

CREATE INDEX syncs_by_status ON syncs (status, sync_type, sync_id);
CREATE INDEX syncs_by_type ON syncs (sync_type, sync_id);
CREATE INDEX syncs_by_path ON syncs (path, sync_id);
CREATE INDEX syncs_not_ended ON syncs (sync_id) WHERE phase <> 'Ended';
CREATE INDEX syncs_failed ON syncs (end_time) WHERE status = 'Failed';

CREATE TABLE folders (
    folder_id BIGINT PRIMARY KEY,
    path      TEXT COLLATE "C" NOT NULL UNIQUE
);

-- Each folder with itself and every folder above it.
CREATE TABLE folders_above (
    folder_id BIGINT NOT NULL REFERENCES folders (folder_id),
    above_id  BIGINT NOT NULL REFERENCES folders (folder_id),
    PRIMARY KEY (folder_id, above_id)
);

CREATE TABLE uploads (
    history_id BIGINT PRIMARY KEY,
    sync_id    BIGINT NOT NULL REFERENCES syncs (sync_id),
    -- Counts from 1 within the sync, without gaps.
    ordinal    BIGINT NOT NULL,
    file_name  TEXT COLLATE "C" NOT NULL,
    -- Where it lands; only the folder when its name was refused.
    target     TEXT COLLATE "C" NOT NULL,
    folder_id  BIGINT NOT NULL REFERENCES folders (folder_id),
    status     TEXT COLLATE "C" NOT NULL CHECK (status IN ('Syncing', 'Finished', 'Failed')),
    start_time BIGINT NOT NULL,
    end_time   BIGINT NOT NULL DEFAULT 0,
    message    TEXT COLLATE "C" NOT NULL DEFAULT '',
    size_bytes BIGINT NOT NULL DEFAULT 0,
    sha256     BYTEA,
    partial    TEXT COLLATE "C",
    identity   TEXT COLLATE "C",
    taken_over BOOLEAN NOT NULL DEFAULT FALSE,
    -- The entry that it made as it landed: its tree, and from which change on.
    tree_id    BIGINT,
    tree_seq   BIGINT,
    -- When the lake itself last changed the file's times, without changing its bytes.
    touched_at BIGINT
);

CREATE UNIQUE INDEX uploads_of_sync ON uploads (sync_id, ordinal);
CREATE INDEX uploads_by_status ON uploads (status, history_id);
CREATE INDEX uploads_by_target ON uploads (target, history_id);
CREATE INDEX uploads_of_folder ON uploads (folder_id, history_id);
CREATE INDEX uploads_in_flight ON uploads (sync_id, history_id) WHERE status = 'Syncing';
CREATE INDEX uploads_failed ON uploads (sync_id, ordinal) WHERE status = 'Failed';

CREATE VIEW upload_positions (scope, scope_id, position, status) AS
SELECT 0::bigint, 0::bigint, history_id, status FROM uploads
UNION ALL SELECT 1, sync_id, ordinal, status FROM uploads
UNION ALL SELECT 2, above_id, history_id, status FROM uploads JOIN folders_above USING (folder_id);

-- Uploads in a block of 2^span positions.
CREATE TABLE upload_counts (
    scope    BIGINT NOT NULL,
    scope_id BIGINT NOT NULL,
    span     BIGINT NOT NULL,
    block    BIGINT NOT NULL,
    total    BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    PRIMARY KEY (scope, scope_id, span, block)
) WITH (fillfactor = 60);

CREATE TABLE sync_counts (
    sync_type TEXT COLLATE "C" NOT NULL,
    status    TEXT COLLATE "C" NOT NULL,
    span      BIGINT NOT NULL,
    block     BIGINT NOT NULL,
    total     BIGINT NOT NULL,
    PRIMARY KEY (sync_type, status, span, block)
) WITH (fillfactor = 60);

-- Intents of groups of landings, in JSON, until all uploads of the group have their rows.
CREATE TABLE landings (
    landings_id BIGINT PRIMARY KEY,
    intended    TEXT COLLATE "C" NOT NULL
);

CREATE TABLE expected_files (
    sync_id    BIGINT NOT NULL REFERENCES syncs (sync_id),
    target     TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256     BYTEA,
    PRIMARY KEY (sync_id, target)
);

CREATE TABLE idempotency_keys (
    -- As `Principal` is written.
    owner       TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    -- SHA-256 of the request.
    fingerprint BYTEA NOT NULL,
    sync_id     BIGINT NOT NULL REFERENCES syncs (sync_id),
    at          BIGINT NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at);

CREATE TABLE datasets (
    path           TEXT COLLATE "C" PRIMARY KEY,
    last_sync_id   BIGINT NOT NULL,
    first_landed   BIGINT NOT NULL DEFAULT 0,
    last_landed    BIGINT NOT NULL DEFAULT 0,
    -- The delivery schedule, in JSON.
    rhythm         TEXT COLLATE "C",
    -- Grows whenever something in it changes; its content is counted aside, as of the change that was counted.
    change         BIGINT NOT NULL DEFAULT 1,
    counted_change BIGINT NOT NULL DEFAULT 0,
    counted_at     BIGINT,
    files          BIGINT,
    bytes          BIGINT,
    -- Not counted again before.
    count_after    BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

CREATE INDEX datasets_uncounted ON datasets (count_after) WHERE change <> counted_change;

-- Uploads count when they landed or failed, syncs when they began and when they failed.
CREATE VIEW day_facts (path, sync_type, at, files, bytes, failed, syncs, failed_syncs) AS
SELECT s.path, s.sync_type, u.end_time, (u.status = 'Finished')::int::bigint,
       CASE u.status WHEN 'Finished' THEN u.size_bytes ELSE 0 END, (u.status = 'Failed')::int::bigint, 0::bigint, 0::bigint
FROM uploads u JOIN syncs s USING (sync_id) WHERE u.status <> 'Syncing'
UNION ALL SELECT path, sync_type, start_time, 0, 0, 0, 1, 0 FROM syncs
UNION ALL SELECT path, sync_type, end_time, 0, 0, 0, 0, 1 FROM syncs WHERE status = 'Failed';

-- By the folder of the sync's path; 0 is the whole lake. Days are counted from 1970-01-01.
CREATE TABLE day_counts (
    folder_id    BIGINT NOT NULL,
    day          BIGINT NOT NULL,
    sync_type    TEXT COLLATE "C" NOT NULL,
    files        BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    syncs        BIGINT NOT NULL,
    failed_syncs BIGINT NOT NULL,
    PRIMARY KEY (folder_id, day, sync_type)
) WITH (fillfactor = 60);

CREATE INDEX day_counts_by_day ON day_counts (day, folder_id);

CREATE VIEW arrival_facts (path, at, files, bytes) AS
SELECT s.path, u.end_time, 1::bigint, u.size_bytes FROM uploads u JOIN syncs s USING (sync_id)
WHERE s.sync_type = 'IncrementalSync' AND u.status = 'Finished'
UNION ALL
SELECT path, end_time, total_files - num_failed, size_bytes FROM syncs
WHERE sync_type = 'FullSync' AND status = 'Finished';

-- By quarters of an hour, counted from 1970-01-01.
CREATE TABLE arrivals (
    folder_id BIGINT NOT NULL,
    slot      BIGINT NOT NULL,
    files     BIGINT NOT NULL,
    bytes     BIGINT NOT NULL,
    PRIMARY KEY (folder_id, slot)
) WITH (fillfactor = 60);

CREATE TABLE trash (
    trash_id        BIGINT PRIMARY KEY,
    -- The folder in the trash. A restore that replaces something hands it on to the next item.
    trash_key       TEXT COLLATE "C" NOT NULL,
    origin          TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL CHECK (kind IN ('Dataset', 'File')),
    reason          TEXT COLLATE "C" NOT NULL,
    sync_id         BIGINT,
    trashed_by      TEXT COLLATE "C" NOT NULL,
    trashed_at      BIGINT NOT NULL,
    files           BIGINT,
    bytes           BIGINT,
    restored_at     BIGINT,
    restoring       TEXT COLLATE "C",
    restoring_by    TEXT COLLATE "C",
    -- In JSON.
    restoring_actor TEXT COLLATE "C",
    emptying_at     BIGINT,
    emptying_by     TEXT COLLATE "C",
    emptied_at      BIGINT
);

CREATE INDEX trash_kept ON trash (trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL;
CREATE UNIQUE INDEX trash_slots ON trash (trash_key) WHERE restored_at IS NULL AND emptied_at IS NULL;
CREATE INDEX trash_uncounted ON trash (trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL AND files IS NULL;
CREATE INDEX trash_by_age ON trash (trashed_at, trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL;
CREATE INDEX trash_emptying ON trash (trash_id) WHERE emptying_at IS NOT NULL AND emptied_at IS NULL;
CREATE INDEX trash_restoring ON trash (trash_id) WHERE restoring IS NOT NULL;
CREATE INDEX trash_of_files ON trash (sync_id, origin) WHERE kind = 'File';
CREATE INDEX trash_of_datasets ON trash (origin, trash_id)
    WHERE kind = 'Dataset' AND restored_at IS NULL AND emptying_at IS NULL;
CREATE INDEX trash_of_syncs ON trash (sync_id, trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL;
CREATE INDEX trash_by_place ON trash (origin, trash_id) WHERE restored_at IS NULL AND emptying_at IS NULL;

CREATE TABLE api_keys (
    key_id       BIGINT PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    role         TEXT COLLATE "C" NOT NULL CHECK (role IN ('read', 'write', 'admin')),
    path_prefix  TEXT COLLATE "C",
    hint         TEXT COLLATE "C" NOT NULL,
    hash         BYTEA NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    revoked_at   BIGINT,
    created_by   TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE sessions (
    session_id   BIGINT PRIMARY KEY,
    hash         BYTEA NOT NULL UNIQUE,
    -- Absent for the session of the first sign-in link.
    key_id       BIGINT REFERENCES api_keys (key_id),
    begun_at     BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    address      TEXT COLLATE "C",
    program      TEXT COLLATE "C"
);

CREATE INDEX sessions_by_key ON sessions (key_id, session_id);

CREATE TABLE sign_in_link (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    hash       BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE resumables (
    resumable_id  BIGINT PRIMARY KEY,
    token         TEXT COLLATE "C" NOT NULL UNIQUE,
    upload_id     BIGINT REFERENCES uploads (history_id),
    sync_id       BIGINT REFERENCES syncs (sync_id),
    file_name     TEXT COLLATE "C" NOT NULL,
    target        TEXT COLLATE "C",
    partial       TEXT COLLATE "C" NOT NULL,
    identity      TEXT COLLATE "C" NOT NULL,
    -- In bytes; absent while the sender has not said.
    length        BIGINT,
    -- How much is on stable storage, and the state of the hash there.
    durable_bytes BIGINT NOT NULL,
    hash_state    BYTEA NOT NULL,
    metadata      TEXT COLLATE "C" NOT NULL,
    sha256        BYTEA,
    sha512        BYTEA,
    -- Whether the sender may know the token.
    is_told       BOOLEAN NOT NULL,
    -- Tokens in order, separated by spaces.
    parts         TEXT COLLATE "C" NOT NULL,
    -- The token of the upload that a part was joined into.
    joined_into   TEXT COLLATE "C",
    owner         TEXT COLLATE "C" NOT NULL,
    started_by    TEXT COLLATE "C" NOT NULL,
    begun_at      BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);

CREATE UNIQUE INDEX resumables_by_upload ON resumables (upload_id) WHERE upload_id IS NOT NULL;
CREATE INDEX resumables_of_sync ON resumables (sync_id);
CREATE INDEX resumables_by_expiry ON resumables (expires_at);
CREATE INDEX resumables_that_are_parts ON resumables (resumable_id) WHERE upload_id IS NULL;

CREATE TABLE schemas (
    schema_id BIGINT PRIMARY KEY,
    -- In JSON. Each once, which is seen to under the counter's lock. Found by a hash: a wide schema is longer than an entry
    -- of an index may be.
    content   TEXT COLLATE "C" NOT NULL
);

CREATE INDEX schemas_by_content ON schemas (md5(content));

CREATE TABLE file_schemas (
    history_id  BIGINT PRIMARY KEY,
    row_count   BIGINT,
    schema_id   BIGINT REFERENCES schemas (schema_id),
    -- The schema that it differs from.
    baseline_id BIGINT REFERENCES schemas (schema_id),
    problem     TEXT COLLATE "C",
    -- In JSON.
    difference  TEXT COLLATE "C"
);

CREATE TABLE sync_schemas (
    sync_id   BIGINT NOT NULL REFERENCES syncs (sync_id),
    schema_id BIGINT NOT NULL REFERENCES schemas (schema_id),
    files     BIGINT NOT NULL,
    first_id  BIGINT NOT NULL,
    PRIMARY KEY (sync_id, schema_id)
);

CREATE TABLE dataset_schemas (
    path      TEXT COLLATE "C" PRIMARY KEY,
    sync_id   BIGINT NOT NULL,
    schema_id BIGINT NOT NULL REFERENCES schemas (schema_id),
    before_id BIGINT REFERENCES schemas (schema_id)
);

CREATE TABLE schema_policies (
    path   TEXT COLLATE "C" PRIMARY KEY,
    policy TEXT COLLATE "C" NOT NULL CHECK (policy IN ('ignore', 'warn', 'hold'))
);

CREATE TABLE differing_files (
    sync_id    BIGINT NOT NULL REFERENCES syncs (sync_id),
    history_id BIGINT NOT NULL,
    PRIMARY KEY (sync_id, history_id)
);

-- Uploads that have landed and were not inspected yet.
CREATE TABLE uninspected (history_id BIGINT PRIMARY KEY);

CREATE TABLE inspection_attempts (
    history_id BIGINT PRIMARY KEY,
    -- Attempts of which no end is known.
    begun      BIGINT NOT NULL,
    -- Attempts that failed for a reason that may pass,
    failed     BIGINT NOT NULL DEFAULT 0,
    -- and when the next one may be made.
    due_time   BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX inspection_attempts_due ON inspection_attempts (due_time);

-- The audit log: only added to.
CREATE TABLE activity (
    activity_id   BIGINT PRIMARY KEY,
    at            BIGINT NOT NULL,
    what          TEXT COLLATE "C" NOT NULL,
    outcome       TEXT COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    who           TEXT COLLATE "C" NOT NULL,
    role          TEXT COLLATE "C",
    means         TEXT COLLATE "C" NOT NULL,
    key_id        BIGINT,
    address       TEXT COLLATE "C",
    forwarded_for TEXT COLLATE "C",
    program       TEXT COLLATE "C",
    path          TEXT COLLATE "C",
    sync_id       BIGINT,
    subject       TEXT COLLATE "C" NOT NULL,
    message       TEXT COLLATE "C" NOT NULL,
    files         BIGINT,
    bytes         BIGINT
);

CREATE INDEX activity_by_time ON activity (at, activity_id);
CREATE INDEX activity_by_who ON activity (who, activity_id);
CREATE INDEX activity_by_what ON activity (what, activity_id);
CREATE INDEX activity_of_syncs ON activity (sync_id, activity_id) WHERE sync_id IS NOT NULL;

-- The path of each entry, and each path above it.
CREATE TABLE activity_places (
    path        TEXT COLLATE "C" NOT NULL,
    activity_id BIGINT NOT NULL REFERENCES activity (activity_id),
    PRIMARY KEY (path, activity_id)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'activity is only added to';
END
$$;

CREATE TRIGGER activity_is_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON activity
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER activity_places_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON activity_places
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Which lake this database belongs to: the lake root holds the same identity.
CREATE TABLE lake_identity (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- 32 hexadecimal digits, random.
    identity  TEXT COLLATE "C" NOT NULL,
    -- False until the lake root is known to hold it.
    is_paired BOOLEAN NOT NULL DEFAULT FALSE,
    -- Where the lake was at the last start, for people.
    root      TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- Written to find out whether a write would succeed.
    probed_at BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE clock (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- In milliseconds, by a clock that nobody sets.
    seen_ms  BIGINT NOT NULL,
    -- The wall clock at that moment.
    wall_at  BIGINT NOT NULL,
    -- JSON: when the wall clock was set, and by how much; and the times that came twice.
    steps    TEXT COLLATE "C" NOT NULL,
    repeated TEXT COLLATE "C" NOT NULL
);

-- Files that move together, because they are one folder.
CREATE TABLE trees (
    tree_id     BIGINT PRIMARY KEY,
    -- Where it lies, or lay, or is to lie.
    path        TEXT COLLATE "C" NOT NULL,
    is_live     BOOLEAN NOT NULL DEFAULT FALSE,
    -- The slot of the trash that holds it. Neither live nor in the trash: in staging, or gone.
    trash_key   TEXT COLLATE "C",
    -- Of its open entries.
    files       BIGINT NOT NULL DEFAULT 0,
    bytes       BIGINT NOT NULL DEFAULT 0,
    digest      BYTEA NOT NULL,
    -- Rows of its open entries, and of how many of them that number is known.
    row_count   BIGINT NOT NULL DEFAULT 0,
    counted     BIGINT NOT NULL DEFAULT 0,
    -- False: it holds files of which no upload is known.
    is_complete BOOLEAN NOT NULL DEFAULT TRUE
);

CREATE UNIQUE INDEX trees_live ON trees (path) WHERE is_live;
CREATE UNIQUE INDEX trees_in_trash ON trees (trash_key) WHERE trash_key IS NOT NULL;

-- When a tree was live at a path: from the first change on, before the second.
CREATE TABLE tree_spans (
    path      TEXT COLLATE "C" NOT NULL,
    from_seq  BIGINT NOT NULL,
    until_seq BIGINT,
    tree_id   BIGINT NOT NULL REFERENCES trees (tree_id),
    PRIMARY KEY (path, from_seq)
);

CREATE INDEX tree_spans_of_tree ON tree_spans (tree_id, from_seq);

-- Which upload lies at a path of a tree, from one change on, before another; staged files from 0 on.
CREATE TABLE version_files (
    tree_id    BIGINT NOT NULL,
    path       TEXT COLLATE "C" NOT NULL,
    from_seq   BIGINT NOT NULL,
    until_seq  BIGINT,
    history_id BIGINT NOT NULL,
    -- The slot of the trash that holds the file, once it was replaced by another.
    trash_key  TEXT COLLATE "C",
    -- The file was an entry before: a restore has moved it.
    is_copy    BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (tree_id, path, from_seq)
);

CREATE INDEX version_files_copies ON version_files (history_id) WHERE is_copy;
CREATE INDEX version_files_in_trash ON version_files (trash_key) WHERE trash_key IS NOT NULL;

-- By the folder of the dataset's path. Numbers count from 1 without gaps.
CREATE TABLE versions (
    folder_id     BIGINT NOT NULL REFERENCES folders (folder_id),
    number        BIGINT NOT NULL,
    seq           BIGINT NOT NULL,
    -- Ascends with the number, also where the clock was set back.
    at            BIGINT NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL CHECK (kind IN ('publish', 'landing', 'restore')),
    sync_id       BIGINT,
    restored_from BIGINT,
    -- Who, where it is not who started the sync.
    key_id        BIGINT,
    made_by       TEXT COLLATE "C" NOT NULL,
    files         BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    digest        BYTEA NOT NULL,
    is_complete   BOOLEAN NOT NULL DEFAULT TRUE,
    PRIMARY KEY (folder_id, number)
);

CREATE INDEX versions_by_seq ON versions (folder_id, seq);

-- The last change of any dataset.
CREATE TABLE version_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    last_seq BIGINT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO version_state VALUES (1, 0);

-- By how much the rows of a dataset grow with a version, in blocks of 2^span versions; and of how many more files their
-- number is known.
CREATE TABLE version_rows (
    folder_id BIGINT NOT NULL,
    span      BIGINT NOT NULL,
    block     BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    counted   BIGINT NOT NULL,
    PRIMARY KEY (folder_id, span, block)
);

CREATE TABLE version_pins (
    folder_id BIGINT NOT NULL,
    number    BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    path      TEXT COLLATE "C" NOT NULL,
    note      TEXT COLLATE "C" NOT NULL,
    pinned_by TEXT COLLATE "C" NOT NULL,
    pinned_at BIGINT NOT NULL,
    PRIMARY KEY (folder_id, number)
);

CREATE TABLE snapshots (
    snapshot_id BIGINT PRIMARY KEY,
    token       TEXT COLLATE "C" NOT NULL UNIQUE,
    path        TEXT COLLATE "C" NOT NULL,
    number      BIGINT NOT NULL,
    owner       TEXT COLLATE "C" NOT NULL,
    made_by     TEXT COLLATE "C" NOT NULL,
    made_at     BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('making', 'ready', 'dropped'))
);

CREATE INDEX snapshots_by_expiry ON snapshots (expires_at);
