//! Files of a dataset, folder by folder.

use crate::api::datasets::FILES_PER_PAGE;
use crate::components::copy::Digest;
use crate::components::download::DownloadCell;
use crate::components::empty::NoRows;
use crate::components::icon::{Icon, Picture};
use crate::components::pager::PageLinks;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::query::percent_encoded;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::dataset::browsing::LakeEntry;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

#[component]
pub fn Files(base: String, folder: String, entries: Vec<LakeEntry>, page: u64, as_of: Timestamp) -> impl IntoView {
    let number = entries.len() as u64;
    let into = |folder: &str| {
        if folder.is_empty() { base.clone() } else { format!("{base}?folder={}", percent_encoded(folder)) }
    };
    let mut above = String::new();
    let crumbs: Vec<_> = folder
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(part);
            (into(&above), part.to_owned())
        })
        .collect();
    let crumbs = (!crumbs.is_empty()).then(|| {
        view! {
            <nav class="folders" aria-label="Folders">
                <a href=base.clone()>"All files"</a>
                {crumbs
                    .into_iter()
                    .map(|(href, part)| {
                        view! {
                            " / "
                            <a href=href>{visible(part)}</a>
                        }
                    })
                    .collect_view()}
            </nav>
        }
    });
    let rows = entries
        .into_iter()
        .take(FILES_PER_PAGE as usize)
        .map(|entry| {
            let below = if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
            let (icon, href) = if entry.is_folder {
                (Icon::Folder, into(&below))
            } else {
                (Icon::File, routes::lake(entry.path.as_str()))
            };
            let size = if entry.is_folder {
                ().into_any()
            } else {
                view! { <data value=entry.size_bytes.to_string()>{format::bytes(entry.size_bytes)}</data> }.into_any()
            };
            let sha256 = entry.sha256.clone();
            view! {
                <tr>
                    <td class="cell-main">
                        <span class="with-icon">
                            <Picture icon/>
                            <a href=href class="path-main">
                                {visible(entry.name.clone())}
                            </a>
                        </span>
                    </td>
                    <td data-label="Size" class="number">
                        {size}
                    </td>
                    <td data-label="Modified">
                        <RelativeTime at=entry.modified_time as_of/>
                    </td>
                    <td data-label="SHA-256" class="secondary">
                        {sha256.map(|sha256| view! { <Digest sha256/> })}
                    </td>
                    <DownloadCell file=(!entry.is_folder).then_some(entry.path)/>
                </tr>
            }
        })
        .collect_view();
    let address = move |page: u64| {
        let mut address = base.clone();
        let mut separator = '?';
        for (name, value) in [("folder", percent_encoded(&folder)), ("page", page.to_string())] {
            if !(value.is_empty() || value == "0" && name == "page") {
                address.push(separator);
                address.push_str(name);
                address.push('=');
                address.push_str(&value);
                separator = '&';
            }
        }
        address
    };
    if number == 0 && page > 0 {
        let first = address(0);
        return view! {
            {crumbs}
            <NoRows first/>
        }
        .into_any();
    }
    if number == 0 {
        return view! {
            {crumbs}
            <p class="hint">"This folder is empty."</p>
        }
        .into_any();
    }
    view! {
        {crumbs}
        <table class="table table-files">
            {table_head([
                column("Name"), column("Size").number(), column("Modified"), column("SHA-256").secondary(),
                column("Actions").unseen(),
            ])}
            <tbody>{rows}</tbody>
        </table>
        <Pages page number address/>
    }
    .into_any()
}

/// Links between pages. `number` is the number of rows: one more than shown if another page exists.
#[component]
pub fn Pages(page: u64, number: u64, address: impl Fn(u64) -> String) -> impl IntoView {
    let previous = (page > 0).then(|| address(page - 1));
    let next = (number > FILES_PER_PAGE).then(|| address(page + 1));
    let first = page.saturating_mul(FILES_PER_PAGE);
    let last = first + number.min(FILES_PER_PAGE);
    let shows = format!("{} to {}", format::count(first + 1), format::count(last));
    view! { <PageLinks previous next words=["Previous", "Next"] shows/> }
}
