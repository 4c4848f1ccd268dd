//! Opens a database: migrates it, or checks that it is of the version that this program works with.

use super::connection::is_missing;
use super::membership::{self, Membership, ServingMode};
use super::migrations;
use super::options::PostgresOptions;
use crate::store::Opening;
use sqlx::migrate::MigrateError;
use sqlx::{Connection, PgConnection};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "cannot connect to the database {database}: {source}; check that PostgreSQL runs there, and the user, the password and the TLS settings of --metadata"
    )]
    Connect { database: String, source: sqlx::Error },
    #[error("the database {database} does not exist; create it with \"createdb\", or choose another with --metadata")]
    NoDatabase { database: String },
    #[error(
        "the database {database} has no tables of Lakeshore; choose another with --metadata, or start \"lakeshore serve\", which makes them"
    )]
    Empty { database: String },
    #[error(
        "the database {database} has version {found}, and this program needs version {newest}; start \"lakeshore serve\" of this program, which migrates it"
    )]
    Older { database: String, found: i64, newest: i64 },
    #[error(
        "the database {database} has version {found}, and this program supports versions up to {newest}; use the newer Lakeshore that migrated it"
    )]
    Newer { database: String, found: i64, newest: i64 },
    #[error("cannot migrate the database {database}: {source}; the user of --metadata must own its tables")]
    Migrate { database: String, source: MigrateError },
    #[error(
        "the lake of the database {database} is already served by {holder}; stop that one first, or use another database for another lake"
    )]
    Served { database: String, holder: String },
    #[error("a server works with the database {database}, which this program would migrate; stop that server first")]
    ServedOlder { database: String },
    #[error("cannot take the lake of the database {database}: {source}")]
    Lease { database: String, source: lakeshore::Error },
}

/// Prepares the database as far as `opening` allows.
pub(super) async fn prepare(options: &PostgresOptions, opening: Opening) -> Result<(), OpenError> {
    let database = options.shown();
    let connect_error = |source: sqlx::Error| match is_missing(&source) {
        true => OpenError::NoDatabase { database: database.clone() },
        false => OpenError::Connect { database: database.clone(), source },
    };
    let mut connection = options.connection().await.map_err(connect_error)?;
    let found = migrations::version(&mut connection).await.map_err(connect_error)?;
    let newest = migrations::newest();
    if found > newest {
        return Err(OpenError::Newer { database, found, newest });
    }
    if opening == Opening::Existing && found == 0 {
        return Err(OpenError::Empty { database });
    }
    if found < newest && found > 0 && opening != Opening::Migrate {
        return Err(OpenError::Older { database, found, newest });
    }
    if found < newest {
        if is_served(&mut connection).await.map_err(connect_error)? {
            return Err(OpenError::ServedOlder { database });
        }
        let migrated = migrations::run(&mut connection).await;
        migrated.map_err(|source| OpenError::Migrate { database: database.clone(), source })?;
    }
    if opening != Opening::Existing {
        migrations::index_texts(&mut connection).await;
    }
    let _ = connection.close().await;
    Ok(())
}

/// Whether a server works with the database. One that has just been killed is waited for.
async fn is_served(connection: &mut PgConnection) -> sqlx::Result<bool> {
    const LOOKS: u32 = 40;
    const LOOK_PAUSE: Duration = Duration::from_millis(50);
    // The lock of the lake, see `membership`.
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 \
               AND objid = 7000 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    for _ in 0..LOOKS {
        if !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *connection).await? {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(true)
}

/// Takes the lake of the database for this process, alone or beside others.
pub(super) async fn take(options: &PostgresOptions, holder: &str, mode: ServingMode) -> Result<Membership, OpenError> {
    let database = options.shown();
    match membership::take(options, holder, mode).await {
        Ok(Ok(membership)) => {
            // A newer program may have migrated it since. It does not any more, now that this one serves.
            let version = async { migrations::version(&mut options.connection().await?).await };
            let connected = version.await.map_err(|source| OpenError::Connect { database: database.clone(), source });
            match connected? {
                found if found > migrations::newest() => {
                    Err(OpenError::Newer { database, found, newest: migrations::newest() })
                }
                _ => Ok(membership),
            }
        }
        Ok(Err(holder)) => Err(OpenError::Served { database, holder }),
        Err(source) => Err(OpenError::Lease { database, source }),
    }
}
