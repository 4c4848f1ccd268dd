//! Options for the location of the lake: a folder or object storage.

use super::DataDir;
use clap::{Args, ValueEnum};
use lakeshore_storage::object::{Addressing, BucketSettings, Encryption, LakeUrl};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Args)]
pub struct LakeOptions {
    /// The folder that readers of the lake read [default: DATA_DIR/lake]
    #[arg(long, env = "LAKESHORE_LAKE_ROOT", value_name = "FOLDER")]
    pub lake_root: Option<PathBuf>,

    /// Keep the lake on object storage instead of in a folder, such as s3://bucket/prefix; credentials come from AWS_ACCESS_KEY_ID
    /// and AWS_SECRET_ACCESS_KEY, or from the role of the machine
    #[arg(long, env = "LAKESHORE_LAKE", value_parser = LakeUrl::parse, value_name = "URL", conflicts_with = "lake_root")]
    pub lake: Option<LakeUrl>,

    /// The address of the object storage, such as https://s3.example.com [default: AWS_ENDPOINT, else that of AWS]
    #[arg(long, env = "LAKESHORE_S3_ENDPOINT", value_name = "URL", requires = "lake")]
    pub s3_endpoint: Option<String>,

    /// The region of the bucket [default: AWS_REGION, else us-east-1]
    #[arg(long, env = "LAKESHORE_S3_REGION", value_name = "REGION", requires = "lake")]
    pub s3_region: Option<String>,

    /// Where the name of the bucket is in an address [default: path with an endpoint, else virtual-host]
    #[arg(long, env = "LAKESHORE_S3_ADDRESSING", value_enum, value_name = "KIND", requires = "lake")]
    pub s3_addressing: Option<AddressingKind>,

    /// Have the object storage encrypt every object: AES256, aws:kms or aws:kms=KEY
    #[arg(long, env = "LAKESHORE_S3_ENCRYPTION", value_parser = Encryption::parse, value_name = "KIND", requires = "lake")]
    pub s3_encryption: Option<Encryption>,

    /// Keep an object for this long after nothing refers to it any more, for readers that still use it, such as 1h
    #[arg(long, env = "LAKESHORE_OBJECT_GRACE", default_value = "1h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub object_grace: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AddressingKind {
    Path,
    VirtualHost,
}

/// Where a lake is.
pub enum LakePlace {
    Folder(PathBuf),
    Bucket(Box<BucketSettings>),
}

/// As its readers name it.
impl fmt::Display for LakePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(root) => root.display().fmt(f),
            Self::Bucket(settings) => settings.lake.fmt(f),
        }
    }
}

impl LakeOptions {
    pub fn place(&self, data: &DataDir) -> LakePlace {
        let Some(lake) = &self.lake else {
            return LakePlace::Folder(self.lake_root.clone().unwrap_or_else(|| data.lake()));
        };
        let addressing = self.s3_addressing.map(|kind| match kind {
            AddressingKind::Path => Addressing::Path,
            AddressingKind::VirtualHost => Addressing::VirtualHost,
        });
        LakePlace::Bucket(Box::new(BucketSettings {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            addressing,
            encryption: self.s3_encryption.clone(),
            ..BucketSettings::new(lake.clone())
        }))
    }
}
