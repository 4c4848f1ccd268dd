//! The object storage that tests run on: SeaweedFS, or garage with `LAKESHORE_TEST_S3=garage`, a bucket for each test.
//!
//! Where it is not installed, the tests skip themselves, and say so.

#![allow(dead_code, reason = "not all tests that include this file use all of it")]

#[path = "garage.rs"]
mod garage;
#[path = "seaweedfs.rs"]
mod seaweedfs;
#[path = "service.rs"]
mod service;

use futures_util::TryStreamExt;
use garage::Garage;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use seaweedfs::SeaweedFs;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};
use tokio::runtime::Runtime;

/// In the form that garage asks for.
pub const ACCESS_KEY: &str = "GK6c616b6573686f72652d7465";
pub const SECRET_KEY: &str = "6c616b6573686f72652d736563726574306c616b6573686f72652d7365637265";
pub const REGION: &str = "us-east-1";
/// Told where the tests need it and it is missing.
pub const MISSING: &str =
    "the object storage is not installed; run \"make seaweedfs\", or \"make garage\" for LAKESHORE_TEST_S3=garage";

static IS_OWN: AtomicBool = AtomicBool::new(false);

/// This process gets a storage of its own, which it may [`ObjectStorage::restart`]. To be called before any other function.
pub fn own_storage() {
    IS_OWN.store(true, Ordering::Relaxed);
}

/// The folder of this build, from the place of the test that runs.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

pub enum ObjectStorage {
    SeaweedFs(SeaweedFs),
    Garage(Garage),
}

/// `None` where it is not installed.
pub fn object_storage() -> Option<&'static ObjectStorage> {
    static RUNNING: OnceLock<Option<ObjectStorage>> = OnceLock::new();
    let is_own = IS_OWN.load(Ordering::Relaxed);
    let start = || match std::env::var("LAKESHORE_TEST_S3").as_deref() {
        Ok("garage") => Garage::find_or_start(is_own).map(ObjectStorage::Garage),
        Ok(other) => panic!("LAKESHORE_TEST_S3 is garage or nothing, not {other}"),
        Err(_) => SeaweedFs::find_or_start(is_own).map(ObjectStorage::SeaweedFs),
    };
    RUNNING.get_or_init(start).as_ref()
}

impl ObjectStorage {
    pub fn endpoint(&self) -> String {
        let port = match self {
            Self::SeaweedFs(storage) => storage.s3_port(),
            Self::Garage(storage) => storage.s3_port(),
        };
        format!("http://127.0.0.1:{port}")
    }

    /// `kill -9`, and a new start with the same data and ports.
    pub fn restart(&self) {
        match self {
            Self::SeaweedFs(storage) => storage.restart(),
            Self::Garage(_) => panic!("restarts are tested on SeaweedFS"),
        }
    }

    /// Makes a bucket that no other test has.
    pub fn new_bucket(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Numbers of processes are used again.
        let random = RandomState::new().build_hasher().finish();
        let name = format!("{name}-{random}");
        match self {
            Self::SeaweedFs(storage) => storage.make_bucket(&name),
            Self::Garage(storage) => storage.make_bucket(&name),
        }
        name
    }

    /// How many objects a bucket has.
    pub fn count_objects(&self, bucket: &str) -> usize {
        match self {
            Self::SeaweedFs(storage) => storage.count_objects(bucket),
            Self::Garage(_) => self.keys(bucket).len(),
        }
    }

    /// Keys of all objects of a bucket, as the object storage lists them.
    pub fn keys(&self, bucket: &str) -> BTreeSet<String> {
        self.entity_tags(bucket).into_keys().collect()
    }

    /// Keys of all objects of a bucket, and the tags of what is in them, as the object storage lists them.
    pub fn entity_tags(&self, bucket: &str) -> BTreeMap<String, String> {
        let store = self.store(bucket);
        let listed = wait(async move { store.list(None).try_collect::<Vec<_>>().await });
        listed.unwrap().into_iter().map(|found| (found.location.to_string(), found.e_tag.unwrap())).collect()
    }

    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let (store, key) = (self.store(bucket), Key::parse(key).unwrap());
        wait(async move {
            match store.get(&key).await {
                Ok(found) => Some(found.bytes().await.unwrap().to_vec()),
                Err(Error::NotFound { .. }) => None,
                Err(error) => panic!("{key}: {error}"),
            }
        })
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let (store, key, bytes) = (self.store(bucket), Key::parse(key).unwrap(), bytes.to_vec());
        wait(async move { store.put(&key, bytes.into()).await.unwrap() });
    }

    pub fn delete(&self, bucket: &str, key: &str) {
        let (store, key) = (self.store(bucket), Key::parse(key).unwrap());
        wait(async move { store.delete(&key).await.unwrap() });
    }

    /// Kept, since a new client reads the certificates of this machine.
    fn store(&self, bucket: &str) -> AmazonS3 {
        static STORES: LazyLock<Mutex<BTreeMap<String, AmazonS3>>> = LazyLock::new(Mutex::default);
        let new = || {
            let builder = AmazonS3Builder::new().with_endpoint(self.endpoint()).with_allow_http(true);
            let builder = builder.with_region(REGION).with_access_key_id(ACCESS_KEY);
            builder.with_secret_access_key(SECRET_KEY).with_bucket_name(bucket).build().unwrap()
        };
        STORES.lock().unwrap().entry(bucket.to_owned()).or_insert_with(new).clone()
    }
}

/// Waits on a runtime apart: tests on a runtime of their own look too.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    let (send, receive) = std::sync::mpsc::channel();
    RUNTIME.spawn(async move {
        // Nobody waits where the test has ended.
        let _ = send.send(work.await);
    });
    receive.recv().unwrap()
}
