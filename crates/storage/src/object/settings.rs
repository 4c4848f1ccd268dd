//! Settings of a bucket: address, credentials, encryption.

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Longest prefix of a lake in its bucket, in bytes: leaves room for the keys below it.
const PREFIX_BYTES_MAX: usize = 256;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long the object storage may be silent before or during an answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Retries of one request by its client: for a connection that was cut, or an answer such as 503.
const RETRIES_MAX: usize = 4;
const RETRIES_TIME_MAX: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// `s3://bucket/prefix`.
///
/// Guarantees: the bucket is not empty; the prefix, if there is one, is plain ASCII, without empty components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeUrl {
    pub bucket: String,
    /// Without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{0:?} is not the address of a lake; write it as s3://BUCKET/PREFIX")]
    NotALake(String),
    #[error("the prefix {0:?} is longer than {PREFIX_BYTES_MAX} bytes; choose a shorter one")]
    PrefixTooLong(String),
    #[error(
        "the prefix {0:?} has other characters than letters, digits, \"-\", \"_\", \".\" and \"/\"; choose another"
    )]
    PrefixNotPlain(String),
    #[error("{0:?} is not a kind of server-side encryption; write AES256, aws:kms or aws:kms=KEY")]
    Encryption(String),
    #[error(
        "the settings of the object storage are wrong: {0}; see --lake, the options --s3-… and the variables AWS_…"
    )]
    Store(#[source] object_store::Error),
    #[error("cannot set up TLS for the object storage: {0}")]
    Client(#[source] reqwest::Error),
}

impl LakeUrl {
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let rest = text.strip_prefix("s3://").ok_or_else(|| SettingsError::NotALake(text.to_owned()))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(is_plain) {
            return Err(SettingsError::NotALake(text.to_owned()));
        }
        if prefix.len() > PREFIX_BYTES_MAX {
            return Err(SettingsError::PrefixTooLong(prefix.to_owned()));
        }
        let is_component = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain);
        if !prefix.is_empty() && !prefix.split('/').all(is_component) {
            return Err(SettingsError::PrefixNotPlain(prefix.to_owned()));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "s3://{}", self.bucket),
            prefix => write!(f, "s3://{}/{prefix}", self.bucket),
        }
    }
}

/// Where the name of the bucket is in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// `https://endpoint/bucket/key`
    Path,
    /// `https://bucket.endpoint/key`
    VirtualHost,
}

/// Server-side encryption of every object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    Aes256,
    Kms { key: Option<String> },
}

impl Encryption {
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        match text.split_once('=') {
            None if text == "AES256" => Ok(Self::Aes256),
            None if text == "aws:kms" => Ok(Self::Kms { key: None }),
            Some(("aws:kms", key)) if !key.is_empty() => Ok(Self::Kms { key: Some(key.to_owned()) }),
            _ => Err(SettingsError::Encryption(text.to_owned())),
        }
    }
}

/// Unset fields come from the variables `AWS_…`, or from the role of the machine. Not `Debug`: it may hold a secret.
#[derive(Clone)]
pub struct BucketSettings {
    pub lake: LakeUrl,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub addressing: Option<Addressing>,
    pub encryption: Option<Encryption>,
    /// Key id and secret.
    pub credentials: Option<(String, String)>,
}

impl BucketSettings {
    pub fn new(lake: LakeUrl) -> Self {
        Self { lake, endpoint: None, region: None, addressing: None, encryption: None, credentials: None }
    }

    /// Instead of those of the environment.
    #[must_use]
    pub fn with_credentials(self, key_id: &str, secret: &str) -> Self {
        Self { credentials: Some((key_id.to_owned(), secret.to_owned())), ..self }
    }

    /// A plain client, with the same limits of time.
    pub(super) fn client(&self) -> Result<reqwest::Client, SettingsError> {
        let builder = reqwest::Client::builder().connect_timeout(CONNECT_MAX).read_timeout(SILENCE_MAX);
        builder.build().map_err(SettingsError::Client)
    }

    pub(super) fn build(&self) -> Result<AmazonS3, SettingsError> {
        // An error means that it was selected before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: BACKOFF_MIN, max_backoff: BACKOFF_MAX, base: 2. },
            max_retries: RETRIES_MAX,
            retry_timeout: RETRIES_TIME_MAX,
        };
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&self.lake.bucket);
        let endpoint = self.endpoint.clone().or(builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
        // An address that was written with http:// is meant.
        let is_plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let options = ClientOptions::new()
            .with_allow_http(is_plain)
            .with_connect_timeout(CONNECT_MAX)
            .with_read_timeout(SILENCE_MAX)
            .with_timeout_disabled();
        builder = builder
            .with_client_options(options)
            .with_retry(retry)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        if let Some(endpoint) = &endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((key_id, secret)) = &self.credentials {
            builder = builder.with_access_key_id(key_id).with_secret_access_key(secret);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        let default = if endpoint.is_some() { Addressing::Path } else { Addressing::VirtualHost };
        let is_virtual = self.addressing.unwrap_or(default) == Addressing::VirtualHost;
        builder = builder.with_virtual_hosted_style_request(is_virtual);
        let key = |name: &str| AmazonS3ConfigKey::from_str(name).map_err(SettingsError::Store);
        match &self.encryption {
            None => {}
            Some(Encryption::Aes256) => {
                builder = builder.with_config(key("aws_server_side_encryption")?, "AES256");
            }
            Some(Encryption::Kms { key: kms_key }) => {
                builder = builder.with_config(key("aws_server_side_encryption")?, "aws:kms");
                if let Some(kms_key) = kms_key {
                    builder = builder.with_config(key("aws_sse_kms_key_id")?, kms_key);
                }
            }
        }
        builder.build().map_err(SettingsError::Store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_lake_is_parsed_or_refused_with_its_remedy() {
        for (text, bucket, prefix) in
            [("s3://lake", "lake", ""), ("s3://lake/", "lake", ""), ("s3://my.lake/a/b-1/", "my.lake", "a/b-1")]
        {
            let url = LakeUrl::parse(text).unwrap();
            assert_eq!((url.bucket.as_str(), url.prefix.as_str()), (bucket, prefix));
            assert_eq!(LakeUrl::parse(&url.to_string()).unwrap(), url);
        }
        let long = format!("s3://lake/{}", "a".repeat(257));
        for text in
            ["", "lake", "s3://", "s3:///a", "file:///a", "s3://b/../a", "s3://b/a//b", "s3://b/a b", "s3://b/é", &long]
        {
            assert!(LakeUrl::parse(text).is_err(), "{text}");
        }
        assert_eq!(Encryption::parse("aws:kms=k").unwrap(), Encryption::Kms { key: Some("k".into()) });
        assert!(Encryption::parse("aws:kms=").is_err());
    }
}
