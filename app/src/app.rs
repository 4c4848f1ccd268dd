//! Root component: shared context of all pages, and the routes.

use crate::api::current_session;
use crate::code_split::{Page, load_ahead};
use crate::components::clock::Clock;
use crate::components::layout::Layout;
use crate::components::page::SessionResource;
use crate::json;
use crate::live::Live;
use crate::pages::NotFound;
use crate::palette::Palette;
use crate::routes::with_routes;
use crate::uploader::Uploader;
use crate::visible::visible;
use leptos::prelude::*;
use leptos::tachys::view::iterators::StaticVec;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::any_nested_route::{AnyNestedRoute, IntoAnyNestedRoute};
use leptos_router::components::{FlatRoutes, Router};
use leptos_router::{NestedRoute, PossibleRouteMatch, SsrMode, path};
use std::sync::Arc;

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(SessionResource(json::ask(|| (), |()| current_session())));
    Clock::provide();
    Live::provide();
    Uploader::provide();
    Palette::provide();
    load_ahead();

    view! {
        <Title formatter=document_title/>
        <Router>
            <Layout>
                <FlatRoutes fallback=NotFound children=ToChildren::to_children(routes)/>
            </Layout>
        </Router>
    }
    .into_any()
}

/// Formats the title of the document. Every title is formatted here.
///
/// leptos_meta writes the text into `<title>` as it is. An HTML parser would read `&` as the start of a character
/// reference, and `</title>` as the end of the element, so the server escapes it. The browser sets `document.title`,
/// which takes plain text.
fn document_title(page: String) -> String {
    let page = visible(page);
    let title = if page.is_empty() { "Lakeshore".to_owned() } else { format!("{page} · Lakeshore") };
    #[cfg(feature = "ssr")]
    let title = crate::charts::escaped(&title).into_owned();
    title
}

macro_rules! router_routes {
    ($($pattern:tt => $page:ident,)*) => {
        /// Routes of one type, so that the router's code is in the WASM only once.
        fn routes() -> StaticVec<AnyNestedRoute> {
            StaticVec::from(vec![$(route(Arc::new(path!($pattern)), Page::$page),)*])
        }
    };
}
with_routes!(router_routes);

/// Renders the whole page before it is sent, so that title and status are right and it is complete without scripts.
fn route(path: Arc<dyn PossibleRouteMatch + Send + Sync>, page: Page) -> AnyNestedRoute {
    NestedRoute::new(path, page).ssr_mode(SsrMode::Async).into_any_nested_route()
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_end_its_element() {
        let title = document_title("/team/</title><script src=/x></script>&lt;\u{202E}".into());
        assert_eq!(title, "/team/&lt;/title&gt;&lt;script src=/x&gt;&lt;/script&gt;&amp;lt;⟨U+202E⟩ · Lakeshore");
        assert_eq!(document_title(String::new()), "Lakeshore");
    }
}
