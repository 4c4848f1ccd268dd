//! A server that does not run: its folders, options and key. It can be started, and started again.

use super::bucket::{self, Bucket};
use super::round_robin::{self, RoundRobin};
use super::{BINARY, CLUSTER, SecondNode, TestServer, create_key, metadata, skip};
use reqwest::Client;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// A stopped server: its folders, options and key.
#[derive(Clone)]
pub struct Stopped {
    pub key: String,
    data_dir: PathBuf,
    options: Vec<String>,
    /// Of a lake on object storage.
    pub bucket: Option<Bucket>,
    /// Removed with the last reference.
    _folder: Arc<TempDir>,
}

/// End of a server before it listened.
#[derive(Debug)]
pub struct Ended {
    pub said: String,
    /// By SIGKILL.
    pub was_killed: bool,
}

impl Stopped {
    /// A server that has never run, with its data folder inside `folder`.
    pub fn new(folder: TempDir, data_dir: PathBuf, options: &[&str]) -> Self {
        let is_on_bucket = bucket::is_wanted() && !options.contains(&"--lake-root");
        let bucket = is_on_bucket.then(|| bucket::assign(&data_dir));
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { key: String::new(), data_dir, options, bucket, _folder: Arc::new(folder) }
    }

    /// A server with its lake on object storage, whatever the others have.
    pub fn on_bucket(self) -> Self {
        Self { bucket: Some(bucket::assign(&self.data_dir)), ..self }
    }

    /// Adds options of its start.
    pub fn with_options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// Adds an admin key.
    pub fn with_key(mut self) -> Self {
        self.key = create_key(&self.data_dir, &["--role", "admin"]);
        self
    }

    pub async fn start(&self) -> TestServer {
        self.try_start(&[]).await.unwrap_or_else(|ended| panic!("the server ended: {}", ended.said))
    }

    /// Starts another copy of the program.
    pub async fn start_program(&self, program: &Path) -> TestServer {
        self.try_start_program(program).await.unwrap_or_else(|ended| panic!("the server ended: {}", ended.said))
    }

    pub async fn try_start_program(&self, program: &Path) -> Result<TestServer, Ended> {
        self.run(&mut self.command_of(program)).await
    }

    fn command(&self) -> Command {
        self.command_of(Path::new(&*BINARY))
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.data_dir).args(&self.options);
        metadata::point(&mut command, &self.data_dir);
        if self.bucket.is_some()
            && let Some(bucket) = bucket::of(&self.data_dir)
        {
            command.envs(bucket::environment(&bucket));
        }
        command
    }

    /// Starts the server, and kills it a moment later in any state.
    pub fn start_and_kill_after(&self, moment: Duration) {
        let mut process = self.command().stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts the server with additional environment variables.
    pub async fn try_start(&self, environment: &[(&str, &str)]) -> Result<TestServer, Ended> {
        self.run(self.command().envs(environment.iter().copied())).await
    }

    /// A server with a data folder of its own, on the same database and bucket.
    fn second(&self) -> Option<Self> {
        let address = metadata::address(&self.data_dir).filter(|_| round_robin::is_wanted())?;
        let data_dir = self.data_dir.join("second");
        bucket::share(&data_dir, self.bucket.as_ref()?);
        metadata::assign(&data_dir, &address);
        Some(Self { data_dir, ..self.clone() })
    }

    async fn run(&self, command: &mut Command) -> Result<TestServer, Ended> {
        let stderr = Arc::new(Mutex::new(String::new()));
        let Some(second) = self.second() else {
            let (process, url) = Self::launch(command, &stderr)?;
            return Ok(self.running(process, url, stderr, None));
        };
        let (process, url) = Self::launch(command.env(CLUSTER.0, CLUSTER.1), &stderr)?;
        let (second, second_url) = match Self::launch(second.command().env(CLUSTER.0, CLUSTER.1), &stderr) {
            Ok(launched) => launched,
            Err(ended) => {
                let mut process = process;
                let _ = process.kill();
                let _ = process.wait();
                return Err(ended);
            }
        };
        let front = RoundRobin::start(&[&url, &second_url]);
        let url = front.url.clone();
        Ok(self.running(process, url, stderr, Some(SecondNode { process: second, _front: front })))
    }

    fn running(
        &self,
        process: Child,
        url: String,
        stderr: Arc<Mutex<String>>,
        second: Option<SecondNode>,
    ) -> TestServer {
        lakeshore_client::call::provide_tls();
        let mut client = Client::builder().redirect(reqwest::redirect::Policy::none());
        if second.is_some() {
            // Each request goes to the next server.
            client = client.pool_max_idle_per_host(0);
        }
        let client = client.build().unwrap();
        TestServer { url, client, key: self.key.clone(), rest: self.clone(), process, stderr, second }
    }

    fn launch(command: &mut Command, stderr: &Arc<Mutex<String>>) -> Result<(Child, String), Ended> {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut url = None;
        while url.is_none() {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                let was_killed = process.wait().unwrap().signal() == Some(9);
                return Err(Ended { said: stderr.lock().unwrap().clone(), was_killed });
            }
            url = line.trim().strip_prefix("listening on ").map(str::to_owned);
            stderr.lock().unwrap().push_str(&line);
        }
        let sink = stderr.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                sink.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Ok((process, url.unwrap()))
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of its lake, for a test that changes files in it by hand, or looks at more than names and bytes. Ends the
    /// test where the lake is on object storage: each test has a process of its own.
    pub fn folder(&self) -> PathBuf {
        if self.bucket.is_some() {
            skip("its lake is on object storage");
        }
        self.lake()
    }

    /// Its folder; on object storage, one that holds the same at this moment.
    pub fn lake(&self) -> PathBuf {
        if let Some(bucket) = &self.bucket {
            return bucket::mirror(&self.data_dir, bucket);
        }
        let mut options = self.options.iter();
        match options.find(|option| *option == "--lake-root").and_then(|_| options.next()) {
            Some(root) => root.into(),
            None => self.data_dir.join("lake"),
        }
    }
}
