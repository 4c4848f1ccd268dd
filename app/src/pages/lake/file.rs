//! Page of a file: its facts and a preview.

use crate::api::Session;
use crate::components::copy::Digest;
use crate::components::error_box::sentence;
use crate::components::fact::fact;
use crate::components::icon::{Icon, Picture};
use crate::components::page::Heading;
use crate::components::time::RelativeTime;
use crate::format;
use crate::pages::lake::page::Crumbs;
use crate::pages::lake::rows::{BadLines, RowGroups, Rows, SchemaTable};
use crate::pages::lake::usage::UseIt;
use crate::routes::{self, FileTab};
use crate::visible::{visible, visible_lines};
use lakeshore::model::dataset::schema::Format;
use lakeshore::model::path::LakePath;
use lakeshore::model::preview::{Dialect, FilePreview, Preview};
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

#[component]
pub(in crate::pages) fn FileView(
    session: Session,
    tab: FileTab,
    file: FilePreview,
    /// The dataset that the file belongs to.
    dataset: Option<LakePath>,
    disk_path: Option<String>,
    as_of: Timestamp,
) -> impl IntoView {
    let (path, format) = (file.path.clone(), file.preview.format);
    let title = path.leaf().to_owned();
    let download = routes::download(&path);
    let has_columns = file.preview.schema.is_some();
    let offered = move |tab: FileTab| match tab {
        FileTab::Rows => true,
        FileTab::Schema | FileTab::Use => has_columns,
        FileTab::RowGroups => format == Format::Parquet && has_columns,
    };
    let tab = if offered(tab) { tab } else { FileTab::Rows };
    let tabs = FileTab::ALL.into_iter().filter(|one| offered(*one)).map(|one| {
        let href = routes::file_tab(path.as_str(), one);
        let current = (one == tab).then_some("page");
        view! {
            <a href=href aria-current=current>
                {one.label()}
            </a>
        }
    });
    let tabs = tabs.collect_view();
    let content = match tab {
        FileTab::Rows => {
            content(file.preview.clone(), Some((file.path.leaf().to_owned(), routes::download(&file.path))))
        }
        FileTab::Schema => view! { <SchemaTable preview=file.preview.clone()/> }.into_any(),
        FileTab::RowGroups => view! { <RowGroups preview=file.preview.clone()/> }.into_any(),
        FileTab::Use => {
            view! { <UseIt path=path.clone() preview=file.preview.clone() disk_path site=session.site/> }.into_any()
        }
    };
    view! {
        <Crumbs path=Some(path.clone())/>
        <Heading title=title copied=Some(("Copy lake path", path.to_string()))>
            <a class="button button-primary" href=download rel="external" download="">
                <Picture icon=Icon::Download/>
                "Download"
            </a>
        </Heading>
        <Facts file=file dataset as_of/>
        {has_columns
            .then(|| {
                view! {
                    <nav class="tabs tabs-page" aria-label="File">
                        {tabs}
                    </nav>
                }
            })}
        {content}
    }
    .into_any()
}

#[component]
fn Facts(file: FilePreview, dataset: Option<LakePath>, as_of: Timestamp) -> impl IntoView {
    let FilePreview { size_bytes, modified_time, sha256, sync_id, preview, .. } = file;
    let Preview { format, row_count, num_columns, dialect, written_by, bytes_read, .. } = preview;
    let kind = dialect.as_ref().map_or(format.words().to_owned(), |dialect| kind(format, dialect));
    view! {
        <dl class="facts">
            {fact("Format", kind)} {fact("Size", format::bytes(size_bytes))}
            {row_count.map(|rows| fact("Rows", format::count(rows)))}
            {(num_columns > 0).then(|| fact("Columns", format::count(num_columns)))} <div>
                <dt>"Modified"</dt>
                <dd>
                    <RelativeTime at=modified_time as_of/>
                </dd>
            </div> <div>
                <dt>"Source"</dt>
                <dd>
                    {match sync_id {
                        Some(id) => view! { <a href=routes::sync(id)>{format!("Sync {id}")}</a> }.into_any(),
                        None => {
                            view! {
                                <span class="quiet" title="No sync is known to have written this file: it was added or changed outside Lakeshore.">
                                    "Unknown"
                                </span>
                            }
                                .into_any()
                        }
                    }}
                </dd>
            </div>
            {dataset
                .map(|dataset| {
                    let href = routes::dataset(dataset.as_str());
                    fact("Dataset", view! { <a href=href>{visible(dataset.to_string())}</a> })
                })}
            {sha256
                .map(|sha256| {
                    view! {
                        <div>
                            <dt>"SHA-256"</dt>
                            <dd>
                                <Digest sha256/>
                            </dd>
                        </div>
                    }
                })} {written_by.map(|program| fact("Written by", visible(program)))}
            {fact("Read for preview", format::bytes(bytes_read))}
        </dl>
    }
    .into_any()
}

/// `CSV, semicolons, no header, UTF-16 little-endian, gzip`
fn kind(format: Format, dialect: &Dialect) -> String {
    let mut words = vec![format.words()];
    if format == Format::Delimited {
        words.push(match dialect.delimiter {
            ',' => "commas",
            ';' => "semicolons",
            '\t' => "tabs",
            _ => "pipes",
        });
        if !dialect.has_header {
            words.push("no header");
        }
    }
    let skipped = (dialect.skip_lines > 0).then(|| format!("{} skipped", format::counted(dialect.skip_lines, "line")));
    words.extend(skipped.as_deref());
    words.extend((dialect.encoding != "UTF-8").then_some(dialect.encoding.as_str()));
    words.extend(dialect.compression.as_deref());
    words.join(", ")
}

/// `image` is the name and the address of an image.
pub(in crate::pages) fn content(preview: Preview, image: Option<(String, String)>) -> AnyView {
    let image = image.filter(|_| preview.media_type.is_some()).map(|(name, address)| {
        let alt = visible(format!("Image {name}"));
        view! {
            <figure class="preview-image">
                <img src=address alt=alt/>
            </figure>
        }
    });
    let text =
        preview.text.clone().map(|text| view! { <pre class="preview-text" tabindex="0">{visible_lines(text)}</pre> });
    let problem = preview.problem.clone().map(|problem| {
        view! {
            <div class="notice notice-held">
                <Picture icon=Icon::Warning/>
                <p>{sentence(&problem)}</p>
            </div>
        }
    });
    view! {
        {problem}
        <BadLines preview=preview.clone()/>
        {image}
        {text}
        {preview.schema.is_some().then(|| view! { <Rows preview/> })}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_told_where_it_is_not_the_usual_one() {
        let dialect = Dialect {
            delimiter: ',',
            quote: '"',
            escape: None,
            has_header: true,
            encoding: "UTF-8".into(),
            compression: None,
            skip_lines: 0,
        };
        assert_eq!(kind(Format::Delimited, &dialect), "CSV, commas");
        let dialect = Dialect { delimiter: '\t', has_header: false, compression: Some("gzip".into()), ..dialect };
        assert_eq!(kind(Format::Delimited, &dialect), "CSV, tabs, no header, gzip");
        let dialect = Dialect { skip_lines: 2, compression: None, ..dialect };
        assert_eq!(kind(Format::Delimited, &dialect), "CSV, tabs, no header, 2 lines skipped");
    }
}
