//! How long a sender is waited for, whichever way its bytes come.

use crate::http::Door;
use lakeshore::Error;
use lakeshore::service::IncomingUpload;
use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// How long a small upload may wait for its next bytes before it shows in the history.
const UNSEEN_MAX: Duration = Duration::from_millis(50);

/// What `next` gives, unless nothing comes for `--upload-idle-timeout`, or the server stops. `remedy` tells the sender what
/// to do about an upload that broke off.
pub async fn in_time<T, E: Display>(
    door: &Door,
    next: impl Future<Output = Result<T, E>>,
    remedy: &str,
) -> Result<T, Error> {
    let next = tokio::select! {
        next = timeout(door.upload_idle_max, next) => next,
        () = door.interrupt.cancelled() => return Err(Error::ShuttingDown),
    };
    match next {
        Ok(Ok(given)) => Ok(given),
        Ok(Err(error)) => Err(Error::IncompleteUpload(format!("{error}; {remedy}"))),
        Err(_) => Err(Error::IncompleteUpload(format!(
            "nothing came for {} seconds; {remedy}, or raise --upload-idle-timeout",
            door.upload_idle_max.as_secs()
        ))),
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
