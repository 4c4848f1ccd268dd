//! Fetching a file of the lake: never half under its name, gone on with after a break, and compared with its digest.
//!
//! It grows under a hidden name beside its own, with a note of the ETag that it belongs to. When it is whole, compared and
//! synced, it takes its name in one step.

use super::call::Client;
use super::digest::{PIECE_BYTES, digest_now};
use super::error::ClientError;
use super::progress::FileProgress;
use super::send::REPR_DIGEST;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakeshore::LakePath;
use lakeshore::upload::hexadecimal;
use reqwest::header::{ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};

const ADDRESS: &str = "/api/lake/file/download";
/// A file that arrives with another digest is fetched again so often.
const CORRUPTIONS_MAX: u32 = 2;

/// What was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// So many bytes came.
    New { bytes: u64 },
    /// The file of this machine had the digest already.
    Unchanged,
}

/// What the server says of a file before its bytes.
struct Head {
    etag: Option<String>,
    /// Of the whole file.
    size_bytes: Option<u64>,
    sha256: Option<String>,
    /// Where the bytes of this answer begin.
    from: u64,
}

impl Head {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let range = if response.status() == StatusCode::PARTIAL_CONTENT { content_range(headers) } else { None };
        let (from, size_bytes) = match range {
            Some((from, size)) => (from, Some(size)),
            None => (0, response.content_length()),
        };
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok());
        // A weak one does not say that the bytes are the same.
        let etag = etag.filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        Self { etag, size_bytes, sha256: sha256_of(headers), from }
    }
}

/// `bytes 5-9/10` (RFC 9110, section 14.4): the first byte, and the size of the whole.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, size) = text.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

/// The digest of the whole file, where the lake knows it (RFC 9530).
fn sha256_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REPR_DIGEST)?.to_str().ok()?;
    let value = text.split(',').find_map(|digest| digest.trim().strip_prefix("sha-256=:")?.strip_suffix(':'))?;
    Some(hexadecimal(&STANDARD.decode(value).ok()?))
}

/// What is to be remembered of bytes that are not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    server: String,
    path: LakePath,
    etag: String,
}

/// Where a file grows.
struct Part {
    target: PathBuf,
    bytes: PathBuf,
    note: PathBuf,
}

impl Part {
    /// The lake has no hidden names: this is none of its files.
    fn of(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().as_encoded_bytes();
        let name = format!(".lakeshore-{}.part", hexadecimal(&Sha256::digest(name)[..8]));
        Self {
            bytes: target.with_file_name(&name),
            note: target.with_file_name(name + ".json"),
            target: target.to_owned(),
        }
    }

    fn noted(&self) -> Option<Note> {
        serde_json::from_slice(&std::fs::read(&self.note).ok()?).ok()
    }

    fn discard(&self) {
        // What is left of it is begun anew by the next.
        let _ = std::fs::remove_file(&self.note);
        let _ = std::fs::remove_file(&self.bytes);
    }

    fn failed(&self, error: impl std::fmt::Display) -> ClientError {
        ClientError::local(format!("cannot write {}", self.target.display()), error)
    }
}

/// Bytes on their way to a place, hashed as they pass.
struct Sink<W> {
    output: W,
    hasher: Sha256,
    written: u64,
}

impl<W: AsyncWrite + Unpin> Sink<W> {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.output.write_all(bytes).await?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes what comes, until the answer is whole or breaks.
    async fn take(
        &mut self,
        client: &Client,
        mut response: Response,
        progress: &FileProgress,
    ) -> Result<(), ClientError> {
        loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk.map_err(|error| client.unreachable(&error))?,
                () = client.patience().stop.cancelled() => return Err(ClientError::Interrupted),
            };
            let Some(chunk) = chunk else { return Ok(()) };
            self.write(&chunk).await.map_err(|error| match error.kind() {
                std::io::ErrorKind::BrokenPipe => ClientError::Unread,
                _ => ClientError::local("cannot write", error),
            })?;
            progress.at(self.written);
        }
    }
}

/// Asks for the bytes from `from` on, of the file that `etag` is of.
async fn ask(client: &Client, path: &LakePath, from: u64, etag: Option<&str>) -> Result<Response, ClientError> {
    let mut request = client.request(Method::GET, ADDRESS).query(&[("path", path.as_str())]);
    if let Some(etag) = etag.filter(|_| from > 0) {
        request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, etag);
    }
    client.send(request).await
}

/// Fetches a file to its name. Whatever is there under the name is replaced, in one step.
pub async fn fetch(
    client: &Client,
    path: &LakePath,
    target: &Path,
    progress: &Arc<FileProgress>,
) -> Result<Fetched, ClientError> {
    let part = Part::of(target);
    let mut attempts = client.patience().attempts();
    let mut corruptions = 0;
    let mut received = 0;
    loop {
        let before = received;
        match fetch_once(client, path, &part, progress, &mut received).await {
            Ok(Some(fetched)) => return Ok(fetched),
            Ok(None) if corruptions < CORRUPTIONS_MAX => corruptions += 1,
            Ok(None) => {
                return Err(ClientError::Local(format!(
                    "{path} comes with other bytes than its digest says; \"lakeshore check --digests\" on the server compares it"
                )));
            }
            Err(error) => {
                if received > before {
                    attempts.progressed();
                }
                client.tell_away(&error);
                attempts.after(error).await?;
            }
        }
    }
}

