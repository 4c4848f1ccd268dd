//! SQL of the namespace. Ids and names are passed as JSON arrays, so that each statement takes all of its rows.

use super::{FolderBelow, Move, NamespaceRows, NewNode, NewObjectRow, Node, NodeId, ObjectRow};
use crate::query::{
    self, Connection, Dialect, RowOf, Value, WritingConnection, clamp, execute, execute_returning, fetch_optional,
    values,
};
use crate::row::{DbRow, bytes_if_any, id, number, time};
use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::totals::Totals;
use lakeshore::ports::namespace::{ObjectCheckpoint, ObjectId, StoredPart, UnreferencedObject};
use lakeshore::{Error, Timestamp};
use std::collections::BTreeMap;
use std::io;

macro_rules! node_columns {
    ($table:literal) => {
        concat!(
            $table,
            "node_id, ",
            $table,
            "parent_id, ",
            $table,
            "name, ",
            $table,
            "object_id, ",
            $table,
            "size_bytes, ",
            $table,
            "modified_at, ",
            $table,
            "changed_at, ",
            $table,
            "changes"
        )
    };
}

/// Folders of a tree, from its top down.
macro_rules! folders_below {
    () => {
        "WITH RECURSIVE below (node_id) AS (SELECT CAST($1 AS BIGINT) UNION ALL \
         SELECT n.node_id FROM below CROSS JOIN nodes n WHERE n.parent_id = below.node_id AND n.is_file = FALSE) "
    };
}

/// Rows that are listed by the ids of a JSON array.
macro_rules! ids {
    ($place:literal) => {
        concat!("(SELECT CAST(value ->> 0 AS BIGINT) FROM json_each(", $place, "))")
    };
}

/// Rows of one transaction, on a connection that reads or one that writes.
pub(crate) enum SqlRows<'c, R, W> {
    Reading(&'c mut R),
    Writing(&'c mut W),
}

impl<R: Connection, W: WritingConnection<Db = R::Db>> SqlRows<'_, R, W> {
    async fn fetch_all<T: Send>(
        &mut self,
        sql: impl Into<query::Sql> + Send,
        values: Vec<Value>,
        decode: impl FnMut(&RowOf<R>) -> sqlx::Result<T> + Send,
    ) -> Result<Vec<T>, Error> {
        match self {
            Self::Reading(connection) => query::fetch_all(*connection, sql, values, decode).await,
            Self::Writing(writing) => query::fetch_all(*writing, sql, values, decode).await,
        }
    }

    async fn fetch_optional<T: Send>(
        &mut self,
        sql: impl Into<query::Sql> + Send,
        values: Vec<Value>,
        decode: impl FnOnce(&RowOf<R>) -> sqlx::Result<T> + Send,
    ) -> Result<Option<T>, Error> {
        match self {
            Self::Reading(connection) => fetch_optional(*connection, sql, values, decode).await,
            Self::Writing(writing) => fetch_optional(*writing, sql, values, decode).await,
        }
    }

    /// Follows a statement that reads nodes `n`: where they decide what is written, they are locked.
    fn locking(&self) -> &'static str {
        match self {
            Self::Reading(_) => "",
            Self::Writing(_) => R::Db::LOCKING_NODES,
        }
    }

    fn writer(&mut self) -> Result<&mut W, Error> {
        match self {
            Self::Writing(writing) => Ok(writing),
            Self::Reading(_) => Err(Error::internal(io::Error::other("a reading transaction was to write"))),
        }
    }

    async fn change(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, Error> {
        execute(self.writer()?, sql, values).await
    }
}

fn node(row: &impl DbRow) -> sqlx::Result<Node> {
    Ok(Node {
        node: NodeId(row.get("node_id")?),
        parent: NodeId(row.get("parent_id")?),
        name: row.get("name")?,
        object: object_if_any(row)?,
        size_bytes: number(row, "size_bytes")?,
        modified_at: time(row, "modified_at")?,
        changed_at: time(row, "changed_at")?,
        changes: number(row, "changes")?,
    })
}

fn object(row: &impl DbRow) -> sqlx::Result<ObjectId> {
    row.get("object_id").map(ObjectId)
}

