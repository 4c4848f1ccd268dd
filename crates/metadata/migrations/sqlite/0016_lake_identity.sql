-- Which lake this database belongs to: the lake root holds the same identity, in .lakeshore/identity. At most one row.
CREATE TABLE lake_identity (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- 32 hexadecimal digits, random.
    identity  TEXT    NOT NULL,
    -- 0 until the lake root is known to hold it: a start that was cut short between the two is finished by the next.
    is_paired INTEGER NOT NULL DEFAULT 0 CHECK (is_paired IN (0, 1)),
    -- Where the lake was at the last start, for people.
    root      TEXT    NOT NULL DEFAULT '',
    -- Written to find out whether a write would succeed.
    probed_at INTEGER NOT NULL DEFAULT 0
) STRICT;
