//! `lakeshore backup`: beside a server that may be running.

use crate::config::BackupOptions;
use crate::state::sqlite;

pub fn run(options: &BackupOptions) -> anyhow::Result<()> {
    Ok(sqlite::backup(&options.data.database(), &options.file)?)
}
