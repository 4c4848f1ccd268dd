//! Resumable uploads of the IETF draft: `/api/lake/file/resumable`.

use crate::server::{TestServer, answer, assert_refused, path_of};
use crate::tus_client::{bytes, eventually_on_disk};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

const CHUNK_TYPE: &str = "application/partial-upload";
const PROBLEMS: &str = "https://iana.org/assignments/http-problem-types#";

/// A client of the draft.
struct Draft<'a>(&'a TestServer);

impl Draft<'_> {
    fn request(&self, method: &str, address: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = if address.starts_with('/') { format!("{}{address}", self.0.url) } else { address.to_owned() };
        self.0.client.request(method, url).header("Upload-Draft-Interop-Version", "9")
    }

    fn creation(&self, query: &str, complete: &str) -> RequestBuilder {
        self.request("POST", &format!("/api/lake/file/resumable?{query}")).header("Upload-Complete", complete)
    }

    async fn begin(&self, sync_id: u64, name: &str, first: &[u8]) -> String {
        let creation = self.creation(&format!("sync_id={sync_id}&file_name={name}"), "?0").body(first.to_vec());
        let created = creation.send().await.unwrap();
        assert_eq!(created.status(), 201);
        assert_eq!(said(&created), ("?0".into(), first.len().to_string()));
        header(&created, "location").unwrap()
    }

    fn chunk(&self, address: &str, offset: u64, complete: &str, content: &[u8]) -> RequestBuilder {
        let chunk =
            self.request("PATCH", address).header("Content-Type", CHUNK_TYPE).header("Upload-Complete", complete);
        chunk.header("Upload-Offset", offset).body(content.to_vec())
    }

    async fn head(&self, address: &str) -> Response {
        self.request("HEAD", address).send().await.unwrap()
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().unwrap();
    Some(if name == "location" { path_of(value) } else { value.to_owned() })
}

/// Completeness and offset of a response.
fn said(response: &Response) -> (String, String) {
    let of = |name| header(response, name).unwrap_or_default();
    (of("upload-complete"), of("upload-offset"))
}

async fn assert_problem(response: Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(header(&response, "content-type").unwrap(), "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], json!(format!("{PROBLEMS}{kind}")));
    assert!(body["code"].as_u64().unwrap() > 0 && !body["msg"].as_str().unwrap().is_empty());
    body
}

fn assert_row(row: &Value, name: &str, status: &str) {
    assert_eq!((&row["file_name"], &row["sync_status"]), (&json!(name), &json!(status)), "{row}");
}

#[tokio::test]
async fn a_file_in_one_request_lands_from_curl_and_from_a_client_of_the_draft() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(2_000_000);
    let file = server.data_dir().join("sales.parquet");
    std::fs::write(&file, &content).unwrap();
    let address = format!("{}/api/lake/file/resumable", server.url);
    for address in [format!("{address}/?sync_id={id}"), format!("{address}?sync_id={id}&path=dt=1&file_name=by-query")]
    {
        let output = Command::new("curl").args(["-sS", "--fail", "-T"]).arg(&file).arg(address).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, br#"{"code":0,"msg":null}"#);
    }
    let draft = Draft(&server);
    let named = draft.creation(&format!("sync_id={id}"), "?1").header("Upload-Length", content.len());
    let named = named.header("Content-Disposition", "inline; filename=\"x\"; filename*=UTF-8''caf%C3%A9.csv");
    let answered = named.body(content.clone()).send().await.unwrap();
    assert_eq!((answered.status().as_u16(), header(&answered, "upload-complete").as_deref()), (200, Some("?1")));
    assert_eq!(answered.json::<Value>().await.unwrap(), json!({ "code": 0, "msg": null }));
    let files = server.files("data/t");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["café.csv", "dt=1/by-query", "sales.parquet"]);
    assert!(files.values().all(|found| *found == content));
    // An interrupted upload cannot be resumed: its client was told no URL.
    let mut broken = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = "Host: localhost\r\nUpload-Complete: ?1\r\nContent-Length: 1000000";
    write!(broken, "PUT /api/lake/file/resumable?sync_id={id}&file_name=half HTTP/1.1\r\n{head}\r\n\r\nsome").unwrap();
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    drop(broken);
    let row = server.eventually(async || server.history("status=Failed").await.first().cloned()).await;
    assert_row(&row, "half", "Failed");
    server.end_sync(id).await;
}

