//! `lakeshore backup`: beside a server that may be running.

use crate::config::BackupOptions;
use crate::placement;
use lakeshore_metadata::sqlite;

pub async fn run(options: &BackupOptions) -> anyhow::Result<()> {
    placement::refuse_inside_a_lake(&options.file)?;
    Ok(sqlite::backup(&options.data.database(), &options.file).await?)
}
