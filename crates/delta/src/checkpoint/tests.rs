//! Checkpoints, read back by the parquet crate.

use super::*;
use crate::footer::FileSchema;
use crate::path::TablePath;
use crate::plan::{Change, FileShape, TableId, plan};
use crate::schema::Widening;
use crate::types;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::VersionKind;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn state() -> TableState {
    let field = types::Field::new("at", types::DataType::TimestampNtz);
    let schema = FileSchema { fields: vec![field], ..FileSchema::default() };
    let shapes = [FileShape { schema: &schema, partition_columns: vec!["dt".to_owned()] }];
    let change = Change {
        version: VersionNumber(4),
        at: Timestamp(9),
        kind: VersionKind::Publish,
        replaces_all: true,
        widening: Widening::Refused,
        shapes: &shapes,
    };
    let id = TableId::of("lake", &LakePath::parse("/a").unwrap());
    plan(None, &id, &change).unwrap().commit.unwrap().state
}

fn file(number: usize) -> AddFile {
    AddFile {
        path: TablePath::parse(&format!("dt=a%20b/{number:06}.parquet")).unwrap(),
        partition: PartitionValues::of_path("dt=a b/f").unwrap(),
        size_bytes: number as u64,
        modified: Timestamp(7),
        stats: number.is_multiple_of(2).then(|| r#"{"numRecords":1}"#.to_owned()),
    }
}

fn written(adds: usize, removes: usize) -> (Vec<Bytes>, CheckpointSummary) {
    let removed = |number| {
        let AddFile { path, partition, size_bytes, .. } = file(adds + number);
        FileAction::Remove(RemoveFile { path, partition, size_bytes, removed: Timestamp(8) })
    };
    let files = (0..adds).map(|number| FileAction::Add(file(number))).chain((0..removes).map(removed));
    let mut chunks = CheckpointChunks::new(&state(), files).unwrap();
    let bytes = chunks.by_ref().map(Result::unwrap).collect();
    (bytes, chunks.summary())
}

fn read(bytes: &[Bytes]) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.concat())).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

#[test]
fn a_checkpoint_holds_the_table_and_its_files() {
    let (bytes, summary) = written(3, 1);
    assert_eq!((summary.version, summary.size, summary.num_of_add_files), (0, 7, 3));
    let batches = read(&bytes);
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
    let column = |name: &str| batch.column_by_name(name).unwrap().as_struct();
    let filled = |name: &str| (0..batch.num_rows()).filter(|&row| column(name).is_valid(row)).collect::<Vec<_>>();
    assert_eq!(
        ["protocol", "metaData", "txn", "add", "remove"].map(filled),
        [vec![0], vec![1], vec![2], vec![3, 4, 5], vec![6]]
    );
    let add = column("add");
    let text = |name: &str, row| add.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    assert_eq!(text("path", 4), "dt=a%2520b/000001.parquet");
    assert_eq!(text("stats", 3), r#"{"numRecords":1}"#);
    assert!(add.column_by_name("stats").unwrap().is_null(4));
    assert_eq!(add.column_by_name("size").unwrap().as_primitive::<Int64Type>().value(5), 2);
    let partition = add.column_by_name("partitionValues").unwrap().as_map().value(4);
    assert_eq!(partition.column(1).as_string::<i32>().value(0), "a b");
    let features = column("protocol").column_by_name("readerFeatures").unwrap().as_list::<i32>().value(0);
    assert_eq!(features.as_string::<i32>().value(0), "timestampNtz");
    let schema = column("metaData").column_by_name("schemaString").unwrap().as_string::<i32>().value(1).to_owned();
    assert!(schema.contains(r#""name":"dt","type":"string""#), "{schema}");
}

#[test]
fn a_large_checkpoint_comes_in_chunks_of_few_bytes_each_and_is_the_same_again() {
    let (bytes, summary) = written(60_000, 0);
    assert!(bytes.len() > 3, "{}", bytes.len());
    assert_eq!(summary.size_in_bytes, bytes.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
    let largest = bytes.iter().map(Bytes::len).max().unwrap();
    assert!(largest < 4 << 20, "{largest}");
    assert_eq!(read(&bytes).iter().map(RecordBatch::num_rows).sum::<usize>(), 60_003);
    assert_eq!(written(60_000, 0).0, bytes);
}

#[test]
fn the_last_checkpoint_is_named() {
    let summary = CheckpointSummary { version: 7, size: 5, size_in_bytes: 100, num_of_add_files: 2 };
    let json = r#"{"version":7,"size":5,"sizeInBytes":100,"numOfAddFiles":2}"#;
    assert_eq!(summary.last_checkpoint().unwrap(), json);
    assert_eq!(checkpoint_name(7), "_delta_log/00000000000000000007.checkpoint.parquet");
}
