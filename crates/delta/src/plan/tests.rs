//! Plans of commits, for single changes and for random histories of a table.

use super::*;
use crate::partition::PartitionValues;
use crate::path::TablePath;
use crate::types::Field;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn schema(fields: &[(&str, DataType)]) -> FileSchema {
    let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone())).collect();
    FileSchema { fields, ..FileSchema::default() }
}

fn shape(schema: &FileSchema) -> FileShape<'_> {
    FileShape { schema, partition_columns: Vec::new() }
}

fn id() -> TableId {
    TableId::of("lake", &LakePath::parse("/data/a").unwrap())
}

fn change<'a>(version: u64, kind: VersionKind, shapes: &'a [FileShape<'a>]) -> Change<'a> {
    let replaces_all = kind != VersionKind::Landing;
    let (version, at) = (VersionNumber(version), Timestamp(1000 + version.cast_signed()));
    Change { version, at, kind, replaces_all, widening: Widening::Refused, shapes }
}

fn add(path: &str) -> AddFile {
    let (path, partition) = (TablePath::parse(path).unwrap(), PartitionValues::default());
    AddFile { path, partition, size_bytes: 1, modified: Timestamp(1), stats: None }
}

fn text(commit: &PlannedCommit, adds: &[&str]) -> String {
    String::from_utf8(commit.write(adds.iter().map(|path| add(path)), []).unwrap().bytes.to_vec()).unwrap()
}

fn names(text: &str) -> Vec<String> {
    let name = |line: &str| line.trim_start_matches("{\"").split('"').next().unwrap().to_owned();
    text.lines().map(name).collect()
}

#[test]
fn the_first_commit_says_what_the_table_is() {
    let file = schema(&[("id", DataType::Long)]);
    let plan = plan(None, &id(), &change(3, VersionKind::Publish, &[shape(&file)])).unwrap();
    assert_eq!(plan.outcomes, [Ok(())]);
    assert_eq!(
        text(&plan.commit.unwrap(), &["a.parquet"]),
        concat!(
            r#"{"commitInfo":{"timestamp":1003,"operation":"WRITE","operationParameters":{"mode":"Overwrite","lakeshoreVersion":"3"},"#,
            r#""engineInfo":"Lakeshore"}}"#,
            "\n",
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
            "\n",
            r#"{"metaData":{"id":"b5a36dc8-23a7-88f8-8ab9-2670143b6d7d","format":{"provider":"parquet","options":{}},"#,
            r#""schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}","#,
            r#""partitionColumns":[],"configuration":{},"createdTime":1003}}"#,
            "\n",
            r#"{"txn":{"appId":"lakeshore","version":3,"lastUpdated":1003}}"#,
            "\n",
            r#"{"add":{"path":"a.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}"#,
            "\n"
        )
    );
}

#[test]
fn later_commits_repeat_only_what_has_changed() {
    let (old, new) =
        (schema(&[("id", DataType::Long)]), schema(&[("id", DataType::Long), ("at", DataType::TimestampNtz)]));
    let first = plan(None, &id(), &change(1, VersionKind::Publish, &[shape(&old)])).unwrap().commit.unwrap();
    let same =
        plan(Some(&first.state), &id(), &change(2, VersionKind::Landing, &[shape(&old)])).unwrap().commit.unwrap();
    assert_eq!(names(&text(&same, &["a"])), ["commitInfo", "txn", "add"]);
    let more =
        plan(Some(&same.state), &id(), &change(3, VersionKind::Landing, &[shape(&new)])).unwrap().commit.unwrap();
    assert_eq!(names(&text(&more, &["a"])), ["commitInfo", "protocol", "metaData", "txn", "add"]);
    assert_eq!((more.number(), more.state.created, &more.state.id), (2, Timestamp(1001), &first.state.id));
    let replaced =
        plan(Some(&more.state), &id(), &change(4, VersionKind::Publish, &[shape(&old)])).unwrap().commit.unwrap();
    assert_eq!(names(&text(&replaced, &[])), ["commitInfo", "metaData", "txn"], "the protocol never shrinks");
    let empty = plan(Some(&replaced.state), &id(), &change(5, VersionKind::Publish, &[])).unwrap().commit.unwrap();
    assert_eq!(names(&text(&empty, &[])), ["commitInfo", "txn"], "a table without files keeps its columns");
}

#[test]
fn files_that_do_not_fit_are_named_and_the_others_are_in_the_table() {
    let (long, text, no) = (
        schema(&[("id", DataType::Long)]),
        schema(&[("id", DataType::String)]),
        FileSchema { unfit: vec![Unfit::NoColumns], ..FileSchema::default() },
    );
    let parted = FileShape { partition_columns: vec!["dt".into()], ..shape(&long) };
    let shapes = [shape(&no), shape(&long), shape(&text), parted];
    let plan = plan(None, &id(), &change(1, VersionKind::Landing, &shapes)).unwrap();
    assert!(matches!(
        &plan.outcomes[..],
        [Err(a), Ok(()), Err(b), Err(c)] if matches!(a[..], [Unfit::NoColumns])
            && matches!(b[..], [Unfit::OtherType { .. }]) && matches!(c[..], [Unfit::OtherPartitionColumns { .. }])
    ));
    assert!(plan.commit.is_some());
}

#[test]
fn there_is_no_table_until_a_file_fits_one() {
    let no = FileSchema { unfit: vec![Unfit::NoColumns], ..FileSchema::default() };
    let nothing = plan(None, &id(), &change(1, VersionKind::Landing, &[shape(&no)])).unwrap();
    assert!(nothing.commit.is_none());
    let long = schema(&[("id", DataType::Long)]);
    let later = plan(None, &id(), &change(2, VersionKind::Landing, &[shape(&long)])).unwrap().commit.unwrap();
    assert_eq!((later.number(), later.state.version), (0, VersionNumber(2)));
    let unfit = plan(Some(&later.state), &id(), &change(3, VersionKind::Landing, &[shape(&no)])).unwrap();
    assert_eq!(unfit.commit.unwrap().number(), 1, "a version without a file of the table is a commit all the same");
}

#[test]
fn a_version_is_written_once() {
    let long = schema(&[("id", DataType::Long)]);
    let state = plan(None, &id(), &change(2, VersionKind::Landing, &[shape(&long)])).unwrap().commit.unwrap().state;
    for version in [1, 2] {
        assert!(matches!(
            plan(Some(&state), &id(), &change(version, VersionKind::Landing, &[])),
            Err(PlanError::NotNewer { .. })
        ));
    }
}

#[test]
fn partition_columns_are_of_the_schema_and_win_over_those_of_the_files() {
    let file = schema(&[("dt", DataType::Date), ("id", DataType::Long)]);
    let shape = FileShape { schema: &file, partition_columns: vec!["dt".into()] };
    let commit = plan(None, &id(), &change(1, VersionKind::Publish, &[shape])).unwrap().commit.unwrap();
    let fields: Vec<_> =
        commit.state.schema.all_fields().into_iter().map(|field| (field.name, field.data_type)).collect();
    assert_eq!(fields, [("id".into(), DataType::Long), ("dt".into(), DataType::String)]);
}

#[test]
fn a_table_has_one_id_for_ever_and_no_other_has_it() {
    let of = |lake, path| TableId::of(lake, &LakePath::parse(path).unwrap());
    assert_eq!(of("lake", "/a"), of("lake", "/a"));
    assert_ne!(of("lake", "/a"), of("lake", "/b"));
    assert_ne!(of("lake", "/a"), of("lak", "/a"));
}

proptest! {
    #[test]
    fn the_same_change_gives_the_same_bytes_and_a_remembered_state_is_the_same(
        kinds in prop::collection::vec(0..3_usize, 1..8), paths in prop::collection::btree_set("[a-z]{1,3}", 0..5),
    ) {
        let schemas = [
            schema(&[("a", DataType::Long)]),
            schema(&[("a", DataType::Long), ("b", DataType::TimestampNtz)]),
            schema(&[("a", DataType::String)]),
        ];
        let mut state: Option<TableState> = None;
        for (at, kind) in kinds.iter().enumerate() {
            let shapes = [shape(&schemas[*kind])];
            let kind = if at % 2 == 0 { VersionKind::Landing } else { VersionKind::Publish };
            let change = change(at as u64 + 1, kind, &shapes);
            let commit = plan(state.as_ref(), &id(), &change).unwrap().commit.unwrap();
            let remembered: Option<TableState> = state.map(|state| serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap());
            let again = plan(remembered.as_ref(), &id(), &change).unwrap().commit.unwrap();
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            prop_assert_eq!(text(&commit, &paths), text(&again, &paths));
            prop_assert_eq!(commit.number(), at as u64);
            state = Some(commit.state);
        }
    }

    #[test]
    fn a_replayed_log_holds_the_files_of_the_last_version(
        versions in prop::collection::vec(
            (prop::bool::ANY, prop::collection::btree_set("[a-f]{1,2}", 0..6), prop::collection::btree_set("[a-f]{1,2}", 0..6)),
            1..10,
        ),
    ) {
        let file = schema(&[("a", DataType::Long)]);
        let shapes = [shape(&file)];
        let mut state: Option<TableState> = None;
        let (mut live, mut replayed) = (BTreeSet::new(), BTreeSet::new());
        for (number, (replaces_all, added, removed)) in versions.into_iter().enumerate() {
            let kind = if replaces_all { VersionKind::Publish } else { VersionKind::Landing };
            // A key that a version loses is never one that it gets.
            let gone: BTreeSet<String> = if replaces_all { live.clone() } else { live.intersection(&removed).cloned().collect() };
            let new: BTreeSet<String> = added.difference(&live).cloned().collect();
            live = live.difference(&gone).cloned().chain(new.iter().cloned()).collect();
            let commit = plan(state.as_ref(), &id(), &change(number as u64 + 1, kind, &shapes)).unwrap().commit.unwrap();
            let removes = gone.iter().map(|path| {
                let AddFile { path, partition, size_bytes, .. } = add(path);
                RemoveFile { path, partition, size_bytes, removed: Timestamp(1) }
            });
            let written = commit.write(new.iter().map(|path| add(path)), removes).unwrap();
            for line in std::str::from_utf8(&written.bytes).unwrap().lines() {
                let action: serde_json::Value = serde_json::from_str(line).unwrap();
                let path = |name: &str| action[name]["path"].as_str().map(str::to_owned);
                replayed.extend(path("add"));
                if let Some(path) = path("remove") {
                    prop_assert!(replayed.remove(&path), "{} was not there", path);
                }
            }
            prop_assert_eq!(&replayed, &live);
            state = Some(commit.state);
        }
    }
}
