-- A full sync takes unchanged files over from the dataset. And a row that is Finished keeps the identity of its file, by
-- which the file is known again; rows from before have none, and their files are sent once more.

ALTER TABLE uploads ADD COLUMN taken_over INTEGER NOT NULL DEFAULT 0;
