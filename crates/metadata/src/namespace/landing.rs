//! Gives sealed uploads their final names, and undoes it.

use super::rows::{Move, NamespaceRows, Node, NodeId};
use super::tree::{FolderAt, child, folder, folders, move_one, node, parent, place, wrong_kind};
use lakeshore::model::storage_path::StoragePath;
use lakeshore::ports::storage::{Landing, LandingOutcome};
use lakeshore::{Error, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

type Name = (NodeId, String);

/// Where each node that has moved is to be: in a folder that there is, or in the new slot of a landing.
enum Target {
    Folder(Name),
    SlotOf(usize),
}

/// Lands a group: the landings are decided here, one after the other, and then their rows are written at once.
pub(crate) async fn land(
    rows: &mut dyn NamespaceRows,
    landings: &[Landing],
    at: Timestamp,
) -> Result<Vec<Result<LandingOutcome, Error>>, Error> {
    let places: Vec<_> = landings.iter().map(|landing| place(&landing.place)).collect();
    let parents: BTreeSet<_> = places.iter().flatten().filter_map(parent).collect();
    let known = folders(rows, &parents, Some(at)).await?;
    let name_of = |index: usize| -> Result<Name, Error> {
        let place = places[index].as_ref().filter(|(_, names)| !names.is_empty());
        let place = place.ok_or_else(|| Error::InTheWay("a file cannot land there; use another path".into()))?;
        let above = parent(place).and_then(|above| known.get(&above)).unwrap_or(&FolderAt::Missing);
        Ok((above.made()?, place.1.last().cloned().unwrap_or_default()))
    };
    let names: Vec<_> = (0..landings.len()).map(name_of).collect();
    let partial_of = |landing: &Landing| (NodeId::UPLOADS, landing.partial.as_str().to_owned());
    let slot_of = |landing: &Landing| (NodeId::TRASH, landing.trash.as_str().to_owned());
    let mut asked: BTreeSet<Name> = names.iter().flatten().cloned().collect();
    asked.extend(landings.iter().flat_map(|landing| [partial_of(landing), slot_of(landing)]));
    let asked: Vec<_> = asked.into_iter().collect();
    let found = rows.nodes_named(&asked).await?;
    let mut there: BTreeMap<Name, Node> =
        found.into_iter().map(|node| ((node.parent, node.name.clone()), node)).collect();

    let mut targets: BTreeMap<NodeId, Target> = BTreeMap::new();
    let mut whole = Vec::new();
    let mut outcomes = Vec::with_capacity(landings.len());
    for (index, (landing, name)) in landings.iter().zip(names).enumerate() {
        let land_one = || -> Result<LandingOutcome, Error> {
            let name = name?;
            let upload = there.get(&partial_of(landing)).filter(|node| node.is(&landing.identity));
            let upload = upload.cloned().ok_or(Error::BytesLost)?;
            let outcome = match there.get(&name) {
                None => LandingOutcome::Added,
                Some(occupant) if occupant.is_folder() => return Err(wrong_kind(&landing.place, true)),
                Some(_) if there.contains_key(&slot_of(landing)) => return Err(taken_slot(landing)),
                Some(occupant) => {
                    targets.insert(occupant.node, Target::SlotOf(index));
                    LandingOutcome::Replaced
                }
            };
            there.remove(&partial_of(landing));
            whole.extend(upload.object);
            targets.insert(upload.node, Target::Folder(name.clone()));
            there.insert(name, upload);
            Ok(outcome)
        };
        outcomes.push(land_one());
    }
    write(rows, landings, targets, at).await?;
    rows.mark_whole(&whole).await?;
    Ok(outcomes)
}

/// A slot is there before its landing: a person, or a restored database, has made it.
fn taken_slot(landing: &Landing) -> Error {
    let slot = StoragePath::TrashSlot(landing.trash.clone()).shown();
    Error::InTheWay(format!("/{slot} is in the trash already; run \"lakeshore check\", then send the file again"))
}

async fn write(
    rows: &mut dyn NamespaceRows,
    landings: &[Landing],
    targets: BTreeMap<NodeId, Target>,
    at: Timestamp,
) -> Result<(), Error> {
    let mut into_slots = Vec::new();
    let mut into_folders = Vec::new();
    for (node, target) in targets {
        match target {
            Target::SlotOf(index) => into_slots.push((node, &landings[index])),
            Target::Folder((parent, name)) => into_folders.push(Move { node, parent, name }),
        }
    }
    if !into_slots.is_empty() {
        let new: Vec<_> =
            into_slots.iter().map(|(_, landing)| folder(NodeId::TRASH, landing.trash.as_str().to_owned())).collect();
        let made = rows.insert_nodes(&new, at).await?;
        let made: BTreeMap<_, _> = made.into_iter().map(|node| (node.name, node.node)).collect();
        let mut moves = Vec::with_capacity(into_slots.len());
        for (node, landing) in into_slots {
            let slot = made.get(landing.trash.as_str()).copied().ok_or_else(|| taken_slot(landing))?;
            moves.push(Move { node, parent: slot, name: landing.leaf.clone() });
        }
        // Before the others: their names become free by it.
        rows.move_nodes(&moves).await?;
    }
    let changed: BTreeSet<_> = into_folders.iter().map(|to| to.parent).collect();
    rows.move_nodes(&into_folders).await?;
    rows.touch(&changed.into_iter().collect::<Vec<_>>(), at).await
}

/// Undoes [`land`]. A live file that is not this upload is left alone.
pub(crate) async fn rollback_landing(
    rows: &mut dyn NamespaceRows,
    landing: &Landing,
    at: Timestamp,
) -> Result<(), Error> {
    let landed = node(rows, &landing.place).await?.filter(|node| node.is(&landing.identity));
    let Some(landed) = landed else { return Ok(()) };
    move_one(rows, landed.node, NodeId::UPLOADS, landing.partial.as_str()).await?;
    if let Some(slot) = child(rows, NodeId::TRASH, landing.trash.as_str()).await?
        && let Some(replaced) = child(rows, slot.node, &landing.leaf).await?
    {
        move_one(rows, replaced.node, landed.parent, &landed.name).await?;
        super::removing::remove_if_empty(rows, slot.node).await?;
    }
    rows.touch(&[landed.parent], at).await
}

/// Finds an interrupted upload by its identity: what is not among the uploads any more has landed, wherever it went since.
pub(crate) async fn recover_landing(
    rows: &mut dyn NamespaceRows,
    landing: &Landing,
) -> Result<Option<LandingOutcome>, Error> {
    let Some(node) = NodeId::of(&landing.identity) else { return Ok(None) };
    match rows.node(node).await? {
        Some(found) if found.parent != NodeId::UPLOADS && !found.is_folder() => {
            let slot = StoragePath::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() };
            outcome_of_earlier(rows, &slot).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Outcome of a step that was done before, read from the slot.
pub(super) async fn outcome_of_earlier(
    rows: &mut dyn NamespaceRows,
    trashed: &StoragePath,
) -> Result<LandingOutcome, Error> {
    let is_there = node(rows, trashed).await?.is_some();
    Ok(if is_there { LandingOutcome::Replaced } else { LandingOutcome::Added })
}
