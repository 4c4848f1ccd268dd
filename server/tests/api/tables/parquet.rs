//! Small files of Parquet.

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

/// A column and its values.
pub enum Column<'a> {
    Longs(&'a str, Vec<i64>),
    Texts(&'a str, Vec<&'a str>),
    /// A type that no table has.
    Unsigned(&'a str, Vec<i64>),
}

pub fn file(columns: &[Column<'_>]) -> Vec<u8> {
    let kinds = columns.iter().map(|column| match column {
        Column::Longs(name, _) => format!("optional int64 {name};"),
        Column::Texts(name, _) => format!("optional binary {name} (STRING);"),
        Column::Unsigned(name, _) => format!("optional int64 {name} (INTEGER(64,false));"),
    });
    let schema = parse_message_type(&format!("message m {{ {} }}", kinds.collect::<String>())).unwrap();
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in columns {
        let mut next = group.next_column().unwrap().unwrap();
        match column {
            Column::Longs(_, values) | Column::Unsigned(_, values) => {
                let defined = vec![1; values.len()];
                next.typed::<Int64Type>().write_batch(values, Some(&defined), None).unwrap();
            }
            Column::Texts(_, values) => {
                let texts: Vec<_> = values.iter().map(|text| ByteArray::from(*text)).collect();
                let defined = vec![1; values.len()];
                next.typed::<ByteArrayType>().write_batch(&texts, Some(&defined), None).unwrap();
            }
        }
        next.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

/// One of a single column `id`.
pub fn ids(ids: impl IntoIterator<Item = i64>) -> Vec<u8> {
    file(&[Column::Longs("id", ids.into_iter().collect())])
}
