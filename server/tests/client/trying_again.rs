//! Retries: refused certificates and final errors are not retried.

use crate::hostile::{Hostile, answer, certificate, ok};
use crate::machine::{Ended, Machine};
use crate::server::TestServer;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `status` at a URL, with or without trust in the tests' certificate authority.
fn status(machine: &Machine, url: &str, trusts: bool) -> Ended {
    let mut command = machine.command(&["status", "--retry-for", "20s"]);
    command.env("LAKESHORE_SERVER", url);
    if trusts {
        command.env("SSL_CERT_FILE", certificate("authority.pem"));
    }
    Ended::of(command.output().unwrap())
}

#[tokio::test]
async fn a_refused_certificate_is_not_retried_and_the_message_has_the_remedy() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    let cases =
        [("right", false, "SSL_CERT_FILE"), ("expired", true, "has expired"), ("elsewhere", true, "for another name")];
    for (name, trusts, words) in cases {
        let hostile = Hostile::with_certificate(name);
        status(&machine, &format!("https://{}", hostile.address), trusts).assert(5, words);
        assert_eq!((hostile.connections(), hostile.heads().len()), (1, 0), "{name}");
    }
    let right = Hostile::with_certificate("right");
    status(&machine, &format!("https://{}", right.address), true).assert(0, "");
    assert_eq!(right.heads().len(), 1);
}

#[tokio::test]
async fn a_server_without_tls_is_not_retried() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    let ended = status(&machine, &server.url.replace("http:", "https:"), true);
    ended.assert(5, "supports TLS 1.2");
    assert!(!ended.stderr.contains("retrying"), "{ended:?}");
}

#[tokio::test]
async fn a_refusal_is_final_and_a_busy_server_is_retried_when_it_says() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    for final_status in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "409 Conflict",
        "421 Misdirected Request",
    ] {
        let hostile = Hostile::new(move |_| answer(final_status, "Retry-After: 1\r\n", "no"));
        status(&machine, &hostile.url(), true).assert(3, &final_status[..3]);
        assert_eq!(hostile.heads().len(), 1, "{final_status}");
    }
    for passing in ["408 Request Timeout", "425 Too Early", "429 Too Many Requests", "503 Service Unavailable"] {
        let asked = AtomicUsize::new(0);
        let hostile = Hostile::new(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => answer(passing, "Retry-After: 0\r\n", "busy"),
            _ => ok("[]"),
        });
        status(&machine, &hostile.url(), true).assert(0, "retrying");
        assert_eq!(hostile.heads().len(), 2, "{passing}");
    }
}
