//! Checkpoints: the state of a table after a commit as a Parquet file, so that nobody reads the log from its start.
//!
//! One file, whatever its size: the protocol deprecates checkpoints of several parts, which come about one by one. It is written in row
//! groups, so memory does not grow with the table.

use crate::commit::{AddFile, RemoveFile};
use crate::partition::PartitionValues;
use crate::path::LOG_FOLDER;
use crate::plan::{APP_ID, TableState};
use crate::protocol::Feature;
use arrow_array::builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde::Serialize;
use std::sync::Arc;

/// Actions that are encoded at once.
const BATCH_ACTIONS: usize = 1024;
/// Actions of a row group, which is in memory until it is full.
const ROW_GROUP_ACTIONS: usize = 16 * BATCH_ACTIONS;

/// A file of the table, or one that it has lost while its object still exists: programs that clean tables up leave such objects to the
/// readers of older commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAction {
    Add(AddFile),
    Remove(RemoveFile),
}

/// The name of a checkpoint in the table's folder.
pub fn checkpoint_name(commit: u64) -> String {
    format!("{LOG_FOLDER}/{commit:020}.checkpoint.parquet")
}

/// The name of the file that names the newest checkpoint.
pub fn last_checkpoint_name() -> String {
    format!("{LOG_FOLDER}/_last_checkpoint")
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint could not be encoded: {0}")]
    Parquet(#[from] ParquetError),
    #[error("the actions of the checkpoint could not be encoded: {0}")]
    Arrow(#[from] ArrowError),
    #[error("the schema could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Contents of `_last_checkpoint`: the commit and the size of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointSummary {
    /// Number of the commit.
    pub version: u64,
    /// Actions.
    pub size: u64,
    pub size_in_bytes: u64,
    pub num_of_add_files: u64,
}

impl CheckpointSummary {
    /// Returns the bytes of `_last_checkpoint`.
    ///
    /// # Errors
    /// An error of JSON, which no checkpoint causes.
    pub fn last_checkpoint(&self) -> Result<Bytes, serde_json::Error> {
        Ok(serde_json::to_vec(self)?.into())
    }
}

/// The bytes of a checkpoint, a chunk at a time.
pub struct CheckpointChunks<F> {
    /// Absent once it is closed.
    writer: Option<ArrowWriter<Vec<u8>>>,
    types: Types,
    files: F,
    summary: CheckpointSummary,
}

impl<F: Iterator<Item = FileAction>> CheckpointChunks<F> {
    /// Starts the checkpoint of a table after `state.commit`. `files` are all files of the table, without duplicates.
    ///
    /// # Errors
    /// [`CheckpointError`] if the state cannot be encoded, which no table causes.
    pub fn new(state: &TableState, files: impl IntoIterator<IntoIter = F>) -> Result<Self, CheckpointError> {
        let types = Types::new();
        let properties = WriterProperties::builder()
            .set_created_by("lakeshore".to_owned())
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(ROW_GROUP_ACTIONS))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), types.schema.clone(), options)?;
        for (at, column) in [(PROTOCOL, protocol(state)), (META_DATA, meta_data(state)?), (TXN, txn(state)?)] {
            writer.write(&types.batch(at, column)?)?;
        }
        let summary = CheckpointSummary { version: state.commit, size: 3, ..CheckpointSummary::default() };
        Ok(Self { writer: Some(writer), types, files: files.into_iter(), summary })
    }

    /// Bytes that it has written; the whole file once there are no more chunks.
    pub fn summary(&self) -> CheckpointSummary {
        self.summary
    }

    /// Encodes the next files, or the end of the file.
    fn write_next(&mut self) -> Result<Option<Bytes>, CheckpointError> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        let (mut adds, mut removes) = (Vec::new(), Vec::new());
        for file in self.files.by_ref().take(BATCH_ACTIONS) {
            match file {
                FileAction::Add(add) => adds.push(add),
                FileAction::Remove(remove) => removes.push(remove),
            }
        }
        let is_end = adds.is_empty() && removes.is_empty();
        self.summary.size += (adds.len() + removes.len()) as u64;
        self.summary.num_of_add_files += adds.len() as u64;
        if !adds.is_empty() {
            writer.write(&self.types.batch(ADD, add(&self.types, &adds)?)?)?;
        }
        if !removes.is_empty() {
            writer.write(&self.types.batch(REMOVE, remove(&removes)?)?)?;
        }
        if is_end {
            writer.finish()?;
        }
        let bytes = std::mem::take(writer.inner_mut());
        self.summary.size_in_bytes += bytes.len() as u64;
        if !is_end {
            self.writer = Some(writer);
        }
        Ok(Some(bytes.into()))
    }
}

