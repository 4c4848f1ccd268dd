//! Lists and their filters, the schedule form, and what a key without the role or path is shown.

use super::{fields, page, page_as, publish, send};
use crate::server::{TestServer, answer};
use serde_json::json;

#[tokio::test]
async fn a_mistyped_filter_keeps_the_filters_and_tells_what_it_takes() {
    let server = TestServer::start().await;
    for address in ["/history?sync_id=x7", "/activity?sync_id=x7"] {
        let list = page(&server, address).await;
        list.has("takes a number; enter one such as 42");
        assert!(list.html.contains("value=\"x7\""), "{address}: {}", list.text);
    }
    let activity = page(&server, "/activity?from=soon").await;
    activity.has("take a date; enter one such as");
    for address in ["/syncs?path=/a/../b", "/datasets?path=/a/../b", "/trash?path=/a/../b", "/history?path=/a/../b"] {
        let list = page(&server, address).await;
        assert!(list.html.contains("role=\"alert\"") && list.html.contains("value=\"/a/../b\""), "{address}");
    }
}

#[tokio::test]
async fn a_page_behind_the_last_row_leads_to_the_first() {
    let server = TestServer::start().await;
    let id = publish(&server, "/data/t", &[("a.csv", "a\n1\n")]).await;
    publish(&server, "/data/t", &[("a.csv", "a\n2\n")]).await;
    let sync = format!("/syncs/{id}");
    let trash = format!("/trash/syncs/{}", id + 1);
    for list in ["/syncs", "/history", "/datasets", "/trash", sync.as_str(), trash.as_str()] {
        let behind = page(&server, &format!("{list}?page=7")).await;
        behind.has("No rows on this page");
        behind.has_not("No uploads yet").has_not("No datasets yet").has_not("is empty").has_not("Nothing left");
        assert_eq!(behind.link("First page"), list);
        page(&server, list).await.has_not("No rows on this page");
    }
}

#[tokio::test]
async fn a_schedule_that_is_saved_again_keeps_its_size_to_the_byte() {
    let server = TestServer::start().await;
    publish(&server, "/data/t", &[("a.csv", "a\n1\n")]).await;
    let rhythm = json!({ "every": "day", "by": "07:00", "files_min": 1, "bytes_min": 1_500_001 });
    let set = json!({ "path": "/data/t", "rhythm": rhythm, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/dataset/rhythm", &set)).await.0, 200);
    let tab = "/datasets/data/t?tab=rhythm";
    let form = page(&server, tab).await.html;
    let field = form.split("name=\"megabytes_min\"").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    assert!(field.contains("value=\"1.500001\""), "{field}");
    let same = fields(&[
        ("path", "/data/t"),
        ("every", "day"),
        ("by", "07:00"),
        ("files_min", "1"),
        ("megabytes_min", "1.500001"),
    ]);
    send(&server, tab, "/fn/rhythm", &same).await;
    let dataset = answer(server.get("/api/lake/dataset?path=/data/t")).await.1;
    assert_eq!(dataset["dataset"]["rhythm"], rhythm);
}

#[tokio::test]
async fn a_file_of_a_dataset_leads_to_its_preview_and_has_a_download() {
    let server = TestServer::start().await;
    publish(&server, "/data/t", &[("a.csv", "a\n1\n")]).await;
    let files = page(&server, "/datasets/data/t").await;
    assert_eq!(files.link("a.csv"), "/lake/data/t/a.csv");
    assert!(files.html.contains("aria-label=\"Download a.csv\""), "{}", files.text);
}

#[tokio::test]
async fn a_key_is_shown_what_it_may_do() {
    let server = TestServer::start().await;
    publish(&server, "/data/t", &[("a.csv", "a\n1\n")]).await;
    assert!(page(&server, "/lake/data/t").await.html.contains("href=\"/upload?path=/data/t\""));

    let reader = server.new_key(&["--role", "read"]);
    let as_reader = async |address: &str| page_as(&server, Some(&reader), address).await;
    let folder = as_reader("/lake/data/t").await;
    assert!(!folder.html.contains("href=\"/upload?path"), "a reader cannot upload: {}", folder.text);
    let upload = as_reader("/upload").await;
    upload.has("Your key is read-only.");
    assert_eq!(upload.link("Sign in"), "/sign-in?next=/upload");

    let limited = server.new_key(&["--role", "admin", "--path-prefix", "/data"]);
    let keys = page_as(&server, Some(&limited), "/keys").await;
    assert_eq!(keys.status, 200, "{}", keys.text);
    keys.has("Your key is limited to a path.").has("Sessions");
}
