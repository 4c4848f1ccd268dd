//! Unusual and hostile forms.

use super::{row, rows, send_form};
use crate::server::{TestServer, answer, assert_refused};
use futures_util::{StreamExt, stream};
use reqwest::{Body, RequestBuilder, header::HeaderValue};
use serde_json::json;

const PART: &str = "--b\r\nContent-Disposition: form-data; ";
const FILES_MAX: usize = 10_000;
const DISCARDED_BYTES_MAX: usize = 256 << 20;

fn form(server: &TestServer, sync_id: u64, body: impl Into<Body>) -> RequestBuilder {
    let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={sync_id}", server.url));
    request.header("content-type", "multipart/form-data; boundary=b").body(body)
}

#[tokio::test]
async fn an_extended_name_counts_whatever_its_fallback_is() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    // .NET's MultipartFormDataContent, and a client that writes Latin-1.
    let dotnet = b"form-data; name=file; filename=\"=?utf-8?B?c3BlY2lhbOKCrGZpbGVuYW1l?=\"; \
        filename*=utf-8''special%E2%82%ACfilename";
    let latin = b"form-data; name=file; filename=\"gr\xf6.csv\"; filename*=UTF-8''gr%C3%B6.csv";
    let parameters = |disposition: &'static [u8]| &disposition["form-data; ".len()..];
    assert_eq!(send_form(&server, id, "", &[(parameters(dotnet), "1"), (parameters(latin), "2")]).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["grö.csv", "special€filename"]);
    for (folder, disposition) in [("dotnet", dotnet.as_slice()), ("latin", latin)] {
        let url = format!("{}/api/lake/file/resumable?sync_id={id}&path={folder}", server.url);
        let request =
            server.client.put(url).header("content-disposition", HeaderValue::from_bytes(disposition).unwrap());
        assert_eq!(answer(request.body("3")).await.0, 200, "{folder}");
    }
    assert_eq!(
        server.file_names("data/t"),
        ["dotnet/special€filename", "grö.csv", "latin/grö.csv", "special€filename"]
    );
}

#[tokio::test]
async fn refused_names_are_answered_and_recorded_at_their_first_characters() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let long = "ö".repeat(7000);
    let parts = [
        format!("name=\"file\"; filename=\"../{long}\""),
        format!("name=\"other\"; filename=\"{long}\""),
        format!("name=\"file\"; filename=\"=?utf-8?B?{long}?=\""),
    ];
    let parts: Vec<(&[u8], &str)> = parts.iter().map(|parameters| (parameters.as_bytes(), "x")).collect();
    let (status, body) = send_form(&server, id, "", &parts).await;
    assert_refused((status, body.clone()), 40001, "3 of 3 files failed");
    let rows = rows(&server).await;
    for (n, begin) in ["../ö", "öö", "=?utf-8?B?ö"].into_iter().enumerate() {
        let name = body["failed"][n]["file_name"].as_str().unwrap();
        assert!(name.starts_with(begin) && name.chars().count() == 255, "{name}");
        assert_eq!(rows[n], row(name, "Failed"));
    }
}

#[tokio::test]
async fn a_file_without_a_part_name_and_names_with_nul_or_a_way_out_fail() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let parts: [(&[u8], &str); 5] = [
        (b"filename=\"a.csv\"", "1"),
        (b"name=\"file\"; filename*=UTF-8''b%00.csv", "2"),
        (b"name=\"file\"; filename=\"c%00%C3%B6.csv\"", "3"),
        (b"name=\"file\"; filename=\"..%2F..%2Fescaped%C3%B6.csv\"", "6"),
        (b"name=\"file\"; filename=\"d.csv\"", "4"),
    ];
    let (status, body) = send_form(&server, id, "aiohttp/3", &parts).await;
    assert_refused((status, body.clone()), 40000, "4 of 5 files failed; the other 1 landed");
    let codes = [0, 1, 2, 3].map(|n| body["failed"][n]["code"].as_u64().unwrap());
    assert_eq!(codes, [40000, 40001, 40001, 40001], "{body}");
    assert_eq!(server.file_names("data/t"), ["d.csv"]);
    let statuses: Vec<_> = rows(&server).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, ["Failed", "Failed", "Failed", "Failed", "Finished"]);
    assert_refused(send_form(&server, id, "", &parts[..1]).await, 40000, "the body has no file, only \"\"");
    // The head of a part has no such byte.
    let nul: (&[u8], &str) = (b"name=\"file\"; filename=\"e\0.csv\"", "5");
    assert_refused(send_form(&server, id, "", &[parts[4], nul]).await, 40002, "the header of a part cannot be read");
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(6), &json!(5)));
}

#[tokio::test]
async fn many_misnamed_files_are_counted_or_have_one_answer() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let misnamed = format!("{PART}name=\"other\"; filename=\"x\"\r\n\r\n1\r\n");
    let good = &format!("{PART}name=\"file\"; filename=\"good.csv\"\r\n\r\n2\r\n");
    let alone = misnamed.repeat(FILES_MAX) + "--b--\r\n";
    assert_refused(answer(form(&server, id, alone)).await, 40000, "the body has no file, only \"other\"");
    assert_eq!(server.sync(id).await["total_files"], 0);
    let most = misnamed.repeat(FILES_MAX - 1) + good + "--b--\r\n";
    let (status, body) = answer(form(&server, id, most)).await;
    assert_refused((status, body.clone()), 40000, "9999 of 10000 files failed; the other 1 landed");
    assert!(body.to_string().len() < 64 * 1024, "{} bytes", body.to_string().len());
    assert_eq!(server.file_names("data/t"), ["good.csv"]);
    assert_eq!(server.sync(id).await["num_failed"], FILES_MAX - 1);
    let above = misnamed.repeat(FILES_MAX + 1) + "--b--\r\n";
    assert_refused(answer(form(&server, id, above)).await, 40000, "at most 10000 files");
}

#[tokio::test]
async fn a_form_ends_after_many_bytes_of_misnamed_files() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let good = |name: &str| format!("{PART}name=\"file\"; filename=\"{name}\"\r\n\r\n2\r\n");
    let large = |before: String, bytes: usize| {
        let head = format!("{before}{PART}name=\"other\"; filename=\"x\"\r\n\r\n");
        let chunk = bytes::Bytes::from(vec![b'x'; 1 << 20]);
        let chunks = stream::iter(std::iter::repeat_n(chunk, bytes >> 20));
        let end = format!("\r\n{}--b--\r\n", good("behind.csv"));
        let head = stream::iter([bytes::Bytes::from(head)]);
        let all = head.chain(chunks).chain(stream::iter([bytes::Bytes::from(end)]));
        form(&server, id, Body::wrap_stream(all.map(Ok::<_, std::io::Error>)))
    };
    // Up to the limit, the file behind lands.
    let at = answer(large(String::new(), DISCARDED_BYTES_MAX)).await;
    assert_refused(at, 40000, "1 of 2 files failed; the other 1 landed");
    assert_eq!(server.file_names("data/t"), ["behind.csv"]);
    let above = DISCARDED_BYTES_MAX + (1 << 20);
    assert_refused(answer(large(String::new(), above)).await, 40000, "the body has no file, only \"other\"");
    assert_eq!(server.sync(id).await["total_files"], 2);
    let (_, body) = answer(large(good("before.csv"), above)).await;
    assert!(body["msg"].as_str().unwrap().contains("refused files had more than 268435456 bytes"), "{body}");
    assert_eq!(server.file_names("data/t"), ["behind.csv"]);
    assert_eq!(rows(&server).await[2..], [row("before.csv", "Failed"), row("x", "Failed")]);
}
