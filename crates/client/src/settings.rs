//! Server and key: from the command line, then the environment, then the config file.
//!
//! The key itself is no option, since a command line is readable by every user of the machine and stays in the shell's
//! history. The key of the config file is sent only to the server of the config file.

use super::error::ClientError;
use lakeshore::model::access::key::Secret;
use reqwest::Url;
use serde::Deserialize;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SERVER_DEFAULT: &str = "http://127.0.0.1:3000";
/// Environment variable of the key.
pub const KEY_VARIABLE: &str = "LAKESHORE_API_KEY";

/// Content of `config.toml`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    server: Option<String>,
    api_key: Option<String>,
}

/// Values of the command line and the environment.
#[derive(Debug, Default)]
pub struct Given {
    pub server: Option<String>,
    pub api_key_file: Option<PathBuf>,
    /// Value of [`KEY_VARIABLE`].
    pub api_key: Option<String>,
    /// Config file at another place; then it has to exist.
    pub config: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Settings {
    /// Without a trailing slash; may have a path, behind a proxy.
    pub server: Url,
    pub key: Option<Secret>,
    /// Warnings to print before the key is used.
    pub warnings: Vec<String>,
}

impl Settings {
    pub fn find(given: &Given) -> Result<Self, ClientError> {
        let mut warnings = Vec::new();
        let (config, file) = read_config(given, &mut warnings)?;
        let configured = config.server.as_deref().map(parse_server).transpose()?;
        let server = match (&given.server, &configured) {
            (Some(server), _) => parse_server(server)?,
            (None, Some(server)) => server.clone(),
            (None, None) => parse_server(SERVER_DEFAULT)?,
        };
        let in_environment = given.api_key.as_deref().map(Secret::presented).filter(|key| !key.expose().is_empty());
        let key = match (&given.api_key_file, in_environment, config.api_key) {
            (Some(file), _, _) => Some(read_key_file(file, &mut warnings)?),
            (None, Some(key), _) => Some(key),
            (None, None, Some(_)) if configured.as_ref().is_some_and(|configured| *configured != server) => {
                let file = file.display();
                warnings
                    .push(format!("the key in {file} belongs to the server named there, and is not sent to {server}"));
                None
            }
            (None, None, key) => key.as_deref().map(Secret::presented),
        };
        if key.is_some() && server.scheme() == "http" && !is_loopback(&server) {
            warnings.push(format!("the key is sent to {server} unencrypted; use https:// on untrusted networks"));
        }
        Ok(Self { server, key, warnings })
    }
}

/// Whether the server is on this machine, so that proxies are bypassed.
pub fn is_loopback(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn read_config(given: &Given, warnings: &mut Vec<String>) -> Result<(ConfigFile, PathBuf), ClientError> {
    let Some(file) =
        given.config.clone().or_else(|| base("XDG_CONFIG_HOME", ".config").map(|base| base.join("config.toml")))
    else {
        return Ok(Default::default());
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.config.is_none() => {
            return Ok((ConfigFile::default(), file));
        }
        Err(error) => {
            return Err(ClientError::Usage(format!("cannot read the config file {}: {error}", file.display())));
        }
    };
    // The parser's own error quotes the line, which may hold the key.
    let config: ConfigFile = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let (file, message) = (file.display(), error.message());
        ClientError::Usage(format!("{file}, line {line}: {message}; it may have server = \"…\" and api_key = \"…\""))
    })?;
    if config.api_key.is_some() {
        warn_of_readers(&file, warnings);
    }
    Ok((config, file))
}

fn read_key_file(file: &Path, warnings: &mut Vec<String>) -> Result<Secret, ClientError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| ClientError::Usage(format!("cannot read the key file {}: {error}", file.display())))?;
    let key = Secret::presented(&text);
    if key.expose().is_empty() || key.expose().contains(char::is_whitespace) {
        return Err(ClientError::Usage(format!("the key file {} must contain a key and nothing else", file.display())));
    }
    warn_of_readers(file, warnings);
    Ok(key)
}

fn warn_of_readers(file: &Path, warnings: &mut Vec<String>) {
    let mode = std::fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let file = file.display();
        warnings.push(format!("other users of this machine can read the key in {file}; run: chmod 600 {file}"));
    }
}

/// Lakeshore's folder below a base of the XDG base directory specification, which requires absolute paths.
pub fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))?;
    Some(base.join("lakeshore"))
}

fn parse_server(text: &str) -> Result<Url, ClientError> {
    let example = "write one such as http://127.0.0.1:3000 or https://lake.example.com";
    let wrong = |why: &str| ClientError::Usage(format!("{text:?} is not the address of a server ({why}); {example}"));
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has more than a host, a port and a path"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> (tempfile::TempDir, Given) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        (folder, Given { config: Some(file), ..Given::default() })
    }

    fn key(settings: &Settings) -> Option<&str> {
        settings.key.as_ref().map(Secret::expose)
    }

    #[test]
    fn the_command_line_comes_before_the_environment_before_the_file() {
        let (folder, mut given) = config("server = \"http://127.0.0.1:1/\"\napi_key = \"of-the-file\"\n");
        let settings = Settings::find(&given).unwrap();
        assert_eq!((settings.server.as_str(), key(&settings)), ("http://127.0.0.1:1/", Some("of-the-file")));
        given.api_key = Some("of-the-environment".into());
        assert_eq!(key(&Settings::find(&given).unwrap()), Some("of-the-environment"));
        let file = folder.path().join("key");
        std::fs::write(&file, "of-the-key-file\n").unwrap();
        given.api_key_file = Some(file);
        assert_eq!(key(&Settings::find(&given).unwrap()), Some("of-the-key-file"));
    }

    #[test]
    fn the_key_of_the_file_does_not_go_to_another_server() {
        let (_folder, mut given) = config("server = \"https://lake.example.com\"\napi_key = \"secret\"\n");
        given.server = Some("https://elsewhere.example.com".into());
        let settings = Settings::find(&given).unwrap();
        assert_eq!(key(&settings), None);
        assert!(settings.warnings[0].contains("not sent"), "{:?}", settings.warnings);
        given.server = Some("https://lake.example.com/".into());
        assert_eq!(key(&Settings::find(&given).unwrap()), Some("secret"));
    }

    #[test]
    fn a_key_that_others_can_read_or_hear_is_warned_of() {
        let (_folder, mut given) = config("api_key = \"secret\"\n");
        assert!(Settings::find(&given).unwrap().warnings.is_empty());
        given.server = Some("http://lake.example.com".into());
        assert!(Settings::find(&given).unwrap().warnings[0].contains("unencrypted"));
        given.server = None;
        let file = given.config.clone().unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Settings::find(&given).unwrap().warnings[0].contains("chmod 600"));
    }

    #[test]
    fn a_config_file_that_is_wrong_is_refused_without_showing_the_key() {
        for text in ["api_key = secret", "api_key = \"secret\"\nkey = 1", "server = 5", "server = \"lake:3000\""] {
            let (_folder, given) = config(text);
            let refused = Settings::find(&given).unwrap_err();
            assert!(matches!(refused, ClientError::Usage(_)), "{refused}");
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }
}
