//! Implementation of `lakeshore adopt`: pairs a moved or restored lake, or a new database, with the other one.

use crate::config::AdoptOptions;
use crate::opening::{self, Opened};
use anyhow::bail;
use lakeshore_system::terminal::say;

pub async fn run(options: &AdoptOptions) -> anyhow::Result<()> {
    let root = options.lake_root();
    // A mistyped name must not make a new lake.
    if !root.is_dir() {
        bail!("no lake at {}; choose its folder with --lake-root", root.display());
    }
    let Opened { store, .. } = opening::adopt(&options.data, &root).await?;
    let database = store.shown(&options.data.path);
    store.close().await;
    say(&format!(
        "{} is now the lake of the database in {database}; \"lakeshore check\" lists the differences",
        root.display()
    ));
    Ok(())
}
