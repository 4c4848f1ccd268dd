//! A proxy in front of PostgreSQL that cuts a connection at a COMMIT, or stops passing anything on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server does not hear of the COMMIT.
    BeforeTheCommit,
    /// The server carries it out, and its answer is lost.
    BehindTheCommit,
    /// Cuts the connection likewise, and refuses all later ones.
    BehindTheCommitForGood,
    /// The connection stays open, and the answer never comes.
    SilentBehindTheCommit,
}

#[derive(Default)]
struct Orders {
    cuts: AtomicUsize,
    before: AtomicBool,
    for_good: AtomicBool,
    silently: AtomicBool,
    is_closed: AtomicBool,
    connections: AtomicUsize,
    /// Connections up to this number pass nothing on.
    silent: AtomicUsize,
}

impl Orders {
    /// Never returns where the connection is silent.
    async fn heed(&self, number: usize) {
        if number <= self.silent.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }
}

pub struct Proxy {
    pub address: String,
    orders: Arc<Orders>,
}

impl Proxy {
    /// In front of the server of this address.
    pub async fn start(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = behind.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
        let orders = Arc::<Orders>::default();
        let address = behind.replace(&server, &format!("127.0.0.1:{port}"));
        tokio::spawn({
            let orders = orders.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    if !orders.is_closed.load(Ordering::SeqCst)
                        && let Ok(server) = TcpStream::connect(&server).await
                    {
                        tokio::spawn(relay(client, server, orders.clone()));
                    }
                }
            }
        });
        Self { address, orders }
    }

    /// Cuts the next connection that commits.
    pub fn cut_next(&self, cut: Cut) {
        self.orders.before.store(cut == Cut::BeforeTheCommit, Ordering::SeqCst);
        self.orders.for_good.store(cut == Cut::BehindTheCommitForGood, Ordering::SeqCst);
        self.orders.silently.store(cut == Cut::SilentBehindTheCommit, Ordering::SeqCst);
        self.orders.cuts.store(1, Ordering::SeqCst);
    }

    /// The server's machine is gone: connections stay open, new ones too, and nobody answers.
    pub fn vanish(&self) {
        self.orders.silent.store(usize::MAX, Ordering::SeqCst);
    }

    /// Another machine has its address: new connections work, and the others do not.
    pub fn come_back(&self) {
        self.orders.silent.store(self.orders.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    pub fn cuts_left(&self) -> usize {
        self.orders.cuts.load(Ordering::SeqCst)
    }
}

async fn relay(client: TcpStream, server: TcpStream, orders: Arc<Orders>) {
    let number = orders.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_silent = Arc::<AtomicBool>::default();
    let back = tokio::spawn({
        let (orders, is_silent) = (orders.clone(), is_silent.clone());
        async move {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                orders.heed(number).await;
                if is_silent.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                if to_client.write_all(&bytes[..count]).await.is_err() {
                    break;
                }
            }
        }
    });
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
        orders.heed(number).await;
        let sent = &bytes[..count];
        // As a simple query: the letter, the length, the text.
        let is_commit = sent.windows(7).any(|window| window == b"COMMIT\0");
        let takes = || orders.cuts.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if is_commit && takes() {
            if orders.silently.load(Ordering::SeqCst) {
                is_silent.store(true, Ordering::SeqCst);
                let _ = to_server.write_all(sent).await;
                std::future::pending::<()>().await;
            }
            back.abort();
            let _ = back.await;
            orders.is_closed.store(orders.for_good.load(Ordering::SeqCst), Ordering::SeqCst);
            if !orders.before.load(Ordering::SeqCst) {
                let _ = to_server.write_all(sent).await;
                // The server is given the time to carry it out.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            return;
        }
        if to_server.write_all(sent).await.is_err() {
            break;
        }
    }
    back.abort();
}
