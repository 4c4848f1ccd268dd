//! Dashboard of Lakeshore: rendered on the server, hydrated in the browser by the same components.

// View types nest as deep as the pages.
#![recursion_limit = "256"]

pub mod api;
pub mod app;
#[cfg_attr(feature = "hydrate", path = "browser.rs")]
#[cfg_attr(not(feature = "hydrate"), path = "browser_absent.rs")]
mod browser;
#[cfg(feature = "ssr")]
mod charts;
pub mod code_split;
mod components;
mod drawing;
pub mod error;
mod format;
mod json;
mod live;
mod navigation;
mod pages;
mod palette;
pub mod query;
pub mod refusal;
mod routes;
#[cfg(feature = "ssr")]
pub mod shell;
mod snippet;
mod trash_outcome;
mod uploader;
pub mod visible;

pub use app::App;

/// Entry point of the browser, called by the script of the shell. `hasher` is the address of the worker that computes
/// digests.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub async fn hydrate(hasher: Option<String>) {
    uploader::use_hasher(hasher);
    console_error_panic_hook::set_once();
    // Loads the page's own part first, because hydration needs it at once.
    if let Some(page) = leptos::prelude::location().pathname().ok().as_deref().and_then(code_split::Page::at)
        && !page.load().await
    {
        // The page stays as the server rendered it, and works by links and forms.
        return;
    }
    leptos::mount::hydrate_body(App);
    // Marks the page as hydrated, for styles and tests.
    if let Some(root) = leptos::prelude::document().document_element() {
        // Setting an attribute with this name cannot fail.
        let _ = root.set_attribute("data-hydrated", "true");
    }
}
