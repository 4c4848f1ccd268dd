//! The options of the commands that talk to a server: `push`, `status`, `ls`, `get`.

use clap::Args;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::SyncType;
use lakeshore_client::error::EXIT_CODES;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Where the server is. The key is no option: see `--api-key-file`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectOptions {
    /// The server [default: that of the config file, else http://127.0.0.1:3000]
    #[arg(long, env = "LAKESHORE_SERVER", value_name = "URL")]
    pub server: Option<String>,

    /// A file that holds the key; else the environment's LAKESHORE_API_KEY counts, else api_key of the config file
    #[arg(long, env = "LAKESHORE_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// The config file, with server = "…" and api_key = "…" [default: lakeshore/config.toml in XDG_CONFIG_HOME or
    /// ~/.config]
    #[arg(long, env = "LAKESHORE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How long to go on trying while the server is away, such as 5m; 0s: not at all
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub retry_for: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct StatusOptions {
    /// The sync to show [default: the latest ones]
    #[arg(value_name = "SYNC")]
    pub sync: Option<SyncId>,

    /// Go on until the sync has ended; then the exit code is 1 when it has failed
    #[arg(long, requires = "sync")]
    pub follow: bool,

    /// Of the latest syncs, so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000), value_name = "COUNT")]
    pub size: u64,

    /// Only syncs on this lake path or below it
    #[arg(long, value_parser = LakePath::parse, value_name = "PATH")]
    pub path: Option<LakePath>,

    /// One JSON object a sync
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PushOptions {
    /// The folder, or one file, to send
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

    /// Only files that match; * stays within a folder, ** does not, a pattern without / is for names. Repeatable
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,

    /// Not the files and folders that match. Repeatable; goes before --include
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,

    /// Follow symbolic links; else they are skipped, and said so
    #[arg(long)]
    pub follow_links: bool,

    /// Files on their way at the same time [default: 8 for each core, at least 16, at most 64]
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<NonZeroUsize>,

    /// What the folder has to hold: lines as sha256sum prints them, or CSV with the columns path, size_bytes and sha256
    #[arg(long, value_name = "MANIFEST")]
    pub expect: Option<PathBuf>,

    /// Only show what would be added, changed and removed; the server is asked, and not changed
    #[arg(long)]
    pub dry_run: bool,

    /// Go on with this sync, which is open [default: the one that the same command has left open]
    #[arg(long, value_name = "SYNC", conflicts_with_all = ["start_over", "dry_run"])]
    pub resume: Option<SyncId>,

    /// Abort the sync that the same command has left open, and start a new one
    #[arg(long)]
    pub start_over: bool,

    /// Read every file, even where size, times and inode say that it is the one whose digest is known already
    #[arg(long)]
    pub read_all: bool,

    /// Publish although the guard against an empty reload holds the sync
    #[arg(long)]
    pub confirm: bool,

    /// Leave the sync open at the end, for others to send more
    #[arg(long, conflicts_with = "confirm")]
    pub keep_open: bool,

    /// When files fail, abort the sync instead of leaving it open to be gone on with
    #[arg(long)]
    pub abort_on_failure: bool,

    /// Send the other files when some cannot be read, or have names that the lake does not take: an incremental push ends its
    /// sync, a full one leaves it open, as publishing would remove those files; the exit code is 1
    #[arg(long)]
    pub skip_unreadable: bool,

    /// One JSON object on standard output at the end; all else goes to standard error
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// Which type of sync: one of the two has to be said.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Kind {
    /// The folder becomes the dataset, all at once; what was there goes to the trash
    #[arg(long)]
    pub full: bool,

    /// The files are added to the dataset, one by one
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
    /// A folder or file of the lake; / is all of it
    #[arg(value_name = "PATH", default_value = "/")]
    pub path: String,

    /// One JSON object a line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct GetOptions {
    /// A file of the lake, or a folder, with all that is below it
    #[arg(value_name = "PATH", value_parser = LakePath::parse)]
    pub path: LakePath,

    /// Where to: a file or folder of this machine, or - for standard output [default: its name, here]
    #[arg(value_name = "TO")]
    pub to: Option<PathBuf>,

    /// Files on their way at the same time
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(3), value_name = "COUNT")]
    pub jobs: NonZeroUsize,

    /// One JSON object on standard output at the end; all else goes to standard error
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub connect: ConnectOptions,
}