/// `None`: the bytes that came do not have the digest; they are gone.
async fn fetch_once(
    client: &Client,
    path: &LakePath,
    part: &Part,
    progress: &Arc<FileProgress>,
    received: &mut u64,
) -> Result<Option<Fetched>, ClientError> {
    let noted = part.noted().filter(|noted| noted.path == *path && noted.server == client.server());
    let there = tokio::fs::metadata(&part.bytes).await.map_or(0, |metadata| metadata.len());
    let from = if noted.is_some() { there } else { 0 };
    let response = match ask(client, path, from, noted.as_ref().map(|noted| noted.etag.as_str())).await {
        // It is as long already, or longer.
        Err(ClientError::Refused { code, .. }) if code / 100 == 416 => ask(client, path, 0, None).await?,
        response => response?,
    };
    let head = Head::of(&response);
    if head.from == 0 && is_there(&part.target, &head, client).await? {
        progress.at(head.size_bytes.unwrap_or_default());
        return Ok(Some(Fetched::Unchanged));
    }
    let mut sink = open(part, &head).await?;
    note(part, &head, client, path)?;
    let begun_at = sink.written;
    progress.at(begun_at);
    let taken = sink.take(client, response, progress).await;
    *received += sink.written - begun_at;
    // Also of what broke off: it is gone on with.
    sink.output.flush().await.map_err(|error| part.failed(error))?;
    taken?;
    if head.size_bytes.is_some_and(|size| size != sink.written) {
        return Err(ClientError::Unreachable {
            server: client.server().to_owned(),
            cause: "the answer broke off".into(),
        });
    }
    let sha256 = hexadecimal(&sink.hasher.finalize());
    if head.sha256.is_some_and(|expected| expected != sha256) {
        part.discard();
        return Ok(None);
    }
    sink.output.get_ref().sync_all().await.map_err(|error| part.failed(error))?;
    give_name(part).map_err(|error| part.failed(error))?;
    Ok(Some(Fetched::New { bytes: *received }))
}

async fn is_there(target: &Path, head: &Head, client: &Client) -> Result<bool, ClientError> {
    let (Some(size), Some(sha256)) = (head.size_bytes, &head.sha256) else { return Ok(false) };
    if !tokio::fs::metadata(target).await.is_ok_and(|metadata| metadata.is_file() && metadata.len() == size) {
        return Ok(false);
    }
    let (target, stop) = (target.to_owned(), client.patience().stop.clone());
    let digest = tokio::task::spawn_blocking(move || digest_now(&target, &stop)).await;
    Ok(digest.map_err(|error| ClientError::Local(error.to_string()))?? == *sha256)
}

/// Opens what is there, hashes it as far as the answer goes on from, and cuts off the rest.
async fn open(part: &Part, head: &Head) -> Result<Sink<BufWriter<File>>, ClientError> {
    let failed = |error| part.failed(error);
    if let Some(folder) = part.target.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&part.bytes)
        .await
        .map_err(failed)?;
    file.set_len(head.from).await.map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut read = 0;
    loop {
        match file.read(&mut piece).await.map_err(failed)? {
            0 => break,
            count => {
                hasher.update(&piece[..count]);
                read += count as u64;
            }
        }
    }
    Ok(Sink { output: BufWriter::with_capacity(PIECE_BYTES, file), hasher, written: read })
}

/// Without an ETag, what breaks off is begun anew.
fn note(part: &Part, head: &Head, client: &Client, path: &LakePath) -> Result<(), ClientError> {
    let Some(etag) = head.etag.clone() else {
        let _ = std::fs::remove_file(&part.note);
        return Ok(());
    };
    let note = Note { server: client.server().to_owned(), path: path.clone(), etag };
    if part.noted().as_ref() == Some(&note) {
        return Ok(());
    }
    let text = serde_json::to_vec(&note).map_err(|error| part.failed(error))?;
    std::fs::write(&part.note, text).map_err(|error| part.failed(error))
}

fn give_name(part: &Part) -> std::io::Result<()> {
    std::fs::rename(&part.bytes, &part.target)?;
    // The name is given: a note that stays is of no part.
    let _ = std::fs::remove_file(&part.note);
    let folder = part.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Writes a file to standard output, going on after a break where it was. Gives its bytes.
pub async fn print(client: &Client, path: &LakePath, progress: &Arc<FileProgress>) -> Result<u64, ClientError> {
    let stdout =
        std::io::stdout().as_fd().try_clone_to_owned().map_err(|error| ClientError::local("cannot print", error))?;
    let output = File::from_std(std::fs::File::from(stdout));
    let mut sink = Sink { output, hasher: Sha256::new(), written: 0 };
    let mut attempts = client.patience().attempts();
    let mut etag = None;
    loop {
        let before = sink.written;
        let error = match ask(client, path, before, etag.as_deref()).await {
            Ok(response) => {
                let head = Head::of(&response);
                if head.from != before {
                    return Err(ClientError::Local(format!(
                        "{path} was replaced while it was printed; print it again"
                    )));
                }
                etag = head.etag.clone();
                match sink.take(client, response, progress).await {
                    Ok(()) if head.size_bytes.is_none_or(|size| size == sink.written) => {
                        sink.output.flush().await.map_err(|error| ClientError::local("cannot print", error))?;
                        let sha256 = hexadecimal(&sink.hasher.finalize());
                        return match head.sha256 {
                            Some(expected) if expected != sha256 => Err(ClientError::Local(format!(
                                "what was printed of {path} has other bytes than its digest says; do not use it"
                            ))),
                            _ => Ok(sink.written),
                        };
                    }
                    Ok(()) => ClientError::Unreachable {
                        server: client.server().to_owned(),
                        cause: "the answer broke off".into(),
                    },
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        if sink.written > before {
            attempts.progressed();
        }
        client.tell_away(&error);
        attempts.after(error).await?;
    }
}
