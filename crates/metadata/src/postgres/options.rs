//! How the database is reached.

use super::answers;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};
use std::str::FromStr;
use std::time::Duration;

/// Connections of a node, unless it is told otherwise.
pub const CONNECTIONS_MAX: u32 = 16;
/// Fewest connections with which a node works: one for the lists, one for a write, and one for a look-up beside them.
pub const CONNECTIONS_MIN: u32 = 3;
/// Time limit of a statement, unless it is told otherwise.
pub const STATEMENT_TIME_MAX: Duration = Duration::from_secs(60);
/// Time that a request, or a start, waits for a connection.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(30);
/// Prepared statements kept by a connection.
const STATEMENTS_KEPT: usize = 256;
/// Name by which `pg_stat_activity` shows a connection.
const APPLICATION: &str = "lakeshore";

#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error(
        "--metadata is not an address of PostgreSQL: {0}; write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with ?sslmode=verify-full for TLS"
    )]
    Address(sqlx::Error),
}

/// The address of a database, and limits. TLS is part of the address: `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, as
/// `psql` knows them. What the address leaves out comes from the environment (`PGPASSWORD`, …) and from `~/.pgpass`.
#[derive(Clone)]
pub struct PostgresOptions {
    connect: PgConnectOptions,
    pub(super) connections_max: u32,
    statement_time_max: Option<Duration>,
}

impl std::fmt::Debug for PostgresOptions {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl FromStr for PostgresOptions {
    type Err = OptionsError;

    fn from_str(address: &str) -> Result<Self, OptionsError> {
        let is_known = address.starts_with("postgres://") || address.starts_with("postgresql://");
        if !is_known {
            let cause = "it does not begin with postgres://";
            return Err(OptionsError::Address(sqlx::Error::Configuration(cause.into())));
        }
        let connect = PgConnectOptions::from_str(address).map_err(OptionsError::Address)?;
        Ok(Self { connect, connections_max: CONNECTIONS_MAX, statement_time_max: Some(STATEMENT_TIME_MAX) })
    }
}

impl PostgresOptions {
    /// Options with these limits; fewer connections than [`CONNECTIONS_MIN`] count as that.
    #[must_use]
    pub fn with_limits(self, connections_max: u32, statement_time_max: Option<Duration>) -> Self {
        Self { connections_max: connections_max.max(CONNECTIONS_MIN), statement_time_max, ..self }
    }

    /// Host, port and database, for people.
    pub fn shown(&self) -> String {
        let database = self.connect.get_database().unwrap_or_else(|| self.connect.get_username());
        let socket = self.connect.get_socket().map(|socket| socket.display().to_string());
        let host = socket.unwrap_or_else(|| self.connect.get_host().to_owned());
        format!("postgres://{host}:{}/{database}", self.connect.get_port())
    }

    fn connect(&self) -> PgConnectOptions {
        let options = self.connect.clone().application_name(APPLICATION).statement_cache_capacity(STATEMENTS_KEPT);
        let limit = self.statement_time_max.map_or(0, |limit| limit.as_millis());
        // A node that vanishes amid a transaction leaves no lock behind for long.
        options
            .options([
                ("statement_timeout", limit.to_string()),
                ("idle_in_transaction_session_timeout", "30s".to_owned()),
                ("client_min_messages", "warning".to_owned()),
                // A session whose machine is gone ends within a minute, and its locks with it.
                ("tcp_keepalives_idle", "30".to_owned()),
                ("tcp_keepalives_interval", "10".to_owned()),
                ("tcp_keepalives_count", "3".to_owned()),
                ("default_transaction_isolation", "read committed".to_owned()),
                // Statements look rows up by a list of keys, whose length PostgreSQL does not know when it plans them. With
                // the default, for disks with slow seeks, it reads a table of 10,000 files whole for each group.
                ("random_page_cost", "1.1".to_owned()),
                // A statement takes less time than its compilation.
                ("jit", "off".to_owned()),
            ])
            .disable_statement_logging()
    }

    pub(super) async fn connection(&self) -> sqlx::Result<sqlx::PgConnection> {
        answers::allow(self.statement_time_max);
        answers::within(CONNECTION_WAIT_MAX, self.connect().connect()).await
    }

    pub(super) fn pool(&self) -> PgPool {
        answers::allow(self.statement_time_max);
        PgPoolOptions::new()
            .max_connections(self.connections_max)
            .acquire_timeout(CONNECTION_WAIT_MAX)
            .test_before_acquire(false)
            .before_acquire(answers::ping)
            .after_release(answers::ping)
            .connect_lazy_with(self.connect())
    }
}
