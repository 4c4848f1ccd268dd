//! Sessions of the dashboard: begin, list and end.

use crate::server::{Stopped, TestServer, answer, assert_refused, lakeshore, location};
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;

fn cookie_of(response: &Response) -> String {
    let cookie = response.headers().get("set-cookie").expect("a cookie").to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn sign_in(server: &TestServer, key: &str) -> String {
    let response = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", key)]).send().await.unwrap();
    cookie_of(&response)
}

async fn call(server: &TestServer, cookie: &str, function: &str, body: Value) -> (u16, Value) {
    answer(server.post(&format!("/fn/{function}"), &body).header("cookie", cookie)).await
}

async fn sessions(server: &TestServer, cookie: &str) -> Vec<Value> {
    let (status, listed) = call(server, cookie, "sessions", json!({})).await;
    assert_eq!(status, 200, "{listed}");
    listed["value"].as_array().unwrap().clone()
}

/// Submits the form of the page, and returns the target of the redirect.
async fn end(server: &TestServer, cookie: &str, fields: &[(&str, &str)]) -> String {
    let form = server.client.post(format!("{}/fn/end-sessions", server.url)).form(fields).header("cookie", cookie);
    let answer = form.header("accept", "text/html").send().await.unwrap();
    answer.headers().get("location").map_or(String::new(), |location| location.to_str().unwrap().to_owned())
}

async fn is_signed_in(server: &TestServer, cookie: &str) -> bool {
    call(server, cookie, "sessions", json!({})).await.0 == 200
}

/// A server without a key, and the URL of its sign-in link.
async fn unclaimed(options: &[&str]) -> (TestServer, String) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let server = Stopped::new(folder, data_dir, options).start().await;
    let said = server.eventually(async || Some(server.stderr()).filter(|said| said.contains("/sign-in/link"))).await;
    let link = said.split_whitespace().find(|word| word.contains("/sign-in/link?token=")).unwrap().to_owned();
    (server, link)
}

fn new_key(name: &str) -> Value {
    json!({ "new": { "name": name, "role": "admin", "path_prefix": null, "expires_at": null } })
}

#[tokio::test]
async fn the_first_sign_in_lasts_an_hour_and_is_replaced_by_a_session_of_the_first_key() {
    let (server, link) = unclaimed(&["--auth", "required"]).await;
    let response = server.client.get(&link).send().await.unwrap();
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=3600"));
    let first = cookie_of(&response);
    let listed = sessions(&server, &first).await;
    assert_eq!((listed.len(), &listed[0]["is_own"], listed[0].get("key_id")), (1, &json!(true), None));
    let lasts = listed[0]["expires_at"].as_i64().unwrap() - listed[0]["begun_at"].as_i64().unwrap();
    assert_eq!(lasts, 3_600_000);

    let made = server.post("/fn/create-key", &new_key("ada")).header("cookie", &first).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let second = cookie_of(&made);
    assert_ne!(first, second);
    assert!(!is_signed_in(&server, &first).await, "the first sign-in has ended");
    assert_eq!(call(&server, &first, "create-key", new_key("backdoor")).await.0, 401);
    let listed = sessions(&server, &second).await;
    assert_eq!((listed.len(), &listed[0]["key_name"]), (1, &json!("ada")));
    // A second key does not begin a new session.
    let again = server.post("/fn/create-key", &new_key("bo")).header("cookie", &second).send().await.unwrap();
    assert!(again.status() == 200 && !again.headers().contains_key("set-cookie"));
    // After the keys are revoked nobody is signed in.
    for key_id in [2, 1] {
        assert_eq!(call(&server, &second, "revoke-key", json!({ "key_id": key_id })).await.0, 200);
    }
    assert!(!is_signed_in(&server, &second).await);
}

