-- Events of several processes that serve the lake together. Numbers are allocated from the one row, which is locked until the
-- commit: so they have no gaps, and become visible in their order.
CREATE TABLE event_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Numbers of another start mean other events.
    start    BIGINT NOT NULL,
    last     BIGINT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO event_log VALUES (1, 0, 0);

CREATE TABLE events (
    number  BIGINT PRIMARY KEY,
    kind    TEXT COLLATE "C" NOT NULL,
    json    TEXT COLLATE "C" NOT NULL,
    sync_id BIGINT,
    path    TEXT COLLATE "C"
);

-- Uploads in flight, as the process told last whose request sends them. Rows of uploads that have ended mean nothing.
CREATE TABLE uploads_told (
    history_id   BIGINT PRIMARY KEY,
    serving_node BIGINT NOT NULL,
    -- Whether a request sends it at this moment.
    has_request  BOOLEAN NOT NULL,
    -- The event of its progress.
    json         TEXT COLLATE "C" NOT NULL
) WITH (fillfactor = 50);
