//! Parquet files for tests, built byte by byte: metadata that no writer makes, around plain values.

use super::preview;
use super::thrift::{BINARY, Fields, I32, I64, STRUCT};
use crate::source::Source;
use lakeshore::model::preview::Preview;
use std::sync::Arc;

pub(super) struct Column {
    pub(super) element: Fields<'static>,
    /// Plain encoding, required.
    pub(super) values: Vec<u8>,
    pub(super) meta: Vec<(i16, Part)>,
    pub(super) chunk: Vec<(i16, Part)>,
}

pub(super) enum Part {
    Number(i64),
    Fields(Fields<'static>),
    Left,
}

pub(super) fn fields(parts: &[(i16, i64)]) -> Fields<'static> {
    let mut fields = Fields::default();
    parts.iter().for_each(|(id, number)| fields.set_number(*id, I64, *number));
    fields
}

pub(super) fn element(name: &str, numbers: &[(i16, i64)]) -> Fields<'static> {
    let mut element = Fields::default();
    element.set_number(3, I32, 0);
    element.set_binary(4, name.as_bytes());
    numbers.iter().for_each(|(id, number)| element.set_number(*id, I32, *number));
    element
}

pub(super) fn logical(mut element: Fields<'static>, kind: i16, inner: &Fields<'_>) -> Fields<'static> {
    let mut union = Fields::default();
    union.set_fields(kind, inner);
    element.set_fields(10, &union);
    element
}

/// TIME or TIMESTAMP: whether in UTC, and the unit (1 milliseconds, 2 microseconds, 3 nanoseconds).
pub(super) fn time(element: Fields<'static>, kind: i16, is_utc: bool, unit: i16) -> Fields<'static> {
    let mut inner = Fields::default();
    inner.set_flag(1, is_utc);
    let mut units = Fields::default();
    units.set_fields(unit, &Fields::default());
    inner.set_fields(2, &units);
    logical(element, kind, &inner)
}

pub(super) fn column(element: Fields<'static>, values: Vec<u8>) -> Column {
    Column { element, values, meta: Vec::new(), chunk: Vec::new() }
}

pub(super) fn integers(element: Fields<'static>, values: &[i32]) -> Column {
    column(element, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

pub(super) fn longs(element: Fields<'static>, values: &[i64]) -> Column {
    column(element, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

pub(super) fn texts(element: Fields<'static>, values: &[&[u8]]) -> Column {
    let length = |value: &[u8]| u32::try_from(value.len()).unwrap().to_le_bytes();
    column(element, values.iter().flat_map(|value| [&length(value), *value].concat()).collect())
}

impl Column {
    pub(super) fn with_statistics(mut self, bounds: &[(i16, &[u8])], flags: &[(i16, bool)]) -> Self {
        let mut statistics = fields(&[(3, 0)]);
        bounds.iter().for_each(|(id, bound)| statistics.set_binary(*id, bound));
        flags.iter().for_each(|(id, flag)| statistics.set_flag(*id, *flag));
        self.meta.push((12, Part::Fields(statistics)));
        self
    }
}

pub(super) struct File {
    pub(super) groups: Vec<(usize, Fields<'static>)>,
    pub(super) columns: Vec<Column>,
    pub(super) rows: i64,
    pub(super) created_by: Vec<u8>,
    /// Member of the union `ColumnOrder` for each column.
    pub(super) orders: Option<Vec<i16>>,
}

pub(super) fn file(rows: i64, columns: Vec<Column>) -> File {
    File { groups: Vec::new(), columns, rows, created_by: b"tests".to_vec(), orders: None }
}

impl File {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"PAR1".to_vec();
        let mut chunks = Vec::new();
        for column in &self.columns {
            let length = i64::try_from(column.values.len()).unwrap();
            let mut header = Fields::default();
            for (id, number) in [(1, 0), (2, length), (3, length)] {
                header.set_number(id, I32, number);
            }
            let mut data = Fields::default();
            for (id, number) in [(1, self.rows), (2, 0), (3, 3), (4, 3)] {
                data.set_number(id, I32, number);
            }
            header.set_fields(5, &data);
            let at = i64::try_from(bytes.len()).unwrap();
            bytes.extend(header.to_bytes());
            bytes.extend(&column.values);
            let size = i64::try_from(bytes.len()).unwrap() - at;
            let mut meta = Fields::default();
            meta.set_number(1, I32, column.element.number(1).unwrap());
            meta.set_list(2, I32, &[vec![0]]);
            meta.set_list(3, BINARY, &[]);
            meta.set_number(4, I32, 0);
            for (id, number) in [(5, self.rows), (6, size), (7, size), (9, at)] {
                meta.set_number(id, I64, number);
            }
            set(&mut meta, &column.meta);
            let mut chunk = fields(&[(2, at)]);
            chunk.set_fields(3, &meta);
            set(&mut chunk, &column.chunk);
            chunks.push(chunk.to_bytes());
        }
        let mut group = Fields::default();
        group.set_list(1, STRUCT, &chunks);
        group.set_number(2, I64, 1);
        group.set_number(3, I64, self.rows);
        let mut elements: Vec<_> = self.columns.iter().map(|column| column.element.to_bytes()).collect();
        for (at, group) in &self.groups {
            elements.insert(*at, group.to_bytes());
        }
        let nested: i64 = self.groups.iter().filter_map(|(_, group)| group.number(5)).sum();
        let mut root = Fields::default();
        root.set_binary(4, b"schema");
        root.set_number(5, I32, i64::try_from(elements.len()).unwrap() - nested);
        elements.insert(0, root.to_bytes());
        let mut footer = fields(&[(3, self.rows)]);
        footer.set_number(1, I32, 1);
        footer.set_list(2, STRUCT, &elements);
        footer.set_list(4, STRUCT, &[group.to_bytes()]);
        footer.set_binary(6, &self.created_by);
        if let Some(orders) = &self.orders {
            let order = |order: &i16| {
                let mut union = Fields::default();
                union.set_fields(*order, &Fields::default());
                union.to_bytes()
            };
            footer.set_list(7, STRUCT, &orders.iter().map(order).collect::<Vec<_>>());
        }
        let footer = footer.to_bytes();
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        [bytes, footer, length.to_vec(), b"PAR1".to_vec()].concat()
    }

    pub(super) fn read(&self) -> Preview {
        read(self.bytes())
    }
}

fn set(fields: &mut Fields<'static>, parts: &[(i16, Part)]) {
    for (id, part) in parts {
        match part {
            Part::Number(number) => fields.set_number(*id, I64, *number),
            Part::Fields(inner) => fields.set_fields(*id, inner),
            Part::Left => fields.remove(*id),
        }
    }
}

pub(super) fn read(bytes: Vec<u8>) -> Preview {
    let length = bytes.len() as u64;
    preview(&Arc::new(Source::new(bytes, length)), 10).unwrap()
}
