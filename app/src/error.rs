//! Error of a server function: code and message of REST.

use crate::json::Json;
use lakeshore::ErrorCode;
use lakeshore::model::error::Refusal;
use leptos::prelude::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RefusalFields")]
pub struct ApiError(pub Refusal);

/// Fields of a refusal that pages use. Reading the others would add code to every page.
#[derive(Deserialize)]
struct RefusalFields {
    code: u32,
    msg: String,
}

impl From<RefusalFields> for ApiError {
    fn from(RefusalFields { code, msg }: RefusalFields) -> Self {
        Self(Refusal { code, msg, data: None })
    }
}

impl ApiError {
    pub fn is(&self, code: ErrorCode) -> bool {
        self.0.code == code.number()
    }

    /// Whether a key is missing, or no longer accepted.
    pub fn needs_key(&self) -> bool {
        [ErrorCode::NoKey, ErrorCode::BadKey, ErrorCode::ExpiredKey].iter().any(|code| self.is(*code))
    }

    /// Whether there was no answer, so that the lake did not refuse.
    pub fn is_no_answer(&self) -> bool {
        self.0.code == 0
    }

    /// Whether the same call may succeed a moment later, unlike one that the key does not allow.
    pub fn is_transient(&self) -> bool {
        const TOO_MANY: u32 = 42900;
        self.is_no_answer() || self.0.code >= TOO_MANY
    }

    /// Of a plain form: the answer leads back to it, with this in the address. So it keeps the status of a redirect.
    #[cfg(feature = "ssr")]
    pub(crate) fn of_form(error: &lakeshore::Error) -> Self {
        log(error);
        Self(Refusal::from(error))
    }

    #[cfg(feature = "ssr")]
    pub(crate) fn no_context() -> Self {
        Self::from(lakeshore::Error::internal(std::io::Error::other("the server handed over no lake")))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.msg)
    }
}

impl std::error::Error for ApiError {}

#[cfg(feature = "ssr")]
impl From<lakeshore::Error> for ApiError {
    fn from(error: lakeshore::Error) -> Self {
        log(&error);
        set_status(error.code());
        Self(Refusal::from(&error))
    }
}

/// Sets the status of the current response.
#[cfg(feature = "ssr")]
fn set_status(code: ErrorCode) {
    if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(code.http_status())
    {
        response.set_status(status);
    }
}

#[cfg(feature = "ssr")]
fn log(error: &lakeshore::Error) {
    if let lakeshore::Error::Internal(fault) = error {
        tracing::error!(fault = %fault, "page failed because of an internal error");
    }
}

impl FromServerFnError for ApiError {
    type Encoder = Json;

    /// Error of a call that failed before or after the lake: no answer, or a malformed one.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => {
                let msg = "cannot reach the server, which may be restarting; try again in a moment".to_owned();
                Self(Refusal { code: 0, msg, data: None })
            }
            // On the server, these concern the request; in a browser, the response.
            #[cfg(feature = "ssr")]
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                set_status(ErrorCode::Invalid);
                let msg = format!("the server did not understand the request ({error}); reload the page");
                Self(Refusal::new(ErrorCode::Invalid, msg))
            }
            other => {
                let msg = format!("the page and the server did not understand each other ({other}); reload the page");
                Self(Refusal::new(ErrorCode::Internal, msg))
            }
        }
    }
}
