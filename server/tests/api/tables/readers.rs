//! DuckDB, delta-rs, Polars and Sail (Spark), as they read a table on object storage. `make reader-libraries` installs them.

use crate::server::bucket::{self, Bucket};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

pub struct Readers {
    process: Child,
    answers: BufReader<ChildStdout>,
    bucket: Bucket,
}

fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join("target/readers/bin/python");
    // The last file of a whole installation.
    (root.join("target/readers/requirements.txt").is_file() && python.is_file()).then_some(python)
}

impl Readers {
    /// `None` where they are not installed.
    pub fn start(bucket: &Bucket) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/tables/read.py");
        let mut process = Command::new(python()?)
            .arg("-B")
            .arg(script)
            .envs(bucket::environment(&Bucket { endpoint: None, ..bucket.clone() }))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Some(Self { process, answers, bucket: bucket.clone() })
    }

    fn ask(&mut self, question: &Value) -> Value {
        let mut stdin = self.process.stdin.as_ref().unwrap();
        writeln!(stdin, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("the readers have ended: {question}"))
    }

    /// Rows of each reader in some columns of a table, sorted.
    pub fn read(&mut self, table: &str, columns: &[&str], commit: Option<u64>) -> Value {
        let table = format!("lake/{table}");
        self.ask(&json!({ "bucket": self.bucket.name, "table": table, "columns": columns, "commit": commit }))
    }

    /// Rows of one reader.
    pub fn read_by(&mut self, reader: &str, table: &str, columns: &[&str]) -> Value {
        let table = format!("lake/{table}");
        let question = json!({ "bucket": self.bucket.name, "table": table, "columns": columns, "reader": reader });
        self.ask(&question)[reader].clone()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
