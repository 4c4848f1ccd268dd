//! Code to copy for reading a file in DuckDB, Polars, pandas and Spark.

use crate::api::Site;
use crate::components::copy::{CommandOf, Commands};
use crate::routes;
use crate::snippet::{python_string, shell_word, sql_string};
use lakeshore::model::dataset::schema::Format;
use lakeshore::model::path::LakePath;
use lakeshore::model::preview::{Dialect, Preview};
use leptos::prelude::*;

#[component]
pub(in crate::pages) fn UseIt(
    path: LakePath,
    preview: Preview,
    disk_path: Option<String>,
    site: Site,
) -> impl IntoView {
    let Site { origin, is_open } = site;
    let key = if is_open { "" } else { "--header \"Authorization: Bearer $KEY\" " };
    let url = format!("{origin}{}", routes::download(&path));
    let dialect = preview.dialect.as_ref();
    let format = preview.format;
    let on_disk = disk_path.map(|place| {
        view! {
            <section class="section" aria-labelledby="use-disk">
                <h2 id="use-disk">"On the server"</h2>
                <Commands commands=lines(format, dialect, &place)/>
            </section>
        }
    });
    let mut by_http = lines(format, dialect, &url);
    // Spark reads file systems only.
    by_http.retain(|(name, ..)| *name != "Spark");
    let fetched = vec![
        (
            "curl",
            "Copy curl command",
            format!("curl --fail {key}--output {} {}", shell_word(path.leaf()), shell_word(&url)),
        ),
        (
            "lakeshore",
            "Copy lakeshore command",
            format!("lakeshore get {} --server {origin}", shell_word(path.as_str())),
        ),
    ];
    view! {
        {on_disk}
        <section class="section" aria-labelledby="use-http">
            <h2 id="use-http">"Over HTTP"</h2>
            <p class="quiet">"If reading needs a key, send it as the header " <code>"Authorization: Bearer KEY"</code> "."</p>
            <Commands commands=by_http/>
        </section>
        <section class="section" aria-labelledby="use-copy">
            <h2 id="use-copy">"Download a copy"</h2>
            <Commands commands=fetched/>
        </section>
    }
    .into_any()
}

/// Code of each program for the file at an address or path.
fn lines(format: Format, dialect: Option<&Dialect>, place: &str) -> Vec<CommandOf> {
    let (sql, code) = (sql_string(place), python_string(place));
    let (delimiter, has_header) = dialect.map_or((',', true), |dialect| (dialect.delimiter, dialect.has_header));
    let delimiter = if delimiter == '\t' { "\\t".to_owned() } else { delimiter.to_string() };
    let [duckdb, polars, pandas, spark] = match format {
        Format::JsonLines => [
            format!("SELECT * FROM read_json({sql}, format = 'newline_delimited') LIMIT 100;"),
            format!("import polars as pl\n\npl.read_ndjson({code})"),
            format!("import pandas as pd\n\npd.read_json({code}, lines=True)"),
            format!("spark.read.json({code})"),
        ],
        Format::Delimited => {
            let skip = dialect.map_or(0, |dialect| dialect.skip_lines);
            let quote = dialect.map(|dialect| dialect.quote).filter(|quote| *quote != '"');
            let escape = dialect.and_then(|dialect| dialect.escape);
            let is_usual = delimiter == "," && has_header && skip == 0 && quote.is_none() && escape.is_none();
            let skipping = |option: &str| if skip > 0 { format!(", {option}{skip}") } else { String::new() };
            let quoting = |option: &str| quote.map(|quote| format!(", {option}=\"{quote}\"")).unwrap_or_default();
            let escaping = |option: &str| escape.map(|escape| format!(", {option}=\"\\{escape}\"")).unwrap_or_default();
            let in_sql = [("quote", quote), ("escape", escape)].map(|(option, character)| {
                let doubled = |character: char| character.to_string().replace('\'', "''");
                character.map(|character| format!(", {option} = '{}'", doubled(character))).unwrap_or_default()
            });
            let (header, python) =
                (if has_header { "true" } else { "false" }, if has_header { "True" } else { "False" });
            let with = |options: String| if is_usual { String::new() } else { options };
            let names = if has_header { "" } else { ", header=None" };
            [
                format!(
                    "SELECT * FROM read_csv({sql}{}) LIMIT 100;",
                    with(format!(
                        ", delim = '{delimiter}', header = {header}{}{}",
                        skipping("skip = "),
                        in_sql.concat()
                    ))
                ),
                format!(
                    "import polars as pl\n\npl.read_csv({code}{})",
                    with(format!(
                        ", separator=\"{delimiter}\", has_header={python}{}{}",
                        skipping("skip_lines="),
                        quoting("quote_char")
                    ))
                ),
                format!(
                    "import pandas as pd\n\npd.read_csv({code}{})",
                    with(format!(
                        ", sep=\"{delimiter}\"{names}{}{}{}",
                        skipping("skiprows="),
                        quoting("quotechar"),
                        escaping("escapechar")
                    ))
                ),
                format!("spark.read.csv({code}, sep=\"{delimiter}\", header={python}, inferSchema=True)"),
            ]
        }
        _ => [
            format!("SELECT * FROM read_parquet({sql}) LIMIT 100;"),
            format!("import polars as pl\n\npl.scan_parquet({code}).head(100).collect()"),
            format!("import pandas as pd\n\npd.read_parquet({code})"),
            format!("spark.read.parquet({code})"),
        ],
    };
    vec![
        ("DuckDB", "Copy DuckDB query", duckdb),
        ("Polars", "Copy Polars code", polars),
        ("pandas", "Copy pandas code", pandas),
        ("Spark", "Copy Spark code", spark),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, dialect: Option<&Dialect>, place: &str, wanted: &str) -> String {
        lines(format, dialect, place).into_iter().find(|(name, ..)| *name == wanted).unwrap().2
    }

    #[test]
    fn a_name_cannot_end_its_own_quotes() {
        let place = "/lake/it's \"x\".parquet";
        let duckdb = line(Format::Parquet, None, place, "DuckDB");
        assert_eq!(duckdb, "SELECT * FROM read_parquet('/lake/it''s \"x\".parquet') LIMIT 100;");
        assert_eq!(line(Format::Parquet, None, place, "Spark"), "spark.read.parquet(\"/lake/it's \\\"x\\\".parquet\")");
    }

    #[test]
    fn an_unusual_dialect_is_told_to_each_program() {
        let encoding = "UTF-8".to_owned();
        let dialect = Dialect {
            delimiter: '\t',
            quote: '\'',
            escape: Some('\\'),
            has_header: false,
            encoding,
            compression: None,
            skip_lines: 3,
        };
        let told = |name| line(Format::Delimited, Some(&dialect), "/x.tsv", name);
        assert!(told("DuckDB").contains("delim = '\\t', header = false, skip = 3, quote = '''', escape = '\\')"));
        assert!(told("Polars").contains("separator=\"\\t\", has_header=False, skip_lines=3, quote_char=\"'\")"));
        assert!(told("pandas").contains("sep=\"\\t\", header=None, skiprows=3, quotechar=\"'\", escapechar=\"\\\\\")"));
    }
}
