//! Rows that stay where they are while what they show changes: only the cells that changed are touched, so that
//! focus and selection survive.

use crate::query::ROWS_PER_PAGE;
use leptos::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rows of one page of a list: the lake gives one more, which tells that there is a next page. `id` tells them apart; `row` renders one.
#[component]
pub fn LiveRows<T, R, V>(rows: RwSignal<Vec<T>>, id: fn(&T) -> u64, row: R) -> impl IntoView
where
    T: Clone + PartialEq + Send + Sync + 'static,
    R: Fn(Signal<T>) -> V + Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    let generation = next_generation();
    view! {
        <For
            each=move || rows.with(|rows| rows.iter().take(ROWS_PER_PAGE as usize).cloned().collect::<Vec<_>>())
            key=move |item| (generation, id(item))
            children=move |first: T| {
                let key = id(&first);
                let current = Memo::new(move |_| {
                    let found = rows.with(|rows| rows.iter().find(|item| id(item) == key).cloned());
                    found.unwrap_or_else(|| first.clone())
                });
                row(current.into())
            }
        />
    }
}

/// When a page asks anew, Leptos keeps the rows of equal keys, which listen to the signals of the page before. A key
/// with a generation keeps them apart.
pub fn next_generation() -> u64 {
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    GENERATION.fetch_add(1, Ordering::Relaxed)
}
