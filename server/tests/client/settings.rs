//! Sources of the server and the key.

use crate::machine::{Ended, Machine};
use crate::server::TestServer;
use std::os::unix::fs::PermissionsExt;

/// Runs without the environment variables.
fn run(machine: &Machine, arguments: &[&str]) -> Ended {
    let mut command = machine.command(arguments);
    Ended::of(command.env_remove("LAKESHORE_SERVER").env_remove("LAKESHORE_API_KEY").output().unwrap())
}

#[tokio::test]
async fn server_and_key_come_from_the_config_file() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let machine = Machine::of(&server);
    let (url, key) = (&server.url, &server.key);
    machine.write(".config/lakeshore/config.toml", format!("server = {url:?}\napi_key = {key:?}\n").as_bytes());
    let file = machine.path(".config/lakeshore/config.toml");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    run(&machine, &["status"]).assert(0, "chmod 600");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let quiet = run(&machine, &["status"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    // The key is not sent to another server.
    let other = TestServer::start_with(&["--auth", "required"]).await;
    run(&machine, &["status", "--server", &other.url]).assert(3, "is not sent to").assert(3, "a key is required");
    machine.write(".config/lakeshore/config.toml", b"sever = 1\n");
    run(&machine, &["status"]).assert(2, "line 1");
}

#[tokio::test]
async fn a_key_comes_from_a_file_or_the_environment_and_never_from_an_option() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let machine = Machine::of(&server);
    machine.run(&["status"]).assert(0, "SYNC");
    run(&machine, &["status", "--server", &server.url]).assert(3, "set LAKESHORE_API_KEY");
    machine.write("key", server.key.as_bytes());
    run(&machine, &["status", "--server", &server.url, "--api-key-file", "key"]).assert(0, "SYNC");
    run(&machine, &["status", "--api-key", &server.key]).assert(2, "--api-key");
    run(&machine, &["status", "--server", "lake"]).assert(2, "http://");
}
