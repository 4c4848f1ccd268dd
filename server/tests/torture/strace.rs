//! System calls of a running server, recorded or made to fail by strace.

use crate::database::Database;
use crate::server::TestServer;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// One call. `began` and `ended` count lines of the record: two calls overlap when neither ended before the other
/// began.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: String,
    pub arguments: String,
    pub result: String,
    pub began: usize,
    pub ended: usize,
}

/// Attempts to attach strace.
const ATTEMPTS: usize = 10;
/// Attaching takes some milliseconds, but never ends while a thread of the server is in a `vfork`.
const STUCK_AFTER: Duration = Duration::from_secs(20);

enum Attached {
    Yes(Tracer),
    No(String),
    Stuck,
}

/// strace, attached to a server until [`Self::stop`].
pub struct Tracer {
    process: Child,
    record: PathBuf,
    _folder: TempDir,
}

/// Waits until the server has read all landed files.
pub async fn wait_for_inspections(server: &TestServer) {
    let left = "SELECT (SELECT count(*) FROM uninspected) + (SELECT count(*) FROM inspection_attempts)";
    let is_done = async || Database::copy_of(server.data_dir()).await.value::<i64>(left).await == 0;
    server.eventually(async || is_done().await.then_some(())).await;
}

impl Tracer {
    /// Waits until the server has finished reading landed files, since it reads them in the background, writes rows for
    /// them, and may start a process: strace waits forever for a thread in a `vfork`.
    ///
    /// `None`, with a message, without strace or without permission to attach.
    pub async fn attach(server: &TestServer, options: &[&str]) -> Option<Self> {
        wait_for_inspections(server).await;
        for _ in 0..ATTEMPTS {
            match Self::try_attach(server, options) {
                Attached::Yes(tracer) => return Some(tracer),
                Attached::No(why) => {
                    crate::server::skipped(&why);
                    return None;
                }
                // Stopped threads continue when it is gone.
                Attached::Stuck => {}
            }
        }
        panic!("strace waits for a process that is being started, again and again");
    }

    fn try_attach(server: &TestServer, options: &[&str]) -> Attached {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        let spawned = Command::new("strace")
            .args(["-f", "-y", "-s", "400", "-o", record.to_str().unwrap(), "-p", &server.process_id().to_string()])
            .args(options)
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = spawned else { return Attached::No("strace is not installed".into()) };
        // One line when it is attached to all threads, or the reason for a failure.
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let (first, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            let _ = first.send(line);
            // It prints more with each new thread, and would end without a reader.
            std::io::copy(&mut lines, &mut std::io::sink())
        });
        let Ok(said) = said.recv_timeout(STUCK_AFTER) else {
            let _ = process.kill();
            let _ = process.wait();
            return Attached::Stuck;
        };
        if !said.contains("attached") {
            let _ = process.wait();
            return Attached::No(format!("strace may not attach: {said}"));
        }
        Attached::Yes(Self { process, record, _folder: folder })
    }

    /// Detaches from the server, and returns the recorded calls.
    pub fn stop(mut self) -> Vec<Call> {
        let stopped = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        self.process.wait().unwrap();
        parse(&std::fs::read_to_string(&self.record).unwrap())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).stderr(Stdio::null()).status();
        let _ = self.process.wait();
    }
}

fn parse(record: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished = std::collections::HashMap::new();
    for (at, line) in record.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        // The last calls may be incomplete: they may have taken effect before strace was told to stop.
        if let Some(begun) = rest.strip_suffix("<unfinished ...>").or_else(|| rest.strip_suffix("<detached ...>")) {
            let Some((name, arguments)) = begun.split_once('(') else { continue };
            unfinished.insert(thread, (at, name.to_owned(), arguments.to_owned()));
            continue;
        }
        let (began, name, text) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let Some((began, name, arguments)) = unfinished.remove(thread) else { continue };
                let Some((_, more)) = resumed.split_once(" resumed>") else { continue };
                (began, name, arguments + more)
            }
            None => {
                let Some((name, text)) = rest.split_once('(') else { continue };
                (at, name.to_owned(), text.to_owned())
            }
        };
        let Some((arguments, result)) = text.rsplit_once(" = ") else { continue };
        let (arguments, result) = (arguments.trim_end().trim_end_matches(')').to_owned(), result.trim().to_owned());
        calls.push(Call { name, arguments, result, began, ended: at });
    }
    let open = unfinished.into_values().map(|(began, name, arguments)| Call {
        name,
        arguments,
        result: "?".to_owned(),
        began,
        ended: usize::MAX,
    });
    calls.extend(open);
    calls.sort_by_key(|call| call.ended);
    calls
}

impl Call {
    pub fn succeeded(&self) -> bool {
        !self.result.starts_with(['-', '?'])
    }

    /// File of the first argument, as printed by `-y`: `7</lake/a.csv>`.
    pub fn file(&self) -> &str {
        between(&self.arguments, '<', '>').unwrap_or_default()
    }

    pub fn is_a_write(&self) -> bool {
        ["write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "ftruncate", "fallocate"]
            .contains(&self.name.as_str())
    }

    /// Source and target of a rename or a link, with names relative to folder handles resolved.
    pub fn moves(&self) -> Option<(String, String)> {
        if !self.name.starts_with("rename") && !self.name.starts_with("link") || !self.succeeded() {
            return None;
        }
        let mut names = self.arguments.split('"');
        let mut places = Vec::new();
        while let (Some(before), Some(name)) = (names.next(), names.next()) {
            let folder = between(before, '<', '>').unwrap_or_default();
            let is_absolute = name.starts_with('/') || folder.is_empty();
            places.push(if is_absolute { name.to_owned() } else { format!("{folder}/{name}") });
        }
        let [from, to] = places.try_into().ok()?;
        Some((from, to))
    }

    pub fn is_exchange(&self) -> bool {
        self.arguments.contains("RENAME_EXCHANGE")
    }
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    let (_, rest) = text.split_once(open)?;
    Some(rest.split_once(close)?.0)
}
