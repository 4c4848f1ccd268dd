//! The parts that the browser's code comes in: what all pages share, and one for each page, loaded with it.
//!
//! `cargo xtask site` cuts the WASM where `wasm_split` says. On the server everything is there.

use crate::components::error_box::ErrorBox;
use crate::error::ApiError;
use crate::pages::{
    Activity, DatasetDetail, Datasets, History, Keys, Lake, OverviewPage, Search, SignIn, SyncDetail, Syncs, Trash,
    TrashPiece, TrashSync, Upload,
};
use crate::palette::Loaded;
use lakeshore::model::error::Refusal;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::ChooseView;
use wasm_split_helpers::{SplitLoaderError, wasm_split};

/// For each part: what shows its pages, what loads it, and the pages. Pages that share a part are few or small: each part more,
/// and what two of them share is in more pieces.
macro_rules! parts {
    ($($part:ident: $view:ident, $load:ident, { $($page:ident => $component:ident),* };)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Page {
            $($($page,)*)*
        }

        impl Page {
            /// The part that it comes in, as the site's manifest names it.
            pub fn part(self) -> &'static str {
                match self {
                    $($(Self::$page)|* => stringify!($part),)*
                }
            }

            /// Loads its part, unless it is there. Gives whether it is.
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
                    // Those of the other parts are shown by them.
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
    trash: trash_view, load_trash, { Trash => Trash, TrashSync => TrashSync, TrashPiece => TrashPiece };
    deeds: deeds_view, load_deeds, { Activity => Activity, Keys => Keys };
    palette: palette_view, load_search, { Search => Search };
}

/// The palette and the shortcuts: the page of the search shares their part.
#[wasm_split(palette, fallible)]
fn palette() -> Result<Loaded, SplitLoaderError> {
    Ok(Loaded::part())
}

/// Loads them; nothing where that fails.
pub async fn load_palette() -> Option<Loaded> {
    palette().await.ok()
}

impl Page {
    /// The page at this address; absent where there is none.
    pub fn at(path: &str) -> Option<Self> {
        let (first, rest) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
        Some(match (first, rest) {
            ("", _) => Self::Overview,
            ("syncs", "") => Self::Syncs,
            ("syncs", _) => Self::Sync,
            ("datasets", "") => Self::Datasets,
            ("datasets", _) => Self::Dataset,
            ("upload", "") => Self::Upload,
            ("lake", _) => Self::Lake,
            ("history", "") => Self::History,
            ("trash", "") => Self::Trash,
            ("trash", rest) if rest.starts_with("syncs/") => Self::TrashSync,
            ("trash", rest) if rest.starts_with("pieces/") => Self::TrashPiece,
            ("activity", "") => Self::Activity,
            ("keys", "") => Self::Keys,
            ("search", "") => Self::Search,
            ("sign-in", "") => Self::SignIn,
            _ => return None,
        })
    }
}

/// What the router shows of a page.
impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        self.view().await.unwrap_or_else(|_| view! { <NotLoaded/> }.into_any())
    }

    async fn preload(&self) {}
}

/// Loads the part of a page as soon as somebody points at a link to it: it is there when the click comes.
pub fn load_ahead() {
    Effect::new(|_| {
        crate::browser::on_pointing_at_link(|address| {
            let path = address.split(['?', '#']).next().unwrap_or_default();
            if let Some(page) = Page::at(path) {
                // What cannot be loaded now is asked for again with the page.
                spawn_local(async move {
                    let _ = page.load().await;
                });
            }
        });
    });
}

/// Instead of a page whose part did not come. The address is the page's already, so loading it anew helps as soon as the
/// server is back, or brings the pages of a newer server.
#[component]
fn NotLoaded() -> impl IntoView {
    let msg = "this page could not be loaded, because the server is restarting or was updated; try again".to_owned();
    let retry = Callback::new(|()| crate::browser::reload());
    view! { <ErrorBox error=ApiError(Refusal { code: 0, msg, data: None }) retry/> }
}
