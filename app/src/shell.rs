//! HTML document around the pages. It follows the content security policy of the server: one inline script and its
//! imports, with the nonce of the response; no inline style; and trusted types.

use crate::app::App;
use crate::code_split::Page;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::MetaTags;
use std::collections::BTreeMap;

/// Addresses of the pages' resources. Absent without a built site: pages then work without scripts.
#[derive(Clone, Default)]
pub struct Assets {
    pub script: Option<String>,
    pub wasm: Option<String>,
    /// Loader of the parts.
    pub loader: Option<String>,
    /// WASM files of each part, by its name.
    pub parts: BTreeMap<String, Vec<String>>,
    pub stylesheet: Option<String>,
    /// Script of the digest worker.
    pub hasher: Option<String>,
    /// Set under `cargo leptos watch`.
    pub reload: Option<LeptosOptions>,
}

const DESCRIPTION: &str =
    "Lakeshore lands files in a data lake: uploads by script or browser, and what has landed, failed or is late.";

/// Note on pages without scripts.
const PLAIN: &str =
    "This build has no scripts, so pages do not update and cannot upload files. Use the command or the API.";

/// Note in browsers that run no scripts.
const NO_SCRIPT: &str =
    "Scripts are off: lists, links and most forms work, but pages do not update, and greyed-out buttons need scripts.";

/// Id of the element with the links to the page's code.
const CODE: &str = "code";

/// `path` is that of the requested page.
pub fn shell(assets: Assets, path: &str) -> impl IntoView + use<> {
    let Assets { script, wasm, loader, mut parts, stylesheet, hasher, reload } = assets;
    let part = Page::at(path).and_then(|page| parts.remove(page.part())).unwrap_or_default();
    let code = links(script.iter().cloned().chain(loader).collect(), wasm.iter().cloned().chain(part).collect());
    let is_plain = script.is_none();
    let start = script.as_ref().zip(wasm.as_ref()).map(|(script, wasm)| start_script(script, wasm, hasher.as_deref()));
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="description" content=DESCRIPTION/>
                <meta name="color-scheme" content="light dark"/>
                <meta name="theme-color" content="#f6f8f9" media="(prefers-color-scheme: light)"/>
                <meta name="theme-color" content="#0e1518" media="(prefers-color-scheme: dark)"/>
                {stylesheet.map(|href| view! { <link rel="stylesheet" href=href nonce=use_nonce()/> })}
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                {start.is_some().then(|| view! { <template id=CODE>{code}</template> })}
                {start.map(|start| view! { <script type="module" nonce=use_nonce()>{start}</script> })}
                {reload.map(|options| view! { <AutoReload options/> })}
                <MetaTags/>
            </head>
            <body>
                <App/>
                // After the application, which has to be the first child of the body for hydration.
                {is_plain.then(|| view! { <p class="notice" role="note">{PLAIN}</p> })}
                {(!is_plain)
                    .then(|| {
                        view! {
                            <noscript>
                                <p class="notice" role="note">{NO_SCRIPT}</p>
                            </noscript>
                        }
                    })}
            </body>
        </html>
    }
    .into_any()
}

/// Links that load in parallel what would otherwise be discovered one after the other.
fn links(scripts: Vec<String>, wasm: Vec<String>) -> AnyView {
    let scripts = scripts
        .into_iter()
        .map(|href| view! { <link rel="modulepreload" href=href nonce=use_nonce()/> })
        .collect_view();
    let preload = |href| {
        view! { <link rel="preload" href=href r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/> }
    };
    (scripts, wasm.into_iter().map(preload).collect_view()).into_any()
}

/// Script that starts the page. The document is complete, so it is painted before its code is requested, which would
/// take bandwidth from it: links in a template are not followed until they are taken out. A hidden document is never
/// painted, so nothing is awaited.
fn start_script(script: &str, wasm: &str, hasher: Option<&str>) -> String {
    format!(
        "{}\n\
         await new Promise((shown) => (document.hidden ? shown() : requestAnimationFrame(() => setTimeout(shown))));\n\
         document.head.append(document.getElementById({}).content);\n\
         const {{ default: start, hydrate }} = await import({});\n\
         await start({{ module_or_path: {} }});\n\
         await hydrate({});",
        trusted_types(hasher),
        quoted(CODE),
        quoted(script),
        quoted(wasm),
        hasher.map(quoted).unwrap_or_default()
    )
}

/// Policy for trusted types, the only way by which text becomes HTML or a script's address (a browser without trusted
/// types needs none). HTML comes from the server and from compiled Leptos templates, and runs no script, since none in
/// it has the nonce. The only allowed address is that of the worker. Text never becomes a script.
fn trusted_types(hasher: Option<&str>) -> String {
    let hasher = hasher.map_or_else(|| "undefined".to_owned(), quoted);
    format!(
        "globalThis.trustedTypes?.createPolicy('default', {{ createHTML: (html) => html, createScriptURL: (url) => (url === {hasher} ? url : null) }});"
    )
}

/// JavaScript string that cannot end its script element.
fn quoted(text: &str) -> String {
    leptos::serde_json::Value::from(text).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_cannot_be_left_by_an_address() {
        let script = start_script("/pkg/a\".js", "</script>", Some("</script>"));
        assert!(start_script("a", "b", None).ends_with("hydrate();"));
        assert!(script.contains(r#""/pkg/a\".js""#) && !script.contains("</script>"));
    }
}
