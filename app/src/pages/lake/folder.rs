//! Page of a folder: its sorted contents, and search results below it.

use crate::api::Session;
use crate::components::copy::Digest;
use crate::components::download::DownloadCell;
use crate::components::empty::Empty;
use crate::components::icon::{Icon, Picture};
use crate::components::page::Heading;
use crate::components::pager::PageLinks;
use crate::components::table_head::{SortLink, column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::pages::lake::page::{Crumbs, NAMES_PER_PAGE, Wanted};
use crate::pages::lake::schema::SchemaPanel;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::dataset::browsing::{Browsed, FolderSort, LakeEntry};
use lakeshore::model::dataset::schema_policy::DatasetSchema;
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;
use leptos_router::components::Form;

#[component]
pub(in crate::pages) fn FolderView(
    session: Session,
    wanted: Wanted,
    browsed: Browsed,
    schema: Option<DatasetSchema>,
    top: Option<LakePath>,
    dataset: Option<LakePath>,
    as_of: Timestamp,
) -> impl IntoView {
    let Browsed { folder, mut entries, is_cut } = browsed;
    let has_next = entries.len() as u64 > NAMES_PER_PAGE;
    entries.truncate(NAMES_PER_PAGE as usize);
    let is_search = wanted.text.is_some();
    let title = folder.as_ref().map_or("Lake".to_owned(), |folder| folder.leaf().to_owned());
    let base = routes::lake(folder.as_ref().map(LakePath::as_str).unwrap_or_default());
    let dataset = dataset.map(|dataset| routes::dataset(dataset.as_str()));
    let syncs = folder.as_ref().map(|folder| routes::syncs_of(folder.as_str()));
    let copied = folder.as_ref().map(|folder| ("Copy lake path", folder.to_string()));
    let shown = entries.len() as u64;
    let is_empty = entries.is_empty();
    let list = if is_empty {
        nothing(is_search, wanted.page > 0, folder.is_none(), &base)
    } else {
        let base_folder = folder.clone();
        view! { <Entries entries wanted=wanted.clone() folder=base_folder as_of/> }.into_any()
    };
    let text = wanted.text.clone().unwrap_or_default();
    // Search results keep the chosen order.
    let order = wanted.order().into_iter().filter_map(|(name, value)| Some((name, value?)));
    let whole = Wanted { text: None, page: 0, ..wanted.clone() }.address();
    let upload = folder.as_ref().map_or_else(|| routes::UPLOAD.to_owned(), |folder| routes::upload_to(folder.as_str()));
    let may_write = session.has_role(Role::Write);
    view! {
        <Crumbs path=folder.clone() top=top/>
        <Heading title=title copied>
            {dataset.map(|href| view! { <a class="button" href=href>"View dataset"</a> })}
            {syncs.map(|href| view! { <a class="button" href=href>"View syncs"</a> })}
            {may_write
                .then(|| {
                    view! {
                        <a class="button" href=upload>
                            <Picture icon=Icon::Upload/>
                            "Upload"
                        </a>
                    }
                })}
        </Heading>
        {schema.map(|schema| view! { <SchemaPanel schema may_write/> })}
        <search class="filters">
            <Form method="get" action=base.clone()>
                <input
                    class="input filter-q"
                    type="search"
                    name="q"
                    aria-label="Search this folder and subfolders"
                    placeholder="Search this folder and subfolders"
                    value=text.clone()
                    prop:value=text
                />
                {order
                    .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
                    .collect_view()}
                <button type="submit" class="button">
                    "Search"
                </button>
                {is_search
                    .then(|| {
                        view! {
                            <a class="button button-quiet" href=whole>
                                "Clear"
                            </a>
                        }
                    })}
            </Form>
        </search>
        {is_cut
            .then(|| {
                view! {
                    <p class="hint">
                        {format!(
                            "Only the first {} names are included. Open a folder to see the rest.",
                            format::count(lakeshore::model::limits::BROWSED_NAMES_MAX),
                        )}
                    </p>
                }
            })}
        {list}
        <Pages wanted shown has_next/>
    }
    .into_any()
}

fn nothing(is_search: bool, is_behind: bool, is_root: bool, base: &str) -> AnyView {
    let base = base.to_owned();
    match (is_search || is_behind, is_root) {
        (true, _) => view! {
            <section class="empty">
                <h2>"No matching files or folders"</h2>
                <p>
                    <a class="button" href=base>
                        "Show full folder"
                    </a>
                </p>
            </section>
        }
        .into_any(),
        (false, true) => view! {
            <Empty title="The lake is empty">
                <p>
                    "Files of syncs appear here, exactly as DuckDB, Spark and other readers see them."
                </p>
                <p>
                    <a class="button button-primary" href=routes::UPLOAD>
                        "Upload files"
                    </a>
                </p>
            </Empty>
        }
        .into_any(),
        (false, false) => view! {
            <Empty title="This folder is empty">
                <p>"Names that begin with a dot are hidden, because lake readers skip them."</p>
            </Empty>
        }
        .into_any(),
    }
}

#[component]
fn Entries(entries: Vec<LakeEntry>, wanted: Wanted, folder: Option<LakePath>, as_of: Timestamp) -> impl IntoView {
    let is_search = wanted.text.is_some();
    let sort = |by| sort_link(&wanted, by);
    view! {
        <table class="table table-lake">
            {table_head([
                column("Name").sort(sort(FolderSort::Name)),
                column("Size").number().sort(sort(FolderSort::Size)),
                column("Modified").sort(sort(FolderSort::Modified)), column("SHA-256").secondary(),
                column("Actions").unseen(),
            ])}
            <tbody>
                {entries
                    .into_iter()
                    .map(|entry| {
                        let within = is_search.then(|| within(folder.as_ref(), &entry.path)).flatten();
                        view! { <Row entry within as_of/> }
                    })
                    .collect_view()}
            </tbody>
        </table>
    }
    .into_any()
}

/// Folder of a search result, relative to the searched folder.
fn within(folder: Option<&LakePath>, path: &LakePath) -> Option<String> {
    let relative = match folder {
        Some(folder) => folder.relative(path)?,
        None => path.as_str().trim_start_matches('/'),
    };
    relative.rsplit_once('/').map(|(above, _)| above.to_owned())
}

/// Link that sorts by a column, or reverses the order.
fn sort_link(wanted: &Wanted, sort: FolderSort) -> SortLink {
    let is_chosen = wanted.sort == sort;
    // Largest and latest first by default.
    let is_descending = if is_chosen { !wanted.is_descending } else { sort != FolderSort::Name };
    let (state, arrow) = match (is_chosen, wanted.is_descending) {
        (true, true) => ("descending", " ↓"),
        (true, false) => ("ascending", " ↑"),
        (false, _) => ("none", ""),
    };
    SortLink { href: Wanted { sort, is_descending, page: 0, ..wanted.clone() }.address(), state, arrow }
}

#[component]
fn Row(entry: LakeEntry, within: Option<String>, as_of: Timestamp) -> impl IntoView {
    let LakeEntry { name, path, is_folder, size_bytes, modified_time, sha256 } = entry;
    let icon = if is_folder { Icon::Folder } else { Icon::File };
    let size = if is_folder { "—".to_owned() } else { format::bytes(size_bytes) };
    view! {
        <tr>
            <td class="cell-main">
                <span class="with-icon">
                    <Picture icon/>
                    <span>
                        <a class="row-name" href=routes::lake(path.as_str())>
                            {visible(name)}
                        </a>
                        {within.map(|within| view! { <span class="path">{within}</span> })}
                    </span>
                </span>
            </td>
            <td data-label="Size" class="number">
                {size}
            </td>
            <td data-label="Modified">
                <RelativeTime at=modified_time as_of/>
            </td>
            <td data-label="SHA-256" class="secondary">
                {sha256.map(|sha256| view! { <Digest sha256/> })}
            </td>
            <DownloadCell file=(!is_folder).then_some(path)/>
        </tr>
    }
    .into_any()
}

#[component]
fn Pages(wanted: Wanted, shown: u64, has_next: bool) -> impl IntoView {
    let first = wanted.page.saturating_mul(NAMES_PER_PAGE);
    let at = |page| Wanted { page, ..wanted.clone() }.address();
    let previous = (wanted.page > 0).then(|| at(wanted.page - 1));
    let next = has_next.then(|| at(wanted.page + 1));
    let shows = format!("{} to {}", format::count(first + shown.min(1)), format::count(first + shown));
    view! { <PageLinks previous next words=["Previous", "Next"] shows/> }
}
