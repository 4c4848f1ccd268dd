//! The HTML document around the pages. It keeps to the Content-Security-Policy that the server sends: one inline
//! script, and what it loads, with the nonce of the answer; no inline style; and types that are trusted.

use crate::app::App;
use crate::code_split::Page;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::MetaTags;
use std::collections::BTreeMap;

/// Addresses of what the pages load. Absent where no site was built: the pages then work without scripts.
#[derive(Clone, Default)]
pub struct Assets {
    pub script: Option<String>,
    pub wasm: Option<String>,
    /// What loads the parts of the pages.
    pub loader: Option<String>,
    /// The WASM of each part, by its name.
    pub parts: BTreeMap<String, Vec<String>>,
    pub stylesheet: Option<String>,
    /// The script of the worker that takes the digests of files.
    pub hasher: Option<String>,
    /// Set under `cargo leptos watch`.
    pub reload: Option<LeptosOptions>,
}

const DESCRIPTION: &str =
    "Lakeshore lands files in a data lake: uploads by script or browser, and what has landed, failed or is late.";

/// Of pages without scripts.
const PLAIN: &str =
    "This build has no scripts, so pages do not update and cannot upload files. Use the command or the API.";

/// The element with the links to the page's code.
const CODE: &str = "code";

/// `path`: of the page that is asked for.
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
                // Behind the application, which is the first child that the script looks for.
                {is_plain.then(|| view! { <p class="notice" role="note">{PLAIN}</p> })}
            </body>
        </html>
    }
    .into_any()
}

/// What is loaded side by side, though each is found by the one before it.
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

/// The page is complete as it comes, so it is shown first: its code would take the line from it. Links in a template are not
/// followed until they are taken out. What is not looked at is never painted, so there is nothing to wait for.
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

/// Under the policy, a text becomes HTML or the address of a script only by this (where the browser has no such types, the
/// policy asks for none). HTML is what the server has drawn and what Leptos has compiled, and runs no script anyway, as none in
/// it has the nonce. The only address is that of the worker. A text that would be run has no way at all.
fn trusted_types(hasher: Option<&str>) -> String {
    let hasher = hasher.map_or_else(|| "undefined".to_owned(), quoted);
    format!(
        "globalThis.trustedTypes?.createPolicy('default', {{ createHTML: (html) => html, createScriptURL: (url) => (url === {hasher} ? url : null) }});"
    )
}

/// A string of JavaScript that cannot end its script element.
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
