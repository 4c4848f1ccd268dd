//! Downloads a file of the lake: it never has its name half written, continues after a break, and is compared with its
//! digest.
//!
//! The bytes go to a hidden file beside the target, and a record says which version of which file they belong to, see
//! [`super::target`]. Complete, compared and synced, the file is renamed in one step.

use super::call::Client;
use super::digest::{CHUNK_BYTES, DigestError, digest_of};
use super::error::ClientError;
use super::progress::FileProgress;
use super::repr_digest::sha256_of;
use super::target::{PartialDownload, Records, Target};
use super::versions::OfVersion;
use headers::{ContentRange, HeaderMapExt};
use lakeshore::LakePath;

use lakeshore_system::terminal;
use reqwest::header::{ETAG, IF_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt, BufWriter};

const ADDRESS: &str = "/api/lake/file/download";
/// Retries of a file that arrives with another digest.
const CORRUPTIONS_MAX: u32 = 2;

/// Result of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// Bytes that were received.
    New { bytes: u64 },
    /// The local file has the digest already.
    Unchanged,
}

/// Head of an answer.
struct Head {
    etag: Option<String>,
    /// Size of the whole file.
    size_bytes: Option<u64>,
    sha256: Option<String>,
    /// Offset of the first byte of this answer.
    from: u64,
}

impl Head {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let is_partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let range = headers.typed_get::<ContentRange>().filter(|_| is_partial);
        let (from, size_bytes) = match range.and_then(|range| range.bytes_range().zip(range.bytes_len())) {
            Some(((first, _), size)) => (first, Some(size)),
            None => (0, response.content_length()),
        };
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok());
        // A weak ETag does not mean identical bytes.
        let etag = etag.filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        Self { etag, size_bytes, sha256: sha256_of(headers), from }
    }
}

/// Writer that hashes the bytes that pass.
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

    /// Writes the body of an answer until its end or a break.
    async fn take(
        &mut self,
        client: &Client,
        mut response: Response,
        progress: &FileProgress,
    ) -> Result<(), ClientError> {
        loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk.map_err(|error| client.unreachable(&error))?,
                () = client.retry_policy().stop.cancelled() => return Err(ClientError::Interrupted),
            };
            let Some(chunk) = chunk else { return Ok(()) };
            self.write(&chunk).await.map_err(|error| match error.kind() {
                std::io::ErrorKind::BrokenPipe => ClientError::OutputClosed,
                _ => ClientError::local("cannot write", error),
            })?;
            progress.at(self.written);
        }
    }
}

/// A file of the lake to download.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: LakePath,
    /// Version to read; absent: the current file.
    pub of: Option<OfVersion>,
    /// In hexadecimal, if a list named it.
    pub sha256: Option<String>,
}

impl Source {
    /// The current file at a path.
    pub fn live(path: &LakePath) -> Self {
        Self { path: path.clone(), of: None, sha256: None }
    }
}

/// Requests the bytes from `from` on, of the version with this `etag`.
async fn ask(client: &Client, source: &Source, from: u64, etag: Option<&str>) -> Result<Response, ClientError> {
    let mut request = client.request(Method::GET, ADDRESS).query(&[("path", source.path.as_str())]);
    if let Some(OfVersion { dataset, number }) = &source.of {
        request = request.query(&[("dataset", dataset.to_string()), ("version", number.to_string())]);
    }
    if let Some(etag) = etag.filter(|_| from > 0) {
        request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, etag);
    }
    client.send(request).await
}

/// Downloads a file, and replaces whatever has its name, in one step.
pub async fn fetch(
    client: &Client,
    records: Option<&Records>,
    source: &Source,
    target: &Target,
    progress: &Arc<FileProgress>,
) -> Result<Fetched, ClientError> {
    let mut fetch = Fetch { client, records, source, target, progress, partial_download: None, received: 0 };
    let fetched = fetch.persistently().await;
    if let Some(partial_download) = fetch.partial_download.take() {
        partial_download.leave(records);
    }
    fetched
}

struct Fetch<'a> {
    client: &'a Client,
    records: Option<&'a Records>,
    source: &'a Source,
    target: &'a Target,
    progress: &'a Arc<FileProgress>,
    partial_download: Option<PartialDownload>,
    /// Bytes received in all attempts.
    received: u64,
}

