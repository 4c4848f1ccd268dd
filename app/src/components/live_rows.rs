//! Rows that stay in place while their content changes: only changed cells are updated, so focus and selection survive.

use crate::query::ROWS_PER_PAGE;
use leptos::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of one page of a list. The lake returns one row more, which shows that another page exists. `id` identifies a
/// row; `row` renders it.
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

/// Prefix of row keys for one fetch. Leptos keeps rows with equal keys across fetches, and such rows would listen to
/// signals of the earlier page.
pub fn next_generation() -> u64 {
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    GENERATION.fetch_add(1, Ordering::Relaxed)
}
