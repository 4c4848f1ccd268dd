//! Commands that open a new database at the same moment, in pairs. `OPENINGS=100` runs each pair a hundred times.

use crate::server::{BINARY, lakeshore};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Commands, each with the allowed refusals. The others always succeed.
const COMMANDS: [(&[&str], &[&str]); 9] = [
    (&["serve", "--listen", "127.0.0.1:0"], &["another server"]),
    (&["key", "create", "--name", "k"], &[]),
    (&["key", "list"], &["no database at"]),
    (&["key", "revoke", "1"], &["no database at", "no active key"]),
    (&["session", "list"], &["no database at"]),
    (&["session", "end", "--all"], &["no database at"]),
    (&["backup", "COPY"], &["no database at"]),
    (&["check"], &["no database at", "no lake at", "another server", "belongs to"]),
    (&["adopt"], &["another server", "no lake at", "no database at"]),
];

struct Running {
    command: usize,
    process: Child,
}

fn spawn(command: usize, folder: &Path, number: usize) -> Running {
    let copy = folder.join(format!("copy-{number}"));
    let copy = copy.to_str().unwrap();
    let arguments = COMMANDS[command].0.iter().map(|argument| if *argument == "COPY" { copy } else { argument });
    let mut process = Command::new(&*BINARY);
    process.args(arguments).arg("--data-dir").arg(folder.join("data"));
    if matches!(COMMANDS[command].0[0], "serve" | "check" | "adopt") {
        process.arg("--lake-root").arg(folder.join("lake"));
    }
    let process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Running { command, process }
}

impl Running {
    /// Waits for its end; a server is ended once it listens.
    fn end(mut self) -> Result<String, String> {
        let (words, refusals) = COMMANDS[self.command];
        let mut said = String::new();
        let mut errors = BufReader::new(self.process.stderr.take().unwrap());
        let mut serves = false;
        while !serves && errors.read_line(&mut said).unwrap() > 0 {
            serves = said.contains("listening on");
        }
        if serves {
            assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        }
        errors.read_to_string(&mut said).unwrap();
        let mut printed = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let status = self.process.wait().unwrap();
        match status.success() {
            true => Ok(printed),
            false if refusals.iter().any(|refusal| said.contains(refusal)) => Err(said),
            // Findings of `check`, such as a missing lake.
            false if words == ["check"] && status.code() == Some(1) => Ok(printed),
            false => panic!("{words:?} ended with {status}: {said}"),
        }
    }
}

#[test]
fn any_two_commands_may_open_a_new_database_at_once() {
    let rounds = std::env::var("OPENINGS").map_or(2, |rounds| rounds.parse().unwrap());
    for one in 0..COMMANDS.len() {
        for other in one..COMMANDS.len() {
            for _ in 0..rounds {
                at_once(one, other);
            }
        }
    }
}

fn at_once(one: usize, other: usize) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lake")).unwrap();
    let running = [spawn(one, folder.path(), 0), spawn(other, folder.path(), 1)];
    let pair = (COMMANDS[one].0, COMMANDS[other].0);
    let ended = running.map(Running::end);
    let made: Vec<_> = std::iter::zip([one, other], &ended)
        .filter(|(command, ended)| COMMANDS[*command].0.get(1) == Some(&"create") && ended.is_ok())
        .map(|(_, ended)| ended.as_ref().unwrap().trim().to_owned())
        .collect();
    for (number, (command, ended)) in std::iter::zip([one, other], &ended).enumerate() {
        if COMMANDS[command].0[0] == "backup" && ended.is_ok() {
            // The copy is a usable database, not an empty file.
            let restored = folder.path().join(format!("restored-{number}"));
            std::fs::create_dir(&restored).unwrap();
            std::fs::copy(folder.path().join(format!("copy-{number}")), restored.join("lakeshore.db")).unwrap();
            let listed = lakeshore(&["key", "list", "--data-dir", restored.to_str().unwrap()]);
            assert!(listed.status.success(), "{pair:?}: {}", String::from_utf8_lossy(&listed.stderr));
        }
    }
    let data_dir = folder.path().join("data");
    let listed = lakeshore(&["key", "list", "--data-dir", data_dir.to_str().unwrap()]);
    let text = String::from_utf8(listed.stdout).unwrap();
    if !listed.status.success() {
        let said = String::from_utf8_lossy(&listed.stderr).into_owned();
        let makes = |(command, ended): (usize, &Result<String, String>)| {
            matches!(COMMANDS[command].0[0], "serve" | "adopt") && ended.is_ok()
        };
        let is_made = std::iter::zip([one, other], &ended).any(makes);
        assert!(said.contains("no database at") && made.is_empty() && !is_made, "{pair:?}: {said}");
    }
    assert_eq!(text.lines().filter(|line| line.contains(" k ")).count(), made.len(), "{pair:?}: {text}");
}

