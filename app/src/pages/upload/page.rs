//! Uploading from the browser: choose a target, drop files or folders anywhere on the page, start.

use crate::api::{Session, get_sync};
use crate::components::error_box::MaybeError;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, page};
use crate::components::sign_in_form::SignInHint;
use crate::components::status::{StatusPill, meaning, short};
use crate::format;
use crate::json;
use crate::pages::upload::queue::QueueView;
use crate::pages::upload::target::{Draft, DraftForm};
use crate::pages::upload::unfinished::{ResumedUpload, UnfinishedUploads};
use crate::pages::upload::upload_status::UploadStatus;
use crate::query::use_query;
use crate::routes;
use crate::uploader::{Phase, Target, Uploader, dropped, picked};
use crate::visible::visible;
use lakeshore::model::access::role::Role;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::Status;
use leptos::ev;
use leptos::html::Input;
use leptos::prelude::*;

#[component]
pub fn Upload() -> impl IntoView {
    let query = use_query();
    let asked = Memo::new(move |_| {
        query.with(|query| {
            let sync_id = query.get("sync").and_then(|id| id.parse::<SyncId>().ok());
            (sync_id, query.get("path").unwrap_or_default())
        })
    });
    let target = json::ask(
        move || asked.get(),
        |(sync_id, path)| async move {
            match sync_id {
                Some(id) => get_sync(id).await.map(|sync| (Some(sync.value), path)),
                None => Ok((None, path)),
            }
        },
    );
    page(|| "Upload files".to_owned(), target, |session, (sync, path)| view! { <UploadPage session sync path/> })
}

/// `sync` and `path` are those of the page's address.
#[component]
fn UploadPage(session: Session, sync: Option<SyncJob>, path: String) -> impl IntoView {
    if !session.has_role(Role::Write) {
        return view! {
            <Heading title="Upload files"/>
            <section class="empty">
                <h2>"Sign in to upload"</h2>
                <p>"Uploading files requires a key."</p>
                <SignInHint is_signed_in=session.signed_in.is_some() purpose="to upload files"/>
            </section>
        }
        .into_any();
    }
    let uploader = Uploader::awake();
    let bytes_max = session.upload_bytes_max;
    let closed = sync.clone().filter(|sync| sync.sync_status != Status::Syncing);
    let open = StoredValue::new(sync.filter(|sync| sync.sync_status == Status::Syncing));
    // An upload to another target than this page's, which has to leave the uploader first.
    let other = uploader.target.get_untracked().filter(|target| {
        open.with_value(|open| match open {
            Some(sync) => sync.sync_id != target.sync_id,
            None => !path.is_empty() && path.trim_end_matches('/') != target.path.trim_end_matches('/'),
        })
    });
    let other = StoredValue::new(other);
    // A start that was under way when the page opened may set a target later.
    let is_other = move |target: &Target| {
        open.with_value(|open| match open {
            Some(sync) => sync.sync_id != target.sync_id,
            None => other.with_value(|other| other.as_ref() == Some(target)),
        })
    };
    let is_blocked = Memo::new(move |_| uploader.target.with(|target| target.as_ref().is_some_and(is_other)));
    let draft = Draft::new(path);
    if let Some(closed) = closed {
        // The sync has ended, so its record is of no use.
        Effect::new(move |_| uploader.discard(closed.sync_id));
        return view! {
            <Heading title="Upload files"/>
            <section class="empty">
                <h2>{format!("Sync {} has ended", closed.sync_id)}</h2>
                <p>
                    <StatusPill status=closed.sync_status/>
                    " It accepts no more files. Start a new upload."
                </p>
                <p>
                    <a class="button button-primary" href=routes::UPLOAD>
                        "New upload"
                    </a>
                </p>
            </section>
        }
        .into_any();
    }
    Effect::new(move |_| {
        if is_blocked.get() && matches!(uploader.phase.get(), Phase::Ended | Phase::Aborted) {
            uploader.reset();
        }
    });
    // An upload to a sync that a script started does not end it by default.
    Effect::new(move |_| {
        if !is_blocked.get() && uploader.phase.get_untracked() == Phase::Preparing {
            uploader.end_when_done.set(open.with_value(Option::is_none));
            match open.with_value(|open| open.as_ref().map(|sync| sync.sync_id)) {
                Some(sync_id) => uploader.resume_record(sync_id),
                None => uploader.before.set(None),
            }
        }
    });
    let is_preparing = Memo::new(move |_| matches!(uploader.phase.get(), Phase::Preparing | Phase::Starting));
    let takes = Memo::new(move |_| {
        !is_blocked.get() && !matches!(uploader.phase.get(), Phase::Ending | Phase::Ended | Phase::Aborted)
    });
    view! {
        <Heading title="Upload files"/>
        <DropAnywhere bytes_max takes/>
        <Show when=move || !is_blocked.get() fallback=OtherUpload>
            <Show when=move || is_preparing.get() fallback=move || view! { <UploadStatus/> }>
                {open.with_value(Option::is_none).then(|| view! { <UnfinishedUploads/> })}
                <section class="section card" aria-label="Destination">
                    {match open.get_value() {
                        Some(sync) => {
                            view! {
                                <OpenSync sync/>
                                <ResumedUpload/>
                            }
                                .into_any()
                        }
                        None => view! { <DraftForm draft/> }.into_any(),
                    }}
                </section>
            </Show>
            <ChooseFiles bytes_max takes/>
            <Options/>
            <Show when=move || is_preparing.get()>
                <StartButton draft open/>
            </Show>
            <QueueView bytes_max/>
        </Show>
    }
    .into_any()
}

