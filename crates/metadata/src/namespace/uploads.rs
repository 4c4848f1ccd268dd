//! Objects and the uploads that they belong to, until they land.

use super::removing::release;
use super::rows::{NamespaceRows, NewNode, NewObjectRow, NodeId};
use super::tree::{child, nodes};
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::storage_path::PartialName;
use lakeshore::ports::namespace::{
    CHECKPOINTS_KEPT, IntendedObject, NewObject, ObjectCheckpoint, ObjectId, StoredPart, StoredUpload,
    UnreferencedObject,
};
use lakeshore::ports::storage::{ReuseRequest, ReusedCopy};
use lakeshore::{Error, Timestamp};
use std::collections::BTreeMap;

pub(crate) async fn intend(
    rows: &mut dyn NamespaceRows,
    new: &[NewObject],
    at: Timestamp,
) -> Result<Vec<IntendedObject>, Error> {
    let row = |new: &NewObject| NewObjectRow {
        key: new.key.clone(),
        size_bytes: size(new),
        sha256: new.digest.map(|digest| digest.sha256),
    };
    let objects = rows.insert_objects(&new.iter().map(row).collect::<Vec<_>>(), at, None).await?;
    let names: Vec<_> = new.iter().map(|new| (NodeId::UPLOADS, new.partial.as_str().to_owned())).collect();
    let known = rows.nodes_named(&names).await?;
    let mut known: BTreeMap<_, _> = known.into_iter().map(|node| (node.name.clone(), node)).collect();
    let mut nodes = Vec::new();
    let mut replaced = Vec::new();
    for (new, object) in new.iter().zip(&objects) {
        let name = new.partial.as_str().to_owned();
        match known.get(&name) {
            None => nodes.push(NewNode { parent: NodeId::UPLOADS, name, object: Some(*object), size_bytes: size(new) }),
            Some(node) => {
                replaced.extend(node.object);
                rows.set_object(node.node, *object, size(new), at).await?;
            }
        }
    }
    for node in rows.insert_nodes(&nodes, at).await? {
        known.insert(node.name.clone(), node);
    }
    release(rows, &replaced, at).await?;
    let intended = new.iter().zip(objects).map(|(new, object)| {
        let node = known.get(new.partial.as_str()).ok_or(Error::BytesLost)?;
        Ok(IntendedObject { object, identity: node.node.identity() })
    });
    intended.collect()
}

fn size(new: &NewObject) -> u64 {
    new.digest.map_or(0, |digest| digest.size_bytes)
}

pub(crate) async fn intend_tail(
    rows: &mut dyn NamespaceRows,
    key: &ObjectKey,
    size_bytes: u64,
    at: Timestamp,
) -> Result<ObjectId, Error> {
    let row = NewObjectRow { key: key.clone(), size_bytes, sha256: None };
    let inserted = rows.insert_objects(&[row], at, Some(at)).await?;
    inserted.first().copied().ok_or(Error::BytesLost)
}

pub(crate) async fn begin_multipart(
    rows: &mut dyn NamespaceRows,
    object: ObjectId,
    multipart_id: &str,
) -> Result<(), Error> {
    rows.set_multipart(object, multipart_id).await
}

pub(crate) async fn checkpoint(
    rows: &mut dyn NamespaceRows,
    object: ObjectId,
    checkpoint: &ObjectCheckpoint,
    new_parts: &[StoredPart],
    at: Timestamp,
) -> Result<(), Error> {
    if !rows.has_files_of(object).await? {
        return Err(Error::BytesLost);
    }
    if let Some((tail, _)) = &checkpoint.tail
        && !rows.mark_referenced(*tail).await?
    {
        return Err(Error::BytesLost);
    }
    let first = checkpoint.parts.saturating_sub(new_parts.len() as u64);
    rows.set_parts(object, first, new_parts).await?;
    let known = rows.checkpoints(object).await?;
    let earlier = known.iter().filter(|known| known.offset < checkpoint.offset).count() as u64;
    let is_removed = |(number, known): &(u64, &ObjectCheckpoint)| {
        known.offset >= checkpoint.offset || number + CHECKPOINTS_KEPT < earlier + 1
    };
    let removed = (0..).zip(&known).filter(is_removed).map(|(_, known)| known.offset);
    let removed: Vec<_> = removed.collect();
    let tails = if removed.is_empty() { Vec::new() } else { rows.delete_checkpoints(object, &removed).await? };
    rows.insert_checkpoint(object, checkpoint).await?;
    release(rows, &tails, at).await
}

