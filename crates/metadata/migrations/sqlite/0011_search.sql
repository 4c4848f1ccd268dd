-- Datasets and syncs by any three letters of their paths and names. Only the index is kept; the texts are where they were.

-- By the folder that is the dataset's path.
CREATE VIRTUAL TABLE dataset_search USING fts5 (path, content = '', contentless_delete = 1, tokenize = 'trigram');
INSERT INTO dataset_search (rowid, path) SELECT folder_id, path FROM datasets JOIN folders USING (path);

CREATE TRIGGER datasets_found AFTER INSERT ON datasets BEGIN
    INSERT INTO dataset_search (rowid, path) SELECT folder_id, path FROM folders WHERE path = new.path;
END;

CREATE TRIGGER datasets_forgotten AFTER DELETE ON datasets BEGIN
    DELETE FROM dataset_search WHERE rowid = (SELECT folder_id FROM folders WHERE path = old.path);
END;

-- What is indexed of a sync stays as it was when it started.
CREATE VIRTUAL TABLE sync_search USING fts5 (
    name, path, content = 'syncs', content_rowid = 'sync_id', columnsize = 0, tokenize = 'trigram'
);
INSERT INTO sync_search (sync_search) VALUES ('rebuild');

CREATE TRIGGER syncs_found AFTER INSERT ON syncs BEGIN
    INSERT INTO sync_search (rowid, name, path) VALUES (new.sync_id, new.name, new.path);
END;
