//! Confirmation dialog for changes that are hard to undo.

use super::error_box::MaybeError;
use crate::error::ApiError;
use leptos::ev::Event;
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
    /// Label of that button while the action runs, for example "Ending…".
    #[prop(default = "Please wait…")]
    running: &'static str,
    /// False while the question is incomplete, for example while a box has to be ticked.
    #[prop(into)]
    is_ready: Signal<bool>,
    #[prop(into)] is_pending: Signal<bool>,
    /// Cleared when the dialog opens.
    error: RwSignal<Option<ApiError>>,
    #[prop(into)] on_confirm: Callback<()>,
    children: ChildrenFn,
) -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    show_while(dialog, open.into());
    Effect::new(move |_| {
        if open.get() {
            error.set(None);
        }
    });
    // While the action runs the dialog stays, because it shows the outcome.
    let on_cancel = move |event: Event| {
        if is_pending.get_untracked() {
            event.prevent_default();
        }
    };
    let on_close = move |_| match dialog.get_untracked() {
        // Browsers close a dialog on the second Escape in any case.
        Some(dialog) if is_pending.get_untracked() && open.get_untracked() => drop(dialog.show_modal()),
        _ => open.set(false),
    };
    let confirm_class = if is_danger { "button button-danger" } else { "button button-primary" };
    view! {
        <dialog class="dialog" node_ref=dialog aria-labelledby=id on:cancel=on_cancel on:close=on_close>
            <h2 id=id>{move || title.get()}</h2>
            {move || open.get().then(|| view! { <div class="dialog-body">{children()}</div> })}
            <MaybeError error/>
            <div class="dialog-buttons">
                <button
                    type="button"
                    class="button"
                    disabled=move || is_pending.get()
                    on:click=move |_| open.set(false)
                >
                    "Cancel"
                </button>
                <button
                    type="button"
                    class=confirm_class
                    disabled=move || !is_ready.get() || is_pending.get()
                    on:click=move |_| on_confirm.run(())
                >
                    {move || if is_pending.get() { running.to_owned() } else { confirm.get() }}
                </button>
            </div>
        </dialog>
    }
    .into_any()
}
