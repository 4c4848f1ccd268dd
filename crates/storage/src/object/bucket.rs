//! Requests to the bucket: each with a limit of time and of attempts.
//!
//! A key is written once. Where the answer to a write was lost, the next attempt finds the object there, and compares it.

use super::fault::{fault, is_transient, no_answer};
use super::settings::{BucketSettings, SettingsError};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{
    Error as StoreError, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use reqwest::Method;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

/// Attempts at one write, each of which the client has retried already.
const ATTEMPTS_MAX: usize = 3;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(300);
/// How long one attempt may take, with a second more for each MiB that it sends or receives.
const REQUEST_SECONDS_MAX: u64 = 30;

/// Why the bucket cannot be used, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error(
        "the object storage refuses access to {lake}: {source}; check the bucket, the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the role of the machine) and their permissions"
    )]
    Refused { lake: String, source: StoreError },
    #[error("the object storage of {lake} does not answer: {source}; check --s3-endpoint, --s3-region and the network")]
    NoAnswer { lake: String, source: StoreError },
    #[error(
        "the object storage of {lake} gave no answer within {REQUEST_SECONDS_MAX} s; check --s3-endpoint and the network"
    )]
    Silent { lake: String },
}

/// Outcome of a write that replaces one version of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    Done,
    /// Another version is there.
    Changed,
}

pub(super) struct Bucket {
    store: AmazonS3,
    /// For what `object_store` has no call.
    client: reqwest::Client,
    prefix: String,
    lake: String,
    /// The object storage takes a write for one without its condition.
    ignores_conditions: OnceLock<()>,
}

fn time_max(bytes: usize) -> Duration {
    Duration::from_secs(REQUEST_SECONDS_MAX + (bytes >> 20) as u64)
}

impl Bucket {
    pub(super) fn new(settings: &BucketSettings) -> Result<Self, SettingsError> {
        let lake = settings.lake.to_string();
        let store = settings.build()?;
        let (client, prefix) = (settings.client()?, settings.lake.prefix.clone());
        Ok(Self { store, client, prefix, lake, ignores_conditions: OnceLock::new() })
    }

    pub(super) fn store(&self) -> &AmazonS3 {
        &self.store
    }

    pub(super) fn path(&self, key: &ObjectKey) -> Path {
        let whole = match self.prefix.as_str() {
            "" => key.to_string(),
            prefix => format!("{prefix}/{key}"),
        };
        // As it is: `Path::from` would escape the percent signs of partition folders once more.
        Path::parse(&whole).unwrap_or_else(|_| Path::from(whole))
    }

    /// For the operator, at a start.
    pub(super) fn error(&self, source: StoreError) -> BucketError {
        let lake = self.lake.clone();
        if is_transient(&source) {
            BucketError::NoAnswer { lake, source }
        } else {
            BucketError::Refused { lake, source }
        }
    }

    pub(super) async fn within_time<T>(
        &self,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, BucketError> {
        match tokio::time::timeout(time_max(0), request).await {
            Ok(answer) => answer.map_err(|source| self.error(source)),
            Err(_) => Err(BucketError::Silent { lake: self.lake.clone() }),
        }
    }

    /// Makes attempts until one succeeds, fails for good, or the last one fails.
    pub(super) async fn attempts<'a, T>(
        &self,
        doing: &'static str,
        bytes: usize,
        mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, StoreError>> + Send,
    ) -> Result<T, Error> {
        let mut made = 1;
        loop {
            let failed = match tokio::time::timeout(time_max(bytes), attempt()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) if made >= ATTEMPTS_MAX || !is_transient(&error) => return Err(fault(doing, error)),
                Err(_) if made >= ATTEMPTS_MAX => return Err(no_answer(doing, time_max(bytes).as_secs())),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::debug!(%failed, doing, "another attempt at a request to the object storage");
            tokio::time::sleep(ATTEMPT_PAUSE * u32::try_from(made).unwrap_or(1)).await;
            made += 1;
        }
    }

    /// Writes an object under a key that was never used.
    pub(super) async fn put(&self, key: &ObjectKey, bytes: &Bytes) -> Result<(), Error> {
        let (store, path) = (&self.store, &self.path(key));
        self.attempts("writing an object", bytes.len(), move || put_once(store, path, bytes).boxed()).await
    }

    pub(super) fn ignores_conditions(&self) -> bool {
        self.ignores_conditions.get().is_some()
    }

    /// Finds out whether the object storage ignores conditions, by an object that is there and whose content is `bytes`.
    pub(super) async fn try_condition(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), BucketError> {
        if self.put_new(key, bytes).await? && self.ignores_conditions.set(()).is_ok() {
            let lake = &self.lake;
            tracing::warn!(%lake, "the object storage ignores the conditions of writes, so an object that somebody else writes at the same moment may be lost; use one that has conditional writes");
        }
        Ok(())
    }

