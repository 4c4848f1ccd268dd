//! Command line and environment: every option, with its default and unit.

mod client;
mod lake;

use bytesize::ByteSize;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use lakeshore::model::access::role::Role;
use lakeshore::model::path::LakePath;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::guard::{GuardRule, ShrinkGuard};
use lakeshore_http::connections::ConnectionLimits;
use lakeshore_http::hosts::AllowedHost;
use lakeshore_http::networks::{NetworkPolicy, everywhere, loopback, parse_network};
use lakeshore_http::outside::PublicUrl;
use lakeshore_metadata::postgres::{CONNECTIONS_MAX, CONNECTIONS_MIN, PostgresOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use lake::{LakeOptions, LakePlace};

pub use client::{ConnectOptions, GetOptions, Kind, ListOptions, PushOptions, SnapshotOptions, StatusOptions};

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
pub struct ServeOptions {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, env = "LAKESHORE_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub data: DataDir,

    /// Maximum number of connections to PostgreSQL
    #[arg(long, env = "LAKESHORE_METADATA_CONNECTIONS", default_value_t = CONNECTIONS_MAX, value_parser = clap::value_parser!(u32).range(i64::from(CONNECTIONS_MIN)..), value_name = "COUNT")]
    pub metadata_connections: u32,

    /// End a statement in PostgreSQL that takes longer than this, such as 60s, or 0s for no limit
    #[arg(long, env = "LAKESHORE_METADATA_STATEMENT_TIMEOUT", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub metadata_statement_timeout: Duration,

    #[command(flatten)]
    pub lake: LakeOptions,

    /// Serve the lake together with other servers that have this option, on PostgreSQL (--metadata) and object storage (--lake)
    #[arg(long, env = "LAKESHORE_CLUSTER", value_parser = clap::builder::FalseyValueParser::new())]
    pub cluster: bool,

    /// Networks that need no key to read, or to upload to open syncs, such as 10.0.0.0/8,fd00::/8 [default: loopback if
    /// --listen is a loopback address, else none]
    #[arg(long, env = "LAKESHORE_OPEN_TO", value_delimiter = ',', value_parser = parse_network, value_name = "CIDR,…")]
    pub open_to: Vec<IpNet>,

    /// Instead of --open-to: no network needs a key (open), or every network does (required)
    #[arg(long, env = "LAKESHORE_AUTH", value_enum, value_name = "MODE")]
    pub auth: Option<Auth>,

    /// Proxies whose Forwarded and X-Forwarded-For, -Proto, -Host and -Prefix headers are trusted, such as 127.0.0.1
    #[arg(long, env = "LAKESHORE_TRUSTED_PROXY", value_delimiter = ',', value_parser = parse_network, value_name = "CIDR,…")]
    pub trusted_proxy: Vec<IpNet>,

    /// Host names of this server, besides localhost and IP addresses, such as lake.example.com or *.example.com
    #[arg(long, env = "LAKESHORE_ALLOWED_HOST", value_delimiter = ',', value_parser = AllowedHost::parse, value_name = "NAME,…")]
    pub allowed_host: Vec<AllowedHost>,

    /// The address of this server for its clients, if a proxy in front does not send it, such as https://lake.example.com or
    /// https://example.com/lake; implies --allowed-host with its host name
    #[arg(long, env = "LAKESHORE_PUBLIC_URL", value_parser = PublicUrl::parse, value_name = "URL")]
    pub public_url: Option<PublicUrl>,

    /// Maximum size of a file, such as 500MB or 2GiB
    #[arg(long, env = "LAKESHORE_MAX_UPLOAD_SIZE", default_value = "1TiB", value_name = "SIZE")]
    pub max_upload_size: ByteSize,

    /// End a request if its body stalls for this long, so that its upload fails, or if its response is not read for this long,
    /// such as 60s
    #[arg(long, env = "LAKESHORE_UPLOAD_IDLE_TIMEOUT", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub upload_idle_timeout: Duration,

    /// Maximum number of concurrent connections; more have to wait
    #[arg(long, env = "LAKESHORE_MAX_CONNECTIONS", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    pub max_connections: u32,

    /// Maximum number of concurrent connections of one address; more are refused [default: a quarter of --max-connections, at least 64]
    #[arg(long, env = "LAKESHORE_MAX_CONNECTIONS_PER_ADDRESS", value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    pub max_connections_per_address: Option<u32>,

    /// Close a connection that takes longer than this to send the header of a request, such as 60s
    #[arg(long, env = "LAKESHORE_REQUEST_HEAD_TIMEOUT", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub request_head_timeout: Duration,

    /// Fail a sync that has had no upload for this long, such as 24h
    #[arg(long, env = "LAKESHORE_SYNC_IDLE_TIMEOUT", default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub sync_idle_timeout: Duration,

    /// Let a new sync on the same path supersede a full sync that is held, or that has been idle for this long: the old one
    /// fails, and its files move to the trash; never (or 0): the new sync is refused
    #[arg(long, env = "LAKESHORE_SUPERSEDE_AFTER", default_value = "15min", value_parser = parse_supersede, value_name = "TIME")]
    pub supersede_after: Patience,

    /// Expire a resumable upload that has received no data for this long, such as 24h
    #[arg(long, env = "LAKESHORE_RESUMABLE_EXPIRY", default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub resumable_expiry: Duration,

    /// Show an upload that has received no data for this long as stalled or abandoned, such as 30s
    #[arg(long, env = "LAKESHORE_STALLED_AFTER", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub stalled_after: Duration,

    /// Delete trash items permanently after this long, such as 30d, or "forever" to keep them
    #[arg(long, env = "LAKESHORE_TRASH_RETENTION", default_value = "30d", value_parser = parse_retention, value_name = "TIME")]
    pub trash_retention: Duration,

    /// Delete the oldest trash items permanently while the trash is larger than this, such as 500GB [default: no limit]
    #[arg(long, env = "LAKESHORE_TRASH_MAX_SIZE", value_name = "SIZE")]
    pub trash_max_size: Option<ByteSize>,

    /// Refuse uploads that would leave less free space on the disk of the lake or of the database, such as 10GB [default: 1% of
    /// the disk, at most 1GiB]
    #[arg(long, env = "LAKESHORE_MIN_FREE_SPACE", value_name = "SIZE")]
    pub min_free_space: Option<ByteSize>,

    /// Hold a full sync until it is confirmed if it would leave less than this fraction of the files or bytes of its dataset,
    /// such as 0.5; 0.1@16MiB: only of the bytes, for datasets of at least 16 MiB; PATH=0.5: at and below a lake path, where
    /// the longest path wins; 0: hold only empty full syncs; repeatable
    #[arg(long, env = "LAKESHORE_SHRINK_GUARD", default_value = "0.1@16MiB", value_delimiter = ',', value_parser = GuardRule::parse, value_name = "[PATH=]FRACTION[@SIZE]")]
    pub shrink_guard: Vec<GuardRule>,

    /// Maximum time to read a file for its preview or its schema, such as 20s
    #[arg(long, env = "LAKESHORE_PREVIEW_TIMEOUT", default_value = "20s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub preview_timeout: Duration,

    /// Maximum time to finish running requests on shutdown, such as 30s
    #[arg(long, env = "LAKESHORE_SHUTDOWN_GRACE", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub shutdown_grace: Duration,

    /// Log level: error, warn, info, debug, trace, or a filter such as "lakeshore=debug"
    #[arg(long, env = "LAKESHORE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    Open,
    Required,
}

impl ServeOptions {
    pub fn lake_place(&self) -> LakePlace {
        self.lake.place(&self.data)
    }

    /// The database in PostgreSQL, where it is there.
    pub fn postgres(&self) -> Option<PostgresOptions> {
        let limit = Some(self.metadata_statement_timeout).filter(|limit| !limit.is_zero());
        self.data.metadata.clone().map(|postgres| postgres.with_limits(self.metadata_connections, limit))
    }

    /// Refuses contradictory options, with the reason.
    pub fn refuse_contradictions(&self) -> Result<(), String> {
        if self.cluster && (self.data.metadata.is_none() || !matches!(self.lake_place(), LakePlace::Bucket(_))) {
            return Err("--cluster needs PostgreSQL (--metadata) and object storage (--lake): a folder, or a database in a file, \
                        has one server; give both, or omit --cluster"
                .to_owned());
        }
        let (Some(auth), false) = (self.auth, self.open_to.is_empty()) else { return Ok(()) };
        let meaning = match auth {
            Auth::Open => "--auth open requires no key from any network",
            Auth::Required => "--auth required requires a key from every network",
        };
        Err(format!(
            "{meaning}, which contradicts --open-to; omit one of them (see also LAKESHORE_AUTH and LAKESHORE_OPEN_TO)"
        ))
    }

    /// Networks without keys. By default, as documented, only the loopback network of a server that listens on
    /// loopback.
    pub fn network_policy(&self) -> NetworkPolicy {
        let open_to = match self.auth {
            Some(Auth::Open) => everywhere(),
            Some(Auth::Required) => Vec::new(),
            None if self.open_to.is_empty() && self.listen.ip().to_canonical().is_loopback() => loopback(),
            None => self.open_to.clone(),
        };
        NetworkPolicy {
            open_to,
            trusted_proxies: self.trusted_proxy.clone(),
            allowed_hosts: self.allowed_host.clone(),
            public_url: self.public_url.clone(),
        }
    }

    pub fn connection_limits(&self) -> ConnectionLimits {
        let share = self.max_connections_per_address.unwrap_or((self.max_connections / 4).max(64));
        ConnectionLimits {
            connections_max: self.max_connections as usize,
            head_max: self.request_head_timeout,
            idle_max: self.upload_idle_timeout,
            per_address_max: share as usize,
        }
    }

    /// Settings for the audit log: rights of networks, and limits that decide over files.
    pub fn in_words(&self) -> String {
        let limits = self.limits();
        let networks = self.network_policy();
        let days = limits.trash_age_max.as_secs() / 86_400;
        let kept = if days > 36_500 { "forever".to_owned() } else { format!("for {days} days") };
        let trash_max = limits.trash_bytes_max.map_or("of any size".to_owned(), |bytes| format!("up to {bytes} bytes"));
        format!(
            "{networks}, at {}; uploads up to {} bytes; trash kept {kept}, {trash_max}; shrink guard {}",
            self.listen, limits.upload_bytes_max, limits.shrink_guard
        )
    }

    pub fn limits(&self) -> Limits {
        Limits {
            upload_bytes_max: self.max_upload_size.as_u64(),
            sync_idle_max: self.sync_idle_timeout,
            supersede_after: self.supersede_after.0,
            resumable_idle_max: self.resumable_expiry,
            stalled_after: self.stalled_after,
            trash_age_max: self.trash_retention,
            trash_bytes_max: self.trash_max_size.map(|size| size.as_u64()),
            free_bytes_min: self.min_free_space.map(|size| size.as_u64()),
            shrink_guard: ShrinkGuard::of(&self.shrink_guard),
        }
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

/// A duration or never. A plain `Option` would make the option itself optional for clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(Option<Duration>);

fn parse_supersede(text: &str) -> Result<Patience, humantime::DurationError> {
    let time = if text == "never" || text == "0" { Duration::ZERO } else { humantime::parse_duration(text)? };
    Ok(Patience(Some(time).filter(|time| !time.is_zero())))
}

fn parse_retention(text: &str) -> Result<Duration, humantime::DurationError> {
    if text == "forever" { Ok(Duration::MAX) } else { humantime::parse_duration(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn serve(arguments: &[&str]) -> ServeOptions {
        let command = Command::try_parse_from(["lakeshore", "serve"].iter().chain(arguments)).unwrap();
        match command.action {
            Action::Serve(options) => *options,
            _ => unreachable!("serve was asked for"),
        }
    }

    #[test]
    fn a_server_on_loopback_is_open_to_loopback_unless_configured() {
        let open_to = |arguments: &[&str]| {
            let open_to = serve(arguments).network_policy().open_to;
            open_to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(open_to(&[]), "127.0.0.0/8 ::1/128");
        assert_eq!(open_to(&["--listen", "[::1]:0"]), "127.0.0.0/8 ::1/128");
        assert_eq!(open_to(&["--listen", "0.0.0.0:3000"]), "");
        assert_eq!(open_to(&["--listen", "0.0.0.0:3000", "--open-to", "10.0.0.0/8,::1"]), "10.0.0.0/8 ::1/128");
        assert_eq!(open_to(&["--open-to", "10.0.0.0/8"]), "10.0.0.0/8");
        assert_eq!(open_to(&["--listen", "0.0.0.0:3000", "--auth", "open"]), "0.0.0.0/0 ::/0");
        assert_eq!(open_to(&["--auth", "required"]), "");
        assert!(serve(&["--auth", "open"]).refuse_contradictions().is_ok());
        let both = serve(&["--auth", "required", "--open-to", "10.0.0.0/8"]).refuse_contradictions();
        assert!(both.unwrap_err().contains("--open-to"));
    }

    #[test]
    fn sizes_and_times_have_units() {
        let options = serve(&["--max-upload-size", "2GiB", "--sync-idle-timeout", "1h 30m"]);
        assert_eq!(options.limits().upload_bytes_max, 2 << 30);
        assert_eq!(options.limits().sync_idle_max, Duration::from_secs(5400));
        assert_eq!((options.limits().trash_age_max, options.limits().trash_bytes_max), (DAY * 30, None));
        let options = serve(&["--trash-retention", "forever", "--trash-max-size", "1GB"]);
        assert_eq!(
            (options.limits().trash_age_max, options.limits().trash_bytes_max),
            (Duration::MAX, Some(1_000_000_000))
        );
    }
}
