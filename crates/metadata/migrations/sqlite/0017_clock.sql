-- How much time the servers of this lake have seen pass, and the steps that the wall clock has made. At most one row.
CREATE TABLE clock (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- In milliseconds, by a clock that nobody sets.
    seen_ms  INTEGER NOT NULL,
    -- The wall clock at that moment.
    wall_at  INTEGER NOT NULL,
    -- JSON: when the wall clock was set, and by how much; and the times that came twice because it was set back.
    steps    TEXT    NOT NULL,
    repeated TEXT    NOT NULL
) STRICT;