/// Object of a file; `None` for a folder.
fn object_if_any(row: &impl DbRow) -> sqlx::Result<Option<ObjectId>> {
    Ok(row.get::<Option<i64>>("object_id")?.map(ObjectId))
}

/// The tail of a checkpoint, where it has one.
fn tail(row: &impl DbRow) -> sqlx::Result<Option<ObjectId>> {
    Ok(row.get::<Option<i64>>("tail_id")?.map(ObjectId))
}

fn node_ids(nodes: &[NodeId]) -> Result<Value, Error> {
    Value::column(nodes.iter().map(|node| node.0))
}

fn object_ids(objects: &[ObjectId]) -> Result<Value, Error> {
    Value::column(objects.iter().map(|object| object.0))
}

#[async_trait]
impl<R: Connection, W: WritingConnection<Db = R::Db>> NamespaceRows for SqlRows<'_, R, W> {
    async fn nodes_named(&mut self, names: &[(NodeId, String)]) -> Result<Vec<Node>, Error> {
        let sql = concat!(
            "SELECT ",
            node_columns!("n."),
            " FROM json_each(?) CROSS JOIN nodes n \
             WHERE n.parent_id = CAST(value ->> 0 AS BIGINT) AND n.name = value ->> 1"
        );
        let names: Vec<_> = names.iter().map(|(parent, name)| (parent.0, name)).collect();
        let sql = format!("{sql}{}", self.locking());
        self.fetch_all(sql, vec![Value::rows(&names)?], node).await
    }

    async fn node(&mut self, wanted: NodeId) -> Result<Option<Node>, Error> {
        let sql = concat!("SELECT ", node_columns!("n."), " FROM nodes n WHERE n.node_id = ?");
        self.fetch_optional(sql, values![wanted.0], node).await
    }

    async fn page(&mut self, folder: NodeId, from: u64, size: u64) -> Result<Vec<Node>, Error> {
        let sql = concat!(
            "SELECT ",
            node_columns!("n."),
            " FROM nodes n WHERE n.parent_id = ? ORDER BY n.is_file, n.name LIMIT ? OFFSET ?"
        );
        self.fetch_all(sql, values![folder.0, clamp(size), clamp(from)], node).await
    }

    async fn has_files_below(&mut self, folder: NodeId) -> Result<bool, Error> {
        let sql = concat!(
            folders_below!(),
            "SELECT 1 FROM below CROSS JOIN nodes n WHERE n.parent_id = below.node_id AND n.is_file = TRUE LIMIT 1"
        );
        Ok(self.fetch_optional(sql, values![folder.0], |_| Ok(())).await?.is_some())
    }

    async fn totals_below(&mut self, folder: NodeId) -> Result<Totals, Error> {
        let sql = concat!(
            folders_below!(),
            "SELECT count(*) AS files, CAST(coalesce(sum(n.size_bytes), 0) AS BIGINT) AS bytes \
             FROM below CROSS JOIN nodes n WHERE n.parent_id = below.node_id AND n.is_file = TRUE"
        );
        let totals = |row: &RowOf<R>| Ok(Totals { files: number(row, "files")?, bytes: number(row, "bytes")? });
        Ok(self.fetch_optional(sql, values![folder.0], totals).await?.unwrap_or_default())
    }

    async fn folders_below(&mut self, folder: NodeId, size: u64) -> Result<Vec<FolderBelow>, Error> {
        let sql = "WITH RECURSIVE below (node_id, path, changes) AS ( \
                   SELECT node_id, substr(name, 1, 0), changes FROM nodes WHERE node_id = $1 UNION ALL \
                   SELECT n.node_id, CASE below.path WHEN '' THEN n.name ELSE below.path || '/' || n.name END, n.changes \
                   FROM below CROSS JOIN nodes n WHERE n.parent_id = below.node_id AND n.is_file = FALSE) \
                   SELECT node_id, path, changes FROM below LIMIT $2";
        let folder_below = |row: &RowOf<R>| {
            let node = NodeId(row.get("node_id")?);
            Ok(FolderBelow { path: row.get("path")?, node, changes: number(row, "changes")? })
        };
        self.fetch_all(sql, values![folder.0, clamp(size)], folder_below).await
    }

    async fn insert_nodes(&mut self, new: &[NewNode], at: Timestamp) -> Result<Vec<Node>, Error> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let sql = concat!(
            "INSERT INTO nodes (parent_id, name, is_file, object_id, size_bytes, modified_at, changed_at) \
             SELECT CAST(value ->> 0 AS BIGINT), value ->> 1, (value ->> 2) IS NOT NULL, CAST(value ->> 2 AS BIGINT), \
                 CAST(value ->> 3 AS BIGINT), $2, $2 FROM json_each($1) RETURNING ",
            node_columns!("")
        );
        let inserted: Vec<_> = new
            .iter()
            .map(|new| (new.parent.0, &new.name, new.object.map(|object| object.0), clamp(new.size_bytes)))
            .collect();
        execute_returning(self.writer()?, sql, vec![Value::rows(&inserted)?, Value::Integer(at.0)], node).await
    }

    async fn move_nodes(&mut self, moves: &[Move]) -> Result<(), Error> {
        if moves.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE nodes SET parent_id = CAST(w.value ->> 1 AS BIGINT), name = w.value ->> 2 FROM json_each(?) AS w \
                   WHERE node_id = CAST(w.value ->> 0 AS BIGINT)";
        let moved: Vec<_> = moves.iter().map(|to| (to.node.0, to.parent.0, &to.name)).collect();
        self.change(sql, vec![Value::rows(&moved)?]).await.map(drop)
    }

    async fn touch(&mut self, folders: &[NodeId], at: Timestamp) -> Result<(), Error> {
        let sql = concat!("UPDATE nodes SET changes = changes + 1, modified_at = $2 WHERE node_id IN ", ids!("$1"));
        self.change(sql, vec![node_ids(folders)?, Value::Integer(at.0)]).await.map(drop)
    }

    async fn set_object(
        &mut self,
        node: NodeId,
        object: ObjectId,
        size_bytes: u64,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sql = "UPDATE nodes SET object_id = ?, size_bytes = ?, modified_at = ?, changed_at = ? WHERE node_id = ?";
        self.change(sql, values![object.0, clamp(size_bytes), at.0, at.0, node.0]).await.map(drop)
    }

    async fn delete_nodes(&mut self, nodes: &[NodeId]) -> Result<Vec<ObjectId>, Error> {
        let sql = concat!("DELETE FROM nodes WHERE node_id IN ", ids!("?"), " RETURNING object_id");
        let deleted = execute_returning(self.writer()?, sql, vec![node_ids(nodes)?], object_if_any).await?;
        Ok(deleted.into_iter().flatten().collect())
    }

    async fn delete_files_in(&mut self, folder: NodeId, size: u64) -> Result<Vec<ObjectId>, Error> {
        let sql = "DELETE FROM nodes WHERE node_id IN \
                   (SELECT node_id FROM nodes WHERE parent_id = ? AND is_file = TRUE LIMIT ?) RETURNING object_id";
        execute_returning(self.writer()?, sql, values![folder.0, clamp(size)], object).await
    }

    async fn objects(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectRow>, Error> {
        let sql = "SELECT o.object_id, o.key, o.size_bytes, o.sha256, o.is_whole, o.multipart_id \
                   FROM json_each(?) CROSS JOIN objects o WHERE o.object_id = CAST(value ->> 0 AS BIGINT)";
        let object_row = |row: &RowOf<R>| {
            Ok(ObjectRow {
                object: object(row)?,
                key: ObjectKey::from_stored(row.get("key")?),
                size_bytes: number(row, "size_bytes")?,
                sha256: bytes_if_any(row, "sha256")?,
                is_whole: row.get("is_whole")?,
                multipart_id: row.get("multipart_id")?,
            })
        };
        self.fetch_all(sql, vec![object_ids(objects)?], object_row).await
    }

    async fn insert_objects(
        &mut self,
        new: &[NewObjectRow],
        at: Timestamp,
        unreferenced_at: Option<Timestamp>,
    ) -> Result<Vec<ObjectId>, Error> {
        let sql = "INSERT INTO objects (key, size_bytes, sha256, created_at, unreferenced_at) \
                   SELECT value ->> 0, CAST(value ->> 1 AS BIGINT), unhex(value ->> 2), $2, CAST($3 AS BIGINT) \
                   FROM json_each($1) RETURNING object_id, key";
        let inserted: Vec<_> =
            new.iter().map(|new| (new.key.as_str(), clamp(new.size_bytes), new.sha256.map(hex::encode))).collect();
        let values = vec![
            Value::rows(&inserted)?,
            Value::Integer(at.0),
            unreferenced_at.map_or(Value::Null, |at| Value::Integer(at.0)),
        ];
        let keyed = |row: &RowOf<R>| Ok((row.get::<String>("key")?, object(row)?));
        let ids: BTreeMap<_, _> = execute_returning(self.writer()?, sql, values, keyed).await?.into_iter().collect();
        let id_of = |new: &NewObjectRow| ids.get(new.key.as_str()).copied().ok_or(Error::BytesLost);
        new.iter().map(id_of).collect()
    }

    async fn mark_whole(&mut self, objects: &[ObjectId]) -> Result<(), Error> {
        let sql = concat!("UPDATE objects SET is_whole = TRUE WHERE object_id IN ", ids!("?"), " AND NOT is_whole");
        self.change(sql, vec![object_ids(objects)?]).await.map(drop)
    }

    async fn seal_object(&mut self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE objects SET size_bytes = $2, sha256 = $3, is_whole = TRUE, multipart_id = NULL \
                   WHERE object_id = $1; \
                   UPDATE nodes SET size_bytes = $2, modified_at = $4, changed_at = $4 WHERE object_id = $1";
        let values = values![object.0, id(digest.size_bytes), digest.sha256, at.0];
        self.change(sql, values).await.map(drop)
    }

    async fn has_files_of(&mut self, object: ObjectId) -> Result<bool, Error> {
        // Locked: an upload that goes on is not discarded meanwhile.
        let sql = format!("SELECT 1 FROM nodes n WHERE n.object_id = ? LIMIT 1{}", self.locking());
        Ok(self.fetch_optional(sql, values![object.0], |_| Ok(())).await?.is_some())
    }

    async fn set_multipart(&mut self, object: ObjectId, multipart_id: &str) -> Result<(), Error> {
        let sql = "UPDATE objects SET multipart_id = ? WHERE object_id = ?";
        match self.change(sql, values![multipart_id, object.0]).await? {
            0 => Err(Error::BytesLost),
            _ => Ok(()),
        }
    }

    async fn mark_unreferenced(&mut self, objects: &[ObjectId], at: Timestamp) -> Result<Vec<ObjectId>, Error> {
        let sql = concat!(
            "UPDATE objects SET unreferenced_at = $2 WHERE object_id IN ",
            ids!("$1"),
            " AND unreferenced_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.object_id = objects.object_id) \
             AND NOT EXISTS (SELECT 1 FROM object_checkpoints c WHERE c.tail_id = objects.object_id) \
             RETURNING object_id"
        );
        execute_returning(self.writer()?, sql, vec![object_ids(objects)?, Value::Integer(at.0)], object).await
    }

    async fn mark_referenced(&mut self, object: ObjectId) -> Result<bool, Error> {
        let sql = "UPDATE objects SET unreferenced_at = NULL WHERE object_id = ?";
        Ok(self.change(sql, values![object.0]).await? > 0)
    }

    async fn parts(&mut self, object: ObjectId) -> Result<Vec<StoredPart>, Error> {
        let sql = "SELECT content_id, size_bytes FROM object_parts WHERE object_id = ? ORDER BY number";
        let part = |row: &RowOf<R>| {
            Ok(StoredPart { content_id: row.get("content_id")?, size_bytes: number(row, "size_bytes")? })
        };
        self.fetch_all(sql, values![object.0], part).await
    }

    async fn set_parts(&mut self, object: ObjectId, first: u64, parts: &[StoredPart]) -> Result<(), Error> {
        let sql = "DELETE FROM object_parts WHERE object_id = $1 AND number >= $2; \
                   INSERT INTO object_parts (object_id, number, content_id, size_bytes) \
                   SELECT $1, $2 + key, value ->> 0, CAST(value ->> 1 AS BIGINT) FROM json_each($3)";
        let parts: Vec<_> = parts.iter().map(|part| (&part.content_id, clamp(part.size_bytes))).collect();
        let values = vec![Value::Integer(object.0), Value::Integer(clamp(first)), Value::rows(&parts)?];
        self.change(sql, values).await.map(drop)
    }

    async fn checkpoints(&mut self, object: ObjectId) -> Result<Vec<ObjectCheckpoint>, Error> {
        let sql = "SELECT c.offset_bytes, c.hash_state, c.parts, c.parts_bytes, c.tail_id, o.key \
                   FROM object_checkpoints c LEFT JOIN objects o ON o.object_id = c.tail_id \
                   WHERE c.object_id = ? ORDER BY c.offset_bytes";
        let checkpoint = |row: &RowOf<R>| {
            let key = row.get::<Option<String>>("key")?.map(ObjectKey::from_stored);
            Ok(ObjectCheckpoint {
                offset: number(row, "offset_bytes")?,
                hash_state: row.get("hash_state")?,
                parts: number(row, "parts")?,
                parts_bytes: number(row, "parts_bytes")?,
                tail: tail(row)?.zip(key),
            })
        };
        self.fetch_all(sql, values![object.0], checkpoint).await
    }

    async fn insert_checkpoint(&mut self, object: ObjectId, checkpoint: &ObjectCheckpoint) -> Result<(), Error> {
        let sql = "INSERT INTO object_checkpoints (object_id, offset_bytes, hash_state, parts, parts_bytes, tail_id) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let ObjectCheckpoint { offset, hash_state, parts, parts_bytes, tail } = checkpoint;
        let tail = tail.as_ref().map(|(tail, _)| tail.0);
        let values = values![object.0, clamp(*offset), hash_state, clamp(*parts), clamp(*parts_bytes), tail];
        self.change(sql, values).await.map(drop)
    }

    async fn delete_checkpoints(&mut self, object: ObjectId, offsets: &[u64]) -> Result<Vec<ObjectId>, Error> {
        let sql = concat!(
            "DELETE FROM object_checkpoints WHERE object_id = $1 AND offset_bytes IN ",
            ids!("$2"),
            " RETURNING tail_id"
        );
        let values = vec![Value::Integer(object.0), Value::column(offsets)?];
        Ok(execute_returning(self.writer()?, sql, values, tail).await?.into_iter().flatten().collect())
    }

    async fn delete_checkpoints_of(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        let sql = concat!("DELETE FROM object_checkpoints WHERE object_id IN ", ids!("?"), " RETURNING tail_id");
        let tails = execute_returning(self.writer()?, sql, vec![object_ids(objects)?], tail).await?;
        Ok(tails.into_iter().flatten().collect())
    }

    async fn unreferenced(&mut self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error> {
        let sql = "SELECT object_id, key, multipart_id, NOT is_whole AND size_bytes = 0 AS is_unfinished FROM objects \
                   WHERE unreferenced_at <= ? ORDER BY unreferenced_at LIMIT ?";
        let unreferenced = |row: &RowOf<R>| {
            Ok(UnreferencedObject {
                object: object(row)?,
                key: ObjectKey::from_stored(row.get("key")?),
                multipart_id: row.get("multipart_id")?,
                is_unfinished: row.get("is_unfinished")?,
            })
        };
        self.fetch_all(sql, values![before.0, clamp(size)], unreferenced).await
    }

    async fn delete_objects(&mut self, objects: &[ObjectId]) -> Result<(), Error> {
        let sql = concat!(
            "DELETE FROM object_parts WHERE object_id IN ",
            ids!("$1"),
            "; DELETE FROM objects WHERE object_id IN ",
            ids!("$1"),
            " AND unreferenced_at IS NOT NULL"
        );
        self.change(sql, vec![object_ids(objects)?]).await.map(drop)
    }
}