/// Replaces the page while the uploader has another target than the page's address.
#[component]
fn OtherUpload() -> impl IntoView {
    let sync_id = Uploader::here().target.with_untracked(|target| target.as_ref().map(|target| target.sync_id));
    sync_id.map(|sync_id| {
        view! {
            <div class="notice" role="status">
                <Picture icon=Icon::Warning/>
                <p>
                    {format!("Another upload, to sync {sync_id}, is not finished. Finish it or leave it open first. ")}
                    <a href=routes::UPLOAD>"View that upload"</a>
                </p>
            </div>
        }
    })
}

#[component]
fn OpenSync(sync: SyncJob) -> impl IntoView {
    let name = format::sync_title(sync.sync_id, &sync.name);
    view! {
        <p>
            "Files are added to "
            <a href=routes::sync(sync.sync_id)>{visible(name)}</a>
            ", which is still open."
        </p>
        <dl class="facts">
            <div class="fact-wide">
                <dt>"Path"</dt>
                <dd class="path">{visible(sync.path.to_string())}</dd>
            </div>
            <div>
                <dt>"Type"</dt>
                <dd title=meaning(sync.sync_type)>{short(sync.sync_type)}</dd>
            </div>
        </dl>
    }
}

#[component]
fn StartButton(draft: Draft, open: StoredValue<Option<SyncJob>>) -> impl IntoView {
    let uploader = Uploader::here();
    let has_files = Memo::new(move |_| uploader.totals.with(|totals| totals.waiting > 0));
    let has_target = Memo::new(move |_| open.with_value(Option::is_some) || draft.start().is_some());
    let is_starting = Memo::new(move |_| uploader.phase.get() == Phase::Starting);
    let hint = move || match (has_target.get(), has_files.get()) {
        _ if is_starting.get() => "Starting…",
        (false, false) => "Enter a lake path and choose files.",
        (false, true) => "Enter a lake path, such as /data/db/transactions.",
        (true, false) => "Choose or drop files.",
        (true, true) => "Nothing is sent until you start.",
    };
    let start = move |_| match open.get_value() {
        Some(sync) => {
            uploader.send_to(Target { sync_id: sync.sync_id, path: sync.path.to_string(), sync_type: sync.sync_type })
        }
        None => {
            if let Some(start) = untrack(|| draft.start()) {
                uploader.start(start);
            }
        }
    };
    view! {
        <div class="start">
            <button
                type="button"
                class="button button-primary button-large"
                // Disabled on the server, because files are chosen in the browser.
                disabled=move || !has_files.get() || !has_target.get() || is_starting.get()
                on:click=start
            >
                <Picture icon=Icon::Upload/>
                "Start upload"
            </button>
            <span class="quiet" role="status">
                {hint}
            </span>
        </div>
        <MaybeError error=uploader.error keeps_page=true/>
        {move || {
            uploader
                .in_the_way
                .get()
                .map(|sync| {
                    view! {
                        <p class="hint">
                            "Conflict with "
                            <a href=routes::sync(sync.sync_id)>
                                {visible(format!("Sync {} on {}", sync.sync_id, sync.path))}
                            </a>
                            ". End or abort it first, or add your files to it."
                        </p>
                    }
                })
        }}
    }
}

