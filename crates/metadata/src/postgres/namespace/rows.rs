//! SQL of the namespace. Ids are passed as arrays, and rows as JSON, so that each statement takes all of them.

use super::super::query::{Row, Value, changed, clamp, found, rows, values};
use super::super::writing::Writing;
use crate::namespace::{FolderBelow, Move, NamespaceRows, NewNode, NewObjectRow, Node, NodeId, ObjectRow};
use crate::row::{bytes_if_any, id, number, time};
use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::totals::Totals;
use lakeshore::ports::namespace::{ObjectCheckpoint, ObjectId, StoredPart, UnreferencedObject};
use lakeshore::{Error, Timestamp};
use sqlx::{PgConnection, Row as _};
use std::collections::BTreeMap;

macro_rules! node_columns {
    () => {
        "n.node_id, n.parent_id, n.name, n.object_id, n.size_bytes, n.modified_at, n.changed_at, n.changes"
    };
}

/// Folders of a tree, from its top down.
macro_rules! folders_below {
    () => {
        "WITH RECURSIVE below (node_id) AS (SELECT $1 UNION ALL \
         SELECT n.node_id FROM below JOIN nodes n ON n.parent_id = below.node_id AND NOT n.is_file) "
    };
}

/// Lock of a node that decides what a transaction writes.
macro_rules! locking {
    ($sql:expr) => {
        concat!($sql, " FOR NO KEY UPDATE OF n")
    };
}

/// Rows of one transaction.
pub(super) struct PostgresRows<'c> {
    connection: &'c mut PgConnection,
    writes: bool,
}

impl<'c> PostgresRows<'c> {
    pub(super) fn reading(connection: &'c mut PgConnection) -> Self {
        Self { connection, writes: false }
    }

    pub(super) fn writing(writing: &'c mut Writing) -> Self {
        Self { connection: writing, writes: true }
    }

    async fn change(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, Error> {
        changed(self.connection, sql, values).await
    }
}

fn node(row: &Row) -> sqlx::Result<Node> {
    Ok(Node {
        node: NodeId(row.try_get("node_id")?),
        parent: NodeId(row.try_get("parent_id")?),
        name: row.try_get("name")?,
        object: row.try_get::<Option<i64>, _>("object_id")?.map(ObjectId),
        size_bytes: number(row, "size_bytes")?,
        modified_at: time(row, "modified_at")?,
        changed_at: time(row, "changed_at")?,
        changes: number(row, "changes")?,
    })
}

fn object(row: &Row) -> sqlx::Result<ObjectId> {
    row.try_get("object_id").map(ObjectId)
}

/// Object of a file; `None` for a folder.
fn object_if_any(row: &Row) -> sqlx::Result<Option<ObjectId>> {
    Ok(row.try_get::<Option<i64>, _>("object_id")?.map(ObjectId))
}

/// The tail of a checkpoint, where it has one.
fn tail(row: &Row) -> sqlx::Result<Option<ObjectId>> {
    Ok(row.try_get::<Option<i64>, _>("tail_id")?.map(ObjectId))
}

fn node_ids(nodes: &[NodeId]) -> Value {
    Value::Integers(nodes.iter().map(|node| node.0).collect())
}

fn object_ids(objects: &[ObjectId]) -> Value {
    Value::Integers(objects.iter().map(|object| object.0).collect())
}

#[async_trait]
impl NamespaceRows for PostgresRows<'_> {
    async fn nodes_named(&mut self, names: &[(NodeId, String)]) -> Result<Vec<Node>, Error> {
        const NAMED: &str = concat!(
            "SELECT ",
            node_columns!(),
            " FROM unnest($1, $2) AS w (parent_id, name) JOIN nodes n ON n.parent_id = w.parent_id AND n.name = w.name"
        );
        const LOCKED: &str = locking!(concat!(
            "SELECT ",
            node_columns!(),
            " FROM unnest($1, $2) AS w (parent_id, name) JOIN nodes n ON n.parent_id = w.parent_id AND n.name = w.name"
        ));
        let parents = Value::Integers(names.iter().map(|(parent, _)| parent.0).collect());
        let names = Value::texts(names.iter().map(|(_, name)| name.as_str()));
        rows(self.connection, if self.writes { LOCKED } else { NAMED }, vec![parents, names], node).await
    }

    async fn node(&mut self, wanted: NodeId) -> Result<Option<Node>, Error> {
        let sql = concat!("SELECT ", node_columns!(), " FROM nodes n WHERE n.node_id = $1");
        found(self.connection, sql, values![wanted.0], node).await
    }

