//! Confirmation dialog for changes that are hard to undo.

use super::error_box::MaybeError;
use crate::error::ApiError;
use leptos::prelude::*;

/// Shows a modal dialog while `open`. Afterwards the focus returns.
pub fn show_while(dialog: NodeRef<leptos::html::Dialog>, open: Signal<bool>) {
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        match (open.get(), dialog.open()) {
            // Fails only if the dialog is no longer in the document.
            (true, false) => drop(dialog.show_modal()),
            (false, true) => dialog.close(),
            _ => {}
        }
    });
}

/// Modal dialog, shown while `open`. The children state exactly what will happen; `confirm` labels the button that does
/// it.
#[component]
pub fn Confirm(
    /// Id of the dialog's heading in the document.
    id: &'static str,
    open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    #[prop(into)] confirm: Signal<String>,
    #[prop(optional)] is_danger: bool,
    /// False while the question is incomplete, for example while a box has to be ticked.
    #[prop(into)]
    is_ready: Signal<bool>,
    #[prop(into)] is_pending: Signal<bool>,
    #[prop(into)] error: Signal<Option<ApiError>>,
    #[prop(into)] on_confirm: Callback<()>,
    children: ChildrenFn,
) -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    show_while(dialog, open.into());
    let confirm_class = if is_danger { "button button-danger" } else { "button button-primary" };
    view! {
        <dialog class="dialog" node_ref=dialog aria-labelledby=id on:close=move |_| open.set(false)>
            <h2 id=id>{move || title.get()}</h2>
            {move || open.get().then(|| view! { <div class="dialog-body">{children()}</div> })}
            <MaybeError error/>
            <div class="dialog-buttons">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button
                    type="button"
                    class=confirm_class
                    disabled=move || !is_ready.get() || is_pending.get()
                    on:click=move |_| on_confirm.run(())
                >
                    {move || confirm.get()}
                </button>
            </div>
        </dialog>
    }
    .into_any()
}