#[tokio::test]
async fn a_key_of_the_command_line_ends_the_first_sign_in_and_its_link_too() {
    for is_used in [true, false] {
        let (server, link) = unclaimed(&["--auth", "required"]).await;
        let open = async || server.client.get(&link).send().await.unwrap();
        let first = if is_used { cookie_of(&open().await) } else { String::new() };
        assert_eq!(is_used, is_signed_in(&server, &first).await);
        let data_dir = server.data_dir().to_str().unwrap();
        assert!(lakeshore(&["key", "create", "--name", "ops", "--data-dir", data_dir]).status.success());
        assert!(!is_signed_in(&server, &first).await);
        let late = open().await;
        assert!(location(&late).starts_with("/sign-in?error=40101") && !late.headers().contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn a_session_ends_with_its_key_revoked_or_expired_and_gets_a_new_value_at_each_sign_in() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let brief = server.new_key(&["--expires", "2s"]);
    let response = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", &brief)]).send().await.unwrap();
    let said = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(said.contains("Max-Age=1") || said.contains("Max-Age=2"), "never longer than the key: {said}");
    let expiring = cookie_of(&response);
    assert!(is_signed_in(&server, &expiring).await);
    let key = server.new_key(&[]);
    let planted = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", &key)]);
    let signed_in = cookie_of(&planted.header("cookie", "lakeshore_session=lks_planted").send().await.unwrap());
    assert!(!signed_in.contains("planted") && !is_signed_in(&server, "lakeshore_session=lks_planted").await);
    assert_ne!(signed_in, sign_in(&server, &key).await);
    server.eventually(async || (!is_signed_in(&server, &expiring).await).then_some(())).await;
    let database = std::fs::read(server.data_dir().join("lakeshore.db-wal")).unwrap();
    let secret = signed_in.split_once('=').unwrap().1.as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret), "only a hash is kept");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_by_key_and_all_others() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let own = sign_in(&server, &server.key).await;
    let other = server.new_key(&["--role", "read"]);
    let (one, two) = (sign_in(&server, &other).await, sign_in(&server, &other).await);
    let listed = sessions(&server, &own).await;
    assert_eq!(listed.len(), 3);
    assert_eq!((&listed[0]["address"], &listed[2]["is_own"]), (&json!("127.0.0.1"), &json!(true)));
    // Other callers see and end only the sessions of their own key.
    let seen = sessions(&server, &one).await;
    assert_eq!(seen.len(), 2);
    let own_id = listed[2]["session_id"].to_string();
    assert_eq!(end(&server, &one, &[("session_id", &own_id)]).await, "/keys#sessions-title");
    assert!(is_signed_in(&server, &own).await, "another key's session is none of theirs");

    let page = server.get("/keys").header("cookie", &own).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Sessions") && page.contains("action=\"/fn/end-sessions\"") && page.contains("this browser"));
    let id = listed[0]["session_id"].to_string();
    end(&server, &own, &[("session_id", &id)]).await;
    assert!(!is_signed_in(&server, &two).await && is_signed_in(&server, &one).await);
    end(&server, &own, &[("key_id", &listed[1]["key_id"].to_string())]).await;
    assert!(!is_signed_in(&server, &one).await);
    let third = sign_in(&server, &server.key).await;
    end(&server, &own, &[("others", "true")]).await;
    assert!(!is_signed_in(&server, &third).await && is_signed_in(&server, &own).await);
    assert_eq!(call(&server, "", "sessions", json!({})).await.0, 401);
    let told = answer(server.get("/api/lake/activity?what=sessions_ended").bearer_auth(&server.key)).await.1;
    assert_eq!(told.as_array().unwrap().len(), 3, "{told}");
    let foreign = server.client.post(format!("{}/fn/end-sessions", server.url)).form(&[("others", "true")]);
    let foreign = foreign.header("cookie", &own).header("Origin", "http://evil.example");
    assert_refused(answer(foreign).await, 40302, "another site");
}

#[tokio::test]
async fn the_command_line_lists_and_ends_sessions_while_the_server_runs() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = lakeshore(&[&["session"], arguments, &["--data-dir", &data_dir]].concat());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    };
    let (one, two) = (sign_in(&server, &server.key).await, sign_in(&server, &server.key).await);
    let (done, listed) = run(&["list"]);
    assert!(done && listed.lines().count() == 3 && listed.contains("127.0.0.1"), "{listed}");
    assert!(!listed.contains(one.split_once('=').unwrap().1), "no secret");
    assert_eq!(run(&["end", "1"]), (true, "1 session ended\n".to_owned()));
    assert!(!is_signed_in(&server, &one).await && is_signed_in(&server, &two).await);
    assert!(!run(&["end", "1"]).0, "it has ended already");
    let (done, said) = run(&["end"]);
    assert!(!done && said.contains("<SESSION|--key <KEY>|--all>"), "say which: {said}");
    assert!(!run(&["end", "2", "--all"]).0 && !run(&["end", "2", "--key", "test"]).0, "say which");
    assert_eq!(run(&["end", "--key", "test"]).1, "1 session ended\n");
    assert!(!is_signed_in(&server, &two).await);
    let third = sign_in(&server, &server.key).await;
    assert_eq!(run(&["end", "--all"]).1, "1 session ended\n");
    assert!(!is_signed_in(&server, &third).await);
}