    async fn page(&mut self, folder: NodeId, from: u64, size: u64) -> Result<Vec<Node>, Error> {
        let sql = concat!(
            "SELECT ",
            node_columns!(),
            " FROM nodes n WHERE n.parent_id = $1 ORDER BY n.is_file, n.name LIMIT $2 OFFSET $3"
        );
        rows(self.connection, sql, values![folder.0, clamp(size), clamp(from)], node).await
    }

    async fn has_files_below(&mut self, folder: NodeId) -> Result<bool, Error> {
        let sql = concat!(
            folders_below!(),
            "SELECT 1 FROM below JOIN nodes n ON n.parent_id = below.node_id AND n.is_file LIMIT 1"
        );
        Ok(found(self.connection, sql, values![folder.0], |_| Ok(())).await?.is_some())
    }

    async fn totals_below(&mut self, folder: NodeId) -> Result<Totals, Error> {
        let sql = concat!(
            folders_below!(),
            "SELECT count(*) AS files, coalesce(sum(n.size_bytes), 0)::bigint AS bytes \
             FROM below JOIN nodes n ON n.parent_id = below.node_id AND n.is_file"
        );
        let totals = |row: &Row| Ok(Totals { files: number(row, "files")?, bytes: number(row, "bytes")? });
        Ok(found(self.connection, sql, values![folder.0], totals).await?.unwrap_or_default())
    }

    async fn folders_below(&mut self, folder: NodeId, size: u64) -> Result<Vec<FolderBelow>, Error> {
        let sql = "WITH RECURSIVE below (node_id, path, changes) AS ( \
                   SELECT node_id, ''::text COLLATE \"C\", changes FROM nodes WHERE node_id = $1 UNION ALL \
                   SELECT n.node_id, CASE below.path WHEN '' THEN n.name ELSE below.path || '/' || n.name END, n.changes \
                   FROM below JOIN nodes n ON n.parent_id = below.node_id AND NOT n.is_file) \
                   SELECT node_id, path, changes FROM below LIMIT $2";
        let folder_below = |row: &Row| {
            let node = NodeId(row.try_get("node_id")?);
            Ok(FolderBelow { path: row.try_get("path")?, node, changes: number(row, "changes")? })
        };
        rows(self.connection, sql, values![folder.0, clamp(size)], folder_below).await
    }

