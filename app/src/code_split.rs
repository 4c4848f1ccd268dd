//! Parts of the browser's code: a shared one, and one for each page, which is loaded with it.
//!
//! `cargo xtask site` splits the WASM at `wasm_split`. On the server all code is present.

use crate::components::error_box::ErrorBox;
use crate::error::ApiError;
use crate::pages::{
    Activity, DatasetDetail, Datasets, History, Keys, Lake, OverviewPage, RestoreTrashPage, RestoreVersionPage, Search,
    SignIn, SyncDetail, Syncs, Trash, TrashItem, TrashSync, Upload, VersionDetailPage,
};
use crate::palette::Loaded;
use crate::routes::{matches, with_routes};
use lakeshore::model::error::Refusal;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::ChooseView;
use wasm_split_helpers::{SplitLoaderError, wasm_split};

/// Each line declares a part: its view, its loader, and its pages. Small and rare pages share a part, because each
/// additional part splits the code that parts share into more chunks.
macro_rules! parts {
    ($($part:ident: $view:ident, $load:ident, { $($page:ident => $component:ident),* };)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Page {
            $($($page,)*)*
        }

        impl Page {
            /// Name of its part in the site's manifest.
            pub fn part(self) -> &'static str {
                match self {
                    $($(Self::$page)|* => stringify!($part),)*
                }
            }

            /// Loads its part, unless it is loaded. Returns whether it is loaded.
            pub async fn load(self) -> bool {
                match self {
                    $($(Self::$page)|* => $load().await.is_ok(),)*
                }
            }

            async fn view(self) -> Result<AnyView, SplitLoaderError> {
                match self {
                    $($(Self::$page)|* => $view(self).await,)*
                }
            }
        }

        $(
            #[wasm_split($part, fallible, preload($load))]
            fn $view(page: Page) -> Result<AnyView, SplitLoaderError> {
                Ok(match page {
                    $(Page::$page => view! { <$component/> }.into_any(),)*
                    #[allow(unreachable_patterns, reason = "where there is one part")]
                    // Pages of other parts are handled by their own view.
                    _ => ().into_any(),
                })
            }
        )*
    };
}

parts! {
    overview: overview_view, load_overview, { Overview => OverviewPage };
    lists: lists_view, load_lists, { Syncs => Syncs, History => History, SignIn => SignIn };
    sync: sync_view, load_sync, { Sync => SyncDetail };
    datasets: datasets_view, load_datasets, { Datasets => Datasets, Dataset => DatasetDetail };
    upload: upload_view, load_upload, { Upload => Upload };
    lake: lake_view, load_lake, { Lake => Lake };
    versions: versions_view, load_versions, {
        Version => VersionDetailPage, RestoreVersion => RestoreVersionPage, RestoreTrash => RestoreTrashPage
    };
    trash: trash_view, load_trash, { Trash => Trash, TrashSync => TrashSync, TrashItem => TrashItem };
    activity: activity_view, load_activity, { Activity => Activity, Keys => Keys };
    palette: palette_view, load_search, { Search => Search };
}

/// Loads the palette and the shortcuts, which share a part with the search page.
#[wasm_split(palette, fallible)]
fn palette() -> Result<Loaded, SplitLoaderError> {
    Ok(Loaded::part())
}

/// Loads them. `None` on failure.
pub async fn load_palette() -> Option<Loaded> {
    palette().await.ok()
}

macro_rules! page_routes {
    ($($pattern:tt => $page:ident,)*) => {
        const ROUTES: &[(&str, Page)] = &[$(($pattern, Page::$page),)*];
    };
}
with_routes!(page_routes);

impl Page {
    /// Page at this address; `None` if there is none.
    pub fn at(path: &str) -> Option<Self> {
        ROUTES.iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, page)| *page)
    }
}

/// Renders the page for the router.
impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        self.view().await.unwrap_or_else(|_| view! { <NotLoaded/> }.into_any())
    }

    async fn preload(&self) {}
}

/// Loads the part of a page when its link is hovered or focused, so that it is there at the click.
pub fn load_ahead() {
    Effect::new(|_| {
        crate::browser::on_pointing_at_link(|address| {
            let path = address.split(['?', '#']).next().unwrap_or_default();
            if let Some(page) = Page::at(path) {
                // A failed load is repeated when the page opens.
                spawn_local(async move {
                    let _ = page.load().await;
                });
            }
        });
    });
}

/// Shown if the part of a page cannot be loaded. The address is already that of the page, so a reload helps as soon as
/// the server is back, or loads the pages of a newer server.
#[component]
fn NotLoaded() -> impl IntoView {
    let msg = "this page could not be loaded, because the server is restarting or was updated; try again".to_owned();
    let retry = Callback::new(|()| crate::browser::reload());
    view! { <ErrorBox error=ApiError(Refusal { code: 0, msg, data: None }) retry/> }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::navigation::DESTINATIONS;
    use crate::routes::{self, DatasetTab};
    use lakeshore::model::id::{SyncId, TrashId, VersionNumber};

    #[test]
    fn every_link_leads_to_its_page() {
        let links = [
            (routes::sync(SyncId(7)), Page::Sync),
            (routes::dataset_tab("/a/b", DatasetTab::Schedule), Page::Dataset),
            (routes::lake(""), Page::Lake),
            (routes::lake("/a"), Page::Lake),
            (routes::version("/a", VersionNumber(1)), Page::Version),
            (routes::confirm_restore("/a", VersionNumber(1), false), Page::RestoreVersion),
            (routes::confirm_trash_restore("trash_id", 1, routes::TRASH), Page::RestoreTrash),
            (routes::trash_of_sync(0), Page::TrashSync),
            (routes::trash_item(TrashId(1)), Page::TrashItem),
            (routes::SEARCH.to_owned(), Page::Search),
            (routes::sign_in("/keys"), Page::SignIn),
        ];
        for (link, page) in links {
            assert_eq!(Page::at(link.split(['?', '#']).next().unwrap()), Some(page), "{link}");
        }
        for destination in &DESTINATIONS {
            assert!(Page::at(destination.href).is_some(), "{}", destination.href);
        }
        assert_eq!(Page::at("/elsewhere"), None);
    }
}
