//! The compared servers: where their programs are, how they start, and how a file is sent to them.

use crate::kit::client::Request;
use crate::kit::{chosen, lakeshore};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const BARE: &str = "bare loop";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Lakeshore,
    /// Lakeshore, by resumable uploads.
    LakeshoreTus,
    /// `PUT` of its DAV module.
    Nginx,
    Dufs,
    Copyparty,
    /// The Node server of the tus project.
    Tus,
}

/// An installed server.
pub struct Peer {
    pub kind: Kind,
    program: PathBuf,
}

/// Installed peers, and the missing ones with the command that installs them.
pub fn find() -> (Vec<Peer>, Vec<(&'static str, &'static str)>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for kind in [Kind::Nginx, Kind::Lakeshore, Kind::LakeshoreTus, Kind::Dufs, Kind::Copyparty, Kind::Tus] {
        if !chosen("BENCH_ONLY", kind.name()) {
            continue;
        }
        match kind.program() {
            Some(program) => found.push(Peer { kind, program }),
            None => missing.push((kind.name(), "\"make bench-peers\" installs what it can")),
        }
    }
    (found, missing)
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Lakeshore => "lakeshore",
            Self::LakeshoreTus => "lakeshore-tus",
            Self::Nginx => "nginx",
            Self::Dufs => "dufs",
            Self::Copyparty => "copyparty",
            Self::Tus => "tus",
        }
    }

    /// Whether it syncs file and folder before it answers.
    pub fn syncs(self) -> bool {
        self.is_lakeshore()
    }

    pub fn is_lakeshore(self) -> bool {
        matches!(self, Self::Lakeshore | Self::LakeshoreTus)
    }

    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Lakeshore | Self::LakeshoreTus => Some(lakeshore::binary()),
            // Not in every user's PATH.
            Self::Nginx => on_path("nginx").or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|it| it.exists())),
            Self::Dufs => installed("bin/dufs").or_else(|| on_path("dufs")),
            Self::Copyparty => installed("copyparty/bin/copyparty").or_else(|| on_path("copyparty")),
            Self::Tus => installed("tus/node_modules/@tus/file-store").and_then(|_| on_path("node")),
        }
    }
}

/// A program that `make bench-peers` has installed.
fn installed(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BENCH_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-peers"), PathBuf::from);
    std::path::absolute(folder.join(path)).ok().filter(|path| path.exists())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Peer {
    /// Command that serves `folder` on `address`. The folder exists.
    pub fn command(&self, folder: &Path, address: SocketAddr) -> Command {
        let files = self.files(folder);
        fs::create_dir_all(&files).unwrap();
        let mut command = Command::new(&self.program);
        command.current_dir(folder);
        match self.kind {
            Kind::Lakeshore | Kind::LakeshoreTus => return lakeshore::serve(folder, address),
            Kind::Nginx => {
                fs::write(folder.join("nginx.conf"), nginx_conf(folder, address)).unwrap();
                command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(folder);
            }
            Kind::Dufs => {
                let (host, port) = (address.ip().to_string(), address.port().to_string());
                command.args(["--allow-all", "--bind", &host, "--port", &port]).arg(files);
            }
            Kind::Copyparty => {
                let (host, port) = (address.ip().to_string(), address.port().to_string());
                // Everybody may read, write, move and delete; a memory file system is allowed.
                command.args(["-q", "--no-thumb", "--wram", "-i", &host, "-p", &port, "-v"]);
                command.arg(format!("{}::rwmd", files.display()));
                // Folder for its certificate and state.
                command.env("XDG_CONFIG_HOME", folder.join("config"));
            }
            Kind::Tus => {
                let script = folder.join("server.mjs");
                fs::write(&script, tus_script(&files, address)).unwrap();
                command.arg(script);
            }
        }
        command
    }

    /// Folder below which the files arrive.
    pub fn files(&self, folder: &Path) -> PathBuf {
        if self.kind.is_lakeshore() { lakeshore::lake(folder) } else { folder.join("files") }
    }

    /// Address that answers as soon as the server is ready.
    pub fn greeting(&self) -> &'static str {
        if self.kind.is_lakeshore() { "/readyz" } else { "/" }
    }

    /// Request that uploads one file. `sync_id` is for Lakeshore.
    pub fn upload(&self, request: &mut Request, sync_id: u64, name: &str, file_bytes: usize) {
        match self.kind {
            Kind::Lakeshore => return lakeshore::upload(request, sync_id, name, file_bytes),
            Kind::LakeshoreTus => return lakeshore::upload_by_tus(request, sync_id, name, file_bytes),
            Kind::Nginx | Kind::Dufs | Kind::Copyparty => write!(
                request.head,
                "PUT /{name} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\n\
                 Content-Length: {file_bytes}\r\n\r\n"
            ),
            Kind::Tus => write!(
                request.head,
                "POST /files HTTP/1.1\r\nHost: bench\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {file_bytes}\r\n\
                 Content-Type: application/offset+octet-stream\r\nContent-Length: {file_bytes}\r\n\r\n"
            ),
        }
        .unwrap();
        request.body_bytes = file_bytes;
        request.tail = &[];
    }
}

/// Configuration with a worker for each processor, and bodies on the file system of the files, so that a rename
/// suffices.
fn nginx_conf(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // Started by root, its workers would run as nobody, who may not write here. Other users may not set the user.
    let user = if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user} daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; client_max_body_size 0; client_body_temp_path {folder}/temporary;
             client_body_buffer_size 64k; keepalive_requests 10000000;
             proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             server {{
                 listen {address}; root {folder}/files;
                 location / {{ dav_methods PUT; create_full_put_path on; }}
             }}
         }}"
    )
}

fn tus_script(files: &Path, address: SocketAddr) -> String {
    let anchor = installed("tus/node_modules").unwrap_or_default().join("anchor.js");
    format!(
        "import {{ createRequire }} from 'module';
         const require = createRequire({anchor:?});
         const {{ Server }} = require('@tus/server');
         const {{ FileStore }} = require('@tus/file-store');
         const datastore = new FileStore({{ directory: {files:?} }});
         new Server({{ path: '/files', datastore }}).listen({{ host: '{}', port: {} }});",
        address.ip(),
        address.port(),
    )
}