#[tokio::test]
async fn a_file_in_many_requests_is_complete_when_its_client_says_so() {
    let server = TestServer::start().await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(3_000_000);
    let address = draft.begin(id, "large", &content[..1_000_000]).await;
    assert_row(&server.history("").await[0], "large", "Syncing");
    let more = draft.chunk(&address, 1_000_000, "?0", &content[1_000_000..2_000_000]).send().await.unwrap();
    assert_eq!((more.status().as_u16(), said(&more)), (204, ("?0".into(), "2000000".into())));
    let head = draft.head(&address).await;
    assert_eq!((head.status().as_u16(), said(&head)), (204, ("?0".into(), "2000000".into())));
    assert_eq!((header(&head, "cache-control").unwrap(), header(&head, "upload-length")), ("no-store".into(), None));
    let limit = header(&head, "upload-limit").unwrap();
    let age: u64 = limit.split("max-age=").nth(1).unwrap().parse().unwrap();
    assert!(limit.starts_with("max-size=1099511627776, ") && age > 86_000 && age <= 86_400, "{limit}");

    let server = server.kill_and_restart().await;
    let draft = Draft(&server);
    let last = draft.chunk(&address, 2_000_000, "?1", &content[2_000_000..]).send().await.unwrap();
    assert_eq!((last.status().as_u16(), header(&last, "upload-complete").as_deref()), (200, Some("?1")));
    assert_eq!(last.json::<Value>().await.unwrap(), json!({ "code": 0, "msg": null }));
    assert!(server.files("data/t")["large"] == content);
    let head = draft.head(&address).await;
    assert_eq!((head.status().as_u16(), said(&head)), (204, ("?1".into(), "3000000".into())));
    assert_eq!(header(&head, "upload-length").unwrap(), "3000000");
    for (complete, content) in [("?0", "x"), ("?1", "")] {
        let refused = draft.chunk(&address, 3_000_000, complete, content.as_bytes()).send().await.unwrap();
        assert_problem(refused, 409, "completed-upload").await;
    }
    assert_eq!(server.history("").await.len(), 1);
    server.end_sync(id).await;
}

#[tokio::test]
async fn all_bytes_are_not_the_end_before_the_client_says_so() {
    let server = TestServer::start().await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let creation = |name: &str| {
        draft.creation(&format!("sync_id={id}&file_name={name}"), "?0").header("Upload-Length", 5).body("hello")
    };
    let created = creation("a").send().await.unwrap();
    assert_eq!((created.status().as_u16(), said(&created)), (201, ("?0".into(), "5".into())));
    let address = header(&created, "location").unwrap();
    let server_side = draft.head(&address).await;
    assert_eq!(
        (said(&server_side), header(&server_side, "upload-length").unwrap()),
        (("?0".into(), "5".into()), "5".into())
    );
    assert!(server.file_names("data").is_empty());
    let last = draft.chunk(&address, 5, "?1", b"").send().await.unwrap();
    assert_eq!((last.status().as_u16(), header(&last, "upload-complete").as_deref()), (200, Some("?1")));
    assert_eq!(server.files("data/t")["a"], b"hello");
    // tus has no field for completeness, so an upload with all bytes lands before the offset is returned.
    let address = header(&creation("b").send().await.unwrap(), "location").unwrap();
    let head = draft.request("HEAD", &address).header("Tus-Resumable", "1.0.0").send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "upload-offset").unwrap()), (200, "5".into()));
    assert_eq!(server.files("data/t")["b"], b"hello");
    // An empty file.
    let address = draft.begin(id, "empty", b"").await;
    assert_eq!(answer(draft.chunk(&address, 0, "?1", b"")).await.0, 200);
    assert_eq!(server.files("data/t")["empty"], b"");
}

