//! User's machine: a home folder, a folder to send, and the command.

use crate::server::{BINARY, TestServer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub struct Machine {
    home: TempDir,
    pub server: String,
    pub key: String,
}

/// Output and exit code of a command.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The single JSON object on standard output.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Asserts the exit code, and words of the output.
    pub fn assert(&self, code: i32, words: &str) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(words) || self.stdout.contains(words), "{self:?} lacks {words:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

impl Machine {
    pub fn of(server: &TestServer) -> Self {
        Self { home: tempfile::tempdir().unwrap(), server: server.url.clone(), key: server.key.clone() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// All files below a folder of this machine, without hidden ones.
    pub fn files(&self, below: &str) -> BTreeMap<String, Vec<u8>> {
        fn collect(folder: &Path, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                if entry.file_type().unwrap().is_dir() {
                    collect(&path, root, files);
                } else if !entry.file_name().to_str().unwrap().starts_with('.') {
                    files.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        let (root, mut files) = (self.path(below), BTreeMap::new());
        collect(&root, &root, &mut files);
        files
    }

    /// Runs in the machine's home, so that folders have relative paths.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&*BINARY);
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("LAKESHORE_SERVER", &self.server)
            .env("LAKESHORE_API_KEY", &self.key);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Runs a push that must succeed, and returns its report.
    pub fn push(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[&["push", "--json"], arguments].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.json()
    }

    pub fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Incompressible bytes, equal for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}
