//! The table of a dataset on object storage: code to read it, how far it has come, and which files are not in it.

use crate::components::copy::{CommandOf, Commands};
use crate::format;
use crate::visible::visible;
use lakeshore::model::table::{DatasetTable, FILES_OUTSIDE_SHOWN_MAX, FileOutsideTable};
use leptos::prelude::*;

/// Code to read a table, or one of its commits, in each program.
#[component]
pub(in crate::pages) fn TableLines(location: String, commit: Option<u64>) -> impl IntoView {
    view! { <Commands commands=lines(&location, commit).into()/> }
}

/// An address has ASCII letters, digits and a few signs; no quotes.
fn lines(location: &str, commit: Option<u64>) -> [CommandOf; 4] {
    let past = |text: &str| commit.map_or(String::new(), |commit| format!("{text}{commit}"));
    let option = commit.map_or(String::new(), |commit| format!(".option(\"versionAsOf\", {commit})"));
    [
        (
            "DuckDB",
            "Copy DuckDB query",
            format!("SELECT * FROM delta_scan('{location}'{}) LIMIT 100;", past(", version => ")),
        ),
        (
            "Polars",
            "Copy Polars code",
            format!("import polars as pl\n\npl.scan_delta(\"{location}\"{}).head(100).collect()", past(", version=")),
        ),
        (
            "delta-rs",
            "Copy Python code",
            format!("from deltalake import DeltaTable\n\nDeltaTable(\"{location}\"{}).to_pandas()", past(", version=")),
        ),
        ("Spark", "Copy Spark code", format!("spark.read.format(\"delta\"){option}.load(\"{location}\")")),
    ]
}

#[component]
pub(in crate::pages) fn ReadTable(table: DatasetTable) -> impl IntoView {
    let DatasetTable { location, commit, versions_behind, manifest, problem, outside, .. } = table;
    let code =
        location.clone().filter(|_| commit.is_some()).map(|location| view! { <TableLines location commit=None/> });
    let behind = (versions_behind > 0).then(|| {
        let versions = format::counted(versions_behind, "version");
        view! { <p class="hint">{format!("The bucket is {versions} behind, and follows by itself.")}</p> }
    });
    let problem = problem.map(|problem| {
        view! { <p class="hint" role="status">{format!("The table cannot follow the dataset: {problem}")}</p> }
    });
    let of_manifest = manifest.zip(location).map(|(_, location)| {
        view! {
            <p class="quiet">
                "Its files are also listed by manifests, the newest by " <code>{format!("{location}/_versions/current.json")}</code> "."
            </p>
        }
    });
    view! {
        <section class="section" aria-labelledby="table-title">
            <h2 id="table-title">"Read from the bucket"</h2>
            {problem}
            {behind}
            {code}
            {of_manifest}
            {(!outside.is_empty()).then(|| view! { <Outside outside/> })}
        </section>
    }
    .into_any()
}

#[component]
fn Outside(outside: Vec<FileOutsideTable>) -> impl IntoView {
    let is_cut = outside.len() as u64 >= FILES_OUTSIDE_SHOWN_MAX;
    let files = outside.into_iter().map(|file| {
        let reasons = file.reasons.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
        view! {
            <li>
                <span class="path-main">{visible(file.path.to_string())}</span> ": " {visible(reasons)}
            </li>
        }
    });
    view! {
        <h3>"Files that are not in the table"</h3>
        <ul>{files.collect_view()}</ul>
        {is_cut.then(|| view! { <p class="quiet">"There may be more."</p> })}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_as_each_program_wants_it() {
        let of = |commit| lines("s3://b/p/t", commit).map(|(.., line)| line);
        let [duckdb, polars, delta, spark] = of(Some(7));
        assert_eq!(duckdb, "SELECT * FROM delta_scan('s3://b/p/t', version => 7) LIMIT 100;");
        assert_eq!(polars, "import polars as pl\n\npl.scan_delta(\"s3://b/p/t\", version=7).head(100).collect()");
        assert!(delta.ends_with("DeltaTable(\"s3://b/p/t\", version=7).to_pandas()"));
        assert_eq!(spark, "spark.read.format(\"delta\").option(\"versionAsOf\", 7).load(\"s3://b/p/t\")");
        assert_eq!(of(None)[0], "SELECT * FROM delta_scan('s3://b/p/t') LIMIT 100;");
    }
}
