//! Shares of limited resources: no caller takes all.

use crate::server::{TestServer, assert_refused};
use futures_util::future::join_all;
use reqwest::Response;

#[tokio::test(flavor = "multi_thread")]
async fn one_key_opens_its_share_of_event_streams_and_leaves_the_rest_to_others() {
    const SHARE: usize = 256;
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let visitor = server.new_key(&["--role", "read", "--path-prefix", "/pub"]);
    let listen = async |key: &str| -> Response { server.get("/api/events").bearer_auth(key).send().await.unwrap() };
    let mut open = join_all((0..SHARE).map(|_| listen(&visitor))).await;
    assert!(open.iter().all(|answer| answer.status() == 200));
    let refused = listen(&visitor).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_refused((refused.status().as_u16(), refused.json().await.unwrap()), 42900, "256 event streams");
    assert_eq!(listen(&server.key).await.status(), 200, "others hear what happens");
    open.pop();
    server.eventually(async || (listen(&visitor).await.status() == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_of_a_trusted_proxy_have_a_share_each() {
    let options = ["--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "2"];
    let server = TestServer::start_with(&options).await;
    let ask = async |client: &str, to: &str| -> Response {
        let request = server.get(to).bearer_auth(&server.key).header("x-forwarded-for", client);
        request.send().await.unwrap()
    };
    let open = [ask("192.0.2.1", "/api/events").await, ask("192.0.2.1", "/api/events").await];
    assert!(open.iter().all(|answer| answer.status() == 200));
    let refused = ask("192.0.2.1", "/healthz").await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_refused((refused.status().as_u16(), refused.json().await.unwrap()), 50302, "--max-connections-per-address");
    assert_eq!(ask("192.0.2.2", "/healthz").await.status(), 200);
    drop(open);
    server.eventually(async || (ask("192.0.2.1", "/healthz").await.status() == 200).then_some(())).await;
}
