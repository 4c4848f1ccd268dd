-- Processes that serve the lake. Elsewhere a "node" is a file or folder of the namespace, so the columns that name a process
-- here are called serving_….
CREATE TABLE serving_nodes (
    -- Never given twice: a process that starts again is another one.
    serving_node BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- For people: the process, the host and the lake.
    holder       TEXT COLLATE "C" NOT NULL,
    -- Those that serve one lake together have the same, by which the bucket knows them.
    group_name   TEXT COLLATE "C" NOT NULL,
    -- Key of what they sign for each other. Unlike the name, it stays in the database.
    group_secret BYTEA NOT NULL,
    -- Grows while the process lives: whoever sees it stand still for long enough fences the process.
    beats        BIGINT NOT NULL DEFAULT 0,
    started_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    seen_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- False while it recovers what was left by all others.
    is_ready     BOOLEAN NOT NULL,
    -- Since when it writes nothing any more, whether it has ended or not.
    fenced_at    TIMESTAMPTZ,
    -- Its unfinished work was completed or undone.
    is_recovered BOOLEAN NOT NULL DEFAULT FALSE
) WITH (fillfactor = 50);

-- The process of this transaction; NULL in a command.
CREATE FUNCTION serving_node() RETURNS BIGINT LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('lakeshore.serving_node', TRUE), '')::bigint
$$;

-- Whether a process other than `own` may still write.
CREATE FUNCTION is_at_work(of_node BIGINT, own BIGINT) RETURNS BOOLEAN LANGUAGE sql STABLE AS $$
    SELECT of_node IS NOT NULL AND of_node IS DISTINCT FROM own
        AND EXISTS (SELECT 1 FROM serving_nodes n WHERE n.serving_node = of_node AND n.fenced_at IS NULL)
$$;

CREATE FUNCTION is_of_another(of_node BIGINT) RETURNS BOOLEAN LANGUAGE sql STABLE AS $$
    SELECT is_at_work(of_node, serving_node())
$$;

-- First step of a transaction that writes. A process that serves passes its number, and is refused once it is fenced. Who
-- recovers what it has left waits for the transactions that passed, by the advisory lock (7001, its number).
DROP FUNCTION begin_write(BIGINT, BIGINT);
CREATE FUNCTION begin_write(of_token BIGINT, of_node BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lakeshore.serving_node', coalesce(of_node::text, ''), TRUE);
    IF of_node IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(7001, of_node::int);
        IF NOT EXISTS (SELECT 1 FROM serving_nodes WHERE serving_node = of_node AND fenced_at IS NULL) THEN
            RAISE EXCEPTION 'another node has taken over this lake' USING ERRCODE = 'LS001';
        END IF;
    END IF;
    INSERT INTO commits (token) VALUES (of_token);
END
$$;

DROP TABLE lake_node;

-- Who has made an upload that has not landed: if it is fenced, nobody goes on with it, unless it can be resumed.
ALTER TABLE nodes ADD COLUMN serving_node BIGINT DEFAULT serving_node();
ALTER TABLE uploads ADD COLUMN serving_node BIGINT DEFAULT serving_node();

-- Syncs that a process ends, compares or declares. Landings of other processes wait.
CREATE TABLE sync_gates (
    sync_id      BIGINT PRIMARY KEY,
    serving_node BIGINT NOT NULL,
    -- Number of the hold, of those of one process.
    hold         BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Who has started a sync: one that restores a version is ended where its process is fenced.
ALTER TABLE syncs ADD COLUMN serving_node BIGINT DEFAULT serving_node();
-- Whose restore it is: the key that may abort it at any process.
ALTER TABLE syncs ADD COLUMN serving_restorer TEXT COLLATE "C";

-- Whose request goes on with the upload, and the number of the hold, of those of one process; and whether another process
-- wants to.
ALTER TABLE resumables ADD COLUMN serving_node BIGINT, ADD COLUMN serving_hold BIGINT,
    ADD COLUMN serving_wanted BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX resumables_wanted ON resumables (serving_node) WHERE serving_wanted;

-- Who restores the item, while it does.
ALTER TABLE trash ADD COLUMN serving_node BIGINT;
CREATE FUNCTION note_restorer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.serving_node := CASE WHEN NEW.restoring IS NULL THEN NULL ELSE serving_node() END;
    RETURN NEW;
END
$$;
CREATE TRIGGER trash_restorer BEFORE UPDATE OF restoring ON trash FOR EACH ROW EXECUTE FUNCTION note_restorer();
