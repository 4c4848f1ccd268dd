//! The root: what every page shares, and which address shows which page.

use crate::api::current_session;
use crate::components::clock::Clock;
use crate::components::layout::Layout;
use crate::components::page::SessionResource;
use crate::live::Live;
use crate::pages::{
    Activity, DatasetDetail, Datasets, History, Keys, Lake, NotFound, OverviewPage, SignIn, SyncDetail, Syncs, Trash,
    TrashPiece, TrashSync, Upload,
};
use crate::uploader::Uploader;
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::{SsrMode, path};

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(SessionResource(Resource::new(|| (), |()| current_session())));
    Clock::provide();
    Live::provide();
    Uploader::provide();

    // Whole pages, so that they are complete, with their titles and statuses, where no script runs.
    view! {
        <Title formatter=|page: String| if page.is_empty() { "Lakeshore".to_owned() } else { format!("{page} · Lakeshore") }/>
        <Router>
            <Layout>
                <FlatRoutes fallback=NotFound>
                    <Route path=path!("/") view=OverviewPage ssr=SsrMode::Async/>
                    <Route path=path!("/syncs") view=Syncs ssr=SsrMode::Async/>
                    <Route path=path!("/syncs/:id") view=SyncDetail ssr=SsrMode::Async/>
                    <Route path=path!("/datasets") view=Datasets ssr=SsrMode::Async/>
                    <Route path=path!("/datasets/*path") view=DatasetDetail ssr=SsrMode::Async/>
                    <Route path=path!("/upload") view=Upload ssr=SsrMode::Async/>
                    <Route path=path!("/lake") view=Lake ssr=SsrMode::Async/>
                    <Route path=path!("/lake/*path") view=Lake ssr=SsrMode::Async/>
                    <Route path=path!("/history") view=History ssr=SsrMode::Async/>
                    <Route path=path!("/trash") view=Trash ssr=SsrMode::Async/>
                    <Route path=path!("/trash/syncs/:id") view=TrashSync ssr=SsrMode::Async/>
                    <Route path=path!("/trash/pieces/:id") view=TrashPiece ssr=SsrMode::Async/>
                    <Route path=path!("/activity") view=Activity ssr=SsrMode::Async/>
                    <Route path=path!("/keys") view=Keys ssr=SsrMode::Async/>
                    <Route path=path!("/sign-in") view=SignIn ssr=SsrMode::Async/>
                </FlatRoutes>
            </Layout>
        </Router>
    }
    .into_any()
}
