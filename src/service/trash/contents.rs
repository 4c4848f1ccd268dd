//! Content of a trash item, listed like a folder of the lake.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::trash::TrashedFile;
use crate::model::trash::{InTrash, LookIntoTrash, TrashContent};
use crate::ports::inspection::EntryKind;
use crate::ports::metadata::trash::TrashRecord;
use crate::service::Lake;
use std::sync::Arc;

/// Rows shown of a file.
const ROWS: u64 = 100;

impl Lake {
    pub async fn look_into_trash(&self, caller: &Caller, wanted: &LookIntoTrash) -> Result<InTrash, Error> {
        caller.may_read()?;
        let page = Page::new(wanted.from, wanted.size, Order::Asc)?;
        let TrashRecord { mut entry, key, .. } = self.seen_trash(caller, wanted.trash_id).await?;
        entry.expires_at = self.trash_ends(entry.trashed_at);
        let path = entry.origin.join(wanted.relative.as_deref().unwrap_or_default())?;
        let relative = entry.origin.relative(&path).unwrap_or_default().to_owned();
        let place = match relative.as_str() {
            "" => StoragePath::trashed(&key, &entry.origin),
            _ => StoragePath::InTrash { key, leaf: entry.origin.leaf().to_owned(), relative: relative.clone() },
        };
        let is_file = self.0.files.find(std::slice::from_ref(&place)).await?.iter().any(Option::is_some);
        let content = if is_file {
            let _turn = self.0.previews.turn(caller).await?;
            let file = self.0.files.open(&place).await?.ok_or_else(|| Error::NoSuchFile(path.clone()))?;
            let preview = self.0.formats.preview(Arc::from(file), path.leaf(), ROWS).await?;
            TrashContent::Preview(Box::new(preview))
        } else if self.0.files.exists(&place).await? {
            let _turn = self.0.folder_lists.turn(caller).await?;
            TrashContent::Files(self.trashed_files(&place, &path, &relative, page).await?)
        } else {
            return Err(Error::NoSuchFile(path));
        };
        Ok(InTrash { entry, relative, content })
    }

    async fn trashed_files(
        &self,
        place: &StoragePath,
        path: &LakePath,
        relative: &str,
        page: Page,
    ) -> Result<Vec<TrashedFile>, Error> {
        let entries = self.0.files.list_page(place, page.from, page.size).await?.into_iter();
        // Names hidden in the lake are hidden here too.
        let shown = entries.filter(|entry| path.join(&entry.name).is_ok());
        let files = shown.map(|entry| TrashedFile {
            relative: if relative.is_empty() { entry.name.clone() } else { format!("{relative}/{}", entry.name) },
            is_folder: entry.kind == EntryKind::Folder,
            size_bytes: entry.size_bytes,
            name: entry.name,
        });
        Ok(files.collect())
    }
}
