//! Rewrites a footer for the parquet crate: the same columns and chunks, without unsupported elements.

use super::footer::Parts;
use super::leaf::{Element, LeafKind, physical};
use super::thrift::{BINARY, Fields, I32, I64, STRUCT};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::file::metadata::ParquetMetaDataReader;
use std::collections::HashSet;
use std::sync::Arc;

/// Extent of the rewrite.
#[derive(Default)]
pub(super) struct Rewrite {
    /// Also removes everything that is not read here, or that the crate does not support.
    pub(super) is_thorough: bool,
    /// Some chunks would be misread by the crate.
    pub(super) has_odd_chunks: bool,
    /// Number of rows of all row groups.
    pub(super) num_rows: i64,
    /// Elements whose annotations are removed, by index in the schema.
    pub(super) plain: HashSet<usize>,
}

impl Rewrite {
    pub(super) fn apply(&self, parts: &Parts<'_>) -> Vec<u8> {
        let mut top = parts.top.clone();
        let elements: Vec<Vec<u8>> =
            parts.elements.all.iter().enumerate().map(|(index, element)| self.element(index, element, parts)).collect();
        top.set_list(2, STRUCT, &elements);
        if top.has(3) {
            top.set_number(3, I64, self.num_rows);
        }
        if (self.has_odd_chunks || self.is_thorough)
            && let Some(groups) = parts.top.structs(4)
        {
            let groups: Vec<_> = groups.into_iter().map(|group| self.row_group(group, parts)).collect();
            top.set_list(4, STRUCT, &groups);
        }
        if self.is_thorough {
            let orders = parts.top.structs(7);
            let is_of_all = orders.is_some_and(|orders| {
                let is_union = |order: &&[u8]| Fields::parse(order).is_some_and(|order| order.first().is_some());
                orders.len() == parts.elements.leaves.len() && orders.iter().all(is_union)
            });
            let is_text = parts.top.binary(6).is_some_and(|name| std::str::from_utf8(name).is_ok());
            let kept: Vec<i16> =
                [1, 2, 3, 4].into_iter().chain(is_text.then_some(6)).chain(is_of_all.then_some(7)).collect();
            top.keep(&kept);
        }
        top.to_bytes()
    }

    fn element(&self, index: usize, element: &Element<'_>, parts: &Parts<'_>) -> Vec<u8> {
        let mut fields = element.fields.clone();
        match element.leaf.map(|leaf| parts.elements.leaves[leaf]) {
            Some(LeafKind::Int96 | LeafKind::Interval) => {
                without_annotations(&mut fields);
                fields.set_number(1, I32, physical::FIXED);
                fields.set_number(2, I32, 12);
            }
            Some(LeafKind::Text | LeafKind::Decimal { .. } | LeafKind::Narrow(_)) => {
                without_annotations(&mut fields);
                with_readable_name(&mut fields);
            }
            _ if self.plain.contains(&index) => without_annotations(&mut fields),
            Some(_) if self.is_thorough => fields = known(fields),
            None if self.is_thorough && index > 0 => fields = known_group(fields),
            _ => {}
        }
        fields.to_bytes()
    }

    fn row_group(&self, bytes: &[u8], parts: &Parts<'_>) -> Vec<u8> {
        let Some(mut group) = Fields::parse(bytes) else { return bytes.to_vec() };
        if let Some(chunks) = Fields::parse(bytes).and_then(|group| {
            let chunks = group.structs(1)?;
            let leaves = parts.elements.all.iter().filter(|element| element.leaf.is_some());
            Some(chunks.into_iter().zip(leaves).map(|(chunk, leaf)| self.chunk(chunk, leaf)).collect::<Vec<_>>())
        }) {
            group.set_list(1, STRUCT, &chunks);
        }
        if self.is_thorough {
            group.keep(&[1, 2, 3]);
        }
        group.to_bytes()
    }

    fn chunk(&self, bytes: &[u8], leaf: &Element<'_>) -> Vec<u8> {
        let Some(mut chunk) = Fields::parse(bytes) else { return bytes.to_vec() };
        let Some(mut meta) = chunk.fields(3).map(Fields::into_owned) else {
            // Kept, because each leaf needs a chunk, even without metadata.
            chunk.keep(&[2]);
            chunk.set_fields(3, &nothing(leaf));
            return chunk.to_bytes();
        };
        if meta.number(11).is_some_and(|offset| offset <= 0) {
            meta.remove(11);
        }
        if self.is_thorough {
            meta.keep(&[1, 2, 3, 4, 5, 6, 7, 9, 11, 12]);
            // The pages repeat these fields.
            meta.set_list(2, I32, &[vec![0]]);
            meta.set_list(3, BINARY, &[]);
            meta.set_number(1, I32, 1);
            if !meta.number(4).is_some_and(|codec| (0..=7).contains(&codec)) {
                meta.set_number(4, I32, 0);
            }
            let is_sound = meta.fields(12).is_none_or(|statistics| are_sound(&statistics, leaf));
            if !is_sound {
                meta.remove(12);
            }
            chunk.keep(&[2, 3]);
        }
        chunk.set_fields(3, &meta);
        chunk.to_bytes()
    }
}

