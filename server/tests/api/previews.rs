//! Previews, `/api/lake/file/preview`, and sorted folders. Tests of each format are beside its reader.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

async fn put(server: &TestServer, name: &str, bytes: &[u8]) -> u64 {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, name, bytes).await;
    server.end_sync(id).await;
    id
}

async fn preview(server: &TestServer, query: &[(&str, &str)]) -> (u16, Value) {
    answer(server.get("/api/lake/file/preview").query(query)).await
}

/// A Parquet file with a column of plain integers for each name.
fn parquet(rows: i64, columns: &[&str]) -> Vec<u8> {
    use parquet::data_type::Int64Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    let fields: Vec<_> = columns.iter().map(|name| format!("optional int64 {name};")).collect();
    let schema = parse_message_type(&format!("message t {{ {} }}", fields.concat())).unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_data_page_size_limit(64 * 1024);
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema.into(), properties.build().into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        // Every third value is null.
        let values: Vec<i64> = (0..rows).filter(|row| row % 3 != 2).collect();
        let levels: Vec<i16> = (0..rows).map(|row| i16::from(row % 3 != 2)).collect();
        column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn a_parquet_file_is_previewed_by_reading_little_of_it() {
    let server = TestServer::start().await;
    let bytes = parquet(300_000, &["id", "amount"]);
    let id = put(&server, "große datei.parquet", &bytes).await;
    let (status, body) = preview(&server, &[("path", "/data/t/große datei.parquet"), ("rows", "4")]).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["rows"], json!([["0", "0"], ["1", "1"], [null, null], ["3", "3"]]));
    assert_eq!(
        (&body["row_count"], &body["num_row_groups"], &body["format"]),
        (&json!(300_000), &json!(1), &json!("parquet"))
    );
    let id_column = json!({ "name": "id", "type": "int64", "nullable": true });
    assert_eq!(body["schema"]["columns"][0], id_column);
    assert_eq!((&body["sync_id"], &body["size_bytes"]), (&json!(id), &json!(bytes.len())));
    assert_eq!(body["statistics"][1]["max"], "299998");
    assert!(body["bytes_read"].as_u64().unwrap() < 400_000 && bytes.len() > 3_000_000, "{}", body["bytes_read"]);
}

#[tokio::test]
async fn the_preview_of_an_unreadable_file_has_the_reason() {
    let server = TestServer::start().await;
    put(&server, "cut.parquet", &parquet(10, &["id"])[..100]).await;
    let (status, body) = preview(&server, &[("path", "/data/t/cut.parquet")]).await;
    assert_eq!((status, &body["rows"]), (200, &json!([])));
    assert!(body["problem"].as_str().unwrap().starts_with("it cannot be previewed, because it is truncated"), "{body}");
    put(&server, "a.csv", b"id,name\n1,x\n2\n").await;
    let (_, body) = preview(&server, &[("path", "/data/t/a.csv")]).await;
    assert_eq!(body["bad_lines"], json!([{ "line": 3, "problem": "1 value where the first line has 2" }]));
    assert_refused(preview(&server, &[("path", "/data/t/a.csv"), ("rows", "1001")]).await, 40000, "at most 1000");
    assert_refused(preview(&server, &[("path", "/data/t/none.csv")]).await, 40405, "not found");
    assert_refused(preview(&server, &[("path", "/data/t")]).await, 40405, "not found");
    assert_refused(preview(&server, &[("path", "/data/../../etc/passwd")]).await, 40001, "");
    assert_refused(preview(&server, &[]).await, 40000, "path is missing");
}

#[tokio::test]
async fn previewing_needs_the_right_to_download() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let upload = server.upload_request(&format!("sync_id={id}"), &[("a.csv", b"a,b\n1,2\n")]).bearer_auth(&server.key);
    assert_eq!(answer(upload).await.0, 200);
    server.end_sync(id).await;
    let get = || server.get("/api/lake/file/preview").query(&[("path", "/data/t/a.csv")]);
    assert_refused(answer(get()).await, 40100, "a key is required");
    let narrow = server.new_key(&["--role", "read", "--path-prefix", "/data/u"]);
    assert_refused(answer(get().bearer_auth(&narrow)).await, 40405, "not found");
    let reader = server.new_key(&["--role", "read", "--path-prefix", "/data/t"]);
    let (status, body) = answer(get().bearer_auth(&reader)).await;
    assert_eq!((status, &body["rows"]), (200, &json!([["1", "2"]])));
}

#[tokio::test]
async fn a_folder_is_listed_by_size_and_time_and_names_are_found_below_it() {
    let server = TestServer::start().await;
    for (name, bytes) in [("b", "22"), ("dt=1/Part-0", "1"), ("a", "333"), ("dt=1/deep/part-1", "4444"), ("c", "1")] {
        put(&server, name, bytes.as_bytes()).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let rows = server.rows(&format!("/api/lake/file/list?path=/data/t&{query}")).await;
        rows.iter().map(|row| row["path"].as_str().unwrap().trim_start_matches("/data/t/").to_owned()).collect()
    };
    assert_eq!(names("sort=size&order=desc").await, ["dt=1", "a", "b", "c"]);
    assert_eq!(names("sort=size").await, ["dt=1", "c", "b", "a"]);
    assert_eq!(names("sort=name&order=desc").await, ["dt=1", "c", "b", "a"]);
    assert_eq!(names("sort=modified&from=1&size=2").await, ["b", "a"]);
    assert_eq!(names("q=PART").await, ["dt=1/Part-0", "dt=1/deep/part-1"]);
    assert_eq!(names("q=deep").await, ["dt=1/deep"]);
    assert!(names("q=lakeshore").await.is_empty());
    assert_refused(answer(server.get("/api/lake/file/list?path=/data/none&q=x")).await, 40405, "not found");
    assert_refused(answer(server.get("/api/lake/file/list?sort=colour")).await, 40000, "");
}
