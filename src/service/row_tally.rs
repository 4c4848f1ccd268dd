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
    totals: RowTotals,
    old: Schemas,
    new: Schemas,
}

/// How many files have which columns, in the order in which they came.
#[derive(Default)]
struct Schemas(Vec<(Arc<Schema>, u64)>);

impl Schemas {
    fn add(&mut self, schema: Arc<Schema>) {
        match self.0.iter_mut().find(|(known, _)| *known == schema) {
            Some((_, files)) => *files += 1,
            None => self.0.push((schema, 1)),
        }
    }

    /// Of two that as many files have, the first.
    fn most(&self) -> Option<&Schema> {
        self.0.iter().rev().max_by_key(|(_, files)| *files).map(|(schema, _)| schema.as_ref())
    }
}

impl RowTally {
    pub(super) fn add_old(&mut self, known: KnownRows) {
        self.totals.old += known.count.unwrap_or(0);
        self.totals.num_unknown += u64::from(known.count.is_none());
        known.schema.into_iter().for_each(|schema| self.old.add(schema));
    }

    pub(super) fn add_new(&mut self, known: KnownRows) {
        self.totals.new += known.count.unwrap_or(0);
        self.totals.num_unknown += u64::from(known.count.is_none());
        known.schema.into_iter().for_each(|schema| self.new.add(schema));
    }

    pub(super) fn totals(&self) -> (RowTotals, Option<SchemaDifference>) {
        let schema = self.new.most().zip(self.old.most()).and_then(|(new, old)| new.differs_from(old));
        (self.totals, schema)
    }
}
