//! `lakeshore migrate`: the metadata of a lake moves from SQLite to PostgreSQL, while no server runs.

use crate::config::MigrateOptions;
use anyhow::{Context, bail};
use lakeshore_metadata::lock::lock;
use lakeshore_metadata::postgres::PostgresState;
use lakeshore_metadata::sqlite::SqliteState;
use lakeshore_metadata::store::Opening;
use lakeshore_system::terminal::say;

/// Name of the SQLite database afterwards, so that no server goes on with it by mistake.
const MIGRATED: &str = "lakeshore.db.migrated";

pub async fn run(options: &MigrateOptions) -> anyhow::Result<()> {
    let Some(address) = &options.data.metadata else {
        bail!("name the database in PostgreSQL with --metadata, such as postgres://USER@HOST/DATABASE");
    };
    let (data_dir, file) = (&options.data.path, options.data.database());
    let kept = data_dir.join(MIGRATED);
    if kept.exists() {
        bail!("{} exists: an earlier migration has left it; move it away", kept.display());
    }
    // No server starts on either meanwhile.
    let _lock = lock(data_dir).with_context(|| data_dir.display().to_string())?;
    let sqlite = SqliteState::open_for(&file, Opening::Existing).await?;
    let postgres = PostgresState::open(address).await?.serve_alone("lakeshore migrate").await?;
    let copied = postgres.copy_from(&sqlite).await;
    sqlite.close().await;
    postgres.close().await;
    let rows = copied?;
    // The log belongs to the file, where there is still one.
    for of in ["-wal", ""] {
        let (from, to) = (data_dir.join(format!("lakeshore.db{of}")), data_dir.join(format!("{MIGRATED}{of}")));
        if from.exists() {
            std::fs::rename(&from, &to).with_context(|| format!("cannot rename {}", from.display()))?;
        }
    }
    say(&format!(
        "{rows} rows are in {} now, and agree; {} is no longer used. Start the server with --metadata, then run \"lakeshore check\" at the next stop",
        address.shown(),
        kept.display()
    ));
    Ok(())
}
