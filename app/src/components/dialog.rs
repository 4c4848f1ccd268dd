//! A question before something is done that cannot be taken back lightly.

use super::error_box::MaybeError;
use crate::error::ApiError;
use leptos::prelude::*;

/// Shows a modal dialog while `open`. The focus goes back to where it was.
pub fn show_while(dialog: NodeRef<leptos::html::Dialog>, open: Signal<bool>) {
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        match (open.get(), dialog.open()) {
            // A dialog that is not in the document any more cannot be shown; then there is nobody to ask either.
            (true, false) => drop(dialog.show_modal()),
            (false, true) => dialog.close(),
            _ => {}
        }
    });
}

/// A modal dialog, shown while `open`. The children say exactly what will happen; `confirm` is the button that does it.
#[component]
pub fn Confirm(
    /// Names the dialog's heading in the document.
    id: &'static str,
    open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    #[prop(into)] confirm: Signal<String>,
    #[prop(optional)] is_danger: bool,
    /// False while the question is not answered in full, such as a box that has to be ticked.
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