    async fn insert_nodes(&mut self, new: &[NewNode], at: Timestamp) -> Result<Vec<Node>, Error> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let sql = concat!(
            "INSERT INTO nodes AS n (parent_id, name, is_file, object_id, size_bytes, modified_at, changed_at) \
             SELECT (value ->> 0)::bigint, value ->> 1, (value ->> 2) IS NOT NULL, (value ->> 2)::bigint, \
                 (value ->> 3)::bigint, $2, $2 FROM json_each($1) RETURNING ",
            node_columns!()
        );
        let inserted: Vec<_> = new
            .iter()
            .map(|new| (new.parent.0, &new.name, new.object.map(|object| object.0), clamp(new.size_bytes)))
            .collect();
        rows(self.connection, sql, vec![Value::rows(&inserted)?, Value::Integer(at.0)], node).await
    }

    async fn move_nodes(&mut self, moves: &[Move]) -> Result<(), Error> {
        if moves.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE nodes SET parent_id = (w.value ->> 1)::bigint, name = w.value ->> 2 FROM json_each($1) w \
                   WHERE node_id = (w.value ->> 0)::bigint";
        let moved: Vec<_> = moves.iter().map(|to| (to.node.0, to.parent.0, &to.name)).collect();
        self.change(sql, vec![Value::rows(&moved)?]).await.map(drop)
    }

    async fn touch(&mut self, folders: &[NodeId], at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE nodes SET changes = changes + 1, modified_at = $2 WHERE node_id = ANY($1)";
        self.change(sql, vec![node_ids(folders), Value::Integer(at.0)]).await.map(drop)
    }

    async fn set_object(
        &mut self,
        node: NodeId,
        object: ObjectId,
        size_bytes: u64,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sql =
            "UPDATE nodes SET object_id = $1, size_bytes = $2, modified_at = $3, changed_at = $3 WHERE node_id = $4";
        self.change(sql, values![object.0, clamp(size_bytes), at.0, node.0]).await.map(drop)
    }

    async fn delete_nodes(&mut self, nodes: &[NodeId]) -> Result<Vec<ObjectId>, Error> {
        let sql = "DELETE FROM nodes WHERE node_id = ANY($1) RETURNING object_id";
        let deleted = rows(self.connection, sql, vec![node_ids(nodes)], object_if_any).await?;
        Ok(deleted.into_iter().flatten().collect())
    }

    async fn delete_files_in(&mut self, folder: NodeId, size: u64) -> Result<Vec<ObjectId>, Error> {
        let sql = "DELETE FROM nodes WHERE node_id = ANY(ARRAY( \
                   SELECT node_id FROM nodes WHERE parent_id = $1 AND is_file LIMIT $2)) RETURNING object_id";
        rows(self.connection, sql, values![folder.0, clamp(size)], object).await
    }

    async fn objects(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectRow>, Error> {
        let sql =
            "SELECT object_id, key, size_bytes, sha256, is_whole, multipart_id FROM objects WHERE object_id = ANY($1)";
        let object_row = |row: &Row| {
            Ok(ObjectRow {
                object: object(row)?,
                key: ObjectKey::remembered(row.try_get("key")?),
                size_bytes: number(row, "size_bytes")?,
                sha256: bytes_if_any(row, "sha256")?,
                is_whole: row.try_get("is_whole")?,
                multipart_id: row.try_get("multipart_id")?,
            })
        };
        rows(self.connection, sql, vec![object_ids(objects)], object_row).await
    }

    async fn insert_objects(
        &mut self,
        new: &[NewObjectRow],
        at: Timestamp,
        unreferenced_at: Option<Timestamp>,
    ) -> Result<Vec<ObjectId>, Error> {
        let sql = "INSERT INTO objects (key, size_bytes, sha256, created_at, unreferenced_at) \
                   SELECT value ->> 0, (value ->> 1)::bigint, decode(value ->> 2, 'hex'), $2, $3::bigint \
                   FROM json_each($1) RETURNING object_id, key";
        let inserted: Vec<_> =
            new.iter().map(|new| (new.key.as_str(), clamp(new.size_bytes), new.sha256.map(hex::encode))).collect();
        let values = vec![
            Value::rows(&inserted)?,
            Value::Integer(at.0),
            unreferenced_at.map_or(Value::Null, |at| Value::Integer(at.0)),
        ];
        let keyed = |row: &Row| Ok((row.try_get::<String, _>("key")?, object(row)?));
        let ids: BTreeMap<_, _> = rows(self.connection, sql, values, keyed).await?.into_iter().collect();
        let id_of = |new: &NewObjectRow| ids.get(new.key.as_str()).copied().ok_or(Error::BytesLost);
        new.iter().map(id_of).collect()
    }

    async fn mark_whole(&mut self, objects: &[ObjectId]) -> Result<(), Error> {
        let sql = "UPDATE objects SET is_whole = TRUE WHERE object_id = ANY($1) AND NOT is_whole";
        self.change(sql, vec![object_ids(objects)]).await.map(drop)
    }

    async fn seal_object(&mut self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE objects SET size_bytes = $2, sha256 = $3, is_whole = TRUE, multipart_id = NULL \
                   WHERE object_id = $1; \
                   UPDATE nodes SET size_bytes = $2, modified_at = $4, changed_at = $4 WHERE object_id = $1";
        let values = values![object.0, id(digest.size_bytes), digest.sha256, at.0];
        self.change(sql, values).await.map(drop)
    }

    /// Locks the file: an upload that goes on is not discarded meanwhile.
    async fn has_files_of(&mut self, object: ObjectId) -> Result<bool, Error> {
        let sql = match self.writes {
            true => locking!("SELECT 1 FROM nodes n WHERE n.object_id = $1 LIMIT 1"),
            false => "SELECT 1 FROM nodes n WHERE n.object_id = $1 LIMIT 1",
        };
        Ok(found(self.connection, sql, values![object.0], |_| Ok(())).await?.is_some())
    }

    async fn set_multipart(&mut self, object: ObjectId, multipart_id: &str) -> Result<(), Error> {
        let sql = "UPDATE objects SET multipart_id = $1 WHERE object_id = $2";
        match self.change(sql, values![multipart_id, object.0]).await? {
            0 => Err(Error::BytesLost),
            _ => Ok(()),
        }
    }

    async fn mark_unreferenced(&mut self, objects: &[ObjectId], at: Timestamp) -> Result<Vec<ObjectId>, Error> {
        let sql = "UPDATE objects o SET unreferenced_at = $2 WHERE o.object_id = ANY($1) AND o.unreferenced_at IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.object_id = o.object_id) \
                   AND NOT EXISTS (SELECT 1 FROM object_checkpoints c WHERE c.tail_id = o.object_id) \
                   RETURNING o.object_id";
        rows(self.connection, sql, vec![object_ids(objects), Value::Integer(at.0)], object).await
    }

    async fn mark_referenced(&mut self, object: ObjectId) -> Result<bool, Error> {
        let sql = "UPDATE objects SET unreferenced_at = NULL WHERE object_id = $1";
        Ok(self.change(sql, values![object.0]).await? > 0)
    }

    async fn parts(&mut self, object: ObjectId) -> Result<Vec<StoredPart>, Error> {
        let sql = "SELECT content_id, size_bytes FROM object_parts WHERE object_id = $1 ORDER BY number";
        let part = |row: &Row| {
            Ok(StoredPart { content_id: row.try_get("content_id")?, size_bytes: number(row, "size_bytes")? })
        };
        rows(self.connection, sql, values![object.0], part).await
    }

    async fn set_parts(&mut self, object: ObjectId, first: u64, parts: &[StoredPart]) -> Result<(), Error> {
        let sql = "DELETE FROM object_parts WHERE object_id = $1 AND number >= $2; \
                   INSERT INTO object_parts (object_id, number, content_id, size_bytes) \
                   SELECT $1, $2 + key, value ->> 0, (value ->> 1)::bigint FROM json_each($3)";
        let parts: Vec<_> = parts.iter().map(|part| (&part.content_id, clamp(part.size_bytes))).collect();
        let values = vec![Value::Integer(object.0), Value::Integer(clamp(first)), Value::rows(&parts)?];
        self.change(sql, values).await.map(drop)
    }

    async fn checkpoints(&mut self, object: ObjectId) -> Result<Vec<ObjectCheckpoint>, Error> {
        let sql = "SELECT c.offset_bytes, c.hash_state, c.parts, c.parts_bytes, c.tail_id, o.key \
                   FROM object_checkpoints c LEFT JOIN objects o ON o.object_id = c.tail_id \
                   WHERE c.object_id = $1 ORDER BY c.offset_bytes";
        let checkpoint = |row: &Row| {
            let key = row.try_get::<Option<String>, _>("key")?.map(ObjectKey::remembered);
            Ok(ObjectCheckpoint {
                offset: number(row, "offset_bytes")?,
                hash_state: row.try_get("hash_state")?,
                parts: number(row, "parts")?,
                parts_bytes: number(row, "parts_bytes")?,
                tail: tail(row)?.zip(key),
            })
        };
        rows(self.connection, sql, values![object.0], checkpoint).await
    }

    async fn insert_checkpoint(&mut self, object: ObjectId, checkpoint: &ObjectCheckpoint) -> Result<(), Error> {
        let sql = "INSERT INTO object_checkpoints (object_id, offset_bytes, hash_state, parts, parts_bytes, tail_id) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let ObjectCheckpoint { offset, hash_state, parts, parts_bytes, tail } = checkpoint;
        let tail = tail.as_ref().map(|(tail, _)| tail.0);
        let values = values![object.0, clamp(*offset), hash_state, clamp(*parts), clamp(*parts_bytes), tail];
        self.change(sql, values).await.map(drop)
    }

    async fn delete_checkpoints(&mut self, object: ObjectId, offsets: &[u64]) -> Result<Vec<ObjectId>, Error> {
        let sql = "DELETE FROM object_checkpoints WHERE object_id = $1 AND offset_bytes = ANY($2) RETURNING tail_id";
        let offsets = Value::Integers(offsets.iter().map(|offset| clamp(*offset)).collect());
        let tails = rows(self.connection, sql, vec![Value::Integer(object.0), offsets], tail).await?;
        Ok(tails.into_iter().flatten().collect())
    }

    async fn delete_checkpoints_of(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        let sql = "DELETE FROM object_checkpoints WHERE object_id = ANY($1) RETURNING tail_id";
        let tails = rows(self.connection, sql, vec![object_ids(objects)], tail).await?;
        Ok(tails.into_iter().flatten().collect())
    }

    async fn unreferenced(&mut self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error> {
        let sql = "SELECT object_id, key, multipart_id, NOT is_whole AND size_bytes = 0 AS is_unfinished FROM objects \
                   WHERE unreferenced_at <= $1 ORDER BY unreferenced_at LIMIT $2";
        let unreferenced = |row: &Row| {
            Ok(UnreferencedObject {
                object: object(row)?,
                key: ObjectKey::remembered(row.try_get("key")?),
                multipart_id: row.try_get("multipart_id")?,
                is_unfinished: row.try_get("is_unfinished")?,
            })
        };
        rows(self.connection, sql, values![before.0, clamp(size)], unreferenced).await
    }

    async fn delete_objects(&mut self, objects: &[ObjectId]) -> Result<(), Error> {
        let sql = "DELETE FROM object_parts WHERE object_id = ANY($1); \
                   DELETE FROM objects WHERE object_id = ANY($1) AND unreferenced_at IS NOT NULL";
        self.change(sql, vec![object_ids(objects)]).await.map(drop)
    }
}