impl<F: Iterator<Item = FileAction>> Iterator for CheckpointChunks<F> {
    type Item = Result<Bytes, CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.write_next() {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(chunk) => return chunk.map(Ok),
                // The writer is gone, so nothing follows.
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Columns of a checkpoint, by their numbers.
const PROTOCOL: usize = 0;
const META_DATA: usize = 1;
const TXN: usize = 2;
const ADD: usize = 3;
const REMOVE: usize = 4;

struct Types {
    schema: SchemaRef,
}

fn field(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn texts() -> DataType {
    DataType::List(Arc::new(field("element", DataType::Utf8)))
}

fn pairs() -> DataType {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), field("value", DataType::Utf8)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}

fn structure(fields: Vec<Field>) -> DataType {
    DataType::Struct(fields.into())
}

impl Types {
    fn new() -> Self {
        use DataType::{Boolean, Int32, Int64, Utf8};
        let format = structure(vec![field("provider", Utf8), field("options", pairs())]);
        let protocol = vec![
            field("minReaderVersion", Int32),
            field("minWriterVersion", Int32),
            field("readerFeatures", texts()),
            field("writerFeatures", texts()),
        ];
        let meta_data = vec![
            field("id", Utf8),
            field("name", Utf8),
            field("description", Utf8),
            field("format", format),
            field("schemaString", Utf8),
            field("partitionColumns", texts()),
            field("createdTime", Int64),
            field("configuration", pairs()),
        ];
        let txn = vec![field("appId", Utf8), field("version", Int64), field("lastUpdated", Int64)];
        let add = vec![
            field("path", Utf8),
            field("partitionValues", pairs()),
            field("size", Int64),
            field("modificationTime", Int64),
            field("dataChange", Boolean),
            field("stats", Utf8),
            field("tags", pairs()),
        ];
        let remove = vec![
            field("path", Utf8),
            field("deletionTimestamp", Int64),
            field("dataChange", Boolean),
            field("extendedFileMetadata", Boolean),
            field("partitionValues", pairs()),
            field("size", Int64),
        ];
        let columns = [("protocol", protocol), ("metaData", meta_data), ("txn", txn), ("add", add), ("remove", remove)];
        let columns: Vec<Field> = columns.into_iter().map(|(name, fields)| field(name, structure(fields))).collect();
        Self { schema: Arc::new(Schema::new(columns)) }
    }

    fn fields(&self, column: usize) -> Fields {
        match self.schema.field(column).data_type() {
            DataType::Struct(fields) => fields.clone(),
            _ => Fields::empty(),
        }
    }

    /// Rows that have something in one column alone.
    fn batch(&self, column: usize, arrays: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
        let actions = StructArray::try_new(self.fields(column), arrays, None)?;
        let length = arrow_array::Array::len(&actions);
        let mut columns: Vec<ArrayRef> =
            self.schema.fields().iter().map(|field| new_null_array(field.data_type(), length)).collect();
        columns[column] = Arc::new(actions);
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn text(text: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![text]))
}

fn long(value: u64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value.cast_signed()]))
}

fn list<'a>(values: Option<impl IntoIterator<Item = &'a str>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(field("element", DataType::Utf8));
    builder.append_option(values.map(|values| values.into_iter().map(Some)));
    Arc::new(builder.finish())
}

fn maps<'a, M>(maps: impl IntoIterator<Item = M>) -> Result<ArrayRef, ArrowError>
where
    M: IntoIterator<Item = (&'a str, Option<&'a str>)>,
{
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for map in maps {
        for (key, value) in map {
            builder.keys().append_value(key);
            builder.values().append_option(value);
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn protocol(state: &TableState) -> Vec<ArrayRef> {
    let action = state.protocol.action();
    let int = |value| Arc::new(Int32Array::from(vec![value])) as ArrayRef;
    let names = |features: Option<Vec<Feature>>| list(features.map(|features| features.into_iter().map(Feature::name)));
    vec![
        int(action.min_reader_version),
        int(action.min_writer_version),
        names(action.reader_features),
        names(action.writer_features),
    ]
}

fn meta_data(state: &TableState) -> Result<Vec<ArrayRef>, CheckpointError> {
    let nothing = || new_null_array(&DataType::Utf8, 1);
    let none: [(&str, Option<&str>); 0] = [];
    let format = [field("provider", DataType::Utf8), field("options", pairs())];
    let format = StructArray::try_new(format.to_vec().into(), vec![text("parquet"), maps([none])?], None)?;
    Ok(vec![
        text(state.id.as_str()),
        nothing(),
        nothing(),
        Arc::new(format),
        text(&state.schema_string()?),
        list(Some(state.schema.partition_columns.iter().map(String::as_str))),
        Arc::new(Int64Array::from(vec![state.created.0])),
        maps([state.configuration().iter().map(|&(key, value)| (key, Some(value)))])?,
    ])
}

fn txn(state: &TableState) -> Result<Vec<ArrayRef>, CheckpointError> {
    Ok(vec![text(APP_ID), long(state.version.0), Arc::new(Int64Array::from(vec![state.at.0]))])
}

fn yes(rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![true; rows]))
}

fn no(rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![false; rows]))
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn add(types: &Types, files: &[AddFile]) -> Result<Vec<ArrayRef>, ArrowError> {
    let tags = types.fields(ADD).find("tags").map_or(DataType::Null, |(_, tags)| tags.data_type().clone());
    Ok(vec![
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| file.path.in_log()))),
        maps(files.iter().map(|file| PartitionValues::iter(&file.partition)))?,
        longs(files.iter().map(|file| file.size_bytes.cast_signed())),
        longs(files.iter().map(|file| file.modified.0)),
        // A checkpoint changes nothing.
        no(files.len()),
        Arc::new(files.iter().map(|file| file.stats.as_deref()).collect::<StringArray>()),
        new_null_array(&tags, files.len()),
    ])
}

fn remove(files: &[RemoveFile]) -> Result<Vec<ArrayRef>, ArrowError> {
    Ok(vec![
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| file.path.in_log()))),
        longs(files.iter().map(|file| file.removed.0)),
        no(files.len()),
        yes(files.len()),
        maps(files.iter().map(|file| PartitionValues::iter(&file.partition)))?,
        longs(files.iter().map(|file| file.size_bytes.cast_signed())),
    ])
}

#[cfg(test)]
mod tests;
