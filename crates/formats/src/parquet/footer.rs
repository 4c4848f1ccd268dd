//! Footer of a file: columns, leaves, and notes that the parquet crate does not pass on. Numbers are those of the file.
//!
//! The crate rejects a whole file for one unknown element, omits columns without values, and reads some types with
//! loss. So the footer is parsed here first, in the terms of `parquet.thrift`. Where the crate would fail or lose data,
//! it gets a footer that is reduced to what it supports ([`rewrite`](super::rewrite)).

use super::leaf::{Elements, LeafKind, Root};
use super::rewrite::{Rewrite, annotated_as_the_crate_knows};
use super::thrift::Fields;
use crate::Fault;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_schema_by_columns};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Roots that are converted one by one after converting all has failed.
const ROOTS_TRIED_MAX: usize = 4096;

/// Parsed parts of a footer, as they are in the file.
pub(super) struct Parts<'a> {
    pub(super) top: Fields<'a>,
    pub(super) elements: Elements<'a>,
}

pub(super) struct Footer {
    pub(super) metadata: ArrowReaderMetadata,
    /// Columns, in the order of the file.
    pub(super) roots: Vec<Root>,
    /// Index of the arrow field of each root; `None` without one.
    pub(super) fields: Vec<Option<usize>>,
    pub(super) leaves: Vec<LeafKind>,
    pub(super) notes: Notes,
}

/// Statements about column chunks that the parquet crate does not pass on.
#[derive(Default)]
pub(super) struct Notes {
    /// Reason why a leaf cannot be read.
    pub(super) limits: BTreeMap<usize, String>,
    /// Row group and leaf whose minimum is truncated.
    pub(super) cut_mins: HashSet<(usize, usize)>,
    /// Row group and leaf whose maximum is truncated.
    pub(super) cut_maxes: HashSet<(usize, usize)>,
    /// Sum over the row groups; the footer may state another number for the whole file.
    pub(super) num_rows: i64,
    pub(super) said_num_rows: Option<i64>,
    /// Whether the crate would misread a chunk.
    needs_rewrite: bool,
}

/// Options that use Parquet's own types, and ignore the arrow schema that a writer added.
pub(super) fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(PageIndexPolicy::Skip)
}

impl Footer {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let damaged = || Fault::unreadable("it is damaged: its footer cannot be read");
        let top = Fields::parse(bytes).ok_or_else(damaged)?;
        let elements = Elements::parse(&top.structs(2).ok_or_else(damaged)?).ok_or_else(damaged)?;
        let notes = Notes::read(&top, &elements).ok_or_else(damaged)?;
        let parts = Parts { top: top.clone(), elements };
        let mut rewrite =
            Rewrite { num_rows: notes.num_rows, has_odd_chunks: notes.needs_rewrite, ..Rewrite::default() };
        let is_changed = notes.needs_rewrite || parts.elements.leaves.iter().any(|leaf| leaf.is_read_as_bytes());
        let mut decoded = if is_changed { decode(&rewrite.apply(&parts)) } else { decode(bytes) };
        if decoded.is_err() {
            rewrite.is_thorough = true;
            // The error of the original footer says more about the file.
            decoded = decode(&rewrite.apply(&parts)).or(decoded);
        }
        let mut decoded = Arc::new(decoded.map_err(refusal)?);
        let num_fields = parts.elements.roots.iter().filter(|root| !root.leaves.is_empty()).count();
        let mut metadata = ArrowReaderMetadata::try_new(decoded.clone(), options());
        if !metadata.as_ref().is_ok_and(|metadata| metadata.schema().fields().len() == num_fields) {
            rewrite.plain = elements_not_converted(&decoded, &parts);
            decoded = Arc::new(decode(&rewrite.apply(&parts)).map_err(refusal)?);
            metadata = ArrowReaderMetadata::try_new(decoded, options());
        }
        let metadata = metadata.map_err(refusal)?;
        if metadata.schema().fields().len() != num_fields {
            return Err(Fault::unreadable("not supported: several columns have the same name"));
        }
        let Elements { roots, leaves, .. } = parts.elements;
        let mut next = 0..;
        let fields = roots.iter().map(|root| if root.leaves.is_empty() { None } else { next.next() }).collect();
        Ok(Self { metadata, roots, fields, leaves, notes })
    }

    pub(super) fn parquet(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    /// Reason why a column cannot be read, known without reading it.
    pub(super) fn limit_of(&self, root: &Root) -> Option<&str> {
        self.notes.limits.range(root.leaves.clone()).next().map(|(_, limit)| limit.as_str())
    }
}

