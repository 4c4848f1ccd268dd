//! tus clients that outlive their server: reported offsets hold after the restart, and the clients continue.

use crate::clients::{ABSENT, Ledger, Sender, add_if_known, digest};
use crate::server::{TestServer, answer};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// An upload whose client does not know yet that it has landed.
#[derive(Clone)]
pub struct Begun {
    /// URL of the upload; or of each part, in order, if all are complete and only the join may be missing.
    addresses: Vec<String>,
    is_joined: bool,
    sync_id: u64,
    /// Target of the landing.
    path: String,
    bytes: Vec<u8>,
    /// Offset reported by the server.
    told: u64,
    /// Whether a disk fault was reported, which may have ended the upload.
    may_have_ended: bool,
}

/// A connection to one server of the lake.
struct Tus<'a> {
    client: &'a Client,
    url: &'a str,
    /// An upload begun with a key needs that key.
    key: &'a str,
    may_fail: bool,
}

type Answer = (u16, HeaderMap);

impl Tus<'_> {
    fn request(&self, method: &str, address: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{address}", self.url));
        request.bearer_auth(self.key).header("Tus-Resumable", "1.0.0")
    }

    async fn answer(&self, request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let answer = (response.status().as_u16(), response.headers().clone());
        // 423: the row that says who sends could not be released yet.
        if self.may_fail && (answer.0 >= 500 || answer.0 == 423) {
            return None;
        }
        // A truncated response means that the server has ended.
        response.bytes().await.ok()?;
        Some(answer)
    }

    fn creation(&self, sync_id: u64, path: &str) -> RequestBuilder {
        let name = BASE64_STANDARD.encode(path.rsplit('/').next().unwrap());
        self.request("POST", &format!("/api/lake/files?sync_id={sync_id}"))
            .header("Upload-Metadata", format!("filename {name}"))
    }

    async fn create(&self, request: RequestBuilder) -> Option<String> {
        let (status, headers) = self.answer(request).await?;
        assert_eq!(status, 201);
        Some(crate::server::path_of(headers["location"].to_str().unwrap()))
    }

    fn chunk(&self, address: &str, offset: u64, bytes: &[u8]) -> RequestBuilder {
        let request = self.request("PATCH", address).header("Upload-Offset", offset);
        request.header("Content-Type", "application/offset+octet-stream").body(bytes.to_vec())
    }

    async fn append(&self, address: &str, offset: u64, bytes: &[u8]) -> Option<()> {
        let (status, headers) = self.answer(self.chunk(address, offset, bytes)).await?;
        assert_eq!(status, 204, "{address} at {offset}: {headers:?}");
        assert_eq!(offset_of(&headers), offset + bytes.len() as u64);
        Some(())
    }

    /// Continues an upload to its end. `Some(false)` if it has ended by a fault that its client was told; `None` if it is to
    /// be tried again.
    async fn go_on(&self, upload: &Begun) -> Option<bool> {
        let Begun { addresses, is_joined, sync_id, path, bytes, told, may_have_ended } = upload;
        if *is_joined {
            return self.join(*sync_id, path, addresses).await.map(|()| true);
        }
        let address = &addresses[0];
        let (status, headers) = self.answer(self.request("HEAD", address)).await?;
        if *may_have_ended && [404, 410].contains(&status) {
            return Some(false);
        }
        assert_eq!(status, 200, "{address} of sync {sync_id} is known after the restart");
        let offset = offset_of(&headers);
        assert!(offset >= *told, "{told} bytes were told to be kept, and {offset} are");
        self.append(address, offset, &bytes[offset as usize..]).await.map(|()| true)
    }

    async fn join(&self, sync_id: u64, path: &str, parts: &[String]) -> Option<()> {
        let request = self.creation(sync_id, path).header("Upload-Concat", format!("final;{}", parts.join(" ")));
        self.create(request).await.map(drop)
    }
}

fn offset_of(headers: &HeaderMap) -> u64 {
    headers["upload-offset"].to_str().unwrap().parse().unwrap()
}