#[tokio::test]
async fn a_body_of_unknown_length_may_be_the_last() {
    let server = TestServer::start().await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let chunked = || {
        let chunks = ["hel", "lo"].map(Ok::<_, std::io::Error>);
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    let address = draft.begin(id, "streamed", b"").await;
    assert_eq!(answer(draft.chunk(&address, 0, "?0", b"").body(chunked())).await.0, 204);
    assert_eq!(answer(draft.chunk(&address, 5, "?1", b"").body(chunked())).await.0, 200);
    assert_eq!(server.files("data/t")["streamed"], b"hellohello");
    let too_short = draft.creation(&format!("sync_id={id}&file_name=short"), "?1").header("Upload-Length", 6);
    assert_problem(too_short.body(chunked()).send().await.unwrap(), 400, "inconsistent-upload-length").await;
    assert_row(&server.history("status=Failed").await[0], "short", "Failed");
}

#[tokio::test]
async fn a_request_and_a_discard_preempt_a_dead_one() {
    let server = TestServer::start().await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(2_500_000);
    let address = draft.begin(id, "a", b"").await;
    let begin_chunk = |offset: u64, content: &[u8]| {
        let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
        let head = format!("Content-Type: {CHUNK_TYPE}\r\nUpload-Complete: ?1\r\nUpload-Offset: {offset}");
        write!(
            connection,
            "PATCH {address} HTTP/1.1\r\nHost: localhost\r\n{head}\r\nContent-Length: {}\r\n\r\n",
            2_500_000 - offset
        )
        .unwrap();
        connection.write_all(content).unwrap();
        connection
    };
    let _dead = begin_chunk(0, &content[..1_500_000]);
    eventually_on_disk(&server, 1_000_001).await;
    let head = draft.head(&address).await;
    let (complete, offset) = said(&head);
    let offset: u64 = offset.parse().unwrap();
    assert!(complete == "?0" && offset > 1_000_000);
    assert_eq!(header(&head, "upload-length").unwrap(), "2500000", "the length that the broken request has told");
    let last = draft.chunk(&address, offset, "?1", &content[offset as usize..]);
    assert_eq!(answer(last).await.0, 200);
    assert!(server.files("data/t")["a"] == content);

    let address = draft.begin(id, "b", b"some").await;
    assert_eq!(answer(draft.request("DELETE", &address)).await.0, 204);
    assert_eq!(draft.head(&address).await.status(), 404);
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    server.end_sync(id).await;
}

#[tokio::test]
async fn contradictions_have_their_problem_type() {
    let server = TestServer::start_with(&["--max-upload-size", "1MB"]).await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let address = draft.begin(id, "a", b"hello").await;
    let wrong = draft.chunk(&address, 7, "?0", b"x").send().await.unwrap();
    assert_eq!(header(&wrong, "upload-offset").unwrap(), "5");
    let problem = assert_problem(wrong, 409, "mismatching-upload-offset").await;
    assert_eq!((&problem["expected-offset"], &problem["provided-offset"]), (&json!(5), &json!(7)));
    let short = draft.chunk(&address, 5, "?1", b"x").header("Upload-Length", 7).send().await.unwrap();
    assert_problem(short, 400, "inconsistent-upload-length").await;
    let told = draft.chunk(&address, 5, "?0", b"").header("Upload-Length", 9).send().await.unwrap();
    assert_eq!(told.status(), 204);
    let other = draft.chunk(&address, 5, "?0", b"").header("Upload-Length", 8).send().await.unwrap();
    assert_problem(other, 400, "inconsistent-upload-length").await;
    let too_much = draft.chunk(&address, 5, "?0", b"12345").send().await.unwrap();
    assert_problem(too_much, 400, "inconsistent-upload-length").await;
    assert_eq!(said(&draft.head(&address).await), ("?0".into(), "5".into()));

    let bare = || draft.request("PATCH", &address).body("x");
    let refused = bare().send().await.unwrap();
    assert_eq!(header(&refused, "accept-patch").unwrap(), CHUNK_TYPE);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], json!(41501));
    let bare = || bare().header("Content-Type", CHUNK_TYPE);
    assert_refused(answer(bare().header("Upload-Complete", "?0")).await, 40000, "Upload-Offset");
    assert_refused(answer(bare().header("Upload-Offset", "5")).await, 40000, "Upload-Complete");
    assert_refused(
        answer(bare().header("Upload-Offset", "-5").header("Upload-Complete", "?0")).await,
        40000,
        "Upload-Offset",
    );

    let large = draft.creation(&format!("sync_id={id}&file_name=b"), "?0").header("Upload-Length", 1_000_001);
    let large = large.send().await.unwrap();
    assert_eq!((large.status().as_u16(), header(&large, "upload-limit").unwrap()), (413, "max-size=1000000".into()));
    assert_refused(answer(draft.creation("", "?0")).await, 40000, "sync_id is missing");
    assert_refused(answer(draft.creation(&format!("sync_id={id}"), "?0")).await, 40001, "no name");
    assert_refused(answer(draft.creation(&format!("sync_id={id}&file_name=../x"), "?1")).await, 40001, "upward");
    assert_refused(answer(draft.request("DELETE", "/api/lake/file/resumable")).await, 40500, "POST, PUT");
    let options = draft.request("OPTIONS", "/api/lake/file/resumable").send().await.unwrap();
    assert_eq!(header(&options, "accept-patch").unwrap(), CHUNK_TYPE);
    assert_eq!(header(&options, "upload-limit").unwrap(), "max-size=1000000");
}