impl Fetch<'_> {
    async fn persistently(&mut self) -> Result<Fetched, ClientError> {
        self.partial_download = self
            .records
            .and_then(|records| PartialDownload::find(self.target, records, self.client.server(), &self.source.path));
        let mut attempts = self.client.retry_policy().attempts();
        let mut corruptions = 0;
        loop {
            let before = self.received;
            match self.once().await {
                Ok(Some(fetched)) => return Ok(fetched),
                Ok(None) if corruptions < CORRUPTIONS_MAX => corruptions += 1,
                Ok(None) => {
                    let path = &self.source.path;
                    return Err(ClientError::Local(format!(
                        "checksum mismatch of {path}; run \"lakeshore check --digests\" on the server"
                    )));
                }
                Err(error) => {
                    if self.received > before {
                        attempts.progressed();
                    }
                    self.client.tell_away(&error);
                    attempts.after(error).await?;
                }
            }
        }
    }

    /// One attempt. `None` means that the digest differed, and the bytes were removed.
    async fn once(&mut self) -> Result<Option<Fetched>, ClientError> {
        let (client, path, target) = (self.client, &self.source.path, self.target);
        let failed = |error: std::io::Error| target.failed(error);
        let etag = self.partial_download.as_ref().and_then(|partial_download| partial_download.etag.clone());
        let from = match &self.partial_download {
            Some(partial_download) if etag.is_some() => partial_download.file().metadata().map_err(failed)?.len(),
            _ => 0,
        };
        let response = match ask(client, self.source, from, etag.as_deref()).await {
            // The local part is as long as the file, or longer.
            Err(ClientError::Refused { code, .. }) if code / 100 == 416 => ask(client, self.source, 0, None).await?,
            response => response?,
        };
        let head = Head::of(&response);
        if head.from != 0 && head.from != from {
            let server = client.server();
            return Err(ClientError::Unexpected(format!(
                "{server} sent {path} from byte {}, not from {from} as requested; check that it is a Lakeshore server",
                head.from
            )));
        }
        if head.from == 0 && self.is_there(&head).await? {
            self.progress.at(head.size_bytes.unwrap_or_default());
            if let Some(partial_download) = self.partial_download.take() {
                partial_download.discard(self.records);
            }
            return Ok(Some(Fetched::Unchanged));
        }
        let partial_download = match &mut self.partial_download {
            Some(partial_download) => partial_download,
            none => none.insert(PartialDownload::begin(target, client.server(), path)?),
        };
        let mut sink = open(partial_download, &head).await.map_err(failed)?;
        partial_download.record(self.records, client.server(), path, head.etag.as_deref());
        let begun_at = sink.written;
        self.progress.at(begun_at);
        let taken = sink.take(client, response, self.progress).await;
        self.received += sink.written - begun_at;
        // Flushed after a break too, since the next attempt continues there.
        sink.output.flush().await.map_err(failed)?;
        taken?;
        if head.size_bytes.is_some_and(|size| size != sink.written) {
            return Err(ClientError::Unreachable {
                server: client.server().to_owned(),
                cause: "the response was interrupted".into(),
            });
        }
        let sha256 = hex::encode(sink.hasher.finalize());
        let Some(partial_download) = self.partial_download.take() else { return Ok(None) };
        let announced = head.sha256.iter().chain(&self.source.sha256);
        if announced.into_iter().any(|expected| *expected != sha256) {
            partial_download.discard(self.records);
            return Ok(None);
        }
        sink.output.get_ref().sync_all().await.map_err(failed)?;
        partial_download.finish(self.records).map_err(failed)?;
        Ok(Some(Fetched::New { bytes: self.received }))
    }

    async fn is_there(&self, head: &Head) -> Result<bool, ClientError> {
        let (Some(size), Some(sha256)) = (head.size_bytes, &head.sha256) else { return Ok(false) };
        let Some(mut file) = self.target.there() else { return Ok(false) };
        if file.metadata().is_ok_and(|metadata| metadata.len() != size) {
            return Ok(false);
        }
        let stop = self.client.retry_policy().stop.clone();
        let digest = tokio::task::spawn_blocking(move || digest_of(&mut file, &stop)).await;
        match digest.map_err(|error| ClientError::Local(error.to_string()))? {
            Ok(digest) => Ok(digest == *sha256),
            Err(DigestError::Stopped) => Err(ClientError::Interrupted),
            Err(DigestError::Problem(_)) => Ok(false),
        }
    }
}

/// Opens the local part, hashes it up to the offset of the answer, and truncates the rest.
async fn open(partial_download: &PartialDownload, head: &Head) -> std::io::Result<Sink<BufWriter<File>>> {
    let mut file = File::from_std(partial_download.file().try_clone()?);
    file.set_len(head.from).await?;
    file.rewind().await?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(head.from).unwrap_or(CHUNK_BYTES) + 1)];
    let mut read = 0;
    loop {
        match file.read(&mut chunk).await? {
            0 => break,
            count => {
                hasher.update(&chunk[..count]);
                read += count as u64;
            }
        }
    }
    Ok(Sink { output: BufWriter::with_capacity(CHUNK_BYTES, file), hasher, written: read })
}

/// Writes a file to standard output, continuing after a break; returns the number of bytes.
pub async fn print(client: &Client, source: &Source, progress: &Arc<FileProgress>) -> Result<u64, ClientError> {
    let path = &source.path;
    // The bytes of the file are not escaped: they are the requested output.
    let stdout =
        terminal::output().as_fd().try_clone_to_owned().map_err(|error| ClientError::local("cannot print", error))?;
    let output = File::from_std(std::fs::File::from(stdout));
    let mut sink = Sink { output, hasher: Sha256::new(), written: 0 };
    let mut attempts = client.retry_policy().attempts();
    let mut etag = None;
    loop {
        let before = sink.written;
        let error = match ask(client, source, before, etag.as_deref()).await {
            Ok(response) => {
                let head = Head::of(&response);
                if head.from != before {
                    return Err(ClientError::Local(format!(
                        "{path} was replaced while it was printed; run the command again"
                    )));
                }
                etag = head.etag.clone();
                match sink.take(client, response, progress).await {
                    Ok(()) if head.size_bytes.is_none_or(|size| size == sink.written) => {
                        sink.output.flush().await.map_err(|error| ClientError::local("cannot print", error))?;
                        let sha256 = hex::encode(sink.hasher.finalize());
                        return match head.sha256 {
                            Some(expected) if expected != sha256 => Err(ClientError::Local(format!(
                                "checksum mismatch of the printed {path}; discard the output"
                            ))),
                            _ => Ok(sink.written),
                        };
                    }
                    Ok(()) => ClientError::Unreachable {
                        server: client.server().to_owned(),
                        cause: "the response was interrupted".into(),
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
