//! Parquet: the footer says the columns, the row groups and their statistics; of the rows, only the first page of each
//! column is read.
//!
//! The columns are read one after the other, so that one of them at a time is in memory, and one that cannot be read leaves
//! the others readable.

mod file;
mod statistics;
mod types;

use super::Fault;
use super::source::Source;
use arrow_array::Array;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use file::ParquetFile;
use lakeshore::preview::{
    CELL_CHARACTERS_MAX, COLUMNS_SHOWN_MAX, PROBLEM_CHARACTERS_MAX, Preview, ROW_GROUPS_SHOWN_MAX, RowGroup,
};
use lakeshore::schema::{Column, Format, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};
use std::fmt::{self, Write};
use std::sync::Arc;

pub(super) const MAGIC: &[u8] = b"PAR1";
pub(super) const MAGIC_ENCRYPTED: &[u8] = b"PARE";
/// Rows that are decoded at once.
const BATCH_ROWS: usize = 128;

/// A file whose footer was read.
struct Opened {
    file: ParquetFile,
    metadata: ArrowReaderMetadata,
}

impl Opened {
    fn new(source: &Arc<Source>) -> Result<Self, Fault> {
        let file = ParquetFile::new(source)?;
        let metadata = ArrowReaderMetadata::load(&file, options()).map_err(|error| file.cause(error))?;
        Ok(Self { file, metadata })
    }

    fn footer(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    fn schema(&self, columns_max: usize) -> Schema {
        let fields = self.metadata.schema().fields().iter().take(columns_max);
        let column = |field: &Arc<arrow_schema::Field>| Column {
            name: field.name().clone(),
            kind: types::words(field.data_type()),
            nullable: field.is_nullable(),
        };
        Schema::of(Format::Parquet, fields.map(column))
    }

    fn row_count(&self) -> u64 {
        u64::try_from(self.footer().file_metadata().num_rows()).unwrap_or(0)
    }
}

/// The types that Parquet itself knows, whatever a writer has noted for itself beside them.
fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(PageIndexPolicy::Skip)
}

pub(super) fn inspect(source: &Arc<Source>) -> Result<Preview, Fault> {
    let opened = Opened::new(source)?;
    let schema = opened.schema(usize::MAX);
    let num_columns = schema.columns.len() as u64 + schema.num_omitted;
    let row_count = Some(opened.row_count());
    Ok(Preview { schema: Some(schema), num_columns, row_count, ..Preview::nothing(Format::Parquet) })
}

