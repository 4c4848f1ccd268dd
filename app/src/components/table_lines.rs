//! Code to read the table of a dataset on object storage.

use crate::components::copy::{CommandOf, Commands};
use leptos::prelude::*;

/// Code to read a table, or one of its commits, in each program.
#[component]
pub fn TableLines(location: String, commit: Option<u64>) -> impl IntoView {
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
