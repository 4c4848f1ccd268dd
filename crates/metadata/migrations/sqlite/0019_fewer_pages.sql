-- Each landing writes to fewer pages: indexes no longer contain counters that change with it.

DROP INDEX day_counts_by_day;
CREATE INDEX day_counts_by_day ON day_counts (day, folder_id);

-- Set where `change` differs from `counted_change`. A landing in a dataset that is waiting for its count does not set it
-- again, so it leaves the index alone.
ALTER TABLE datasets ADD COLUMN is_uncounted INTEGER NOT NULL DEFAULT 1;
UPDATE datasets SET is_uncounted = 0 WHERE change = counted_change;
DROP INDEX datasets_uncounted;
CREATE INDEX datasets_uncounted ON datasets (count_after) WHERE is_uncounted = 1;
