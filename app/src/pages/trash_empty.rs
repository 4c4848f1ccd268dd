//! Removing trash for good, after a question that one answers by typing a word.

use crate::api::empty_trash;
use crate::components::dialog::Confirm;
use crate::format;
use crate::pages::trash::named;
use lakeshore::service::{Emptied, EmptyTrash};
use lakeshore::trash::TrashEntry;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// What somebody wants to remove for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doomed {
    Piece(TrashEntry),
    All,
}

impl Doomed {
    /// What has to be typed.
    fn word(&self) -> &'static str {
        match self {
            Self::Piece(_) => "delete",
            Self::All => "empty",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Piece(_) => "Delete this for good?",
            Self::All => "Empty the trash?",
        }
    }

    fn confirm(&self) -> &'static str {
        match self {
            Self::Piece(_) => "Delete for good",
            Self::All => "Empty trash",
        }
    }

    fn request(&self, older_than_days: u32) -> EmptyTrash {
        match self {
            Self::Piece(entry) => EmptyTrash { trash_id: Some(entry.trash_id), ..EmptyTrash::default() },
            Self::All => EmptyTrash {
                all: true,
                older_than_days: (older_than_days > 0).then_some(older_than_days),
                ..EmptyTrash::default()
            },
        }
    }
}

#[component]
pub fn EmptyDialog(wanted: RwSignal<Option<Doomed>>, on_emptied: Callback<Emptied>) -> impl IntoView {
    let open = RwSignal::new(false);
    let is_pending = RwSignal::new(false);
    let error = RwSignal::new(None);
    let typed = RwSignal::new(String::new());
    let days = RwSignal::new(0_u32);
    Effect::new(move |_| {
        if wanted.with(Option::is_some) {
            error.set(None);
            typed.set(String::new());
            days.set(0);
            open.set(true);
        }
    });
    // Closed by Escape or Cancel: the same may be chosen again.
    Effect::new(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            wanted.set(None);
        }
        is_open
    });
    let told =
        move |tell: fn(&Doomed) -> &'static str| wanted.with(|wanted| wanted.as_ref().map(tell).unwrap_or_default());
    let title = Signal::derive(move || told(Doomed::title).to_owned());
    let confirm = Signal::derive(move || told(Doomed::confirm).to_owned());
    let is_ready = Signal::derive(move || {
        wanted.with(|wanted| wanted.as_ref().is_some_and(|wanted| typed.with(|typed| typed.trim() == wanted.word())))
    });
    let is_all = Memo::new(move |_| wanted.with(|wanted| *wanted == Some(Doomed::All)));
    let text = move || wanted.with(|wanted| wanted.as_ref().map(consequence).unwrap_or_default());
    let on_confirm = move |()| {
        let Some(request) = wanted.with_untracked(|wanted| Some(wanted.as_ref()?.request(days.get_untracked()))) else {
            return;
        };
        is_pending.set(true);
        spawn_local(async move {
            let result = empty_trash(request).await;
            is_pending.try_set(false);
            match result {
                Ok(emptied) => {
                    open.try_set(false);
                    on_emptied.try_run(emptied);
                }
                Err(refused) => drop(error.try_set(Some(refused))),
            }
        });
    };
    view! {
        <Confirm id="empty-title" open title confirm is_danger=true is_ready is_pending error on_confirm>
            <p>{text}</p>
            <Show when=move || is_all.get()>
                <label class="field">
                    <span>"What goes"</span>
                    <select
                        class="input"
                        name="older-than"
                        on:change=move |event| days.set(event_target_value(&event).parse().unwrap_or(0))
                    >
                        <option value="0">"everything"</option>
                        <option value="1">"what is older than a day"</option>
                        <option value="7">"what is older than 7 days"</option>
                        <option value="30">"what is older than 30 days"</option>
                    </select>
                </label>
            </Show>
            <label class="field">
                <span>{move || format!("Type \"{}\" to go on", told(Doomed::word))}</span>
                <input
                    class="input"
                    name="word"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    prop:value=typed
                    on:input=move |event| typed.set(event_target_value(&event))
                />
            </label>
        </Confirm>
    }
}

/// What will be gone, in words.
fn consequence(wanted: &Doomed) -> String {
    match wanted {
        Doomed::Piece(entry) => {
            format!("Deletes {} that came from {}. It cannot be restored any more.", named(entry), entry.origin)
        }
        Doomed::All => {
            "Deletes what is in the trash of the whole lake, whatever the filter shows. None of it can be restored any more."
                .to_owned()
        }
    }
}

/// What has come of it, in words.
pub fn outcome(emptied: Emptied) -> String {
    match emptied.pieces {
        0 => "There was nothing to delete.".to_owned(),
        pieces => format!(
            "{}, {}, gone from the trash for good. The disk has the space again in a moment.",
            format::counted(pieces, "piece"),
            format::bytes(emptied.bytes)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::path::LakePath;
    use lakeshore::time::Timestamp;
    use lakeshore::trash::{Totals, TrashId, TrashKind, TrashReason};

    #[test]
    fn the_question_says_what_will_be_gone_and_the_answer_what_is() {
        let entry = TrashEntry {
            trash_id: TrashId(7),
            origin: LakePath::parse("/data/x").unwrap(),
            kind: TrashKind::Dataset,
            reason: TrashReason::Replaced,
            sync_id: None,
            trashed_by: String::new(),
            trashed_at: Timestamp(1),
            totals: Some(Totals { files: 12, bytes: 3_100_000_000 }),
            expires_at: None,
        };
        let piece = Doomed::Piece(entry);
        let text = "Deletes 12 files, 3.1 GB, that came from /data/x. It cannot be restored any more.";
        assert_eq!(consequence(&piece), text);
        assert_eq!(piece.request(7), EmptyTrash { trash_id: Some(TrashId(7)), ..EmptyTrash::default() });
        assert_eq!(Doomed::All.request(0), EmptyTrash { all: true, ..EmptyTrash::default() });
        assert_eq!(Doomed::All.request(7).older_than_days, Some(7));
        assert!(outcome(Emptied { pieces: 2, bytes: 1_000_000_000 }).starts_with("2 pieces, 1.0 GB, gone"));
        assert!(outcome(Emptied::default()).contains("nothing"));
    }
}
