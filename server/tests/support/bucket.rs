//! A lake on object storage for the servers of tests: `LAKESHORE_TEST_LAKE=s3` gives each server whose lake was not chosen a
//! bucket of its own.

use super::{lakeshore, metadata};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

#[path = "../../../crates/storage/tests/support/object_storage.rs"]
pub mod object_storage;
use object_storage::{ACCESS_KEY, MISSING, ObjectStorage, REGION, SECRET_KEY, object_storage};

/// Whether the lakes of tests are on object storage.
pub fn is_wanted() -> bool {
    std::env::var("LAKESHORE_TEST_LAKE").is_ok_and(|lake| lake == "s3")
}

/// Buckets by the data folders of their servers: commands that are given the one need the other.
static BUCKETS: LazyLock<Mutex<BTreeMap<PathBuf, Bucket>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Clone)]
pub struct Bucket {
    pub name: String,
    /// Another address than that of the object storage itself, such as one that fails.
    pub endpoint: Option<String>,
}

fn storage() -> &'static ObjectStorage {
    object_storage().unwrap_or_else(|| panic!("{MISSING}"))
}

/// Gives the server with this data folder a bucket, which it keeps.
pub fn assign(data_dir: &Path) -> Bucket {
    let mut buckets = BUCKETS.lock().unwrap();
    let new = || Bucket { name: storage().new_bucket(), endpoint: None };
    buckets.entry(data_dir.to_owned()).or_insert_with(new).clone()
}

/// Gives the server with this data folder the bucket of another one.
pub fn share(data_dir: &Path, bucket: &Bucket) {
    BUCKETS.lock().unwrap().insert(data_dir.to_owned(), bucket.clone());
}

/// Requests of the server with this data folder go to another address from now on.
pub fn go_by(data_dir: &Path, endpoint: Option<String>) {
    BUCKETS.lock().unwrap().get_mut(data_dir).unwrap().endpoint = endpoint;
}

pub fn of(data_dir: &Path) -> Option<Bucket> {
    BUCKETS.lock().unwrap().get(data_dir).cloned()
}

/// Environment in which a command finds the lake.
pub fn environment(bucket: &Bucket) -> Vec<(&'static str, String)> {
    vec![
        ("LAKESHORE_LAKE", format!("s3://{}/lake", bucket.name)),
        ("LAKESHORE_S3_ENDPOINT", bucket.endpoint.clone().unwrap_or_else(|| storage().endpoint())),
        ("LAKESHORE_S3_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("LAKESHORE_OBJECT_GRACE", "1s".to_owned()),
    ]
}

/// Rows of a namespace.
struct Rows {
    /// Paths as a folder would have them, and the keys of the objects.
    files: Vec<(String, String)>,
    /// Paths of folders, with a slash at their end.
    folders: Vec<String>,
    /// Keys of all objects, and whether something refers to them.
    objects: BTreeMap<String, bool>,
}

const NODES: &str = "\
    WITH RECURSIVE tree (node_id, path, object_id) AS ( \
    SELECT node_id, CASE name WHEN 'live' THEN '' ELSE '.lakeshore/' || name || '/' END, object_id FROM nodes \
    WHERE parent_id = 0 UNION ALL \
    SELECT n.node_id, t.path || n.name || CASE WHEN n.is_file THEN '' ELSE '/' END, n.object_id \
    FROM tree t JOIN nodes n ON n.parent_id = t.node_id) \
    SELECT t.path, o.key FROM tree t LEFT JOIN objects o ON o.object_id = t.object_id ORDER BY t.path";
const OBJECTS: &str = "SELECT key, unreferenced_at IS NULL FROM objects";

type Nodes = Vec<(String, Option<String>)>;
type Objects = Vec<(String, bool)>;

async fn in_postgres(address: &str) -> (Nodes, Objects) {
    let mut database = PgConnection::connect(address).await.unwrap();
    let nodes = sqlx::query_as(NODES).fetch_all(&mut database).await.unwrap();
    (nodes, sqlx::query_as(OBJECTS).fetch_all(&mut database).await.unwrap())
}

/// From a copy, since a server may have the database. One that stops during the copy is followed by the command itself.
async fn in_sqlite(data_dir: &Path) -> (Nodes, Objects) {
    let folder = tempfile::tempdir().unwrap();
    let mut attempts = 0..10;
    let copy = loop {
        let copy = folder.path().join(format!("copy-{}.db", attempts.next().unwrap()));
        let copied = lakeshore(&["backup", copy.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
        if copied.status.success() {
            break copy;
        }
        let said = String::from_utf8_lossy(&copied.stderr);
        assert!(said.contains("the server stopped"), "{said}");
    };
    let options = SqliteConnectOptions::new().filename(&copy).disable_statement_logging();
    let mut database: SqliteConnection = options.connect().await.unwrap();
    let nodes = sqlx::query_as(NODES).fetch_all(&mut database).await.unwrap();
    let objects = sqlx::query_as(OBJECTS).fetch_all(&mut database).await.unwrap();
    database.close().await.unwrap();
    (nodes, objects)
}

fn rows(data_dir: &Path) -> Rows {
    let data_dir = data_dir.to_owned();
    // Tests that run on a runtime call this too.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (nodes, objects) = runtime.block_on(async {
            match metadata::address(&data_dir) {
                Some(address) => in_postgres(&address).await,
                None => in_sqlite(&data_dir).await,
            }
        });
        let folders = nodes.iter().filter(|(_, key)| key.is_none()).map(|(path, _)| path.clone()).collect();
        let files = nodes.into_iter().filter_map(|(path, key)| Some((path, key?))).collect();
        Rows { files, folders, objects: objects.into_iter().collect() }
    })
    .join()
    .unwrap()
}

