//! Structure of every page: a title, a heading, and content that waits for the session and the page's data.

use super::copy::CopyButton;
use super::error_box::ErrorBox;
use super::sign_in_form::{SignInForm, current_address};
use crate::api::Session;
use crate::browser::focus_main;
use crate::error::ApiError;
use crate::json::Asked;
use crate::refusal;
use crate::visible::visible;
use lakeshore::ErrorCode;
use leptos::prelude::*;
use leptos::tachys::reactive_graph::OwnedView;
use leptos_meta::Title;
use leptos_router::hooks::use_location;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Session of the visitor. Fetched once, because signing in and out reloads the page.
#[derive(Clone, Copy)]
pub struct SessionResource(pub Asked<Result<Session, ApiError>>);

impl SessionResource {
    pub fn here() -> Self {
        expect_context()
    }
}

/// A page. `content` is rendered once the session and `data` are available, and again after `data` was fetched again.
/// Until then, a skeleton of the same shape is shown; where reading needs a sign-in, the form.
pub fn page<T, V>(
    title: impl Fn() -> String + Clone + Send + Sync + 'static,
    data: Asked<Result<T, ApiError>>,
    content: impl Fn(Session, T) -> V + Clone + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    V: IntoView + 'static,
{
    let session = SessionResource::here().0;
    let retry = Callback::new(move |()| {
        session.refetch();
        data.refetch();
    });
    let render = move || -> Rendering {
        let content = content.clone();
        Box::pin(async move {
            let session = session.await;
            let data = data.await;
            match (session, data) {
                (Ok(session), _) if session.must_sign_in() => Ok(None),
                (_, Err(error)) if error.is(ErrorCode::NoKey) => Ok(None),
                (Ok(session), Ok(data)) => {
                    let content: Content = Box::new(move || content(session, data).into_any());
                    Ok(Some(content))
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            }
        })
    };
    frame(Arc::new(title), Arc::new(render), retry)
}

/// Renders the content of a page.
type Content = Box<dyn FnOnce() -> AnyView + Send>;

/// Content of a page once its data is available; `None` if it needs a sign-in.
type Rendering = Pin<Box<dyn Future<Output = Result<Option<Content>, ApiError>> + Send>>;

/// Code that does not depend on the page's types, so that it is compiled only once.
fn frame(
    title: Arc<dyn Fn() -> String + Send + Sync>,
    render: Arc<dyn Fn() -> Rendering + Send + Sync>,
    retry: Callback<()>,
) -> AnyView {
    let (skeleton_title, error_title) = (title.clone(), title.clone());
    view! {
        <Title text=move || title()/>
        <Transition fallback=move || {
            view! {
                <Heading title=skeleton_title()/>
                <Skeleton/>
            }
        }>
            {contents(render, error_title, retry)}
        </Transition>
    }
    .into_any()
}

/// View of the content, rendered again after each fetch.
///
/// Each content has an owner of its own. The owner of the effect that renders it is cleaned up as soon as the session
/// or the data arrives. The other may still be awaited, and the document keeps the old content until both are there:
/// until then its buttons and effects need their signals.
fn contents(
    render: Arc<dyn Fn() -> Rendering + Send + Sync>,
    error_title: Arc<dyn Fn() -> String + Send + Sync>,
    retry: Callback<()>,
) -> impl Fn() -> Suspend<OwnedView<AnyView>> {
    let address = current_address();
    let outer = Owner::current().unwrap_or_default();
    let shown = StoredValue::new(None::<Owner>);
    move || {
        let (rendering, error_title, outer) = (render(), error_title.clone(), outer.clone());
        Suspend::new(async move {
            let rendered = rendering.await;
            let owner = outer.child();
            let mut replaced = shown.try_update_value(|shown| shown.replace(owner.clone())).flatten();
            let content = owner.with(|| {
                // Only in the next task, because the effects of the old content end one after the other, once the
                // document has the new one.
                Effect::new(move |_| {
                    if let Some(replaced) = replaced.take() {
                        set_timeout(move || replaced.cleanup(), Duration::ZERO);
                    }
                });
                match rendered {
                    Ok(Some(content)) => content(),
                    Ok(None) => view! { <MustSignIn next=address/> }.into_any(),
                    Err(error) => {
                        let error = refusal::of_page(error);
                        let content = if error.is_transient() {
                            view! { <ErrorBox error retry/> }.into_any()
                        } else {
                            view! { <ErrorBox error/> }.into_any()
                        };
                        view! {
                            <Heading title=untrack(|| error_title())/>
                            {content}
                        }
                        .into_any()
                    }
                }
            });
            OwnedView::new_with_owner(content, owner)
        })
    }
}

/// Id of the page's h1 in the document.
pub const TITLE_ID: &str = "page-title";

/// Path of the page whose heading was shown last.
#[derive(Clone, Copy)]
pub struct AnnouncedPath(StoredValue<Option<String>>);

impl AnnouncedPath {
    pub fn provide() {
        provide_context(Self(StoredValue::new(None)));
    }
}

/// Moves the focus to a page of another path once its heading is shown, as a browser does for a new document. The first
/// page keeps the browser's own focus, and a change of the query alone moves nothing.
pub fn announce_page() {
    let path = use_location().pathname;
    let Some(AnnouncedPath(last)) = use_context() else { return };
    Effect::new(move |_| {
        let now = path.get_untracked();
        let is_other = move |last: &mut Option<String>| {
            let is_other = last.as_ref().is_some_and(|last| *last != now);
            *last = Some(now);
            is_other
        };
        if last.try_update_value(is_other) == Some(true) {
            focus_main();
        }
    });
}

/// The page's only h1, with its actions. `copied` is a text that can be copied, and its label.
#[component]
pub fn Heading(
    #[prop(into)] title: Signal<String>,
    #[prop(default = None)] copied: Option<(&'static str, String)>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    announce_page();
    view! {
        <header class="heading">
            <h1 id=TITLE_ID>{move || visible(title.get())}</h1>
            {copied.map(|(label, text)| view! { <CopyButton text label/> })}
            {children.map(|children| view! { <div class="heading-side">{children()}</div> })}
        </header>
    }
}

#[component]
fn MustSignIn(next: Signal<String>) -> impl IntoView {
    view! {
        <section class="sign-in-page">
            <h1 id=TITLE_ID>"Sign in"</h1>
            <p>"Viewing this lake requires a key."</p>
            <SignInForm next/>
        </section>
    }
}

#[component]
fn Skeleton() -> impl IntoView {
    view! {
        <div class="skeleton" role="status">
            <span class="visually-hidden">"Loading"</span>
            {(0..6).map(|_| view! { <div class="skeleton-row"></div> }).collect_view()}
        </div>
    }
}
