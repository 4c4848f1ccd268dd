-- Attempts at reading files that have landed, and the differences as lists show them.

-- A file that is being read, or could not be: no longer in the table of those that nobody has tried yet. A row goes when
-- what was read is remembered.
CREATE TABLE inspection_attempts (
    history_id INTEGER PRIMARY KEY,
    -- Attempts of which no end is known: the server may have ended with them.
    begun      INTEGER NOT NULL,
    -- Attempts that failed for a reason that may pass,
    failed     INTEGER NOT NULL DEFAULT 0,
    -- and when the next one may be made.
    due_time   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX inspection_attempts_due ON inspection_attempts (due_time);

-- In JSON, the first columns of each kind and the numbers of all. Absent in rows from before: told anew from the two schemas.
ALTER TABLE file_schemas ADD COLUMN difference TEXT;
