//! The write-ahead log as a file, after a failed sync.
//!
//! The kernel reports a failed sync once, and then takes the pages for clean: they can be read, also by the next process, and no
//! later sync writes them. A checkpoint relies on the log to be durable: it writes pages of it to the database file, and a power
//! cut amid that leaves a mixture which only the log can repair. So the log is written again, byte by byte, and synced, before
//! a checkpoint of frames whose sync may have failed.

use super::open::beside;
use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are written again at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Makes the log of a database durable, whatever became of earlier syncs. Only for the process that has the database, while it
/// writes nothing: SQLite takes no locks on this file, so none is lost when it is closed.
pub(super) fn write_again(database: &Path) -> Result<()> {
    let log = match File::options().read(true).write(true).open(beside(database, "-wal")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        log => log?,
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let length = match log.read_at(&mut chunk, offset) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            break;
        }
        log.write_all_at(&chunk[..length], offset)?;
        offset += length as u64;
    }
    if offset > 0 { log.sync_data() } else { Ok(()) }
}
