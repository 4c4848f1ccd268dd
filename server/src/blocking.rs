//! Blocking work on the thread that asks for it.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may block for about as long as one sync of the disk takes. The thread's other tasks move to another
/// one meanwhile; handing the work itself over would cost its caller two wake-ups, which is more than much of it takes.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A runtime of one thread has nobody to move its tasks to.
        _ => work(),
    }
}
