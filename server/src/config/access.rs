//! Options of the commands for keys and sessions.

use super::DataDir;
use clap::{ArgGroup, Args, Subcommand};
use lakeshore::model::access::role::Role;
use lakeshore::model::path::LakePath;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Create a key and print it on standard output; it is shown only once
    Create(CreateKey),
    /// List the keys without their secrets
    List(DataDir),
    /// Revoke a key by its id or name
    Revoke(RevokeKey),
}

#[derive(Debug, Args)]
pub struct CreateKey {
    /// The purpose or owner of the key
    #[arg(long)]
    pub name: String,

    /// The role: read, write (also read), admin (also manage keys)
    #[arg(long, default_value = "write", value_parser = parse_role, value_name = "admin|write|read")]
    pub role: Role,

    /// Limit the key to this lake path and the paths below it
    #[arg(long, value_parser = LakePath::parse, value_name = "PATH")]
    pub path_prefix: Option<LakePath>,

    /// Expire the key after this time, such as 90d [default: valid until revoked]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub expires: Option<Duration>,

    #[command(flatten)]
    pub data: DataDir,
}

#[derive(Debug, Args)]
pub struct RevokeKey {
    /// The id or name
    #[arg(value_name = "KEY")]
    pub key: String,

    #[command(flatten)]
    pub data: DataDir,
}

#[derive(Debug, Subcommand)]
pub enum SessionAction {
    /// List sessions with their key, start and address
    List(DataDir),
    /// End one session, the sessions of a key, or all
    End(EndSession),
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("which").required(true).args(["session", "key", "all"]))]
pub struct EndSession {
    /// The id of a session, from the list
    #[arg(value_name = "SESSION")]
    pub session: Option<u64>,

    /// All sessions of this key, by its id or name
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// All sessions
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub data: DataDir,
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "choose admin, write or read".to_owned())
}