/// Every file below a folder of the lake, with its bytes.
pub fn files(data_dir: &Path, bucket: &Bucket, below: &str) -> BTreeMap<String, Vec<u8>> {
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let mut files = BTreeMap::new();
    for (path, key) in rows(data_dir).files {
        // As when the lake is a folder, what is the engine's own shows only to those who ask for it.
        if let Some(name) = path.strip_prefix(&prefix) {
            // An upload that is under way has none, or no whole one.
            let object = object(bucket, &key);
            assert!(object.is_some() || path.starts_with(".lakeshore/uploads/"), "{path} has no object {key}");
            files.insert(name.to_owned(), object.unwrap_or_default());
        }
    }
    files
}

/// A folder that holds what the lake holds at this moment, as if it were in a folder. Only to look at: its files are links to
/// copies of the objects, which the next look finds again as long as the object storage lists the same bytes.
pub fn mirror(data_dir: &Path, bucket: &Bucket) -> PathBuf {
    // Several threads may look at once.
    const KEPT: usize = 16;
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static MADE: Mutex<VecDeque<PathBuf>> = Mutex::new(VecDeque::new());
    let mirror = data_dir.join(format!("mirror-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir_all(mirror.join(".lakeshore/snapshots")).unwrap();
    let Rows { files, folders, .. } = rows(data_dir);
    for folder in folders {
        std::fs::create_dir_all(mirror.join(folder)).unwrap();
    }
    let listed = storage().entity_tags(&bucket.name);
    for (path, key) in files {
        // Of an upload that is under way, there may be none yet.
        let Some(tag) = listed.get(&whole(&key)) else { continue };
        if let Some(copy) = copy(data_dir, bucket, &key, tag) {
            std::fs::hard_link(copy, mirror.join(path)).unwrap();
        }
    }
    let mut made = MADE.lock().unwrap();
    made.push_back(mirror.clone());
    let old = if made.len() > KEPT { made.pop_front() } else { None };
    drop(made);
    // Gone where its server has.
    old.map(std::fs::remove_dir_all);
    mirror
}

/// A copy of an object in a file, made once. `None` where the object has gone since it was listed.
fn copy(data_dir: &Path, bucket: &Bucket, key: &str, tag: &str) -> Option<PathBuf> {
    let copy = data_dir.join("copies").join(tag.replace(|letter: char| !letter.is_ascii_alphanumeric(), "")).join(key);
    if !copy.exists() {
        let folder = copy.parent().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let file = tempfile::NamedTempFile::new_in(folder).unwrap();
        std::fs::write(file.path(), object(bucket, key)?).unwrap();
        // Several threads may make it at once: the first stays, since a file that is replaced cannot be linked to any more.
        let made = file.persist_noclobber(&copy);
        assert!(copy.exists(), "{made:?}");
    }
    Some(copy)
}

/// The bytes of an object, past the lake.
pub fn object(bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
    storage().get(&bucket.name, &whole(key))
}

/// Writes an object, past the lake.
pub fn put(bucket: &Bucket, key: &str, bytes: &[u8]) {
    storage().put(&bucket.name, &whole(key), bytes);
}

/// Deletes an object past the lake.
pub fn delete(bucket: &Bucket, key: &str) {
    storage().delete(&bucket.name, &whole(key));
}

/// Keys of all objects of the lake, as the object storage itself lists them.
pub fn keys(bucket: &Bucket) -> BTreeSet<String> {
    let keys = storage().keys(&bucket.name);
    keys.iter().filter_map(|key| key.strip_prefix("lake/").map(str::to_owned)).collect()
}

/// A key within the bucket.
fn whole(key: &str) -> String {
    format!("lake/{key}")
}

/// Disagreements of a lake's rows and its bucket: objects without a row, and files without an object.
pub fn disagreements(data_dir: &Path, bucket: &Bucket) -> Vec<String> {
    let Rows { files, objects, .. } = rows(data_dir);
    let keys = keys(bucket);
    let mut found: Vec<_> = files
        .iter()
        .filter(|(path, key)| !keys.contains(key) && !path.starts_with(".lakeshore/uploads/"))
        .map(|(path, key)| format!("{path} has no object {key}"))
        .collect();
    let own = ["_lakeshore/identity", "_lakeshore/probe", "_lakeshore/server"];
    let is_of_table = |key: &str| key.contains("/_delta_log/") || key.contains("/_versions/");
    let unknown =
        keys.iter().filter(|key| !objects.contains_key(*key) && !own.contains(&key.as_str()) && !is_of_table(key));
    found.extend(unknown.map(|key| format!("the object {key} has no row")));
    found
}

/// Objects that have a row and to which nothing refers: not yet deleted.
pub fn unreferenced(data_dir: &Path) -> usize {
    rows(data_dir).objects.into_values().filter(|is_referenced| !is_referenced).count()
}
