//! How long a sender is waited for, whichever way its bytes come.

use crate::AppState;
use lakeshore::Error;
use lakeshore::service::IncomingUpload;
use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// How long a small upload may wait for its next bytes before it shows in the history.
const UNSEEN_MAX: Duration = Duration::from_millis(50);

/// What `next` gives, unless the body breaks off, its client among the slow ones (see [`crate::pace`]), or the server
/// stops. `remedy` tells the sender what to do about an upload that broke off.
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

/// What `next` gives. Where that takes a while, the upload shows in the history meanwhile.
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
