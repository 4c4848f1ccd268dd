//! Code to read a version: over HTTP, with the command, from a snapshot, and through an open folder.

use crate::api::Site;
use crate::components::copy::Command;
use crate::components::table_lines::TableLines;
use crate::query::percent_encoded;
use crate::snippet::{python_string, shell_word};
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::DatasetTable;
use leptos::prelude::*;

#[component]
pub(super) fn Reading(
    path: LakePath,
    number: VersionNumber,
    is_current: bool,
    site: Site,
    /// The folder on the server's disk, for callers who may know it.
    disk_path: Option<String>,
    /// Of a lake on object storage, which has no snapshots.
    table: Option<DatasetTable>,
) -> impl IntoView {
    let of_table = table.as_ref().and_then(|table| {
        let (location, commit) = (table.location.as_ref()?, table.commit_of(number)?);
        Some(view! { <TableLines location=location.clone() commit=Some(commit)/> })
    });
    let is_in_folder = table.is_none();
    let lines = lines(&path, number, &site).into_iter().filter(|(name, ..)| is_in_folder || *name != SNAPSHOT).map(
        |(name, hint, label, line)| {
            view! {
                <h3>{name}</h3>
                <p class="quiet">{hint}</p>
                <Command text=line label/>
            }
        },
    );
    let held = disk_path.filter(|_| is_current).map(|place| {
        view! {
            <h3>"Python, on the server's disk"</h3>
            <p class="quiet">
                "The folder is opened once and read through its descriptor, so a full sync published meanwhile cannot mix in its files."
            </p>
            <Command text=held_open(&place) label="Copy Python code"/>
        }
    });
    view! {
        <section class="section" aria-labelledby="read-title">
            <h2 id="read-title">"Read this version"</h2>
            {of_table}
            {lines.collect_view()}
            {held}
        </section>
    }
    .into_any()
}

const SNAPSHOT: &str = "Snapshot";

type Line = (&'static str, &'static str, &'static str, String);

fn lines(path: &LakePath, number: VersionNumber, site: &Site) -> [Line; 3] {
    let Site { origin, is_open } = site;
    let key = if *is_open { "" } else { " --header \"Authorization: Bearer $KEY\"" };
    let word = shell_word(path.as_str());
    let query = format!("path={}&version={number}", percent_encoded(path.as_str()));
    [
        (
            "lakeshore get",
            "Downloads exactly these files, or fails.",
            "Copy lakeshore command",
            format!("lakeshore get {word} ./copy --version {number} --server {origin}"),
        ),
        (
            SNAPSHOT,
            "For readers on the server that list a folder: they see only these files, whatever is published meanwhile.",
            "Copy snapshot command",
            format!(
                "lakeshore snapshot --exec {word} --version {number} -- duckdb -c \"SELECT count(*) FROM '{{}}/**/*.parquet'\""
            ),
        ),
        (
            "curl",
            "The list of files, with their download addresses.",
            "Copy curl command",
            format!("curl --fail{key} {}", shell_word(&format!("{origin}/api/lake/dataset/version?{query}"))),
        ),
    ]
}

fn held_open(place: &str) -> String {
    let code = python_string(place);
    format!(
        "import os\nimport polars as pl\n\nfolder = os.open({code}, os.O_PATH)\nrows = pl.read_parquet(f\"/proc/self/fd/{{folder}}/**/*.parquet\")\nos.close(folder)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_and_the_key_goes_along_where_one_is_needed() {
        let path = LakePath::parse("/data/it's $x").unwrap();
        let site = Site { origin: "http://lake".into(), is_open: false };
        let [get, snapshot, curl] = lines(&path, VersionNumber(3), &site).map(|(.., line)| line);
        assert_eq!(get, r"lakeshore get '/data/it'\''s $x' ./copy --version 3 --server http://lake");
        assert!(snapshot.starts_with(r"lakeshore snapshot --exec '/data/it'\''s $x' --version 3 -- duckdb"));
        assert!(
            curl.starts_with("curl --fail --header \"Authorization: Bearer $KEY\" 'http://lake/api/lake/"),
            "{curl}"
        );
        let open = Site { is_open: true, ..site };
        assert!(!lines(&path, VersionNumber(3), &open).iter().any(|(.., line)| line.contains("Bearer")));
    }
}
