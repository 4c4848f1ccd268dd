//! The root: what every page shares, and which address shows which page.

use crate::api::current_session;
use crate::components::clock::Clock;
use crate::components::layout::Layout;
use crate::components::page::SessionResource;
use crate::json;
use crate::live::Live;
use crate::pages::NotFound;
use crate::palette::Palette;
use crate::parts::{
    ActivityRoute, DatasetRoute, DatasetsRoute, HistoryRoute, KeysRoute, LakeRoute, OverviewRoute, SearchRoute,
    SignInRoute, SyncRoute, SyncsRoute, TrashPieceRoute, TrashRoute, TrashSyncRoute, UploadRoute, load_ahead,
};
use crate::uploader::Uploader;
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::{Lazy, SsrMode, path};

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(SessionResource(json::ask(|| (), |()| current_session())));
    Clock::provide();
    Live::provide();
    Uploader::provide();
    Palette::provide();
    load_ahead();

    // Whole pages, so that they are complete, with their titles and statuses, where no script runs.
    view! {
        <Title formatter=|page: String| if page.is_empty() { "Lakeshore".to_owned() } else { format!("{page} · Lakeshore") }/>
        <Router>
            <Layout>
                <FlatRoutes fallback=NotFound>
                    <Route path=path!("/") view={Lazy::<OverviewRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/syncs") view={Lazy::<SyncsRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/syncs/:id") view={Lazy::<SyncRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/datasets") view={Lazy::<DatasetsRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/datasets/*path") view={Lazy::<DatasetRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/upload") view={Lazy::<UploadRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/lake") view={Lazy::<LakeRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/lake/*path") view={Lazy::<LakeRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/history") view={Lazy::<HistoryRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/trash") view={Lazy::<TrashRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/trash/syncs/:id") view={Lazy::<TrashSyncRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/trash/pieces/:id") view={Lazy::<TrashPieceRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/activity") view={Lazy::<ActivityRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/keys") view={Lazy::<KeysRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/search") view={Lazy::<SearchRoute>::new()} ssr=SsrMode::Async/>
                    <Route path=path!("/sign-in") view={Lazy::<SignInRoute>::new()} ssr=SsrMode::Async/>
                </FlatRoutes>
            </Layout>
        </Router>
    }
    .into_any()
}