#[tokio::test]
async fn an_event_stream_ends_soon_after_its_session() {
    // On an open server too the stream ends, as its caller has changed.
    let server = TestServer::start().await;
    let cookie = sign_in(&server, &server.key).await;
    let mut stream = server.get("/api/events").header("cookie", &cookie).send().await.unwrap();
    end(&server, &cookie, &[("session_id", "1")]).await;
    let ended =
        tokio::time::timeout(Duration::from_secs(10), async { while let Ok(Some(_)) = stream.chunk().await {} });
    assert!(ended.await.is_ok(), "it goes on for more than ten seconds");
}

#[tokio::test]
async fn guessing_keys_is_delayed_and_does_not_fill_the_disk() {
    let server = TestServer::start().await;
    let guess = async |field: &str| {
        let form = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", field)]);
        form.send().await.unwrap()
    };
    for n in 0..10 {
        assert!(location(&guess(&format!("lks_wrong{n}")).await).starts_with("/sign-in?error=40101"));
    }
    let refused = guess("lks_wrong").await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(refused.status(), 429);
    assert_eq!(
        server.get("/sign-in/link?token=x").send().await.unwrap().status(),
        429,
        "a link is guessed as a key is"
    );
    // A browser gets a page.
    let form = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", "lks_wrong"), ("next", "/trash")]);
    let browsers = [form, server.get("/sign-in/link?token=x")];
    for (request, next) in browsers.into_iter().zip(["%2Ftrash", "%2F"]) {
        let accepted = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let shown = request.header("accept", accepted).send().await.unwrap();
        let wait: u64 = shown.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait) && !shown.headers().contains_key("set-cookie"));
        assert_eq!(location(&shown), format!("/sign-in?error=42902&next={next}"));
        let page = server.get(&location(&shown)).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("Too many failed sign-ins from your address"), "{page}");
    }
    // A caller with a valid key is not locked out by others with the same address.
    assert!(guess(&server.key).await.headers().contains_key("set-cookie"));
    for _ in 0..60 {
        guess("lks_wrong").await;
    }
    let listed = server.rows("/api/lake/activity?what=sign_in&size=1000").await;
    assert!(listed.len() <= 20, "{} rows", listed.len());
    // Not every attempt is logged.
    let lines = server.stderr().lines().filter(|line| line.contains("42902")).count();
    assert!((1..=60).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn cookies_are_for_tls_at_the_host_of_a_public_url_with_https() {
    let server = TestServer::start_with(&["--public-url", "https://lake.example.com/lake"]).await;
    let cookie = async |server: &TestServer, host: Option<&str>| {
        let form = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", &server.key)]);
        let form = host.into_iter().fold(form, |form, host| form.header("Host", host));
        form.send().await.unwrap().headers()["set-cookie"].to_str().unwrap().to_owned()
    };
    let outside = cookie(&server, Some("lake.example.com")).await;
    assert!(outside.split("; ").any(|attribute| attribute == "Secure"), "{outside}");
    let direct = cookie(&server, None).await;
    assert!(!direct.contains("Secure"), "{direct}");
    assert!(is_signed_in(&server, direct.split(';').next().unwrap()).await);
    let plain = TestServer::start_with(&["--public-url", "http://lake.example.com"]).await;
    let outside = cookie(&plain, Some("lake.example.com")).await;
    assert!(!outside.contains("Secure"), "{outside}");
}

#[tokio::test]
async fn sign_ins_that_are_not_of_the_page_are_refused_as_json_or_lead_to_the_page() {
    let server = TestServer::start().await;
    let bodies = [("application/json", r#"{"key":"x"}"#), ("application/x-www-form-urlencoded", "key=a&key=b")];
    for (kind, body) in bodies {
        let post = || server.client.post(format!("{}/sign-in", server.url)).header("content-type", kind).body(body);
        assert_refused(answer(post()).await, 40000, "application/x-www-form-urlencoded");
        let page = post().header("accept", "text/html").send().await.unwrap();
        assert_eq!(location(&page), "/sign-in?error=40100&next=%2F");
    }
    let link = server.client.get(format!("{}/sign-in/link?token=a&token=b", server.url)).send().await.unwrap();
    assert!(location(&link).starts_with("/sign-in?error=401"), "{link:?}");
}
