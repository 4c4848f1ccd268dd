//! Options of the commands that use a server: `push`, `status`, `ls`, `get`, `snapshot`.

use clap::Args;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::SyncType;
use lakeshore_client::error::EXIT_CODES;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Address and credentials of the server. The key itself is not an option: see `--api-key-file`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectOptions {
    /// The address of the server [default: from the config file, else http://127.0.0.1:3000]
    #[arg(long, env = "LAKESHORE_SERVER", value_name = "URL")]
    pub server: Option<String>,

    /// A file that contains the key [default: the variable LAKESHORE_API_KEY, else api_key in the config file]
    #[arg(long, env = "LAKESHORE_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// The config file, with server = "…" and api_key = "…" [default: lakeshore/config.toml in XDG_CONFIG_HOME or
    /// ~/.config]
    #[arg(long, env = "LAKESHORE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How long to retry while the server cannot be reached, such as 5m; 0s: do not retry
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub retry_for: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct StatusOptions {
    /// The sync to show [default: the latest ones]
    #[arg(value_name = "SYNC")]
    pub sync: Option<SyncId>,

    /// Wait until the sync has ended; the exit code is 1 if it failed
    #[arg(long, requires = "sync")]
    pub follow: bool,

    /// The number of syncs to show
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000), value_name = "COUNT")]
    pub size: u64,

    /// Only syncs at or below this lake path
    #[arg(long, value_parser = LakePath::parse, value_name = "PATH")]
    pub path: Option<LakePath>,

    /// Print one JSON object per sync
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PushOptions {
    /// The folder or file to upload
    #[arg(value_name = "FOLDER")]
    pub source: PathBuf,

    /// The dataset, such as /data/db/transactions
    #[arg(value_name = "PATH", value_parser = LakePath::parse)]
    pub path: LakePath,

    #[command(flatten)]
    pub kind: Kind,

    /// The name of the sync [default: "push of FOLDER from this host"]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Only upload files that match; * matches within a folder, ** across folders, a pattern without / matches names; repeatable
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,

    /// Skip files and folders that match; takes precedence over --include; repeatable
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,

    /// Follow symbolic links, instead of skipping them
    #[arg(long)]
    pub follow_links: bool,

    /// Number of concurrent uploads [default: 8 for each core, at least 16, at most 64]
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<NonZeroUsize>,

    /// The files that the folder must contain: output of sha256sum, or CSV with the columns path, size_bytes and sha256
    #[arg(long, value_name = "MANIFEST")]
    pub expect: Option<PathBuf>,

    /// Show which files would be added, changed and removed, without uploading anything
    #[arg(long)]
    pub dry_run: bool,

    /// Resume this open sync [default: the one that the same command left open]
    #[arg(long, value_name = "SYNC", conflicts_with_all = ["start_over", "dry_run"])]
    pub resume: Option<SyncId>,

    /// Abort the sync that the same command left open, and start a new one
    #[arg(long)]
    pub start_over: bool,

    /// Read every file, even if its digest is known and its size, times and inode are unchanged
    #[arg(long)]
    pub read_all: bool,

    /// Publish even if the sync is empty or held
    #[arg(long)]
    pub confirm: bool,

    /// Leave the sync open at the end, to upload more later
    #[arg(long, conflicts_with = "confirm")]
    pub keep_open: bool,

    /// If files fail, abort the sync instead of leaving it open to be resumed
    #[arg(long)]
    pub abort_on_failure: bool,

    /// Skip files that cannot be read or have invalid names, and upload the others: an incremental push ends its sync, a full
    /// one leaves it open, because publishing would remove the skipped files; the exit code is 1
    #[arg(long)]
    pub skip_unreadable: bool,

    /// Print one JSON object on standard output at the end, and everything else on standard error
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// Type of the sync: exactly one of the two is required.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Kind {
    /// Replace the dataset with the folder, all at once; the old files move to the trash
    #[arg(long)]
    pub full: bool,

    /// Add the files to the dataset, one by one
    #[arg(long)]
    pub incremental: bool,
}

impl Kind {
    pub fn sync_type(&self) -> SyncType {
        if self.full { SyncType::FullSync } else { SyncType::IncrementalSync }
    }
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ListOptions {
    /// A folder or file of the lake; / is the whole lake
    #[arg(value_name = "PATH", default_value = "/")]
    pub path: String,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct GetOptions {
    /// A file of the lake, or a folder with everything below it
    #[arg(value_name = "PATH", value_parser = LakePath::parse)]
    pub path: LakePath,

    /// Version of the dataset, by its number [default: the newest]
    #[arg(long, value_name = "NUMBER", conflicts_with = "as_of")]
    pub version: Option<u64>,

    /// Version that was the newest at this time, such as 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,

    /// The local file or folder to write, or - for standard output [default: its name, in the current folder]
    #[arg(value_name = "TO")]
    pub to: Option<PathBuf>,

    /// Number of concurrent downloads
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(3), value_name = "COUNT")]
    pub jobs: NonZeroUsize,

    /// Print one JSON object on standard output at the end, and everything else on standard error
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// Shortest lifetime of a snapshot: it is renewed after half of it.
const LIFETIME_MIN: Duration = Duration::from_secs(1);

fn lifetime(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(lifetime) if lifetime < LIFETIME_MIN => Err("a snapshot is kept for at least 1s".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SnapshotOptions {
    /// The dataset, such as /data/db/transactions
    #[arg(value_name = "PATH", value_parser = LakePath::parse, required_unless_present_any = ["renew", "drop"])]
    pub path: Option<LakePath>,

    /// This version, by its number [default: the newest]
    #[arg(long, value_name = "NUMBER", conflicts_with = "as_of")]
    pub version: Option<u64>,

    /// Version that was the newest at this time, such as 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,

    /// How long to keep the snapshot, unless it is renewed
    #[arg(long = "for", default_value = "6h", value_parser = lifetime, value_name = "TIME")]
    pub lifetime: Duration,

    /// Take a snapshot, run the command after --, with the folder in place of {} and in LAKESHORE_SNAPSHOT, and drop
    /// it; the exit code is that of the command
    #[arg(long, requires = "command")]
    pub exec: bool,

    /// Keep this snapshot for the time of --for from now on
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["path", "exec", "drop", "version", "as_of"])]
    pub renew: Option<String>,

    /// Drop this snapshot
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["path", "exec", "version", "as_of"])]
    pub drop: Option<String>,

    /// Print one JSON object on standard output
    #[arg(long, conflicts_with = "exec")]
    pub json: bool,

    /// The command, with its arguments
    #[arg(last = true, value_name = "COMMAND", requires = "exec")]
    pub command: Vec<String>,

    #[command(flatten)]
    pub connect: ConnectOptions,
}