impl Sender {
    fn tus(&self) -> Tus<'_> {
        Tus { client: &self.client, url: &self.url, key: &self.key, may_fail: self.may_fail }
    }

    /// Adds these bytes to the possible contents of the file.
    fn expect(&self, path: &str, bytes: &[u8]) {
        let absent = || vec![ABSENT.to_owned()];
        add_if_known(self.ledger.known().files.entry(path.to_owned()).or_insert_with(absent), digest(bytes));
    }

    /// Sends an exclusive file in several chunks, the first of which has a wrong checksum once.
    pub async fn upload_in_chunks(&self, sync_id: u64, path: &str, length: usize, chunks: usize) -> Option<()> {
        let tus = self.tus();
        let bytes = self.fresh_bytes(length);
        let address = tus.create(tus.creation(sync_id, path).header("Upload-Length", bytes.len())).await?;
        self.expect(path, &bytes);
        let begun = Begun {
            addresses: vec![address.clone()],
            is_joined: false,
            sync_id,
            path: path.to_owned(),
            bytes: bytes.clone(),
            told: 0,
            may_have_ended: false,
        };
        self.ledger.known().begun.push(begun);
        let sizes = bytes.len().div_ceil(chunks);
        let wrong = tus.chunk(&address, 0, &bytes[..sizes]).header("Upload-Checksum", "crc32 AAAAAA==");
        assert_eq!(tus.answer(wrong).await?.0, 460);
        for (index, chunk) in bytes.chunks(sizes).enumerate() {
            let offset = (index * sizes) as u64;
            tus.append(&address, offset, chunk).await?;
            self.ledger.told(&address, offset + chunk.len() as u64);
        }
        self.ledger.landed(&address);
        Some(())
    }

    /// Sends an exclusive file as two parts, and joins them.
    pub async fn upload_in_parts(&self, sync_id: u64, path: &str, length: usize) -> Option<()> {
        let tus = self.tus();
        let bytes = self.fresh_bytes(length);
        let mut addresses = Vec::new();
        for part in bytes.chunks(bytes.len().div_ceil(2)) {
            let creation = tus.request("POST", "/api/lake/files").header("Upload-Concat", "partial");
            let address = tus.create(creation.header("Upload-Length", part.len())).await?;
            tus.append(&address, 0, part).await?;
            addresses.push(address);
        }
        self.expect(path, &bytes);
        let first = addresses[0].clone();
        let (path_owned, told) = (path.to_owned(), bytes.len() as u64);
        let may_have_ended = false;
        let begun = Begun {
            addresses: addresses.clone(),
            is_joined: true,
            sync_id,
            path: path_owned,
            bytes,
            told,
            may_have_ended,
        };
        self.ledger.known().begun.push(begun);
        tus.join(sync_id, path, &addresses).await?;
        self.ledger.landed(&first);
        Some(())
    }

    /// Begins an exclusive file. The response tells whether that was done.
    pub async fn begin(&self, sync_id: u64, path: &str, bytes: &[u8]) -> (u16, Value) {
        let tus = self.tus();
        let response = tus.creation(sync_id, path).header("Upload-Length", bytes.len()).send().await.unwrap();
        let status = response.status().as_u16();
        if status == 201 {
            self.expect(path, bytes);
            let address = crate::server::path_of(response.headers()["location"].to_str().unwrap());
            self.ledger.known().begun.push(Begun {
                addresses: vec![address],
                is_joined: false,
                sync_id,
                path: path.to_owned(),
                bytes: bytes.to_vec(),
                told: 0,
                may_have_ended: false,
            });
        }
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Sends the only begun file up to this offset.
    pub async fn send_up_to(&self, end: usize) -> (u16, Value) {
        let Begun { addresses, bytes, told, .. } = self.ledger.known().begun[0].clone();
        let chunk = &bytes[usize::try_from(told).unwrap()..end];
        let (status, said) = answer(self.tus().chunk(&addresses[0], told, chunk)).await;
        match status {
            204 if end == bytes.len() => self.ledger.landed(&addresses[0]),
            204 => self.ledger.told(&addresses[0], end as u64),
            _ => self.ledger.known().begun[0].may_have_ended = true,
        }
        (status, said)
    }

    /// Begins a file and leaves it to the end of its sync, which discards it.
    pub async fn leave_unfinished(&self, sync_id: u64, length: usize) -> Option<()> {
        let tus = self.tus();
        let bytes = self.fresh_bytes(length);
        let creation = tus.creation(sync_id, "left").header("Upload-Length", bytes.len() + 1);
        let address = tus.create(creation).await?;
        tus.append(&address, 0, &bytes).await
    }
}

impl Ledger {
    fn told(&self, address: &str, offset: u64) {
        let mut known = self.known();
        if let Some(begun) = known.begun.iter_mut().find(|begun| begun.addresses[0] == address) {
            begun.told = offset;
        }
    }

    /// Records that its client knows of the landing.
    fn landed(&self, address: &str) {
        let mut known = self.known();
        let at = known.begun.iter().position(|begun| begun.addresses[0] == address).unwrap();
        let begun = known.begun.remove(at);
        let digest = digest(&begun.bytes);
        known.files.insert(begun.path, vec![digest.clone()]);
        known.acknowledged.push(digest);
    }
}

/// After a restart: continues every upload whose client knows its URL, and discards the others. With `may_fail`, clients try
/// again while the object storage is not back.
pub async fn go_on(server: &TestServer, ledger: &Ledger, may_fail: bool) {
    let tries = if may_fail { 60 } else { 1 };
    let tus = Tus { client: &server.client, url: &server.url, key: &server.key, may_fail };
    let begun = ledger.known().begun.clone();
    for upload in &begun {
        for attempt in 1.. {
            match tus.go_on(upload).await {
                Some(true) => ledger.landed(&upload.addresses[0]),
                Some(false) => ledger.known().begun.retain(|begun| begun.addresses != upload.addresses),
                None if attempt < tries => {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    continue;
                }
                None => panic!("{:?} cannot be continued; the server said: {}", upload.addresses, server.stderr()),
            }
            break;
        }
    }
    // No client knows these.
    let (status, rows) = answer(server.get("/api/lake/files?size=1000").bearer_auth(&server.key)).await;
    assert_eq!(status, 200, "{rows}");
    for row in rows.as_array().unwrap() {
        let Value::String(token) = &row["token"] else { panic!("{row}") };
        let (status, _) = tus.answer(tus.request("DELETE", &format!("/api/lake/files/{token}"))).await.unwrap();
        assert_eq!(status, 204, "{row}");
    }
}
