//! garage, an object storage without conditional writes. `make garage` installs it below the target folder.

use super::service::Service;
use super::{ACCESS_KEY, REGION};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const VERSION: &str = "2.5.0";
const PORTS: usize = 2;
const RPC: usize = 0;
const S3: usize = 1;

pub struct Garage {
    service: Service,
    program: PathBuf,
}

impl Garage {
    /// `None` where it is not installed.
    pub fn find_or_start(is_own: bool) -> Option<Self> {
        let program = super::target().join(format!("garage-{VERSION}/bin/garage"));
        let service = Service::find_or_start("garage", is_own, &program, PORTS, is_running, |folder, ports| {
            std::fs::write(folder.join("garage.toml"), settings(folder, ports)).unwrap();
        })?;
        Some(Self { service, program })
    }

    pub fn s3_port(&self) -> u16 {
        self.service.ports[S3]
    }

    pub fn make_bucket(&self, name: &str) {
        self.run(&["bucket", "create", name]);
        self.run(&["bucket", "allow", "--read", "--write", "--owner", name, "--key", ACCESS_KEY]);
    }

    fn run(&self, arguments: &[&str]) {
        let settings = self.service.folder.join("garage.toml");
        let Output { status, stderr, .. } =
            Command::new(&self.program).arg("-c").arg(settings).args(arguments).output().unwrap();
        assert!(status.success(), "garage {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    }
}

fn settings(folder: &Path, ports: &[u16]) -> String {
    let (folder, rpc, s3) = (folder.display(), ports[RPC], ports[S3]);
    let secret = "6c".repeat(32);
    format!(
        r#"metadata_dir = "{folder}/data/meta"
data_dir = "{folder}/data/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secret}"

[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{s3}"
root_domain = ".s3.localhost"
"#
    )
}

/// It answers, and has its layout and the key of the tests.
fn is_running(folder: &Path, ports: &[u16]) -> bool {
    let answer = || {
        let mut connection = TcpStream::connect(("127.0.0.1", ports[S3])).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        let _ = connection.take(4096).read_to_string(&mut answer);
        answer.split(' ').nth(1)?.parse::<u16>().ok()
    };
    folder.join("ready").exists() && answer() == Some(403)
}