/// Metadata of a chunk without values.
fn nothing(leaf: &Element<'_>) -> Fields<'static> {
    let mut meta = Fields::default();
    meta.set_number(1, I32, leaf.physical().filter(|kind| (0..=7).contains(kind)).unwrap_or(physical::INT32));
    meta.set_list(2, I32, &[vec![0]]);
    meta.set_list(3, BINARY, &[]);
    meta.set_number(4, I32, 0);
    for id in [5, 6, 7] {
        meta.set_number(id, I64, 0);
    }
    meta.set_number(9, I64, 4);
    meta
}

/// Whether the statistics are well-formed: the crate rejects a file for one malformed bound.
fn are_sound(statistics: &Fields<'_>, leaf: &Element<'_>) -> bool {
    let length = match leaf.physical() {
        Some(physical::BOOLEAN) => Some(1),
        Some(physical::INT32 | physical::FLOAT) => Some(4),
        Some(physical::INT64 | physical::DOUBLE) => Some(8),
        _ => None,
    };
    let has_length = |id| statistics.binary(id).is_none_or(|bound| length.is_none_or(|length| bound.len() == length));
    let is_count = |id| statistics.number(id).is_none_or(|count| count >= 0);
    [1, 2, 5, 6].into_iter().all(has_length) && [3, 9].into_iter().all(is_count)
}

fn without_annotations(fields: &mut Fields<'_>) {
    for id in [6, 7, 8, 10] {
        fields.remove(id);
    }
}

/// Leaf without the annotations that the crate does not support.
fn known(mut fields: Fields<'_>) -> Fields<'_> {
    with_readable_name(&mut fields);
    if !fields.number(1).is_some_and(|kind| (0..=7).contains(&kind)) {
        fields.set_number(1, I32, physical::INT32);
    }
    for left_out in [&[] as &[i16], &[6], &[10], &[6, 7, 8, 10]] {
        let mut candidate = fields.clone();
        left_out.iter().for_each(|id| candidate.remove(*id));
        if annotated_as_the_crate_knows(&candidate) {
            return candidate;
        }
    }
    without_annotations(&mut fields);
    fields
}

fn known_group(mut fields: Fields<'_>) -> Fields<'_> {
    with_readable_name(&mut fields);
    if !fields.number(6).is_none_or(|converted| (0..=21).contains(&converted)) {
        fields.remove(6);
    }
    let mut alone = fields.clone();
    alone.set_number(5, I32, 1);
    let mut child = Fields::default();
    child.set_number(1, I32, physical::INT32);
    child.set_number(3, I32, 0);
    child.set_binary(4, b"x");
    if ParquetMetaDataReader::decode_metadata(&footer_of(&[alone.to_bytes(), child.to_bytes()])).is_err() {
        without_annotations(&mut fields);
    }
    fields
}

fn with_readable_name(fields: &mut Fields<'_>) {
    let lossy = match fields.binary(4) {
        Some(name) if std::str::from_utf8(name).is_err() => String::from_utf8_lossy(name).into_owned(),
        _ => return,
    };
    fields.set_binary(4, lossy.as_bytes());
}

/// Whether the crate reads a file with this leaf alone.
pub(super) fn annotated_as_the_crate_knows(leaf: &Fields<'_>) -> bool {
    let decoded = ParquetMetaDataReader::decode_metadata(&footer_of(&[leaf.to_bytes()]));
    decoded.is_ok_and(|decoded| ArrowReaderMetadata::try_new(Arc::new(decoded), super::footer::options()).is_ok())
}

/// Footer of a file without rows, with one root and its descendants.
fn footer_of(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut root = Fields::default();
    root.set_binary(4, b"schema");
    root.set_number(5, I32, 1);
    let elements: Vec<_> = std::iter::once(root.to_bytes()).chain(elements.iter().cloned()).collect();
    let mut top = Fields::default();
    top.set_number(1, I32, 1);
    top.set_list(2, STRUCT, &elements);
    top.set_number(3, I64, 0);
    top.set_list(4, STRUCT, &[]);
    top.to_bytes()
}
