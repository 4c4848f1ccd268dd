//! Preview of restoring trash items, and the check by the shrink guard.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::TrashId;
use crate::model::limits::RESTORE_PREVIEW_NAMED_MAX;
use crate::model::storage_path::StoragePath;
use crate::model::sync::difference::Difference;
use crate::model::totals::Totals;
use crate::model::trash::{TrashEntry, TrashKind};
use crate::ports::metadata::trash::TrashRecord;
use crate::service::Lake;
use crate::service::trash::restoring::{RestoreTrash, RestoredTrash};
use serde::{Deserialize, Serialize};

/// Effect of restoring one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiecePreview {
    pub piece: TrashEntry,
    /// Current content of its path, which would move to the trash.
    pub replaced: Totals,
    /// Content that would come back.
    pub restored: Totals,
    /// The shrink guard would hold it unless confirmed.
    pub is_shrinking: bool,
}

/// Effect of restoring items.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestorePreview {
    pub num_pieces: u64,
    pub replaced: Totals,
    pub restored: Totals,
    pub is_shrinking: bool,
    /// The first [`RESTORE_PREVIEW_NAMED_MAX`] items; those that the shrink guard would hold come first.
    pub pieces: Vec<PiecePreview>,
    /// Changed files, for a single dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl RestorePreview {
    fn add(&mut self, piece: PiecePreview) {
        self.num_pieces += 1;
        for (sum, totals) in [(&mut self.replaced, piece.replaced), (&mut self.restored, piece.restored)] {
            sum.files = sum.files.saturating_add(totals.files);
            sum.bytes = sum.bytes.saturating_add(totals.bytes);
        }
        self.is_shrinking |= piece.is_shrinking;
        if piece.is_shrinking {
            self.pieces.insert(0, piece);
            self.pieces.truncate(RESTORE_PREVIEW_NAMED_MAX);
        } else if self.pieces.len() < RESTORE_PREVIEW_NAMED_MAX {
            self.pieces.push(piece);
        }
    }
}

impl Lake {
    /// Effect of a restore. Counts the files of datasets that have not been counted yet.
    pub async fn restore_preview(&self, caller: &Caller, wanted: &RestoreTrash) -> Result<RestorePreview, Error> {
        caller.may_write_somewhere()?;
        let ids = self.pieces_to_restore(caller, wanted).await?;
        let mut preview = RestorePreview::default();
        for id in &ids {
            match self.piece_preview(caller, *id).await {
                Ok((piece, _)) => preview.add(piece),
                // One of several may be gone meanwhile.
                Err(Error::NoSuchTrash(_)) if ids.len() > 1 => {}
                Err(refused) => return Err(refused),
            }
        }
        if let [id] = ids[..] {
            let record = self.seen_trash(caller, id).await?;
            if record.entry.kind == TrashKind::Dataset {
                preview.difference = Some(self.restore_difference(caller, &record).await?);
            }
        }
        Ok(preview)
    }

    /// As [`Lake::restore_trash`], but refused if the shrink guard holds it and `confirm` is false.
    pub async fn restore_trash_guarded(
        &self,
        caller: &Caller,
        wanted: &RestoreTrash,
        confirm: bool,
    ) -> Result<RestoredTrash, Error> {
        caller.may_write_somewhere()?;
        if !confirm {
            for id in self.pieces_to_restore(caller, wanted).await? {
                if let Ok((piece, record)) = self.piece_preview(caller, id).await
                    && piece.is_shrinking
                {
                    let (replaced, restored) = (piece.replaced, piece.restored);
                    return Err(Error::TrashRestoreHeld { path: record.entry.origin, replaced, restored });
                }
            }
        }
        self.restore_trash(caller, wanted).await
    }

    async fn piece_preview(&self, caller: &Caller, id: TrashId) -> Result<(PiecePreview, TrashRecord), Error> {
        let record = self.seen_trash(caller, id).await?;
        let origin = &record.entry.origin;
        let restored = match record.entry.totals {
            Some(totals) => totals,
            None => self.0.files.measure(&StoragePath::trashed(&record.key, origin)).await?,
        };
        let replaced = match record.entry.kind {
            TrashKind::Dataset => self.measure_dataset(origin).await?,
            TrashKind::File => {
                let found = self.0.files.find(&[StoragePath::Live(origin.clone())]).await?.into_iter().next().flatten();
                found.map_or_else(Totals::default, |file| Totals { files: 1, bytes: file.size_bytes })
            }
        };
        let is_emptying = restored.files == 0 && replaced.files > 0;
        let is_guarded = record.entry.kind == TrashKind::Dataset && replaced.files > 0;
        let is_shrinking = is_guarded && (is_emptying || self.0.limits.shrink_guard.holds(origin, replaced, restored));
        let mut piece = record.entry.clone();
        piece.expires_at = self.trash_ends(piece.trashed_at);
        Ok((PiecePreview { piece, replaced, restored, is_shrinking }, record))
    }
}
