//! Sums of the rows of two compared sides, and the columns that most files of each have.

use crate::model::sync::difference::RowTotals;
use crate::ports::metadata::schema::{LandedRows, SchemaId};
use std::collections::BTreeMap;

/// Maximum different schemas counted on one side; later ones are ignored.
const SCHEMAS_MAX: usize = 10_000;

/// Known rows of a file.
#[derive(Debug, Clone, Default)]
pub(in crate::service) struct KnownRows {
    pub(in crate::service) count: Option<u64>,
    pub(in crate::service) schema: Option<SchemaId>,
}

impl KnownRows {
    /// Completes each of two files with the same content by the other.
    pub(in crate::service) fn share(&mut self, other: &mut Self) {
        self.count = self.count.or(other.count);
        other.count = self.count;
        self.schema = self.schema.or(other.schema);
        other.schema = self.schema;
    }
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
    /// Number of files with each schema, and the order in which the schemas first occurred.
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

    /// Schema of most files; the first one on a tie.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_rows_even_if_one_file_was_never_read() {
        let read = || KnownRows { count: Some(7), schema: Some(SchemaId(1)) };
        for (mut old, mut new) in [(read(), KnownRows::default()), (KnownRows::default(), read())] {
            old.share(&mut new);
            assert_eq!((old.count, new.count), (Some(7), Some(7)));
            assert_eq!((old.schema, new.schema), (Some(SchemaId(1)), Some(SchemaId(1))));
        }
    }
}