/// A command that opens the database.
fn list(data_dir: &Path) -> Child {
    let mut command = Command::new(&*BINARY);
    command.args(["key", "list", "--data-dir"]).arg(data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_command_that_waits_for_another_to_open_the_database_says_so_and_continues() {
    let folder = tempfile::tempdir().unwrap();
    crate::server::create_key(folder.path(), &[]);
    let holder = std::fs::File::open(folder.path().join("lakeshore.db-opening")).unwrap();
    holder.lock().unwrap();
    let mut waiting = list(folder.path());
    let mut said = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("waiting for another lakeshore") && said.contains("lakeshore.db-opening"), "{said}");
    holder.unlock().unwrap();
    let listed = waiting.wait_with_output().unwrap();
    assert!(listed.status.success() && String::from_utf8(listed.stdout).unwrap().contains("test"));
}

#[test]
fn no_link_is_followed_where_the_opening_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("lakeshore.db-opening")).unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let refused = lakeshore(&["key", "create", "--name", "k", "--data-dir", data_dir]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("cannot lock the database"), "{said}");
    assert!(!elsewhere.exists() && !folder.path().join("lakeshore.db").exists());
}

#[test]
fn a_database_on_a_read_only_disk_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    crate::server::create_key(folder.path(), &[]);
    let Some(_mount) = crate::mounts::Mount::read_only(folder.path()) else { return };
    let (data_dir, copy) = (folder.path().to_str().unwrap(), tempfile::tempdir().unwrap());
    let copy = copy.path().join("copy.db");
    for arguments in [&["key", "list"][..], &["key", "create", "--name", "k"], &["backup", copy.to_str().unwrap()]] {
        let refused = lakeshore(&[arguments, &["--data-dir", data_dir]].concat());
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains("read-only"), "{arguments:?}: {said}");
    }
    assert!(!copy.exists());
}

/// A server starts and ends repeatedly, by a stop or a kill; every command meanwhile succeeds, with or without it.
#[test]
fn commands_beside_a_server_that_starts_stops_and_is_killed_all_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    std::fs::create_dir(folder.path().join("lake")).unwrap();
    crate::server::create_key(&data_dir, &[]);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let rounds = std::env::var("OPENINGS").map_or(6, |rounds| rounds.parse().unwrap());
    let run = |arguments: &[&str]| lakeshore(&[arguments, &["--data-dir", data_dir.to_str().unwrap()]].concat());
    let (made, in_doubt) = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let (run, is_over, copies) = (&run, &is_over, folder.path());
                scope.spawn(move || {
                    let (mut made, mut in_doubt) = (Vec::new(), Vec::new());
                    for number in 0.. {
                        if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("k-{caller}-{number}");
                        let created = run(&["key", "create", "--name", &name]);
                        match String::from_utf8(created.stderr).unwrap() {
                            said if said.contains("may have completed the command") => in_doubt.push(name),
                            said => {
                                assert!(created.status.success(), "{said}");
                                made.push(name);
                            }
                        }
                        let copy = copies.join(format!("copy-{caller}-{number}"));
                        let copied = run(&["backup", copy.to_str().unwrap()]);
                        let said = String::from_utf8(copied.stderr).unwrap();
                        let was_cut = said.contains("the server stopped");
                        assert!(copied.status.success() != was_cut && copy.exists() != was_cut, "{said}");
                    }
                    (made, in_doubt)
                })
            })
            .collect();
        for round in 0..rounds {
            let mut server = spawn(0, folder.path(), round).process;
            let mut errors = BufReader::new(server.stderr.take().unwrap());
            let mut said = String::new();
            while !said.contains("listening on") {
                assert!(errors.read_line(&mut said).unwrap() > 0, "{said}");
            }
            if round % 2 == 0 {
                server.kill().unwrap();
            } else {
                assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
            }
            server.wait().unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        let known = callers.into_iter().map(|caller| caller.join().unwrap());
        known.fold((Vec::new(), Vec::new()), |(made, in_doubt), (more, doubted)| {
            ([made, more].concat(), [in_doubt, doubted].concat())
        })
    });
    let listed = String::from_utf8(run(&["key", "list"]).stdout).unwrap();
    let count = |name: &str| listed.split_whitespace().filter(|word| *word == name).count();
    assert!(made.iter().all(|name| count(name) == 1), "{made:?}: {listed}");
    assert!(in_doubt.iter().all(|name| count(name) <= 1), "{in_doubt:?}: {listed}");
    let left: Vec<_> = std::fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains("unfinished")) || rounds % 2 == 1, "{left:?}");
}
