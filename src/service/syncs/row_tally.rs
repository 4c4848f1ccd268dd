//! Adding up the rows of two sides that are compared, and finding the columns that most files of each have.

use crate::model::sync::difference::RowTotals;
use crate::ports::metadata::schema::{LandedRows, SchemaId};
use std::collections::BTreeMap;

/// Different columns of one side that are told apart. What comes later is not among those that most files have.
const SCHEMAS_MAX: usize = 10_000;

/// What is known of the rows of a file.
#[derive(Debug, Clone, Default)]
pub(in crate::service) struct KnownRows {
    pub(in crate::service) count: Option<u64>,
    pub(in crate::service) schema: Option<SchemaId>,
}

impl From<LandedRows> for KnownRows {
    fn from(landed: LandedRows) -> Self {
        Self { count: landed.row_count, schema: landed.schema }
    }
}

#[derive(Default)]
pub(in crate::service) struct RowTally {
    pub(in crate::service) old: Side,
    pub(in crate::service) new: Side,
}

#[derive(Default)]
pub(in crate::service) struct Side {
    rows: u64,
    num_unknown: u64,
    /// How many files have which columns, and when the first of them came.
    schemas: BTreeMap<SchemaId, (u64, usize)>,
}

impl Side {
    pub(in crate::service) fn add(&mut self, known: KnownRows) {
        self.rows += known.count.unwrap_or(0);
        self.num_unknown += u64::from(known.count.is_none());
        let Some(schema) = known.schema else { return };
        let came = self.schemas.len();
        if came < SCHEMAS_MAX || self.schemas.contains_key(&schema) {
            self.schemas.entry(schema).or_insert((0, came)).0 += 1;
        }
    }

    /// What most files have; of two that as many have, the first.
    pub(in crate::service) fn schema(&self) -> Option<SchemaId> {
        let most = self.schemas.iter().max_by_key(|(_, (files, came))| (*files, std::cmp::Reverse(*came)));
        most.map(|(schema, _)| *schema)
    }
}

impl RowTally {
    pub(in crate::service) fn totals(&self) -> RowTotals {
        let Self { old, new } = self;
        RowTotals { old: old.rows, new: new.rows, num_unknown: old.num_unknown + new.num_unknown }
    }
}
