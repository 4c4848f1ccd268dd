//! Lake page: folders and files at a path.

use crate::api::{AsOf, InLake, look_into_lake};
use crate::components::clock::Clock;
use crate::components::page::page;
use crate::json;
use crate::pages::lake::file::FileView;
use crate::pages::lake::folder::FolderView;
use crate::query::{percent_encoded, use_query};
use crate::routes::{self, FileTab};
use crate::visible::visible;
use lakeshore::model::dataset::browsing::{BrowseFolder, FolderSort};
use lakeshore::model::page::Order;
use lakeshore::model::path::LakePath;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

/// Names on a page of a folder.
pub(in crate::pages) const NAMES_PER_PAGE: u64 = 100;

/// Parameters of the address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::pages) struct Wanted {
    /// Absent for the lake root.
    pub(in crate::pages) path: Option<String>,
    pub(in crate::pages) sort: FolderSort,
    pub(in crate::pages) is_descending: bool,
    pub(in crate::pages) text: Option<String>,
    pub(in crate::pages) page: u64,
    pub(in crate::pages) tab: FileTab,
}

impl Wanted {
    fn of(params: &ParamsMap, query: &ParamsMap) -> Self {
        let path = params.get("path").map(|path| path.trim_matches('/').to_owned()).filter(|path| !path.is_empty());
        let text = |name| query.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let sort = text("sort");
        let tab = text("tab");
        Self {
            path: path.map(|path| format!("/{path}")),
            sort: FolderSort::ALL.into_iter().find(|one| Some(one.as_str()) == sort.as_deref()).unwrap_or_default(),
            is_descending: query.get("order").is_some_and(|order| order == "desc"),
            text: text("q"),
            page: text("page").and_then(|page| page.parse().ok()).unwrap_or(0),
            tab: tab.as_deref().map(FileTab::of).unwrap_or_default(),
        }
    }

    fn folder(&self) -> BrowseFolder {
        BrowseFolder {
            path: self.path.clone(),
            from: Some(self.page.saturating_mul(NAMES_PER_PAGE)),
            // One more, to detect another page.
            size: Some(NAMES_PER_PAGE + 1),
            sort: self.sort,
            order: if self.is_descending { Order::Desc } else { Order::Asc },
            q: self.text.clone(),
        }
    }

    /// Order, as in the address.
    pub(in crate::pages) fn order(&self) -> [(&'static str, Option<&'static str>); 2] {
        let sort = (self.sort != FolderSort::Name).then_some(self.sort.as_str());
        [("sort", sort), ("order", self.is_descending.then_some("desc"))]
    }

    /// Address of the same folder with other parameters.
    pub(in crate::pages) fn address(&self) -> String {
        let page = (self.page > 0).then(|| self.page.to_string());
        let [sort, order] = self.order();
        let pairs = [("q", self.text.as_deref()), sort, order, ("page", page.as_deref())];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", percent_encoded(value?))));
        let query = pairs.collect::<Vec<_>>().join("&");
        let base = routes::lake(self.path.as_deref().unwrap_or_default());
        if query.is_empty() { base } else { format!("{base}?{query}") }
    }
}

#[component]
pub fn Lake() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query());
    let wanted = Memo::new(move |_| params.with(|params| query.with(|query| Wanted::of(params, query))));
    // Each tab is a page of its own, complete without scripts.
    let found = json::ask(
        move || wanted.get(),
        |wanted| async move {
            let found = look_into_lake(wanted.folder()).await?;
            Ok((wanted, found))
        },
    );
    let title = move || wanted.with(|wanted| wanted.path.clone().unwrap_or_else(|| "Lake".to_owned()));
    page(title, found, |session, (wanted, AsOf { now, value, .. })| {
        Clock::here().observe(now);
        match value {
            InLake::Folder { folder, schema, top, dataset } => {
                let schema = schema.map(|schema| *schema);
                view! { <FolderView session wanted browsed=folder schema top dataset as_of=now/> }.into_any()
            }
            InLake::File { file, dataset, disk_path } => {
                view! { <FileView session tab=wanted.tab file=*file dataset disk_path as_of=now/> }.into_any()
            }
        }
    })
}

/// Breadcrumbs: a link for each parent folder.
#[component]
pub(in crate::pages) fn Crumbs(
    path: Option<LakePath>,
    /// Parents of this folder are left out.
    #[prop(default = None)]
    top: Option<LakePath>,
) -> impl IntoView {
    let mut at = String::new();
    let components: Vec<_> = path
        .iter()
        .flat_map(LakePath::components)
        .map(|name| {
            at = format!("{at}/{name}");
            (name.to_owned(), at.clone())
        })
        .collect();
    let above = components.len().saturating_sub(1);
    let hidden = top.as_ref().map_or(0, |top| top.components().count().saturating_sub(1));
    let is_top = path == top;
    (path.is_some() && !is_top).then(|| {
        view! {
            <nav class="crumbs" aria-label="Parent folders">
                <a href=routes::LAKE>"Lake"</a>
                {components
                    .into_iter()
                    .take(above)
                    .skip(hidden)
                    .map(|(name, at)| view! { <a href=routes::lake(&at)>{visible(name)}</a> })
                    .collect_view()}
            </nav>
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_is_asked_for_and_no_more() {
        let wanted = Wanted { path: Some("/data/dt=1/a b#".into()), ..Wanted::default() };
        assert_eq!(wanted.address(), "/lake/data/dt=1/a%20b%23");
        let sorted =
            Wanted { sort: FolderSort::Size, is_descending: true, page: 2, text: Some("x&y".into()), ..wanted };
        assert_eq!(sorted.address(), "/lake/data/dt=1/a%20b%23?q=x%26y&sort=size&order=desc&page=2");
    }
}
