//! Implementation of `lakeshore adopt`: pairs a moved or restored lake, or a new database, with the other one.

use crate::config::{AdoptOptions, LakePlace};
use crate::opening;
use anyhow::bail;
use lakeshore_system::terminal::say;

pub async fn run(options: &AdoptOptions) -> anyhow::Result<()> {
    let place = options.lake_place();
    // A mistyped name must not make a new lake.
    if let LakePlace::Folder(root) = &place
        && !root.is_dir()
    {
        bail!("no lake at {}; choose its folder with --lake-root", root.display());
    }
    let opened = opening::adopt(&options.data, &place).await?;
    let database = opened.store.shown(&options.data.path);
    opened.close().await;
    say(&format!("{place} is now the lake of the database in {database}; \"lakeshore check\" lists the differences"));
    Ok(())
}