pub(crate) async fn seal(
    rows: &mut dyn NamespaceRows,
    object: ObjectId,
    digest: &Digest,
    at: Timestamp,
) -> Result<(), Error> {
    if !rows.has_files_of(object).await? {
        return Err(Error::BytesLost);
    }
    rows.seal_object(object, digest, at).await?;
    rows.set_parts(object, 0, &[]).await?;
    let tails = rows.delete_checkpoints_of(&[object]).await?;
    release(rows, &tails, at).await
}

pub(crate) async fn reopen(
    rows: &mut dyn NamespaceRows,
    name: &PartialName,
    key: &ObjectKey,
    checkpoint: &ObjectCheckpoint,
    at: Timestamp,
) -> Result<ObjectId, Error> {
    let upload = child(rows, NodeId::UPLOADS, name.as_str()).await?.ok_or(Error::BytesLost)?;
    let row = NewObjectRow { key: key.clone(), size_bytes: 0, sha256: None };
    let inserted = rows.insert_objects(&[row], at, None).await?;
    let object = inserted.first().copied().ok_or(Error::BytesLost)?;
    rows.insert_checkpoint(object, checkpoint).await?;
    rows.set_object(upload.node, object, 0, at).await?;
    // The old one is the tail, unless nothing of it is wanted.
    let old: Vec<_> = upload.object.into_iter().collect();
    release(rows, &old, at).await?;
    Ok(object)
}

pub(crate) async fn upload(rows: &mut dyn NamespaceRows, name: &PartialName) -> Result<Option<StoredUpload>, Error> {
    let Some(node) = child(rows, NodeId::UPLOADS, name.as_str()).await? else { return Ok(None) };
    let Some(object) = node.object else { return Ok(None) };
    let Some(row) = rows.objects(&[object]).await?.pop() else { return Ok(None) };
    let digest = row.sha256.filter(|_| row.is_whole).map(|sha256| Digest { size_bytes: row.size_bytes, sha256 });
    Ok(Some(StoredUpload {
        identity: node.node.identity(),
        object,
        key: row.key,
        digest,
        multipart_id: row.multipart_id,
        parts: rows.parts(object).await?,
        checkpoints: rows.checkpoints(object).await?,
    }))
}

pub(crate) async fn take_over(
    rows: &mut dyn NamespaceRows,
    files: &[ReuseRequest],
    at: Timestamp,
) -> Result<Vec<Option<ReusedCopy>>, Error> {
    let places: Vec<_> = files.iter().map(|file| file.from.clone()).collect();
    let found = nodes(rows, &places).await?;
    let is_it = |file: &ReuseRequest, node: &super::Node| node.found().as_ref() == Some(&file.found);
    let same: Vec<_> = files.iter().zip(found).map(|(file, node)| node.filter(|node| is_it(file, node))).collect();
    let objects: Vec<_> = same.iter().flatten().filter_map(|node| node.object).collect();
    let rows_of = if objects.is_empty() { Vec::new() } else { rows.objects(&objects).await? };
    let sha256: BTreeMap<_, _> = rows_of.into_iter().map(|row| (row.object, row.sha256)).collect();
    let new = files.iter().zip(&same).filter_map(|(file, node)| {
        let node = node.as_ref()?;
        let name = file.partial.as_str().to_owned();
        Some(NewNode { parent: NodeId::UPLOADS, name, object: node.object, size_bytes: node.size_bytes })
    });
    let new: Vec<_> = new.collect();
    let made = rows.insert_nodes(&new, at).await?;
    let made: BTreeMap<_, _> = made.into_iter().map(|node| (node.name.clone(), node)).collect();
    let taken = files.iter().zip(same).map(|(file, node)| {
        let object = node?.object?;
        let identity = made.get(file.partial.as_str())?.node.identity();
        Some(ReusedCopy { identity, sha256: sha256.get(&object).copied().flatten() })
    });
    Ok(taken.collect())
}

pub(crate) async fn unreferenced_objects(
    rows: &mut dyn NamespaceRows,
    before: Timestamp,
    size: u64,
) -> Result<Vec<UnreferencedObject>, Error> {
    rows.unreferenced(before, size).await
}

pub(crate) async fn forget_objects(rows: &mut dyn NamespaceRows, objects: &[ObjectId]) -> Result<(), Error> {
    rows.delete_objects(objects).await
}
