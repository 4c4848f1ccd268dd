//! Implementation of `lakeshore backup`: a copy of the database, made by the server if one has it, else by this
//! process. This process writes the file in both cases, with its own rights.

use crate::config::BackupOptions;
use crate::control::{Reached, reach};
use crate::placement;
use anyhow::bail;
use lakeshore_metadata::sqlite::{self, BackupError, NewFile};

pub async fn run(options: &BackupOptions) -> anyhow::Result<()> {
    if let Some(postgres) = &options.data.metadata {
        bail!(
            "the metadata is in PostgreSQL ({}), which Lakeshore does not copy; use pg_dump, or the backups of your PostgreSQL",
            postgres.shown()
        );
    }
    placement::refuse_inside_a_lake(&options.file)?;
    let database = options.data.database();
    if !database.is_file() {
        return Err(BackupError::NoDatabase(database).into());
    }
    match reach(&options.data).await? {
        Reached::Own(turn) => sqlite::backup(&database, &options.file, turn).await?,
        Reached::Server(server) => {
            let mut new = NewFile::create(&options.file)?;
            let file = new.file().try_clone().map_err(|source| new.cannot_write(source))?;
            server.copy(&mut tokio::fs::File::from_std(file)).await?;
            new.finish()?;
        }
    }
    Ok(())
}
