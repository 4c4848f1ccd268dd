//! Options of `lakeshore serve`, and the settings that they make.

use super::{DataDir, LakeOptions, LakePlace};
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::guard::{GuardRule, ShrinkGuard};
use lakeshore_http::connections::ConnectionLimits;
use lakeshore_http::hosts::AllowedHost;
use lakeshore_http::networks::{NetworkPolicy, everywhere, loopback, parse_network};
use lakeshore_http::outside::PublicUrl;
use lakeshore_metadata::postgres::{CONNECTIONS_MAX, CONNECTIONS_MIN, PostgresOptions};
use std::net::SocketAddr;
use std::time::Duration;

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
    pub supersede_after: SupersedeAfter,

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
/// Time after which a silent sync may be superseded, or never. A plain `Option` would make the option itself optional for clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupersedeAfter(Option<Duration>);

fn parse_supersede(text: &str) -> Result<SupersedeAfter, humantime::DurationError> {
    let time = if text == "never" || text == "0" { Duration::ZERO } else { humantime::parse_duration(text)? };
    Ok(SupersedeAfter(Some(time).filter(|time| !time.is_zero())))
}

fn parse_retention(text: &str) -> Result<Duration, humantime::DurationError> {
    if text == "forever" { Ok(Duration::MAX) } else { humantime::parse_duration(text) }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Action, Command};
    use clap::Parser;

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
