//! Timeouts for senders, shared by all kinds of upload.

use crate::AppState;
use lakeshore::Error;
use lakeshore::service::IncomingUpload;
use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// Pause of a small upload after which it appears in the history.
const UNSEEN_MAX: Duration = Duration::from_millis(50);

/// Result of `next`, unless the body breaks off, its client is too slow (see [`crate::pace`]), or the server stops.
/// `remedy` is the advice for an interrupted upload.
pub async fn uninterrupted<T, E: Display>(
    app_state: &AppState,
    next: impl Future<Output = Result<T, E>>,
    remedy: &str,
) -> Result<T, Error> {
    tokio::select! {
        next = next => next.map_err(|error| Error::IncompleteUpload(format!("{error}; {remedy}"))),
        () = app_state.interrupt.cancelled() => Err(Error::ShuttingDown),
    }
}

/// Result of `next`. If it takes long, the upload appears in the history meanwhile.
pub async fn seen<T>(incoming: &mut IncomingUpload, next: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    if incoming.is_registered() {
        return next.await;
    }
    let mut next = pin!(next);
    if let Ok(given) = timeout(UNSEEN_MAX, next.as_mut()).await {
        return given;
    }
    incoming.register().await?;
    next.await
}
