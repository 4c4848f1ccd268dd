//! Namespace of a lake on object storage, for every database: what each call does, as steps of one transaction.
//!
//! [`NamespaceRows`] is their SQL ([`sql`]). Every step takes all of its rows at once, so that a group of
//! landings costs few statements, however many files it has.

mod exchanging;
mod finding;
mod landing;
mod measuring;
mod removing;
mod rows;
mod sql;
mod store;
mod tree;
mod uploads;

pub(crate) use exchanging::{drop_staging, publish, rename_slot, restore, stage};
pub(crate) use finding::{find, find_identified, identify_trash, list, list_folder, list_page};
pub(crate) use landing::{land, recover_landing, rollback_landing};
pub(crate) use measuring::{are_unchanged, measure, measure_folders};
pub(crate) use removing::{discard, remove_empty_slot, remove_trash, sweep};
pub(crate) use rows::{FolderBelow, Move, NamespaceRows, NewNode, NewObjectRow, Node, NodeId, ObjectRow};
pub(crate) use sql::SqlRows;
pub(crate) use tree::exists;
pub(crate) use uploads::{
    begin_multipart, checkpoint, forget_objects, intend, intend_tail, reopen, seal, take_over, unreferenced_objects,
    upload,
};
