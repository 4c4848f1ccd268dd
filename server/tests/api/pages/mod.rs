//! Pages as the server renders them, with their forms: what works without a script.

mod failures;
mod links;
mod lists;
mod restores;
mod versions;

use crate::server::TestServer;
use std::collections::HashMap;

/// A page as its reader sees it.
struct Page {
    status: u16,
    html: String,
    /// Its words, without elements.
    text: String,
}

impl Page {
    fn has(&self, words: &str) -> &Self {
        assert!(self.text.contains(words), "{words:?} is not in: {}", self.text);
        self
    }

    fn has_not(&self, words: &str) -> &Self {
        assert!(!self.text.contains(words), "{words:?} is in: {}", self.text);
        self
    }

    /// The addresses of links whose words begin like this.
    fn links(&self, words: &str) -> Vec<String> {
        let links = self.html.split("<a ").skip(1).filter_map(|rest| {
            let (opening, rest) = rest.split_once('>')?;
            let shown = words_of(rest.split("</a>").next()?);
            let href = opening.split("href=\"").nth(1)?.split('"').next()?;
            shown.trim().starts_with(words).then(|| href.replace("&amp;", "&"))
        });
        links.collect()
    }

    fn link(&self, words: &str) -> String {
        self.links(words).first().unwrap_or_else(|| panic!("no link {words:?} in: {}", self.text)).clone()
    }

    /// The fields of the only form to this address that are not typed: hidden, as the page has filled them in.
    fn form(&self, action: &str) -> Vec<(String, String)> {
        let forms: Vec<_> = self.html.split("<form ").skip(1).filter(|form| form.contains(action)).collect();
        assert_eq!(forms.len(), 1, "forms to {action} in: {}", self.text);
        let form = forms[0].split("</form>").next().unwrap();
        let value = |input: &str, name: &str| {
            input.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).map(unescaped)
        };
        form.split("<input ")
            .skip(1)
            .map(|rest| rest.split('>').next().unwrap())
            .filter(|input| value(input, "type").as_deref() == Some("hidden"))
            .map(|input| (value(input, "name").unwrap(), value(input, "value").unwrap_or_default()))
            .collect()
    }
}

fn unescaped(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

/// The words of some HTML: comments part nothing, elements do.
fn words_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (end, parts) = match tag {
            comment if comment.starts_with("!--") => ("-->", false),
            mark if mark.starts_with('!') => (">", false),
            script if script.starts_with("script") => ("</script>", true),
            _ => (">", true),
        };
        if parts {
            text.push(' ');
        }
        rest = tag.split_once(end).map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    unescaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

async fn page_as(server: &TestServer, key: Option<&str>, address: &str) -> Page {
    let mut request = server.get(address).header("Accept", "text/html");
    if let Some(key) = key {
        request = request.header("X-API-Key", key);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let html = response.text().await.unwrap();
    let text = words_of(html.split_once("<body").map_or(html.as_str(), |(_, body)| body));
    Page { status, html, text }
}

async fn page(server: &TestServer, address: &str) -> Page {
    let page = page_as(server, Some(&server.key), address).await;
    assert_eq!(page.status, 200, "{address}: {}", page.text);
    page
}

/// Sends a form as a browser without a script does, and gives the address that the answer leads to.
async fn send(server: &TestServer, from: &str, action: &str, fields: &[(String, String)]) -> String {
    let request = server.client.post(format!("{}{action}", server.url)).form(fields);
    let request = request.header("X-API-Key", &server.key).header("Accept", "text/html");
    let response = request.header("Referer", format!("{}{from}", server.url)).send().await.unwrap();
    assert_eq!(response.status(), 302, "{action}");
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    location.strip_prefix(&server.url).map_or(location.clone(), str::to_owned)
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn publish(server: &TestServer, path: &str, files: &[(&str, &str)]) -> u64 {
    let id = server.start_sync(path, "FullSync").await;
    for (name, text) in files {
        server.upload(id, name, text.as_bytes()).await;
    }
    let (status, body) = server.try_end(id, serde_json::json!({ "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    id
}

/// Names of the files below, each with its text.
fn live(server: &TestServer, below: &str) -> HashMap<String, String> {
    let files = server.files(below).into_iter();
    files.map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
}

fn names(server: &TestServer, below: &str) -> Vec<String> {
    server.file_names(below)
}