#[tokio::test]
async fn a_final_refusal_is_distinguished_from_one_that_allows_resuming() {
    let server = TestServer::start().await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let digest = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    let creation = |name: &str, complete: &str| {
        draft.creation(&format!("sync_id={id}&file_name={name}"), complete).header("Repr-Digest", digest)
    };
    let address = header(&creation("in-two", "?0").body("ha").send().await.unwrap(), "location").unwrap();
    let refused = draft.chunk(&address, 2, "?1", b"llo").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), header(&refused, "upload-complete").as_deref()), (400, Some("?1")));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], json!(40003));
    assert_eq!(draft.head(&address).await.status(), 410);
    assert_refused(answer(creation("in-one", "?1").body("hallo")).await, 40003, "2cf24dba");
    assert_eq!(answer(creation("right", "?1").body("hello")).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["right"]);
    assert_eq!(server.history("status=Failed").await.len(), 2);
    assert!(server.file_names(".lakeshore/uploads").is_empty());
}

#[tokio::test]
async fn a_file_name_that_cannot_be_read_is_refused_and_recorded() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let put = |name: &str| server.client.put(format!("{}/api/lake/file/resumable/{name}?sync_id={id}", server.url));
    assert_refused(answer(put("dt=1/gr%F6.csv").body("x")).await, 40000, "not UTF-8");
    let named = put("").header("Content-Disposition", "attachment; filename=\"=?utf-8?B?YQ==?=\"").body("x");
    assert_refused(answer(named).await, 40000, "RFC 2047");
    assert_eq!(answer(put("gr%C3%B6.csv").body("x")).await.0, 200);
    let rows = server.history("").await;
    let names: Vec<_> = rows.iter().map(|row| row["file_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dt=1/gr\u{FFFD}.csv", "=?utf-8?B?YQ==?=", "grö.csv"]);
    assert_eq!((&rows[0]["sync_status"], &rows[1]["sync_status"]), (&json!("Failed"), &json!("Failed")));
    assert_eq!(server.file_names("data/t"), ["grö.csv"]);
}

#[tokio::test]
async fn fields_with_different_values_are_refused() {
    let server = TestServer::start().await;
    let draft = Draft(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let creation = || draft.creation(&format!("sync_id={id}&file_name=b.csv"), "?0");
    let two_ends = creation().header("Upload-Complete", "?1").body("x");
    assert_refused(answer(two_ends).await, 40000, "several headers upload-complete");
    let two_lengths = creation().header("Upload-Length", "3").header("Upload-Length", "4");
    assert_refused(answer(two_lengths).await, 40000, "several headers upload-length");
    assert_eq!(server.history("").await, Vec::<Value>::new());
    let address = draft.begin(id, "a.csv", b"abc").await;
    let two_offsets = draft.chunk(&address, 3, "?1", b"def").header("Upload-Offset", 0);
    assert_refused(answer(two_offsets).await, 40000, "several headers upload-offset");
    // The same value twice says one thing.
    let twice = draft.chunk(&address, 3, "?1", b"def").header("Upload-Offset", 3);
    assert_eq!(answer(twice).await.0, 200);
    assert_eq!(server.files("data/t")["a.csv"], b"abcdef");
}
