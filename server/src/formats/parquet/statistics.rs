//! What the footer says of each column.

use super::shown_values;
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_cmp::make_comparator;
use arrow_schema::{Schema, SchemaRef, SortOptions};
use lakeshore::preview::ColumnStatistics;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Statistics of that many chunks are added up; of a file of more, none are told.
const CHUNKS_MAX: usize = 200_000;

pub(super) fn of_columns(footer: &ParquetMetaData, schema: &SchemaRef, columns: usize) -> Vec<ColumnStatistics> {
    if footer.num_row_groups().saturating_mul(columns) > CHUNKS_MAX {
        return Vec::new();
    }
    let parquet_schema = footer.file_metadata().schema_descr();
    let mut leaves = vec![Vec::new(); schema.fields().len()];
    for leaf in 0..parquet_schema.num_columns() {
        if let Some(of_root) = leaves.get_mut(parquet_schema.get_column_root_idx(leaf)) {
            of_root.push(leaf);
        }
    }
    let names = schema.fields().iter().map(|field| super::cut(field.name()));
    let columns = names.zip(leaves).take(columns).enumerate();
    columns.map(|(index, (name, leaves))| of_column(footer, schema, index, name, &leaves)).collect()
}

fn of_column(
    footer: &ParquetMetaData,
    schema: &Schema,
    index: usize,
    name: String,
    leaves: &[usize],
) -> ColumnStatistics {
    let chunks =
        || footer.row_groups().iter().flat_map(|group| leaves.iter().filter_map(|&leaf| group.columns().get(leaf)));
    let sum = |bytes: fn(&ColumnChunkMetaData) -> i64| {
        chunks().map(|chunk| u64::try_from(bytes(chunk)).unwrap_or(0)).fold(0, u64::saturating_add)
    };
    let compressions: BTreeSet<String> = chunks().map(|chunk| plain(&chunk.compression().to_string())).collect();
    let (nulls, min, max) = match leaves {
        [leaf] if !schema.field(index).data_type().is_nested() => values(footer, schema, index, *leaf),
        _ => (None, None, None),
    };
    ColumnStatistics {
        name,
        nulls,
        min,
        max,
        compressed_bytes: sum(ColumnChunkMetaData::compressed_size),
        uncompressed_bytes: sum(ColumnChunkMetaData::uncompressed_size),
        compression: compressions.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// `ZSTD(ZstdLevel(1))` says more than the file does.
fn plain(compression: &str) -> String {
    compression.split('(').next().unwrap_or_default().to_owned()
}

/// How many are null, the least and the greatest.
fn values(
    footer: &ParquetMetaData,
    schema: &Schema,
    index: usize,
    leaf: usize,
) -> (Option<u64>, Option<String>, Option<String>) {
    let parquet_schema = footer.file_metadata().schema_descr();
    let converter = StatisticsConverter::from_column_index(leaf, schema.field(index), parquet_schema);
    let Ok(converter) = converter else { return (None, None, None) };
    let converter = converter.with_missing_null_counts_as_zero(false);
    let groups = || footer.row_groups().iter();
    let nulls = converter.row_group_null_counts(groups()).ok();
    let extreme = |values: Option<ArrayRef>, wanted| {
        let values = values?;
        let at = extreme(&values, nulls.as_ref(), footer, wanted)?;
        let mut shown = Vec::new();
        shown_values(&values.slice(at, 1), &mut shown);
        shown.pop().flatten()
    };
    let min = extreme(converter.row_group_mins(groups()).ok(), Ordering::Less);
    let max = extreme(converter.row_group_maxes(groups()).ok(), Ordering::Greater);
    let nulls = nulls.as_ref().filter(|nulls| nulls.null_count() == 0);
    let nulls = nulls.map(|nulls| nulls.values().iter().copied().fold(0, u64::saturating_add));
    (nulls, min, max)
}

/// Where the least or greatest value is. `None` where a row group that has values does not tell its own.
fn extreme(
    values: &ArrayRef,
    nulls: Option<&UInt64Array>,
    footer: &ParquetMetaData,
    wanted: Ordering,
) -> Option<usize> {
    let is_all_null = |group: usize| {
        let rows = u64::try_from(footer.row_group(group).num_rows()).unwrap_or(0);
        rows == 0 || nulls.is_some_and(|nulls| nulls.is_valid(group) && nulls.value(group) == rows)
    };
    if values.len() != footer.num_row_groups() {
        return None;
    }
    let compare = make_comparator(values, values, SortOptions::default()).ok()?;
    let mut found = None;
    for group in 0..values.len() {
        match found {
            _ if values.is_null(group) && is_all_null(group) => {}
            _ if values.is_null(group) => return None,
            Some(best) if compare(group, best) != wanted => {}
            _ => found = Some(group),
        }
    }
    found
}
