//! Database operations that the namespace needs.

use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::totals::Totals;
use lakeshore::ports::namespace::{ObjectCheckpoint, ObjectId, StoredPart, UnreferencedObject};
use lakeshore::ports::storage::FoundFile;
use lakeshore::{Error, Timestamp};

/// Row of a folder or file. It is also the identity of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) i64);

impl NodeId {
    /// Nodes without a folder above them; for a moment, also those that are being exchanged.
    pub(crate) const NOWHERE: Self = Self(0);
    /// Root of the tree that readers see.
    pub(crate) const LIVE: Self = Self(1);
    pub(crate) const UPLOADS: Self = Self(2);
    pub(crate) const STAGING: Self = Self(3);
    pub(crate) const TRASH: Self = Self(4);

    pub(crate) fn identity(self) -> Identity {
        Identity(self.0.to_string())
    }

    pub(crate) fn of(identity: &Identity) -> Option<Self> {
        identity.0.parse().ok().map(Self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) node: NodeId,
    pub(crate) parent: NodeId,
    pub(crate) name: String,
    /// Absent: a folder.
    pub(crate) object: Option<ObjectId>,
    pub(crate) size_bytes: u64,
    pub(crate) modified_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    /// Of a folder: how often a name in it came, went, or became another file's.
    pub(crate) changes: u64,
}

impl Node {
    pub(crate) fn is_folder(&self) -> bool {
        self.object.is_none()
    }

    pub(crate) fn is(&self, identity: &Identity) -> bool {
        NodeId::of(identity) == Some(self.node)
    }

    pub(crate) fn found(&self) -> Option<FoundFile> {
        self.object.map(|_| FoundFile {
            identity: self.node.identity(),
            size_bytes: self.size_bytes,
            modified_at: self.modified_at,
            changed_at: self.changed_at,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct NewNode {
    pub(crate) parent: NodeId,
    pub(crate) name: String,
    /// Absent: a folder.
    pub(crate) object: Option<ObjectId>,
    pub(crate) size_bytes: u64,
}

/// The place that a node is to have.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) node: NodeId,
    pub(crate) parent: NodeId,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
pub(crate) struct NewObjectRow {
    pub(crate) key: ObjectKey,
    /// 0 where it is not known yet.
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Option<[u8; 32]>,
}

#[derive(Debug, Clone)]
pub(crate) struct ObjectRow {
    pub(crate) object: ObjectId,
    pub(crate) key: ObjectKey,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) is_whole: bool,
    pub(crate) multipart_id: Option<String>,
}

/// A folder below another one.
#[derive(Debug, Clone)]
pub(crate) struct FolderBelow {
    /// From there; empty for itself.
    pub(crate) path: String,
    pub(crate) node: NodeId,
    pub(crate) changes: u64,
}

/// Rows of the namespace, in one transaction. Where several nodes share a database, what a writing transaction reads of
/// nodes and objects it locks, so that no other changes it meanwhile.
#[async_trait]
pub(crate) trait NamespaceRows: Send {
    /// Those of the names that there are, in no order.
    async fn nodes_named(&mut self, names: &[(NodeId, String)]) -> Result<Vec<Node>, Error>;

    async fn node(&mut self, node: NodeId) -> Result<Option<Node>, Error>;

    /// Entries of a folder: its folders, then its files, each in the order of the bytes of the names.
    async fn page(&mut self, folder: NodeId, from: u64, size: u64) -> Result<Vec<Node>, Error>;

    async fn has_files_below(&mut self, folder: NodeId) -> Result<bool, Error>;

    /// Counts the files of a folder and below.
    async fn totals_below(&mut self, folder: NodeId) -> Result<Totals, Error>;

    /// A folder and those below it, at most `size`.
    async fn folders_below(&mut self, folder: NodeId, size: u64) -> Result<Vec<FolderBelow>, Error>;

    async fn insert_nodes(&mut self, new: &[NewNode], at: Timestamp) -> Result<Vec<Node>, Error>;

    /// One after the other, as far as names are to be free.
    async fn move_nodes(&mut self, moves: &[Move]) -> Result<(), Error>;

    /// Names in these folders have changed.
    async fn touch(&mut self, folders: &[NodeId], at: Timestamp) -> Result<(), Error>;

    /// Gives a file another object.
    async fn set_object(&mut self, node: NodeId, object: ObjectId, size_bytes: u64, at: Timestamp)
    -> Result<(), Error>;

    /// Files and empty folders. Returns the objects of the files.
    async fn delete_nodes(&mut self, nodes: &[NodeId]) -> Result<Vec<ObjectId>, Error>;

    /// Deletes files of a folder, at most `size`. Returns their objects.
    async fn delete_files_in(&mut self, folder: NodeId, size: u64) -> Result<Vec<ObjectId>, Error>;

    async fn objects(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectRow>, Error>;

    /// Returns their ids, in their order.
    async fn insert_objects(
        &mut self,
        new: &[NewObjectRow],
        at: Timestamp,
        unreferenced_at: Option<Timestamp>,
    ) -> Result<Vec<ObjectId>, Error>;

    /// Objects whose digest is known are whole.
    async fn mark_whole(&mut self, objects: &[ObjectId]) -> Result<(), Error>;

    /// An object is whole, with this digest, and so are its files.
    async fn seal_object(&mut self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error>;

    /// Whether a file has this object.
    async fn has_files_of(&mut self, object: ObjectId) -> Result<bool, Error>;

    async fn set_multipart(&mut self, object: ObjectId, multipart_id: &str) -> Result<(), Error>;

    /// Marks those to which no node and no checkpoint refers. Returns them.
    async fn mark_unreferenced(&mut self, objects: &[ObjectId], at: Timestamp) -> Result<Vec<ObjectId>, Error>;

    /// An object is referred to. False where there is none.
    async fn mark_referenced(&mut self, object: ObjectId) -> Result<bool, Error>;

    async fn parts(&mut self, object: ObjectId) -> Result<Vec<StoredPart>, Error>;

    /// Replaces the parts from the number `first` on.
    async fn set_parts(&mut self, object: ObjectId, first: u64, parts: &[StoredPart]) -> Result<(), Error>;

    async fn checkpoints(&mut self, object: ObjectId) -> Result<Vec<ObjectCheckpoint>, Error>;

    async fn insert_checkpoint(&mut self, object: ObjectId, checkpoint: &ObjectCheckpoint) -> Result<(), Error>;

    /// Deletes checkpoints at these offsets. Returns their tails.
    async fn delete_checkpoints(&mut self, object: ObjectId, offsets: &[u64]) -> Result<Vec<ObjectId>, Error>;

    /// Deletes all checkpoints of objects. Returns their tails.
    async fn delete_checkpoints_of(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error>;

    async fn unreferenced(&mut self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error>;

    /// Deletes objects that nothing refers to, with their parts.
    async fn delete_objects(&mut self, objects: &[ObjectId]) -> Result<(), Error>;
}
