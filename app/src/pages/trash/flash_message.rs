//! Notice with the outcome of a trash form.

use crate::api::trash::displaced_items;
use crate::components::error_box::sentence;
use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::json;
use crate::refusal;
use crate::trash_outcome::FlashMessage;
use lakeshore::model::id::TrashId;
use leptos::prelude::*;

fn words(message: &FlashMessage) -> String {
    match message {
        FlashMessage::Restored { items: 0, failed: 0, .. } => "Nothing to restore.".to_owned(),
        FlashMessage::Restored { items, failed: 0, .. } => {
            let counted = format::counted(*items, "item");
            format!("{counted} restored. Replaced files are now in the trash.")
        }
        FlashMessage::Restored { items, failed, why, .. } => {
            let counted = format::counted(*failed, "item");
            let why = refusal::message_of(*why).map(|why| format!(" {}", sentence(&why))).unwrap_or_default();
            format!("{counted} could not be restored; {} restored.{why}", format::count(*items))
        }
        FlashMessage::Emptied { items: 0, .. } => "Nothing to delete.".to_owned(),
        FlashMessage::Emptied { items, bytes } => format!(
            "{}, {}, permanently deleted. The space is available again shortly.",
            format::counted(*items, "item"),
            format::bytes(*bytes)
        ),
    }
}

#[component]
pub fn FlashNotice(
    message: FlashMessage,
    /// Address of the list.
    back: String,
    may_restore: bool,
) -> impl IntoView {
    let is_bad = matches!(message, FlashMessage::Restored { failed, .. } if failed > 0);
    let undo = match &message {
        FlashMessage::Restored { undo, .. } if may_restore && !undo.is_empty() => {
            Some((undo.iter().copied().map(TrashId).collect::<Vec<_>>(), back))
        }
        _ => None,
    };
    let (class, icon) =
        if is_bad { ("notice notice-held", Icon::Warning) } else { ("notice notice-good", Icon::Check) };
    view! {
        <div class=class role="status">
            <Picture icon/>
            <p>{words(&message)}</p>
            {undo.map(|(trash_ids, back)| view! { <Undo trash_ids back/> })}
        </div>
    }
}

/// Offered only for items that a restore moved to the trash and that are still there, whatever the address says.
#[component]
fn Undo(trash_ids: Vec<TrashId>, back: String) -> impl IntoView {
    let asked = json::ask(move || trash_ids.clone(), displaced_items);
    view! {
        <Transition>
            {move || {
                let back = back.clone();
                Suspend::new(async move {
                    let displaced = asked.await.unwrap_or_default();
                    (!displaced.is_empty())
                        .then(|| {
                            view! {
                                <form method="post" action="/fn/undo-restore">
                                    <input type="hidden" name="back" value=back/>
                                    {displaced
                                        .into_iter()
                                        .map(|id| view! { <input type="hidden" name="trash_ids[]" value=id.to_string()/> })
                                        .collect_view()}
                                    <button type="submit" class="button">
                                        <Picture icon=Icon::Restore/>
                                        "Undo"
                                    </button>
                                </form>
                            }
                        })
                })
            }}
        </Transition>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_words() {
        let restored = FlashMessage::Restored { items: 2, failed: 1, why: 40901, undo: Vec::new() };
        let text = words(&restored);
        assert!(text.starts_with("1 item could not be restored; 2 restored. An open sync or a restore"), "{text}");
        let unknown = FlashMessage::Restored { items: 2, failed: 1, why: 1, undo: Vec::new() };
        assert_eq!(words(&unknown), "1 item could not be restored; 2 restored.");
        assert!(
            words(&FlashMessage::Emptied { items: 2, bytes: 1_000_000_000 })
                .starts_with("2 items, 1.0 GB, permanently deleted")
        );
    }
}
