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
use lakeshore::error::Refusal;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::LazyRoute;
use wasm_split_helpers::{SplitLoaderError, wasm_split};

/// For each page: its part, its route, and what it renders. Pages that share a part are few or small: each part more, and what
/// two of them share is in more pieces.
macro_rules! parts {
    ($($part:ident: $route:ident, $view:ident, $load:ident, $page:ident;)*) => {
        /// The part of a page.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Part {
            $($route,)*
        }

        impl Part {
            /// As the site's manifest names it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$route => stringify!($part),)*
                }
            }

            /// Loads it, unless it is there. Gives whether it is.
            pub async fn load(self) -> bool {
                match self {
                    $(Self::$route => $load().await.is_ok(),)*
                }
            }
        }

        $(
            #[wasm_split($part, fallible, preload($load))]
            fn $view() -> Result<AnyView, SplitLoaderError> {
                Ok(view! { <$page/> }.into_any())
            }

            pub struct $route;

            impl LazyRoute for $route {
                fn data() -> Self {
                    Self
                }

                async fn view(_: Self) -> AnyView {
                    $view().await.unwrap_or_else(|_| view! { <NotLoaded/> }.into_any())
                }
            }
        )*
    };
}

parts! {
    overview: OverviewRoute, overview_view, load_overview, OverviewPage;
    lists: SyncsRoute, syncs_view, load_syncs, Syncs;
    lists: HistoryRoute, history_view, load_history, History;
    lists: SignInRoute, sign_in_view, load_sign_in, SignIn;
    sync: SyncRoute, sync_view, load_sync, SyncDetail;
    datasets: DatasetsRoute, datasets_view, load_datasets, Datasets;
    datasets: DatasetRoute, dataset_view, load_dataset, DatasetDetail;
    upload: UploadRoute, upload_view, load_upload, Upload;
    lake: LakeRoute, lake_view, load_lake, Lake;
    trash: TrashRoute, trash_view, load_trash, Trash;
    trash: TrashSyncRoute, trash_sync_view, load_trash_sync, TrashSync;
    trash: TrashPieceRoute, trash_piece_view, load_trash_piece, TrashPiece;
    deeds: ActivityRoute, activity_view, load_activity, Activity;
    deeds: KeysRoute, keys_view, load_keys, Keys;
    palette: SearchRoute, search_view, load_search, Search;
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

impl Part {
    /// The part of the page at this address; absent where there is no page.
    pub fn at(path: &str) -> Option<Self> {
        let (first, rest) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
        Some(match (first, rest) {
            ("", _) => Self::OverviewRoute,
            ("syncs", "") => Self::SyncsRoute,
            ("syncs", _) => Self::SyncRoute,
            ("datasets", "") => Self::DatasetsRoute,
            ("datasets", _) => Self::DatasetRoute,
            ("upload", "") => Self::UploadRoute,
            ("lake", _) => Self::LakeRoute,
            ("history", "") => Self::HistoryRoute,
            ("trash", "") => Self::TrashRoute,
            ("trash", rest) if rest.starts_with("syncs/") => Self::TrashSyncRoute,
            ("trash", rest) if rest.starts_with("pieces/") => Self::TrashPieceRoute,
            ("activity", "") => Self::ActivityRoute,
            ("keys", "") => Self::KeysRoute,
            ("search", "") => Self::SearchRoute,
            ("sign-in", "") => Self::SignInRoute,
            _ => return None,
        })
    }
}

/// Loads the part of a page as soon as somebody points at a link to it: it is there when the click comes.
pub fn load_ahead() {
    Effect::new(|_| {
        crate::browser::on_pointing_at_link(|address| {
            let path = address.split(['?', '#']).next().unwrap_or_default();
            if let Some(part) = Part::at(path) {
                // What cannot be loaded now is asked for again with the page.
                spawn_local(async move {
                    let _ = part.load().await;
                });
            }
        });
    });
}

/// Instead of a page whose part did not come. The address is the page's already, so loading it anew helps as soon as the
/// server is back, or brings the pages of a newer server.
#[component]
fn NotLoaded() -> impl IntoView {
    let msg = "this page could not be loaded; the server may be restarting, or has been updated: try again".to_owned();
    let retry = Callback::new(|()| crate::browser::reload());
    view! { <ErrorBox error=ApiError(Refusal { code: 0, msg, data: None }) retry/> }
}
