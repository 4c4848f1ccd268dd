//! Search page: results of the palette, with an address and without scripts.

use crate::api::search::search;
use crate::api::{AsOf, Session};
use crate::components::clock::Clock;
use crate::components::empty::Empty;
use crate::components::filters::Field;
use crate::components::icon::Picture;
use crate::components::page::{Heading, page};
use crate::json;
use crate::palette::dialog::{Aside, Marked};
use crate::palette::entries::{Act, Entry, Group, elsewhere, of_lake, pages, words};
use crate::query::use_query;
use crate::routes;
use lakeshore::Timestamp;
use lakeshore::model::search::{SearchParameters, SearchResults};
use leptos::prelude::*;
use leptos_router::components::Form;

/// Results of each kind.
const FOUND_MAX: u64 = 25;

#[component]
pub fn Search() -> impl IntoView {
    let query = use_query();
    let text = Memo::new(move |_| query.with(|query| query.get("q")).unwrap_or_default().trim().to_owned());
    let found = json::ask(
        move || text.get(),
        |text| async move {
            let found = search(SearchParameters { q: text.clone(), size: Some(FOUND_MAX) }).await?;
            Ok((text, found))
        },
    );
    page(|| "Search".to_owned(), found, |session, (text, found)| view! { <Results session text found/> })
}

#[component]
fn Results(session: Session, text: String, found: AsOf<SearchResults>) -> impl IntoView {
    let AsOf { now: as_of, value: found, .. } = found;
    Clock::here().observe(as_of);
    let words = words(&text);
    let is_asked = !text.is_empty();
    let is_found = found != SearchResults::default();
    let mut groups = vec![pages(&words)];
    groups.extend(of_lake(found, Some(&session)));
    groups.push(elsewhere(&text));
    groups.retain(|group| !group.entries.is_empty());
    view! {
        <Heading title="Search"/>
        <search class="filters">
            <Form method="get" action=routes::SEARCH>
                <Field name="q" label="Path, sync name or ID" kind="search" value=Some(text)/>
                <button type="submit" class="button button-primary">
                    "Search"
                </button>
            </Form>
        </search>
        {(is_asked && !is_found)
            .then(|| {
                view! {
                    <Empty title="No matching dataset or sync">
                        <p>
                            "Search datasets by any part of their path (" <code>"orders"</code> ", " <code>"db/orders"</code>
                            ", or several words), and syncs by ID, name or path. To find files, search the uploads or a folder of the lake."
                        </p>
                    </Empty>
                }
            })}
        {(!is_asked)
            .then(|| {
                view! {
                    <p class="lead quiet">
                        "Search datasets by any part of their path, and syncs by ID, name or path. On every page, Ctrl K opens quick search, and ? shows all shortcuts."
                    </p>
                }
            })}
        {groups
            .into_iter()
            .map(|group| view! { <Section group words=words.clone() as_of/> })
            .collect_view()}
    }
    .into_any()
}

#[component]
fn Section(group: Group, words: Vec<String>, as_of: Timestamp) -> impl IntoView {
    let id = group.name.to_ascii_lowercase().replace(' ', "-");
    let named_by = id.clone();
    let results = group.entries.into_iter().filter_map(|Entry { icon, title, beside, act }| {
        let Act::Go(href) = act else { return None };
        let words = words.clone();
        Some(view! {
            <li>
                <a class="palette-option" href=href>
                    <Picture icon/>
                    <span class="palette-title"><Marked text=title words=words.clone()/></span>
                    <Aside beside words as_of/>
                </a>
            </li>
        })
    });
    view! {
        <section class="section" aria-labelledby=named_by>
            <h2 id=id>{group.name}</h2>
            <ul class="results">{results.collect_view()}</ul>
        </section>
    }
    .into_any()
}