fn decode(bytes: &[u8]) -> Result<ParquetMetaData, ParquetError> {
    ParquetMetaDataReader::decode_metadata(bytes)
}

fn refusal(error: ParquetError) -> Fault {
    Fault::unreadable(super::file::described(&error.to_string()))
}

/// Elements of roots that the arrow crate has no type for. They are read without their annotations.
fn elements_not_converted(decoded: &ParquetMetaData, parts: &Parts<'_>) -> HashSet<usize> {
    let schema = decoded.file_metadata().schema_descr();
    let mut plain = HashSet::new();
    for root in parts.elements.roots.iter().filter(|root| !root.leaves.is_empty()).take(ROOTS_TRIED_MAX) {
        let mask = ProjectionMask::leaves(schema, root.leaves.clone());
        let converted = parquet_to_arrow_schema_by_columns(schema, mask, None);
        if converted.is_ok_and(|converted| converted.fields().len() == 1) {
            continue;
        }
        // If only leaves are at fault, the groups around them keep their shape.
        let elements = || root.elements.clone().map(|index| (index, &parts.elements.all[index]));
        let bad_leaves: Vec<usize> = elements()
            .filter(|(_, element)| element.leaf.is_some() && !annotated_as_the_crate_knows(&element.fields))
            .map(|(index, _)| index)
            .collect();
        if bad_leaves.is_empty() {
            plain.extend(elements().filter(|(_, element)| element.leaf.is_none()).map(|(index, _)| index));
        }
        plain.extend(bad_leaves);
    }
    plain
}

impl Notes {
    fn read(top: &Fields<'_>, elements: &Elements<'_>) -> Option<Self> {
        let mut notes = Self::default();
        for element in &elements.all {
            if let (Some(leaf), Some(kind)) = (element.leaf, element.physical())
                && !(0..=7).contains(&kind)
            {
                notes.limits.insert(leaf, format!("not supported: values of physical type {kind}"));
            }
        }
        for (group, bytes) in top.structs(4)?.into_iter().enumerate() {
            let row_group = Fields::parse(bytes)?;
            notes.num_rows = notes.num_rows.saturating_add(row_group.number(3).unwrap_or(0).max(0));
            for (leaf, bytes) in row_group.structs(1)?.into_iter().enumerate() {
                notes.see_chunk(group, leaf, &Fields::parse(bytes)?);
            }
        }
        notes.said_num_rows = top.number(3);
        notes.needs_rewrite |= notes.said_num_rows.is_some_and(|said| said != notes.num_rows);
        Some(notes)
    }

    fn see_chunk(&mut self, group: usize, leaf: usize, chunk: &Fields<'_>) {
        /// Codecs of `parquet.thrift`: uncompressed, Snappy, gzip, LZO, Brotli, LZ4, Zstandard, LZ4 raw.
        const CODECS: std::ops::RangeInclusive<i64> = 0..=7;
        if chunk.has(8) || chunk.has(9) {
            self.limits.insert(leaf, "it is encrypted".to_owned());
        }
        if chunk.binary(1).is_some_and(|path| !path.is_empty()) {
            self.limits.insert(leaf, "not supported: its values are in another file".to_owned());
        }
        let Some(meta) = chunk.fields(3) else {
            self.needs_rewrite = true;
            self.limits.entry(leaf).or_insert_with(|| "its values have no description".to_owned());
            return;
        };
        if let Some(codec) = meta.number(4)
            && !CODECS.contains(&codec)
        {
            self.limits.entry(leaf).or_insert_with(|| format!("not supported: compression codec {codec}"));
        }
        // Some writers write 0 for a chunk without a dictionary.
        self.needs_rewrite |= meta.number(11).is_some_and(|offset| offset <= 0);
        if let Some(statistics) = meta.fields(12) {
            if statistics.is_false(7) {
                self.cut_maxes.insert((group, leaf));
            }
            if statistics.is_false(8) {
                self.cut_mins.insert((group, leaf));
            }
        }
    }
}
