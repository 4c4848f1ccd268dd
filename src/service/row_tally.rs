//! Adding up the rows of two sides that are compared, and finding the columns that most files of each have.

use crate::difference::RowTotals;
use crate::ports::schemas::LandedRows;
use crate::schema::{Schema, SchemaDifference};
use std::sync::Arc;

/// What is known of the rows of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownRows {
    pub(super) count: Option<u64>,
    pub(super) schema: Option<Arc<Schema>>,
}

impl From<LandedRows> for KnownRows {
    fn from(landed: LandedRows) -> Self {
        Self { count: landed.row_count, schema: landed.schema }
    }
}

#[derive(Default)]
pub(super) struct RowTally {
    pub(super) old: Side,
    pub(super) new: Side,
}

#[derive(Default)]
pub(super) struct Side {
    rows: u64,
    num_unknown: u64,
    /// How many files have which columns, in the order in which they came.
    schemas: Vec<(Arc<Schema>, u64)>,
}

impl Side {
    pub(super) fn add(&mut self, known: KnownRows) {
        self.rows += known.count.unwrap_or(0);
        self.num_unknown += u64::from(known.count.is_none());
        let Some(schema) = known.schema else { return };
        match self.schemas.iter_mut().find(|(known, _)| *known == schema) {
            Some((_, files)) => *files += 1,
            None => self.schemas.push((schema, 1)),
        }
    }

    /// What most files have; of two that as many have, the first.
    fn schema(&self) -> Option<&Schema> {
        self.schemas.iter().rev().max_by_key(|(_, files)| *files).map(|(schema, _)| schema.as_ref())
    }
}

impl RowTally {
    pub(super) fn totals(&self) -> (RowTotals, Option<SchemaDifference>) {
        let Self { old, new } = self;
        let schema = new.schema().zip(old.schema()).and_then(|(new, old)| new.differs_from(old));
        (RowTotals { old: old.rows, new: new.rows, num_unknown: old.num_unknown + new.num_unknown }, schema)
    }
}
