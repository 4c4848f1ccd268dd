//! Formats VARIANT values as JSON. Parts that a file keeps in separate columns ("shredded") are merged first.

use super::cell::Cell;
use super::leaf::LeafKind;
use super::values::integers_of;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Decimal128Array, GenericListArray, StructArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Fields};
use parquet_variant::Variant;
use parquet_variant_compute::{VariantArray, unshred_variant};
use parquet_variant_json::VariantToJson;
use std::fmt::{self, Write};
use std::io;
use std::slice::Iter;
use std::sync::Arc;

pub(super) struct Variants(VariantArray);

impl Variants {
    /// `leaves` begin with the first leaf of this array.
    pub(super) fn new(array: &StructArray, leaves: &[LeafKind]) -> Result<Self, ArrowError> {
        let array: ArrayRef = Arc::new(array.clone());
        let array = with_types(&array, &mut leaves.iter())?;
        VariantArray::try_new(&array).map(Self)
    }

    pub(super) fn write(&self, row: usize, cell: &mut Cell) -> fmt::Result {
        // One row at a time, so that a damaged value leaves the others readable.
        let whole = unshred_variant(&self.0.slice(row, 1));
        let columns = whole.and_then(|whole| {
            let as_bytes = |column| cast(column, &DataType::BinaryView);
            Ok((as_bytes(whole.metadata_column())?, as_bytes(whole.value_column())?))
        });
        let (metadata, value) = match columns {
            Ok(columns) => columns,
            Err(error) => return write!(cell, "damaged: {error}"),
        };
        match Variant::try_new(metadata.as_binary_view().value(0), value.as_binary_view().value(0)) {
            Ok(variant) => variant.to_json(&mut Json(cell)).map_err(|_| fmt::Error),
            Err(error) => write!(cell, "damaged: {error}"),
        }
    }
}

/// Writer of JSON into a cell, up to the cell's length.
struct Json<'a>(&'a mut Cell);

impl io::Write for Json<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Restores the types of leaves that were read as bytes or as stored. Fails for values of another type.
fn with_types(array: &ArrayRef, leaves: &mut Iter<'_, LeafKind>) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Struct(fields) => {
            let group = array.as_struct();
            let columns: Vec<ArrayRef> =
                group.columns().iter().map(|column| with_types(column, leaves)).collect::<Result<_, _>>()?;
            let fields: Fields = fields.iter().zip(&columns).map(|(field, column)| of_type(field, column)).collect();
            Ok(Arc::new(StructArray::try_new(fields, columns, group.nulls().cloned())?))
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = with_types(list.values(), leaves)?;
            let (item, offsets, nulls) = (of_type(item, &values), list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(GenericListArray::try_new(item, offsets, values, nulls)?))
        }
        _ => match leaves.next() {
            Some(LeafKind::Text) => cast(array, &DataType::Utf8View),
            Some(LeafKind::Narrow("int8")) => cast(array, &DataType::Int8),
            Some(LeafKind::Narrow("int16")) => cast(array, &DataType::Int16),
            // The crate rejects unsigned integers of other widths in a variant.
            Some(LeafKind::Narrow(_)) => cast(array, &DataType::UInt32),
            Some(LeafKind::Decimal { precision, scale }) => decimals(array, *precision, *scale),
            _ => Ok(array.clone()),
        },
    }
}

/// Decimals of a variant, which have up to 38 digits.
fn decimals(array: &ArrayRef, precision: i64, scale: i64) -> Result<ArrayRef, ArrowError> {
    let unsupported = || ArrowError::NotYetImplemented(format!("decimal({precision}, {scale})"));
    let integers = integers_of(array)?;
    let value = |row| integers(row).ok().and_then(|integer| i128::try_from(integer).ok()).ok_or_else(unsupported);
    let values = (0..array.len()).map(|row| array.is_valid(row).then(|| value(row)).transpose());
    let values: Decimal128Array = values.collect::<Result<Vec<Option<i128>>, _>>()?.into();
    let (Ok(precision), Ok(scale)) = (u8::try_from(precision), i8::try_from(scale)) else { return Err(unsupported()) };
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
}

fn of_type(field: &Field, array: &ArrayRef) -> Arc<Field> {
    Arc::new(field.clone().with_data_type(array.data_type().clone()))
}
