//! `lakeshore adopt`: a lake that was moved, restored, or is to have a new database.

use crate::config::AdoptOptions;
use crate::opening::{self, Opened};
use anyhow::bail;
use lakeshore_system::terminal::say;

pub async fn run(options: &AdoptOptions) -> anyhow::Result<()> {
    let root = options.lake_root();
    // A name that was mistyped is no new lake.
    if !root.is_dir() {
        bail!("no lake at {}; choose its folder with --lake-root", root.display());
    }
    let Opened { state, .. } = opening::adopt(&options.data, &root).await?;
    state.close().await;
    say(&format!(
        "{} is now the lake of the database in {}; \"lakeshore check\" lists the differences",
        root.display(),
        options.data.path.display()
    ));
    Ok(())
}
