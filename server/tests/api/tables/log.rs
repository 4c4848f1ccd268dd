//! The log of a table in the bucket, past the lake.

use crate::server::TestServer;
use crate::server::bucket::{self, Bucket};
use lakeshore::model::object_key::dataset_prefix;
use lakeshore::model::path::LakePath;
use serde_json::Value;
use std::collections::BTreeSet;

pub struct Log {
    pub table: String,
    bucket: Bucket,
    /// The lines of each commit.
    commits: Vec<Vec<Value>>,
}

/// The log of a dataset once it has come to the newest version.
pub async fn until_followed(server: &TestServer, dataset: &str) -> Log {
    let path = percent_encoding::utf8_percent_encode(dataset, percent_encoding::NON_ALPHANUMERIC).to_string();
    let versions = server.rows(&format!("/api/lake/dataset/versions?path={path}&size=1")).await;
    let newest = versions[0]["version"].as_u64().unwrap();
    server
        .eventually(async || {
            let log = Log::of(server, dataset)?;
            let followed = log.commits.last().and_then(|commit| version_of(commit));
            let current = log.has_current().then(|| log.current()["version"].as_u64().unwrap());
            let is_followed = followed.into_iter().chain(current).min()? >= newest;
            is_followed.then_some(log)
        })
        .await
}

fn version_of(commit: &[Value]) -> Option<u64> {
    commit.iter().find_map(|action| action["txn"]["version"].as_u64())
}

impl Log {
    pub fn of(server: &TestServer, dataset: &str) -> Option<Self> {
        let bucket = server.stopped().bucket.clone()?;
        let table = dataset_prefix(&LakePath::parse(dataset).unwrap());
        let mut commits = Vec::new();
        while let Some(bytes) = bucket::object(&bucket, &format!("{table}/_delta_log/{:020}.json", commits.len())) {
            let text = String::from_utf8(bytes).unwrap();
            commits.push(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
        }
        Some(Self { table, bucket, commits })
    }

    pub fn len(&self) -> usize {
        self.commits.len()
    }

    /// Names of the actions of a commit, sorted.
    pub fn actions(&self, commit: usize) -> Vec<String> {
        let name = |action: &Value| action.as_object().unwrap().keys().next().unwrap().clone();
        let mut names: Vec<_> = self.commits[commit].iter().map(name).collect();
        names.sort();
        names
    }

    pub fn operation(&self, commit: usize) -> String {
        let info = self.commits[commit].iter().find(|action| action.get("commitInfo").is_some()).unwrap();
        info["commitInfo"]["operation"].as_str().unwrap().to_owned()
    }

    pub fn paths(&self, commit: usize, action: &str) -> Vec<String> {
        self.commits[commit].iter().filter_map(|line| line[action]["path"].as_str().map(str::to_owned)).collect()
    }

    /// Number of files after the last commit.
    pub fn live(&self) -> usize {
        self.live_at(self.len() - 1)
    }

    /// Number of files after a commit. Each that is added was not there, and each that is removed was.
    pub fn live_at(&self, last: usize) -> usize {
        let mut live = BTreeSet::new();
        for commit in 0..=last {
            for path in self.paths(commit, "remove") {
                assert!(live.remove(&path), "{path} was not there");
            }
            for path in self.paths(commit, "add") {
                assert!(live.insert(path.clone()), "{path} was there");
            }
        }
        live.len()
    }

    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        bucket::object(&self.bucket, &format!("{}/{name}", self.table))
    }

    fn json(&self, name: &str) -> Option<Value> {
        Some(serde_json::from_slice(&self.object(name)?).unwrap())
    }

    pub fn has_current(&self) -> bool {
        self.object("_versions/current.json").is_some()
    }

    pub fn current(&self) -> Value {
        self.json("_versions/current.json").unwrap()
    }

    pub fn manifest(&self, version: u64) -> Value {
        self.json(&format!("_versions/{version:020}.json")).unwrap_or_else(|| panic!("no manifest of {version}"))
    }

    pub fn last_checkpoint(&self) -> Option<u64> {
        self.json("_delta_log/_last_checkpoint")?["version"].as_u64()
    }

    /// Keys below a folder of the dataset.
    pub fn keys_of(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{}/{folder}/", self.table);
        bucket::keys(&self.bucket).into_iter().filter(|key| key.starts_with(&prefix)).collect()
    }
}
