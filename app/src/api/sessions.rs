//! Server functions of keys and sessions.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use lakeshore::model::access::key::{CreatedKey, Key, NewKey};
use lakeshore::model::access::session::SessionEntry;
use lakeshore::model::id::KeyId;
use lakeshore::model::id::SessionId;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{as_of, request_context};
#[cfg(feature = "ssr")]
use crate::routes;
#[cfg(feature = "ssr")]
use lakeshore::Error;
#[cfg(feature = "ssr")]
use lakeshore::model::access::session::EndSessions as Ending;
#[cfg(feature = "ssr")]
use lakeshore::service::BegunSession;
#[cfg(feature = "ssr")]
use std::sync::Arc;

/// Formats the cookie of a session.
#[cfg(feature = "ssr")]
#[derive(Clone)]
pub struct WriteCookie(pub Arc<dyn Fn(&BegunSession) -> String + Send + Sync>);

#[server(prefix = "/fn", endpoint = "keys", input = Call, output = Call)]
pub async fn list_keys() -> Result<AsOf<Vec<Key>>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.keys(&caller)).await
}

/// Creates a key. Replaces the session of the first sign-in by one of the new key.
#[server(prefix = "/fn", endpoint = "create-key", input = Call, output = Call)]
pub async fn create_key(new: NewKey) -> Result<CreatedKey, ApiError> {
    let (lake, caller) = request_context()?;
    let (created, session) = lake.create_key(&caller, &new).await?;
    if let (Some(session), Some(WriteCookie(write))) = (session, use_context())
        && let (Some(response), Ok(cookie)) =
            (use_context::<leptos_axum::ResponseOptions>(), http::HeaderValue::from_str(&write(&session)))
    {
        response.append_header(http::header::SET_COOKIE, cookie);
    }
    Ok(created)
}

#[server(prefix = "/fn", endpoint = "revoke-key", input = Call, output = Call)]
pub async fn revoke_key(key_id: KeyId) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.revoke_key(&caller, key_id).await?)
}

#[server(prefix = "/fn", endpoint = "sessions", input = Call, output = Call)]
pub async fn list_sessions() -> Result<AsOf<Vec<SessionEntry>>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.sessions(&caller)).await
}

/// Fields of the forms: one session, those of a key, or all but the caller's.
#[server(prefix = "/fn", endpoint = "end-sessions")]
pub async fn end_sessions(
    #[server(default)] session_id: Option<SessionId>,
    #[server(default)] key_id: Option<KeyId>,
    #[server(default)] others: bool,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let wanted = match (session_id, key_id, others) {
        (Some(id), None, false) => Ending::One(id),
        (None, Some(id), false) => Ending::OfKey(id),
        (None, None, true) => Ending::Others,
        _ => {
            let refusal =
                Error::Invalid("name one of session_id, key_id and others: the sessions that are to end".into());
            return Err(ApiError::of_form(&refusal));
        }
    };
    lake.end_sessions(&caller, wanted).await.map_err(|error| ApiError::of_form(&error))?;
    leptos_axum::redirect(&format!("{}#sessions-title", routes::KEYS));
    Ok(())
}
