-- The namespace of a lake on object storage. A folder or a file is a node. The bytes of a file are an object, which never
-- changes, and which several files may have.
CREATE TABLE objects (
    object_id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    -- Of the whole object. NULL while its bytes are not known.
    sha256 BLOB,
    -- All of its bytes are in the bucket.
    is_whole INTEGER NOT NULL DEFAULT 0,
    -- The multipart upload by which it is written, until it is whole.
    multipart_id TEXT,
    created_at INTEGER NOT NULL,
    -- Since when no node and no checkpoint refers to it. Its row goes after its bytes.
    unreferenced_at INTEGER
);
CREATE INDEX objects_unreferenced ON objects (unreferenced_at) WHERE unreferenced_at IS NOT NULL;

-- Parts of the multipart upload of an object, numbered from 0.
CREATE TABLE object_parts (
    object_id INTEGER NOT NULL REFERENCES objects,
    number INTEGER NOT NULL,
    content_id TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (object_id, number)
) WITHOUT ROWID;

-- How far an object that is not whole is in the bucket: its first parts, then the beginning of a tail.
CREATE TABLE object_checkpoints (
    object_id INTEGER NOT NULL REFERENCES objects,
    offset_bytes INTEGER NOT NULL,
    hash_state BLOB NOT NULL,
    parts INTEGER NOT NULL,
    parts_bytes INTEGER NOT NULL,
    tail_id INTEGER REFERENCES objects,
    PRIMARY KEY (object_id, offset_bytes)
) WITHOUT ROWID;
CREATE INDEX object_checkpoints_of_tail ON object_checkpoints (tail_id) WHERE tail_id IS NOT NULL;

CREATE TABLE nodes (
    -- Never used twice: it is the identity of a file or folder.
    node_id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    is_file INTEGER NOT NULL,
    object_id INTEGER REFERENCES objects,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    -- Of a folder: when a name in it last came or went.
    modified_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    -- Of a folder: how often a name in it came, went, or became another file's.
    changes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (parent_id, name)
);
-- A page of a folder: its folders, then its files, each by name.
CREATE INDEX nodes_in_order ON nodes (parent_id, is_file, name);
CREATE INDEX nodes_of_object ON nodes (object_id) WHERE object_id IS NOT NULL;

-- What readers see, uploads that have not landed, staging, trash.
INSERT INTO nodes (node_id, parent_id, name, is_file, modified_at, changed_at) VALUES
    (1, 0, 'live', 0, 0, 0), (2, 0, 'uploads', 0, 0, 0), (3, 0, 'staging', 0, 0, 0), (4, 0, 'trash', 0, 0, 0);
