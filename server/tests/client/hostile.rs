//! Fake server with arbitrary responses; also over TLS.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub struct Hostile {
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

/// Maps the head of a request to the bytes of the response.
type Answer = dyn Fn(&str) -> Vec<u8> + Send + Sync;

impl Hostile {
    pub fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(None, Arc::new(answer))
    }

    /// With a certificate of `certificates/`; responds with an empty list.
    pub fn with_certificate(name: &str) -> Self {
        lakeshore_client::call::provide_tls();
        let (chain, key) = (certificate(&format!("{name}.pem")), certificate(&format!("{name}.key")));
        let chain = vec![CertificateDer::from_pem_file(chain).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::serve(Some(Arc::new(tls)), Arc::new(|_: &str| ok("[]")))
    }

    fn serve(tls: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hostile = Self { address, heads: Arc::default(), connections: Arc::default() };
        let (heads, connections) = (hostile.heads.clone(), hostile.connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *connections.lock().unwrap() += 1;
                let (answer, heads, tls) = (answer.clone(), heads.clone(), tls.clone());
                std::thread::spawn(move || converse(stream, tls, &*answer, &heads));
            }
        });
        hostile
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Heads of the received requests.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

pub fn certificate(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/certificates").join(file)
}

fn converse(stream: TcpStream, tls: Option<Arc<ServerConfig>>, answer: &Answer, heads: &Mutex<Vec<String>>) {
    match tls {
        None => answer_all(stream, answer, heads),
        Some(tls) => answer_all(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), answer, heads),
    }
}

fn answer_all(stream: impl Read + Write, answer: &Answer, heads: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).is_ok_and(|read| read > 0) {
        if !head.ends_with("\r\n\r\n") {
            continue;
        }
        heads.lock().unwrap().push(head.clone());
        if stream.get_mut().write_all(&answer(&head)).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
        head.clear();
    }
}

pub fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", "", body)
}

/// `head` has complete lines.
pub fn answer(status: &str, head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{head}\r\n{body}", body.len()).into_bytes()
}