#[component]
fn Options() -> impl IntoView {
    let uploader = Uploader::here();
    let matters =
        Memo::new(move |_| matches!(uploader.phase.get(), Phase::Preparing | Phase::Starting | Phase::Sending));
    view! {
        <Show when=move || matters.get()>
            <label class="check">
                <input
                    type="checkbox"
                    name="end"
                    checked=true
                    prop:checked=uploader.end_when_done
                    on:change=move |event| uploader.end_when_done.set(event_target_checked(&event))
                />
                "End the sync when all files have arrived"
            </label>
        </Show>
    }
}

#[component]
fn ChooseFiles(bytes_max: u64, takes: Memo<bool>) -> impl IntoView {
    let uploader = Uploader::here();
    let files = NodeRef::<Input>::new();
    let folder = NodeRef::<Input>::new();
    Effect::new(move |_| {
        if let Some(input) = folder.get() {
            input.set_webkitdirectory(true);
        }
    });
    let choose = move |input: NodeRef<Input>| {
        move |_| {
            if let Some(input) = input.get() {
                input.click();
            }
        }
    };
    let chosen = move |input: NodeRef<Input>| {
        move |_| {
            if let Some(input) = input.get() {
                picked(&input, move |chosen| uploader.add(chosen, bytes_max));
            }
        }
    };
    view! {
        <section class="drop" aria-label="Files" class:hidden=move || !takes.get()>
            <p class="drop-title">"Drop files or folders anywhere on this page"</p>
            <p class="drop-buttons">
                <button type="button" class="button" on:click=choose(files)>
                    <Picture icon=Icon::File/>
                    "Choose files"
                </button>
                <button type="button" class="button" on:click=choose(folder)>
                    <Picture icon=Icon::Folder/>
                    "Choose folder"
                </button>
            </p>
            <p class="quiet">
                {move || {
                    if uploader.keeps_folder_name.get() {
                        "A folder keeps its name and structure below the lake path."
                    } else {
                        "The contents of a folder land at the lake path with their structure, as with lakeshore push. Several folders at once keep their names."
                    }
                }}
            </p>
            <label class="check">
                <input
                    type="checkbox"
                    name="keep-folder"
                    prop:checked=uploader.keeps_folder_name
                    on:change=move |event| uploader.keeps_folder_name.set(event_target_checked(&event))
                />
                "Keep the name of the folder"
            </label>
            <input
                class="visually-hidden"
                id="files"
                type="file"
                multiple
                tabindex="-1"
                aria-label="Files to upload"
                node_ref=files
                on:change=chosen(files)
            />
            <input
                class="visually-hidden"
                id="folder"
                type="file"
                tabindex="-1"
                aria-label="Folder to upload"
                node_ref=folder
                on:change=chosen(folder)
            />
        </section>
    }
}

/// Accepts drops anywhere on the page, and shows that it does. While no files are taken, a drop does nothing.
#[component]
fn DropAnywhere(bytes_max: u64, takes: Memo<bool>) -> impl IntoView {
    let uploader = Uploader::here();
    // A child is entered before its parent is left, so both are counted.
    let depth = RwSignal::new(0_i32);
    Effect::new(move |_| {
        let enter = window_event_listener(ev::dragenter, move |event| {
            event.prevent_default();
            depth.update(|depth| *depth += 1);
        });
        // Otherwise the browser would open the file.
        let over = window_event_listener(ev::dragover, |event| event.prevent_default());
        let leave = window_event_listener(ev::dragleave, move |_| depth.update(|depth| *depth = (*depth - 1).max(0)));
        let drop = window_event_listener(ev::drop, move |event| {
            event.prevent_default();
            depth.set(0);
            if !takes.get_untracked() {
                return;
            }
            dropped(&event, move |chosen| uploader.add(chosen, bytes_max));
        });
        on_cleanup(move || {
            enter.remove();
            over.remove();
            leave.remove();
            drop.remove();
        });
    });
    view! {
        <div class="overlay" class:overlay-shown=move || { takes.get() && depth.get() > 0 } aria-hidden="true">
            <p>
                <Picture icon=Icon::Upload/>
                "Drop to add to queue"
            </p>
        </div>
    }
}
