//! Search results in groups, for the palette and the search page.

use crate::api::Session;
use crate::components::icon::Icon;
use crate::format;
use crate::navigation::DESTINATIONS;
use crate::routes;
use lakeshore::model::access::role::Role;
use lakeshore::model::search::SearchResults;
use lakeshore::model::sync::status::Status;
use lakeshore::model::time::Timestamp;

/// Datasets of a search that are offered as upload targets.
const UPLOADS_OFFERED_MAX: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: &'static str,
    pub entries: Vec<Entry>,
    /// Found in the browser, before what the server finds.
    pub is_own: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub icon: Icon,
    pub title: String,
    pub beside: Beside,
    pub act: Act,
}

/// Details beside the title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    Key(&'static str),
    Landed(Timestamp),
    Sync { path: String, status: Status, is_held: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Go(String),
    CopyAddress,
    Shortcuts,
    SignOut,
}

impl Entry {
    fn link(icon: Icon, title: impl Into<String>, href: impl Into<String>) -> Self {
        Self { icon, title: title.into(), beside: Beside::Nothing, act: Act::Go(href.into()) }
    }
}

/// Words of the query, in lower case.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_ascii_lowercase).collect()
}

fn holds(title: &str, words: &[String]) -> bool {
    let title = title.to_ascii_lowercase();
    words.iter().all(|word| title.contains(word.as_str()))
}

/// Pages whose name contains the words; all pages without words.
pub fn pages(words: &[String]) -> Group {
    let pages = DESTINATIONS.iter().filter(|page| holds(page.label, words));
    let entry = |page: &crate::navigation::Destination| Entry {
        beside: Beside::Key(page.letter),
        ..Entry::link(page.icon, page.label, page.href)
    };
    Group { name: "Pages", entries: pages.map(entry).collect(), is_own: true }
}

/// Actions that are available on every page.
pub fn actions(words: &[String], session: Option<&Session>) -> Group {
    let act = |icon, title: &str, act| Entry { icon, title: title.to_owned(), beside: Beside::Nothing, act };
    let signing = match session {
        Some(session) if session.signed_in.is_some() => act(Icon::Keys, "Sign out", Act::SignOut),
        _ => Entry::link(Icon::Keys, "Sign in", routes::SIGN_IN),
    };
    let shortcuts = Entry { beside: Beside::Key("?"), ..act(Icon::Play, "Show keyboard shortcuts", Act::Shortcuts) };
    let all = [act(Icon::Copy, "Copy link to this page", Act::CopyAddress), shortcuts, signing];
    let entries = all.into_iter().filter(|entry| holds(&entry.title, words)).collect();
    Group { name: "Actions", entries, is_own: true }
}

/// Results from the lake, and uploads to the datasets among them.
pub fn of_lake(found: SearchResults, session: Option<&Session>) -> [Group; 3] {
    let uploads = if session.is_some_and(|session| session.has_role(Role::Write)) { UPLOADS_OFFERED_MAX } else { 0 };
    let upload = |path: &str| Entry::link(Icon::Upload, format!("Upload to {path}"), routes::upload_to(path));
    let uploads = found.datasets.iter().take(uploads).map(|dataset| upload(dataset.path.as_str())).collect();
    let datasets = found.datasets.into_iter().map(|dataset| {
        let href = routes::dataset(dataset.path.as_str());
        Entry { beside: Beside::Landed(dataset.last_landed), ..Entry::link(Icon::Dataset, dataset.path.as_str(), href) }
    });
    let syncs = found.syncs.into_iter().map(|sync| {
        let id = sync.sync_id;
        let title = format::sync_title(id, &sync.name);
        let title = if sync.name.is_empty() { title } else { format!("{title} · {id}") };
        let (path, status, is_held) = (sync.path.to_string(), sync.sync_status, sync.held.is_some());
        Entry { beside: Beside::Sync { path, status, is_held }, ..Entry::link(Icon::Syncs, title, routes::sync(id)) }
    });
    [
        Group { name: "Datasets", entries: datasets.collect(), is_own: false },
        Group { name: "Syncs", entries: syncs.collect(), is_own: false },
        Group { name: "Upload files", entries: uploads, is_own: false },
    ]
}

/// Lists that can be filtered by the text, and the lake path that it names.
pub fn elsewhere(text: &str) -> Group {
    let text = text.trim();
    let mut entries = Vec::new();
    if text.is_empty() {
        return Group { name: "More results", entries, is_own: false };
    }
    if text.starts_with('/') {
        entries.push(Entry::link(Icon::Folder, format!("Open {text}"), routes::lake(text)));
    }
    entries.push(Entry::link(Icon::History, format!("Uploads with “{text}”"), routes::filtered(routes::HISTORY, text)));
    entries.push(Entry::link(Icon::Syncs, format!("All syncs with “{text}”"), routes::filtered(routes::SYNCS, text)));
    entries.push(Entry::link(
        Icon::Dataset,
        format!("All datasets with “{text}”"),
        routes::filtered(routes::DATASETS, text),
    ));
    Group { name: "More results", entries, is_own: false }
}

/// Splits the text into spans, each with whether it matches a word, ignoring ASCII case.
pub fn marked(text: &str, words: &[String]) -> Vec<(bool, String)> {
    let lower = text.to_ascii_lowercase();
    let mut is_marked = vec![false; text.len()];
    for word in words.iter().filter(|word| !word.is_empty()) {
        for (at, _) in lower.match_indices(word.as_str()) {
            is_marked[at..at + word.len()].fill(true);
        }
    }
    let mut spans: Vec<(bool, String)> = Vec::new();
    for (at, character) in text.char_indices() {
        match spans.last_mut() {
            Some((marked, span)) if *marked == is_marked[at] => span.push(character),
            _ => spans.push((is_marked[at], character.to_string())),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_words_are_marked_everywhere() {
        let marks = |text, typed| {
            let spans = marked(text, &words(typed)).into_iter();
            spans.map(|(is_marked, span)| if is_marked { format!("[{span}]") } else { span }).collect::<String>()
        };
        assert_eq!(marks("/data/db/Orders", "or DATA"), "/[data]/db/[Or]ders");
        assert_eq!(marks("aaa", "aa"), "[aa]a");
        assert_eq!(marks("überall", "ber übe"), "[über]all");
        assert_eq!(marks("plain", ""), "plain");
    }

    #[test]
    fn pages_and_actions_are_found_by_their_words_and_all_show_at_first() {
        assert_eq!(pages(&[]).entries.len(), DESTINATIONS.len());
        let titles = |group: Group| group.entries.into_iter().map(|entry| entry.title).collect::<Vec<_>>();
        assert_eq!(titles(pages(&words("upload"))), ["Upload files", "Uploads"]);
        assert_eq!(titles(actions(&words("this copy"), None)), ["Copy link to this page"]);
        assert_eq!(titles(actions(&words("sign"), None)), ["Sign in"]);
    }

    #[test]
    fn a_lake_path_offers_to_open_its_folder() {
        let first = |text| elsewhere(text).entries.into_iter().next().map(|entry| entry.act);
        assert_eq!(first(" /data/a b "), Some(Act::Go("/lake/data/a%20b".into())));
        assert_eq!(first("a&b"), Some(Act::Go("/history?q=a%26b".into())));
        assert_eq!(first(" "), None);
    }
}
