//! Parquet: the footer has the columns, the row groups and their statistics; of the rows, only the first page of each
//! column is read.
//!
//! Columns are read one after the other, so only one is in memory, and an unreadable one leaves the others readable.

mod cell;
mod file;
mod footer;
mod leaf;
mod rewrite;
mod statistics;
#[cfg(test)]
mod test_files;
#[cfg(test)]
mod tests;
mod thrift;
mod types;
mod values;
mod variant;

use super::Fault;
use super::source::Source;
use file::ParquetFile;
use footer::{Footer, options};
use lakeshore::model::dataset::schema::{Column, Format, Schema};
use lakeshore::model::preview::{
    CELL_CHARACTERS_MAX, COLUMNS_SHOWN_MAX, PROBLEM_CHARACTERS_MAX, Preview, ROW_GROUPS_SHOWN_MAX, RowGroup,
};
use lakeshore::model::text::truncate;
use lakeshore_delta::footer::FileDescription;
use leaf::Root;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use std::sync::Arc;

pub(super) const MAGIC: &[u8] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8] = b"PARE";
/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 128;

/// Whether the bytes begin as a Parquet file does, which ends in the same way.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(MAGIC_ENCRYPTED)
}

/// File with its parsed footer.
struct Opened {
    file: ParquetFile,
    footer: Footer,
}

impl Opened {
    fn new(source: &Arc<Source>) -> Result<Self, Fault> {
        let file = ParquetFile::new(source)?;
        let footer = Footer::read(&file.footer()?)?;
        Ok(Self { file, footer })
    }

    fn parquet(&self) -> &Arc<ParquetMetaData> {
        self.footer.parquet()
    }

    fn schema(&self, columns_max: usize) -> Schema {
        let fields = self.footer.metadata.schema().fields();
        let roots = self.footer.roots.iter().zip(&self.footer.fields).take(columns_max);
        let column = |(root, field): (&Root, &Option<usize>)| Column {
            name: root.name.clone(),
            kind: match field {
                Some(field) => types::words(fields[*field].data_type(), &self.footer.leaves[root.leaves.clone()]),
                None => "struct<>".to_owned(),
            },
            nullable: root.nullable,
        };
        Schema::of(Format::Parquet, roots.map(column))
    }

    /// Sum over the row groups, which is the number that readers find.
    fn row_count(&self) -> u64 {
        u64::try_from(self.footer.notes.num_rows).unwrap_or(0)
    }

    /// Contradiction between two statements of the footer.
    fn contradiction(&self) -> Option<String> {
        let (in_groups, said) = (self.footer.notes.num_rows, self.footer.notes.said_num_rows?);
        (in_groups != said)
            .then(|| format!("it is damaged: it declares {said} rows, but its row groups have {in_groups}"))
    }
}

pub(super) fn inspect(source: &Arc<Source>) -> Result<Preview, Fault> {
    let opened = Opened::new(source)?;
    let schema = opened.schema(usize::MAX);
    let num_columns = schema.columns.len() as u64 + schema.num_omitted;
    let (row_count, problem) = (Some(opened.row_count()), opened.contradiction());
    Ok(Preview { schema: Some(schema), num_columns, row_count, problem, ..Preview::nothing(Format::Parquet) })
}

/// Describes the footer as it is in the file.
pub(super) fn describe(source: &Arc<Source>) -> Result<FileDescription, Fault> {
    let file = ParquetFile::new(source)?;
    Ok(FileDescription::of_footer(&file.footer()?))
}

pub(super) fn preview(source: &Arc<Source>, rows_max: usize) -> Result<Preview, Fault> {
    let opened = Opened::new(source)?;
    let num_columns = opened.footer.roots.len();
    let shown = num_columns.min(COLUMNS_SHOWN_MAX);
    let groups = opened.parquet().row_groups();
    let (rows, problems) = first_rows(&opened, shown, rows_max)?;
    let of_columns = (!problems.is_empty()).then(|| {
        let named: Vec<_> = problems.iter().take(3).map(|(name, problem)| format!("{name}: {problem}")).collect();
        let more = problems.len().saturating_sub(named.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("some columns are not shown ({}{more})", named.join("; "))
    });
    let problems: Vec<_> = opened.contradiction().into_iter().chain(of_columns).collect();
    let problem = truncate(&problems.join("; "), PROBLEM_CHARACTERS_MAX);
    Ok(Preview {
        schema: Some(opened.schema(shown)),
        num_columns: num_columns as u64,
        row_count: Some(opened.row_count()),
        rows,
        row_groups: groups.iter().take(ROW_GROUPS_SHOWN_MAX).map(row_group).collect(),
        num_row_groups: groups.len() as u64,
        statistics: statistics::of_columns(&opened.footer, shown),
        written_by: opened.parquet().file_metadata().created_by().map(|program| truncate(program, CELL_CHARACTERS_MAX)),
        problem: (!problems.is_empty()).then_some(problem),
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

/// First rows, and the columns that could not be read with the reason. Their cells are `None`.
fn first_rows(opened: &Opened, columns: usize, rows_max: usize) -> Result<(Rows, Vec<(String, String)>), Fault> {
    let footer = opened.parquet();
    // As many non-empty row groups as contain `rows_max` rows.
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
    let whole = &opened.footer.metadata;
    let viewed = Arc::new(types::viewed(whole.schema()));
    let as_views = ArrowReaderMetadata::try_new(footer.clone(), options().with_schema(viewed));
    let metadata = as_views.unwrap_or_else(|_| whole.clone());
    for root in opened.footer.roots.iter().take(columns) {
        if groups.is_empty() || num_rows == 0 {
            break;
        }
        let values = match read_column(opened, &metadata, root, &groups, num_rows) {
            Ok(values) => values,
            Err(fault @ Fault::Disk(_)) => return Err(fault),
            Err(Fault::Unreadable(problem)) => {
                problems.push((truncate(&root.name, CELL_CHARACTERS_MAX), problem));
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
    root: &Root,
    groups: &[usize],
    num_rows: usize,
) -> Result<Vec<Option<String>>, Fault> {
    if let Some(limit) = opened.footer.limit_of(root) {
        return Err(Fault::unreadable(limit));
    }
    if root.leaves.is_empty() {
        return Err(Fault::unreadable("it is a group without columns, and has no values"));
    }
    let parquet_schema = metadata.metadata().file_metadata().schema_descr();
    let file = &opened.file;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone())
        .with_projection(ProjectionMask::leaves(parquet_schema, root.leaves.clone()))
        .with_row_groups(groups.to_vec())
        .with_batch_size(BATCH_ROWS.min(num_rows))
        .with_limit(num_rows)
        .build()
        .map_err(|error| file.cause(error))?;
    let mut values = Vec::with_capacity(num_rows);
    for batch in reader {
        let batch = batch.map_err(|error| file.cause(error))?;
        if let Some(array) = batch.columns().first() {
            values::shown_values(array, &opened.footer.leaves[root.leaves.clone()], &mut values);
        }
    }
    if values.len() < num_rows {
        let problem = format!("it is damaged: {} values for {num_rows} rows", values.len());
        return Err(Fault::Unreadable(problem));
    }
    Ok(values)
}
