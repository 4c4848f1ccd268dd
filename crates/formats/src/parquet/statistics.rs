//! Column statistics, as far as the format allows trusting them.
//!
//! A minimum and a maximum need an order, and are valid only if all writers used the same one: see the comments on
//! `Statistics` and `ColumnOrder` in `parquet.thrift`.

use super::footer::Footer;
use super::leaf::{LeafKind, Root};
use super::values::{integers_of, shown_values};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_cmp::{DynComparator, make_comparator};
use arrow_schema::{ArrowError, DataType, SortOptions};
use lakeshore::model::preview::{CELL_CHARACTERS_MAX, ColumnStatistics};
use lakeshore::model::text::truncate;
use num_bigint::BigInt;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{ColumnOrder, SortOrder, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Most chunks whose statistics are combined; a file with more has none.
const CHUNKS_MAX: usize = 200_000;

/// Minimum or maximum of a column.
#[derive(Debug, Default)]
struct Bound {
    /// Set if it is a value of the column.
    value: Option<String>,
    /// Set if the writer truncated the value: no value is beyond this one.
    limit: Option<String>,
}

pub(super) fn of_columns(footer: &Footer, columns: usize) -> Vec<ColumnStatistics> {
    if footer.parquet().num_row_groups().saturating_mul(footer.leaves.len()) > CHUNKS_MAX {
        return Vec::new();
    }
    let roots = footer.roots.iter().zip(&footer.fields).take(columns);
    roots.map(|(root, field)| of_column(footer, root, *field)).collect()
}

fn of_column(footer: &Footer, root: &Root, field: Option<usize>) -> ColumnStatistics {
    let chunks = || {
        let groups = footer.parquet().row_groups().iter();
        groups.flat_map(|group| root.leaves.clone().filter_map(|leaf| group.columns().get(leaf)))
    };
    let sum = |bytes: fn(&ColumnChunkMetaData) -> i64| {
        chunks().map(|chunk| u64::try_from(bytes(chunk)).unwrap_or(0)).fold(0, u64::saturating_add)
    };
    let compressions: BTreeSet<String> = chunks().map(|chunk| plain(&chunk.compression().to_string())).collect();
    let (nulls, min, max) = match field {
        Some(field) if root.leaves.len() == 1 && footer.limit_of(root).is_none() => {
            values(footer, field, root.leaves.start)
        }
        _ => (None, Bound::default(), Bound::default()),
    };
    ColumnStatistics {
        name: truncate(&root.name, CELL_CHARACTERS_MAX),
        nulls,
        min: min.value,
        max: max.value,
        lower_bound: min.limit,
        upper_bound: max.limit,
        compressed_bytes: sum(ColumnChunkMetaData::compressed_size),
        uncompressed_bytes: sum(ColumnChunkMetaData::uncompressed_size),
        compression: compressions.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// `ZSTD(ZstdLevel(1))` has a level that is not in the file.
fn plain(compression: &str) -> String {
    compression.split('(').next().unwrap_or_default().to_owned()
}

/// Number of nulls, minimum and maximum.
fn values(footer: &Footer, field: usize, leaf: usize) -> (Option<u64>, Bound, Bound) {
    let nothing = (None, Bound::default(), Bound::default());
    let field = footer.metadata.schema().field(field);
    let parquet = footer.parquet();
    match field.data_type() {
        // All rows are null, whatever the counts say.
        DataType::Null => {
            let rows = parquet.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
            return (Some(rows.fold(0, u64::saturating_add)), Bound::default(), Bound::default());
        }
        kind if kind.is_nested() => return nothing,
        _ => {}
    }
    let converter = StatisticsConverter::from_column_index(leaf, field, parquet.file_metadata().schema_descr());
    let Ok(converter) = converter else { return nothing };
    let converter = converter.with_missing_null_counts_as_zero(false);
    let groups = || parquet.row_groups().iter();
    let nulls = converter.row_group_null_counts(groups()).ok();
    let known_nulls = nulls.as_ref().filter(|nulls| nulls.null_count() == 0);
    let num_nulls = known_nulls.map(|nulls| nulls.values().iter().copied().fold(0, u64::saturating_add));
    let is_believed =
        groups().all(|group| group.columns().get(leaf).is_none_or(|chunk| is_believed(footer, leaf, chunk)));
    let (Ok(mins), Ok(maxes)) = (converter.row_group_mins(groups()), converter.row_group_maxes(groups())) else {
        return (num_nulls, Bound::default(), Bound::default());
    };
    let kind = footer.leaves[leaf];
    if !is_believed || has_nan(&mins) || has_nan(&maxes) || contradict(&mins, &maxes, kind) {
        return (num_nulls, Bound::default(), Bound::default());
    }
    let bound = |values: &ArrayRef, wanted, cut: &dyn Fn(usize) -> bool| {
        let Some(at) = extreme(values, nulls.as_ref(), footer, leaf, wanted, cut) else { return Bound::default() };
        let mut shown = Vec::new();
        shown_values(&values.slice(at, 1), &footer.leaves[leaf..=leaf], &mut shown);
        match (cut(at), shown.pop().flatten()) {
            (true, limit) => Bound { value: None, limit },
            (false, value) => Bound { value, limit: None },
        }
    };
    let min = bound(&mins, Ordering::Less, &|group| footer.notes.cut_mins.contains(&(group, leaf)));
    let max = bound(&maxes, Ordering::Greater, &|group| footer.notes.cut_maxes.contains(&(group, leaf)));
    (num_nulls, min, max)
}

/// Whether a chunk's bounds use the order of its type.
fn is_believed(footer: &Footer, leaf: usize, chunk: &ColumnChunkMetaData) -> bool {
    let Some(statistics) = chunk.statistics() else { return true };
    if matches!(footer.leaves[leaf], LeafKind::Int96 | LeafKind::Interval) {
        return false;
    }
    let column = chunk.column_descr();
    let by_type =
        ColumnOrder::column_order_for_type(column.logical_type_ref(), column.converted_type(), column.physical_type());
    // All writers order these types the same way. Other types were once compared as signed bytes.
    let is_of_one_order = match column.physical_type() {
        Type::INT32 | Type::INT64 => by_type.sort_order() == SortOrder::SIGNED,
        Type::BOOLEAN | Type::FLOAT | Type::DOUBLE => true,
        Type::INT96 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => false,
    };
    if statistics.is_min_max_deprecated() {
        return is_of_one_order;
    }
    match footer.parquet().file_metadata().column_orders().map(|orders| orders.get(leaf)) {
        // Older writers name no order.
        None => is_of_one_order,
        Some(Some(ColumnOrder::TYPE_DEFINED_ORDER(order))) => *order != SortOrder::UNDEFINED,
        Some(Some(ColumnOrder::IEEE_754_TOTAL_ORDER)) => by_type.sort_order() == SortOrder::TOTAL_ORDER,
        Some(_) => false,
    }
}

/// NaN has no order.
fn has_nan(values: &ArrayRef) -> bool {
    match values.data_type() {
        DataType::Float16 => values.as_primitive::<Float16Type>().iter().flatten().any(|value| value.is_nan()),
        DataType::Float32 => values.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
        DataType::Float64 => values.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
        _ => false,
    }
}

/// Compares decimals that are read as bytes as numbers.
fn comparator(left: &ArrayRef, right: &ArrayRef, kind: LeafKind) -> Result<DynComparator, ArrowError> {
    if !matches!(kind, LeafKind::Decimal { .. }) {
        return make_comparator(left, right, SortOptions::default());
    }
    let numbers = |array: &ArrayRef| {
        let integers = integers_of(array)?;
        let too_long = |length| ArrowError::NotYetImplemented(format!("a decimal of {length} bytes"));
        (0..array.len()).map(|row| integers(row).map_err(too_long)).collect::<Result<Vec<BigInt>, _>>()
    };
    let (left, right) = (numbers(left)?, numbers(right)?);
    Ok(Box::new(move |one, other| left[one].cmp(&right[other])))
}

/// Whether a minimum exceeds its maximum.
fn contradict(mins: &ArrayRef, maxes: &ArrayRef, kind: LeafKind) -> bool {
    let Ok(compare) = comparator(mins, maxes, kind) else { return true };
    let are_known = |group: usize| mins.is_valid(group) && maxes.is_valid(group);
    (0..mins.len().min(maxes.len())).any(|group| are_known(group) && compare(group, group) == Ordering::Greater)
}

/// Row group with the minimum or maximum. `None` if a row group with values has no bound.
fn extreme(
    values: &ArrayRef,
    nulls: Option<&UInt64Array>,
    footer: &Footer,
    leaf: usize,
    wanted: Ordering,
    is_cut: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let parquet = footer.parquet();
    let is_all_null = |group: usize| {
        let rows = u64::try_from(parquet.row_group(group).num_rows()).unwrap_or(0);
        rows == 0 || nulls.is_some_and(|nulls| nulls.is_valid(group) && nulls.value(group) == rows)
    };
    if values.len() != parquet.num_row_groups() {
        return None;
    }
    let compare = comparator(values, values, footer.leaves[leaf]).ok()?;
    let mut found = None;
    for group in 0..values.len() {
        match found {
            _ if values.is_null(group) && is_all_null(group) => {}
            _ if values.is_null(group) => return None,
            Some(best) => {
                let order = compare(group, best);
                // Of equal bounds, prefers one that is not truncated.
                if order == wanted || (order == Ordering::Equal && is_cut(best)) {
                    found = Some(group);
                }
            }
            None => found = Some(group),
        }
    }
    found
}
