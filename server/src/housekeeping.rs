//! What happens without anybody asking: counting trash, failing abandoned syncs.

use lakeshore::Lake;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Short, so that the size of new trash shows soon; a look at an empty list costs next to nothing.
const INTERVAL: Duration = Duration::from_secs(1);
/// Abandoned syncs are looked for once in so many intervals.
const EXPIRY_INTERVALS: u32 = 30;

pub async fn run(lake: Lake, stopping: CancellationToken) {
    let mut ticks: u32 = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stopping.cancelled() => return,
        }
        if let Err(error) = lake.count_trash().await {
            tracing::error!(fault = ?error, "cannot count the trash");
        }
        if ticks.is_multiple_of(EXPIRY_INTERVALS)
            && let Err(error) = lake.expire_idle_syncs().await
        {
            tracing::error!(fault = ?error, "cannot fail abandoned syncs");
        }
        ticks = ticks.wrapping_add(1);
    }
}