    /// False where the key is taken.
    pub(super) async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<bool, BucketError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(key);
        let put = async {
            match self.store.put_opts(&path, PutPayload::from_bytes(bytes), options).await {
                Ok(_) => Ok(true),
                Err(StoreError::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.within_time(put).await
    }

    pub(super) async fn put_over(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), BucketError> {
        let path = self.path(key);
        let put = async { self.store.put(&path, PutPayload::from_bytes(bytes)).await };
        self.within_time(put).await.map(drop)
    }

    /// A whole small object; `None` where there is none.
    pub(super) async fn get_small(&self, key: &ObjectKey) -> Result<Option<Bytes>, BucketError> {
        Ok(self.get_version(key).await?.map(|(bytes, _)| bytes))
    }

    /// Reads an object as above, with the tag of this version of it.
    pub(super) async fn get_version(&self, key: &ObjectKey) -> Result<Option<(Bytes, String)>, BucketError> {
        let path = self.path(key);
        let get = async {
            match self.store.get(&path).await {
                Ok(found) => {
                    let version = found.meta.e_tag.clone().unwrap_or_default();
                    Ok(Some((found.bytes().await?, version)))
                }
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.within_time(get).await
    }

    /// Replaces an object, if it is still of this version. An object storage that cannot compare replaces it anyway.
    pub(super) async fn replace(&self, key: &ObjectKey, bytes: Bytes, version: &str) -> Result<Replaced, BucketError> {
        let path = self.path(key);
        let update = UpdateVersion { e_tag: Some(version.to_owned()), version: None };
        let options = PutOptions { mode: PutMode::Update(update), ..PutOptions::default() };
        let put = async {
            match self.store.put_opts(&path, PutPayload::from_bytes(bytes.clone()), options).await {
                Ok(_) => Ok(Replaced::Done),
                Err(
                    StoreError::Precondition { .. } | StoreError::AlreadyExists { .. } | StoreError::NotFound { .. },
                ) => Ok(Replaced::Changed),
                Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
                    self.store.put(&path, PutPayload::from_bytes(bytes)).await.map(|_| Replaced::Done)
                }
                Err(error) => Err(error),
            }
        };
        self.within_time(put).await
    }

    /// The lake, for people.
    pub(super) fn lake(&self) -> &str {
        &self.lake
    }

    /// Whether there is anything below the lake's prefix.
    pub(super) async fn holds_something(&self) -> Result<bool, BucketError> {
        let prefix = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let look = async { self.store.list(prefix.as_ref()).next().await.transpose() };
        Ok(self.within_time(look).await?.is_some())
    }

    pub(super) async fn create_multipart(&self, key: &ObjectKey) -> Result<String, Error> {
        let (store, path) = (&self.store, &self.path(key));
        self.attempts("beginning a large object", 0, move || store.create_multipart(path).boxed()).await
    }

    /// Writes a part, and returns the name that the object storage gives it. A part that is written twice is there once.
    pub(super) async fn put_part(
        &self,
        key: &ObjectKey,
        multipart_id: &String,
        number: usize,
        bytes: &Bytes,
    ) -> Result<String, Error> {
        let (store, path) = (&self.store, &self.path(key));
        let put = move || store.put_part(path, multipart_id, number, PutPayload::from_bytes(bytes.clone())).boxed();
        Ok(self.attempts("writing a part of an object", bytes.len(), put).await?.content_id)
    }

    /// Makes the parts one object of `size_bytes`.
    pub(super) async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart_id: &String,
        parts: &[String],
        size_bytes: u64,
    ) -> Result<(), Error> {
        let (store, path) = (&self.store, &self.path(key));
        let complete = move || {
            async move {
                let parts = parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
                match store.complete_multipart(path, multipart_id, parts).await {
                    Ok(_) => Ok(()),
                    // It may have been completed by an attempt whose answer was lost.
                    Err(error) => match store.head(path).await {
                        Ok(found) if found.size == size_bytes => Ok(()),
                        _ => Err(error),
                    },
                }
            }
            .boxed()
        };
        self.attempts("completing a large object", 0, complete).await
    }

    /// One that is not there is no error.
    pub(super) async fn abort_multipart(&self, key: &ObjectKey, multipart_id: &String) -> Result<(), Error> {
        let (store, path) = (&self.store, &self.path(key));
        let abort = move || {
            async move {
                match store.abort_multipart(path, multipart_id).await {
                    Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            .boxed()
        };
        self.attempts("aborting a large object", 0, abort).await
    }

    /// Multipart uploads of an object that were neither completed nor aborted.
    pub(super) async fn multiparts_of(&self, key: &ObjectKey) -> Result<Vec<String>, Error> {
        let (store, client, path) = (&self.store, &self.client, &self.path(key));
        let list = move || list_multiparts(store, client, path).boxed();
        self.attempts("listing large objects that were begun", 0, list).await
    }

    /// `range` lies within the object, and is not empty.
    pub(super) async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, Error> {
        let (store, path) = (&self.store, &self.path(key));
        let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let get = move || store.get_range(path, range.clone()).boxed();
        self.attempts("reading an object", bytes, get).await
    }

    /// The bytes of `range`, as they come.
    pub(super) async fn stream(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let (store, path) = (&self.store, &self.path(key));
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let get = move || store.get_opts(path, options.clone()).boxed();
        let found = self.attempts("reading an object", 0, get).await?;
        Ok(found.into_stream().map(|bytes| bytes.map_err(|error| fault("reading an object", error))).boxed())
    }

    /// In bytes; `None` where there is no object.
    pub(super) async fn size(&self, key: &ObjectKey) -> Result<Option<u64>, Error> {
        let (store, path) = (&self.store, &self.path(key));
        let look = move || {
            async move {
                match store.head(path).await {
                    Ok(found) => Ok(Some(found.size)),
                    Err(StoreError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            .boxed()
        };
        self.attempts("looking at an object", 0, look).await
    }

    /// Deletes objects, many by one request. Returns the keys that no longer exist, and why others remain.
    pub(super) async fn delete(&self, keys: &[ObjectKey]) -> (BTreeSet<ObjectKey>, Option<Error>) {
        let by_path: BTreeMap<_, _> = keys.iter().map(|key| (self.path(key), key)).collect();
        let paths: Vec<_> = by_path.keys().cloned().map(Ok).collect();
        let mut answers = self.store.delete_stream(stream::iter(paths).boxed());
        let mut deleted = BTreeSet::new();
        loop {
            match tokio::time::timeout(time_max(0), answers.next()).await {
                Ok(None) => return (deleted, None),
                Ok(Some(Ok(path))) => deleted.extend(by_path.get(&path).map(|&key| key.clone())),
                Ok(Some(Err(error))) => return (deleted, Some(fault("deleting objects", error))),
                Err(_) => return (deleted, Some(no_answer("deleting objects", REQUEST_SECONDS_MAX))),
            }
        }
    }
}

async fn put_once(store: &AmazonS3, path: &Path, bytes: &Bytes) -> Result<(), StoreError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await {
        Ok(_) => Ok(()),
        // An earlier attempt has written it, and its answer was lost. Nobody else has this key.
        Err(error @ StoreError::AlreadyExists { .. }) => match there(store, path).await?.bytes().await? {
            there if there == *bytes => Ok(()),
            _ => Err(error),
        },
        Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
            store.put(path, PutPayload::from_bytes(bytes.clone())).await.map(drop)
        }
        Err(error) => Err(error),
    }
}

/// The object that made a conditional write fail. While an earlier attempt still runs in the object storage, S3 refuses
/// the write before the object is there; that passes.
pub(super) async fn there(store: &AmazonS3, path: &Path) -> Result<GetResult, StoreError> {
    match store.get(path).await {
        Err(StoreError::NotFound { source, .. }) => Err(StoreError::Generic { store: "S3", source }),
        there => there,
    }
}

/// The answer of `ListMultipartUploads` (S3), as far as it is of use.
#[derive(Debug, Deserialize)]
struct Multiparts {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Multipart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Multipart {
    key: String,
    upload_id: String,
}

/// `object_store` has no call for it, but signs addresses.
async fn list_multiparts(store: &AmazonS3, client: &reqwest::Client, path: &Path) -> Result<Vec<String>, StoreError> {
    const VALID_FOR: Duration = Duration::from_secs(REQUEST_SECONDS_MAX);
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Generic { store: "S3", source };
    let query = SignedUrlOptions::default().with_query([("uploads", ""), ("prefix", path.as_ref())]);
    let url = store.signed_url_opts(Method::GET, &Path::default(), VALID_FOR, &query).await?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    // The address holds a signature.
    let answer = answer.map_err(|error| failed(error.without_url().into()))?;
    let listed = answer.text().await.map_err(|error| failed(error.without_url().into()))?;
    let listed: Multiparts = quick_xml::de::from_str(&listed).map_err(|error| failed(error.into()))?;
    Ok(listed.uploads.into_iter().filter(|upload| upload.key == path.as_ref()).map(|upload| upload.upload_id).collect())
}
