//! nginx that buffers request bodies, as it does by default.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

pub struct Nginx {
    pub url: String,
    process: Child,
}

impl Nginx {
    /// In front of a server, with its files in `folder`. `None` without nginx.
    pub fn start(folder: &Path, server: &str) -> Option<Self> {
        Self::start_with(folder, &format!("location / {{ proxy_pass {server}; }}"))
    }

    /// With custom locations.
    pub fn start_with(folder: &Path, locations: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let at = folder.to_str()?;
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {at}/{kind}; "))
            .collect();
        let configuration = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/errors; events {{}}\n\
             http {{ access_log off; client_max_body_size 0; {paths} proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             server {{ listen 127.0.0.1:{port}; {locations} }} }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).ok()?;
        let process = Command::new("nginx").args(["-e", &format!("{at}/errors"), "-c"]).arg(file).spawn().ok()?;
        let nginx = Self { url: format!("http://127.0.0.1:{port}"), process };
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        (0..200)
            .any(|_| {
                listens() || {
                    std::thread::sleep(Duration::from_millis(20));
                    false
                }
            })
            .then_some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
