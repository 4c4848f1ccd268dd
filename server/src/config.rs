//! Command line and environment: every option, with its default and unit.

mod access;
mod client;
mod lake;
mod serve;

use clap::{Args, Parser, Subcommand};
use lakeshore_metadata::postgres::PostgresOptions;
use std::path::PathBuf;
use std::str::FromStr;

pub use access::{CreateKey, EndSession, KeyAction, RevokeKey, SessionAction};
pub use client::{ConnectOptions, GetOptions, Kind, ListOptions, PushOptions, SnapshotOptions, StatusOptions};
pub use lake::{LakeOptions, LakePlace};
pub use serve::ServeOptions;

/// Land files in a data lake: start a sync, upload files, end the sync.
#[derive(Debug, Parser)]
#[command(name = "lakeshore", version, arg_required_else_help = true)]
pub struct Command {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Serve the API and the dashboard
    Serve(Box<ServeOptions>),
    /// Create, list and revoke API keys; works while the server runs
    #[command(subcommand)]
    Key(KeyAction),
    /// List and end sessions of the dashboard; works while the server runs
    #[command(subcommand)]
    Session(SessionAction),
    /// Check that the database, the lake and the trash agree, while no server runs; exit code 0: they agree, 1: findings,
    /// 2: the check failed
    Check(CheckOptions),
    /// Copy the database to a new file, consistently; works while the server runs
    Backup(BackupOptions),
    /// Assign the lake at --lake-root to the database in --data-dir, after a move or a restore; without this, the server refuses
    /// a lake that does not belong to its database
    Adopt(AdoptOptions),
    /// Move the metadata from SQLite in --data-dir to an empty PostgreSQL database, while no server runs
    Migrate(MigrateOptions),
    /// Upload a folder to a server, to replace a dataset (--full) or to add to it (--incremental)
    Push(Box<PushOptions>),
    /// Show the latest syncs of a server, or one
    Status(StatusOptions),
    /// List a folder of the lake
    Ls(ListOptions),
    /// Download a file or a folder of the lake: of a dataset, one whole version
    Get(GetOptions),
    /// Keep one version of a dataset as a folder, for readers on the machine of the lake
    Snapshot(SnapshotOptions),
    /// Read files for the server that started this process
    #[command(hide = true)]
    InspectWorker,
}

#[derive(Debug, Args)]
pub struct DataDir {
    /// The folder of the database, unless that is in PostgreSQL, and of requests on their way
    #[arg(long = "data-dir", env = "LAKESHORE_DATA_DIR", default_value = "./data", value_name = "FOLDER")]
    pub path: PathBuf,

    /// Keep the metadata in this PostgreSQL database instead of SQLite, such as postgres://USER:PASSWORD@HOST/DATABASE, with
    /// ?sslmode=verify-full&sslrootcert=FILE for TLS; a password may also come from PGPASSWORD or ~/.pgpass
    #[arg(long, env = "LAKESHORE_METADATA", hide_env_values = true, value_parser = PostgresOptions::from_str, value_name = "URL")]
    pub metadata: Option<PostgresOptions>,
}

impl DataDir {
    pub fn database(&self) -> PathBuf {
        self.path.join("lakeshore.db")
    }

    /// Default lake root.
    fn lake(&self) -> PathBuf {
        self.path.join("lake")
    }
}
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// Repair findings that can be repaired without data loss
    #[arg(long)]
    pub repair: bool,

    /// Read every file and compare its SHA-256
    #[arg(long)]
    pub digests: bool,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub data: DataDir,

    #[command(flatten)]
    pub lake: LakeOptions,
}

impl CheckOptions {
    pub fn lake_place(&self) -> LakePlace {
        self.lake.place(&self.data)
    }
}

#[derive(Debug, Args)]
pub struct AdoptOptions {
    #[command(flatten)]
    pub data: DataDir,

    #[command(flatten)]
    pub lake: LakeOptions,
}

impl AdoptOptions {
    pub fn lake_place(&self) -> LakePlace {
        self.lake.place(&self.data)
    }
}

#[derive(Debug, Args)]
pub struct MigrateOptions {
    #[command(flatten)]
    pub data: DataDir,
}

#[derive(Debug, Args)]
pub struct BackupOptions {
    /// The file to write, which must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub data: DataDir,
}