pub(super) fn preview(source: &Arc<Source>, rows_max: usize) -> Result<Preview, Fault> {
    let opened = Opened::new(source)?;
    let footer = opened.footer();
    let num_columns = opened.metadata.schema().fields().len();
    let shown = num_columns.min(COLUMNS_SHOWN_MAX);
    let groups = footer.row_groups();
    let (rows, problems) = first_rows(&opened, shown, rows_max)?;
    let problem = (!problems.is_empty()).then(|| {
        let named: Vec<_> = problems.iter().take(3).map(|(name, problem)| format!("{name}: {problem}")).collect();
        let more = problems.len().saturating_sub(named.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let words = format!("some columns are not shown ({}{more})", named.join("; "));
        words.chars().take(PROBLEM_CHARACTERS_MAX).collect()
    });
    Ok(Preview {
        schema: Some(opened.schema(shown)),
        num_columns: num_columns as u64,
        row_count: Some(opened.row_count()),
        rows,
        row_groups: groups.iter().take(ROW_GROUPS_SHOWN_MAX).map(row_group).collect(),
        num_row_groups: groups.len() as u64,
        statistics: statistics::of_columns(footer, opened.metadata.schema(), shown),
        written_by: footer.file_metadata().created_by().map(cut),
        problem,
        ..Preview::nothing(Format::Parquet)
    })
}

fn row_group(group: &RowGroupMetaData) -> RowGroup {
    RowGroup {
        rows: u64::try_from(group.num_rows()).unwrap_or(0),
        compressed_bytes: u64::try_from(group.compressed_size()).unwrap_or(0),
        uncompressed_bytes: u64::try_from(group.total_byte_size()).unwrap_or(0),
    }
}

type Rows = Vec<Vec<Option<String>>>;

/// The rows, and the columns that could not be read, each with the reason; what it has in each row is `None`.
fn first_rows(opened: &Opened, columns: usize, rows_max: usize) -> Result<(Rows, Vec<(String, String)>), Fault> {
    let footer = opened.footer();
    // As many row groups as hold so many rows, and no empty ones.
    let mut held = 0;
    let groups: Vec<usize> = (0..footer.num_row_groups())
        .filter(|&index| footer.row_group(index).num_rows() > 0)
        .take_while(|&index| {
            let is_needed = held < rows_max;
            held = held.saturating_add(usize::try_from(footer.row_group(index).num_rows()).unwrap_or(0));
            is_needed
        })
        .collect();
    let num_rows = held.min(rows_max).min(usize::try_from(opened.row_count()).unwrap_or(usize::MAX));
    let mut rows = vec![Vec::with_capacity(columns); num_rows];
    let mut problems = Vec::new();
    let viewed = Arc::new(types::viewed(opened.metadata.schema()));
    let as_views = ArrowReaderMetadata::try_new(footer.clone(), options().with_schema(viewed));
    let metadata = as_views.unwrap_or_else(|_| opened.metadata.clone());
    for column in 0..columns {
        if groups.is_empty() || num_rows == 0 {
            break;
        }
        let values = match read_column(opened, &metadata, column, &groups, num_rows) {
            Ok(values) => values,
            Err(fault @ Fault::Disk(_)) => return Err(fault),
            Err(Fault::Unreadable(problem)) => {
                problems.push((cut(opened.metadata.schema().field(column).name()), problem));
                Vec::new()
            }
        };
        let values = values.into_iter().chain(std::iter::repeat(None));
        rows.iter_mut().zip(values).for_each(|(row, value)| row.push(value));
    }
    Ok((rows, problems))
}

fn read_column(
    opened: &Opened,
    metadata: &ArrowReaderMetadata,
    column: usize,
    groups: &[usize],
    num_rows: usize,
) -> Result<Vec<Option<String>>, Fault> {
    let parquet_schema = opened.footer().file_metadata().schema_descr();
    let leaf = (0..parquet_schema.num_columns()).find(|&leaf| parquet_schema.get_column_root_idx(leaf) == column);
    if leaf.is_none() {
        return Ok(Vec::new());
    }
    let file = &opened.file;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone())
        .with_projection(ProjectionMask::roots(parquet_schema, [column]))
        .with_row_groups(groups.to_vec())
        .with_batch_size(BATCH_ROWS.min(num_rows))
        .with_limit(num_rows)
        .build()
        .map_err(|error| file.cause(error))?;
    let mut values = Vec::with_capacity(num_rows);
    for batch in reader {
        let batch = batch.map_err(|error| file.cause(error))?;
        if let Some(array) = batch.columns().first() {
            shown_values(array, &mut values);
        }
    }
    Ok(values)
}

fn shown_values(array: &dyn Array, values: &mut Vec<Option<String>>) {
    let formatter = ArrayFormatter::try_new(array, &FORMAT);
    values.extend((0..array.len()).map(|row| {
        if array.is_null(row) {
            return None;
        }
        let mut cell = Cell { text: String::new(), characters_left: CELL_CHARACTERS_MAX };
        let written = formatter.as_ref().map(|formatter| formatter.value(row).write(&mut cell));
        Some(match written {
            Ok(Ok(())) => cell.text,
            _ if cell.characters_left == 0 => cell.text + "…",
            _ => "not shown: no such value".to_owned(),
        })
    }));
}

/// Nulls within lists and structs; a null of a row of its own is none of its words.
const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(false).with_null("null");

/// A value as it is shown: what is too long ends its own writing.
struct Cell {
    text: String,
    characters_left: usize,
}

impl Write for Cell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.characters_left) {
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                self.characters_left = 0;
                Err(fmt::Error)
            }
            None => {
                self.text.push_str(text);
                self.characters_left -= text.chars().count();
                Ok(())
            }
        }
    }
}

fn cut(text: impl AsRef<str>) -> String {
    text.as_ref().chars().take(CELL_CHARACTERS_MAX).collect()
}
