//! Waterfall on the page of a sync.

use crate::drawing::Drawing;
use crate::routes;
use lakeshore::model::id::SyncId;
use leptos::prelude::*;

#[component]
pub fn Waterfall(drawing: RwSignal<Drawing>, sync_id: SyncId, may_resend: Signal<bool>) -> impl IntoView {
    let has_any = Memo::new(move |_| drawing.with(|drawing| !drawing.picture.is_empty()));
    let has_failed = Memo::new(move |_| drawing.with(|drawing| drawing.has_failed));
    view! {
        <Show when=move || has_any.get()>
            <section class="section" aria-labelledby="timeline-title">
                <div class="section-heading">
                    <h2 id="timeline-title">"Timeline"</h2>
                    <Show when=move || has_failed.get() && may_resend.get()>
                        <a class="button button-small" href=routes::upload_to_sync(sync_id)>
                            "Retry failed uploads…"
                        </a>
                    </Show>
                </div>
                <div inner_html=move || drawing.with(|drawing| drawing.picture.clone())></div>
                <details class="names">
                    <summary>"View as table"</summary>
                    <div inner_html=move || drawing.with(|drawing| drawing.table.clone())></div>
                </details>
            </section>
        </Show>
    }
    .into_any()
}
