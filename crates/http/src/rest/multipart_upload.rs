//! Files of a multipart body: each is streamed to the lake as it arrives, and all land once the body is complete.
//!
//! Until the last delimiter is read, a field may still show that the body is no whole file, and an interrupted body may
//! have truncated the last file. So nothing lands before, and a refused request lands nothing.

use super::checksum::Checksums;
use super::form_parts::{FormHead, PendingFile, Unfit, for_another_file, is_file, misnamed};
use super::summed_body::SummedBody;
use super::timeouts::{seen, uninterrupted};
use super::uploads::LandedFile;
use crate::AppState;
use crate::chunk_fields::{self, ChunkFields};
use crate::error::{FAILED_NAMED_MAX, FailedFile, HttpError};
use axum::body::BodyDataStream;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::digest::ExpectedDigests;
use lakeshore::model::text::truncate;
use lakeshore::model::upload::request::UploadRequest;
use lakeshore::service::{Destination, IncomingUpload};
use lakeshore_body::content_fields::{HeadOf, refuse_field};
use lakeshore_body::multipart::{Multipart, Part};

/// Most files in one request.
const FILES_MAX: usize = 10_000;
/// Bytes of refused files that are read and dropped, to reach the next file.
const DISCARDED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Names of parts that a refusal lists, and characters of each.
const NAMES_MAX: usize = 10;
const NAME_CHARACTERS_MAX: usize = 64;
/// Remedy for an interrupted upload.
const AGAIN: &str = "send the file again";

/// Upload of all files of one request.
pub struct MultipartUpload<'a> {
    app_state: &'a AppState,
    destination: &'a Destination,
    head: FormHead,
    body: Multipart<SummedBody>,
    of_first_file: Checksums,
    /// Files so far, also those under the name of another part.
    sent: usize,
    /// Whether one of them has the name of a file.
    has_file: bool,
    held: Vec<PendingFile>,
    landed: Vec<LandedFile>,
    /// The first failed files, by their number in the body.
    failed: Vec<(usize, FailedFile)>,
    num_failed: usize,
    discarded_bytes: u64,
    /// Names of parts that are not files.
    other_names: Vec<String>,
}

impl<'a> MultipartUpload<'a> {
    pub fn new(app_state: &'a AppState, destination: &'a Destination, body: BodyDataStream, head: FormHead) -> Self {
        let body = SummedBody::new(body, head.checksums.clone());
        Self {
            app_state,
            destination,
            body: Multipart::new(body, &head.boundary),
            of_first_file: head.checksums.clone(),
            head,
            sent: 0,
            has_file: false,
            held: Vec::new(),
            landed: Vec::new(),
            failed: Vec::new(),
            num_failed: 0,
            discarded_bytes: 0,
            other_names: Vec::new(),
        }
    }

    /// Receives all files of the body. A file that fails does not keep the others from landing, unless the body itself
    /// is faulty.
    pub async fn receive(mut self) -> Result<Vec<LandedFile>, HttpError> {
        let taken = self.take_parts().await;
        if !self.has_file {
            // A form without any file has one answer for all its parts.
            self.sent = 0;
            self.held.clear();
        }
        let whole = match taken {
            Ok(()) => self.judge_body().await,
            Err(error) => Err(error),
        };
        let whole = whole.map_err(|error| self.body.stream_mut().refusal.take().unwrap_or(error));
        match whole {
            Ok(()) => self.land().await,
            Err(error) => {
                self.fail_held(&error).await?;
                if self.num_failed == 0 || self.num_failed < self.sent {
                    return Err(error.into());
                }
            }
        }
        match (self.sent, self.num_failed) {
            (0, _) => Err(HttpError::Lake(self.no_file())),
            (_, 0) => Ok(self.landed),
            // With one file, its own error is the answer.
            (1, _) => Err(self.failed.remove(0).1.error.into()),
            (sent, num_failed) => {
                let failed = self.failed.into_iter().map(|(_, failed)| failed).collect();
                Err(HttpError::Files { failed, num_failed, sent })
            }
        }
    }

    /// Reads the body up to its last delimiter.
    async fn take_parts(&mut self) -> Result<(), Error> {
        while let Some(mut part) = self.next_part().await? {
            if !is_file(&part.name) && !part.is_file() {
                self.take_field(part).await?;
                continue;
            }
            self.sent += 1;
            if self.sent > FILES_MAX {
                self.sent = FILES_MAX;
                let most = format!("a request has at most {FILES_MAX} files; send the rest in another");
                return Err(Error::Invalid(most));
            }
            self.has_file |= is_file(&part.name);
            if !is_file(&part.name) {
                self.refuse_misnamed(part).await?;
            } else if let Some(unreadable) = part.unreadable.take() {
                self.refuse(&unreadable.name, Error::Invalid(unreadable.to_string()));
                self.discard_part().await?;
            } else {
                self.take_file(part).await?;
            }
        }
        Ok(())
    }

    async fn next_part(&mut self) -> Result<Option<Part>, Error> {
        uninterrupted(self.app_state, self.body.next_part(), AGAIN).await
    }

    /// Checks the fields of a complete body: chunk fields, trailer and checksums.
    async fn judge_body(&mut self) -> Result<(), Error> {
        self.head.chunk_fields.refuse()?;
        // A chunked body may have a trailer.
        if self.head.checksums.is_empty() && self.head.length.is_some() {
            return Ok(());
        }
        uninterrupted(self.app_state, self.body.skip_epilogue(), AGAIN).await?;
        let of_body = self.body.stream().checksums.clone().verify();
        let of_file = std::mem::take(&mut self.of_first_file);
        if self.sent == 1 && of_file.verify().is_ok() { Ok(()) } else { of_body }
    }

    async fn take_field(&mut self, part: Part) -> Result<(), Error> {
        self.note_other_name(&part.name);
        if !ChunkFields::is_known(&part.name) {
            return Ok(());
        }
        let mut value = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            let room = chunk_fields::VALUE_BYTES_MAX - value.len();
            value.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.head.chunk_fields.take(&part.name, &value);
        Ok(())
    }

    fn note_other_name(&mut self, name: &str) {
        if self.other_names.len() < NAMES_MAX {
            self.other_names.push(truncate(name, NAME_CHARACTERS_MAX));
        }
    }

    /// Refuses a file under the name of another part, and drops its bytes.
    async fn refuse_misnamed(&mut self, part: Part) -> Result<(), Error> {
        self.note_other_name(&part.name);
        let first = self.chunk().await?;
        if first.is_none() && part.file_name.as_deref() == Some("") {
            // Browsers send an input without a file so.
            self.sent -= 1;
            return Ok(());
        }
        let file_name = part.unreadable.as_ref().map_or_else(|| self.head.file_name(&part), |name| name.name.clone());
        self.refuse(&file_name, misnamed(&truncate(&part.name, NAME_CHARACTERS_MAX)));
        self.discarded_bytes += first.map_or(0, |bytes| bytes.len() as u64);
        self.discard_part().await
    }

    /// Refuses a file without its bytes. It is recorded together with the others.
    fn refuse(&mut self, file_name: &str, error: Error) {
        let (number, refused) = (self.sent, self.destination.refused(file_name, error));
        self.held.push(PendingFile::Unfit(Unfit::Refused { number, refused }));
    }

    /// Receives one file. An error ends the whole body.
    async fn take_file(&mut self, part: Part) -> Result<(), Error> {
        let (number, file_name) = (self.sent, self.head.file_name(&part));
        let is_told = self.head.wants_digests || !self.head.announced.is_empty() || !part.digests.is_empty();
        // A file with faulty digests begins too, and fails with this error.
        let (digests, checksums) = match self.expectations(&part) {
            Ok((digests, checksums)) => (digests, Ok(checksums)),
            Err(error) => (ExpectedDigests::default(), Err(error)),
        };
        let last_bytes = self.head.length.and_then(|length| self.body.last_part_bytes(length));
        let length = part.length.or(last_bytes);
        let sender = self.head.sender.clone();
        let request = UploadRequest { file_name: file_name.clone(), length, digests, sender };
        let mut incoming = match self.destination.try_begin(request).await? {
            Ok(incoming) => incoming,
            Err(refused) => {
                self.held.push(PendingFile::Unfit(Unfit::Refused { number, refused }));
                return self.discard_part().await;
            }
        };
        let taken = match checksums {
            Ok(checksums) => self.receive_file(&mut incoming, part.length, checksums).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {
                self.held.push(PendingFile::Whole { number, incoming: Box::new(incoming), file_name, is_told });
                Ok(())
            }
            Err(error) => {
                let is_of_body = matches!(error, Error::IncompleteUpload(_) | Error::ShuttingDown);
                let of_body = for_another_file(&error);
                if incoming.is_registered() {
                    // The upload has a row and a partial file, so it fails at once.
                    incoming.fail(&error).await?;
                    self.note_failure(number, &file_name, error);
                } else {
                    self.held.push(PendingFile::Unfit(Unfit::Failed {
                        number,
                        incoming: Box::new(incoming),
                        file_name,
                        error,
                    }));
                }
                if is_of_body { Err(of_body) } else { self.discard_part().await }
            }
        }
    }

    /// Digests and checksums that the head of the part and of the request announce.
    fn expectations(&self, part: &Part) -> Result<(ExpectedDigests, Checksums), Error> {
        if let Some((name, value)) = &part.altered {
            refuse_field(name, value, HeadOf::Part)?;
        }
        if self.sent > 1 && !self.head.announced.is_empty() {
            return Err(Error::Invalid(
                "Upload-Checksum in the header of a request applies to a single file; with several files, give each part its own"
                    .into(),
            ));
        }
        let announced = self.head.announced.announced()?.and(part.digests.announced()?)?;
        Ok((announced, Checksums::of_fields(part.digests.old())?))
    }

    async fn receive_file(
        &mut self,
        incoming: &mut IncomingUpload,
        length: Option<u64>,
        mut checksums: Checksums,
    ) -> Result<(), Error> {
        let mut received = 0;
        while let Some(bytes) = seen(incoming, self.chunk()).await? {
            received += bytes.len() as u64;
            checksums.update(&bytes);
            if self.sent == 1 {
                self.of_first_file.update(&bytes);
            }
            incoming.write(bytes).await?;
        }
        if let Some(length) = length.filter(|length| *length != received) {
            return Err(Error::InconsistentLength(format!(
                "the part has {received} bytes, but its Content-Length is {length}; send the correct length, or omit the header"
            )));
        }
        checksums.verify()?;
        incoming.seal().await
    }

    /// Lands the files of a complete body, in order.
    async fn land(&mut self) {
        for held in std::mem::take(&mut self.held) {
            match held {
                PendingFile::Whole { number, incoming, file_name, is_told } => match incoming.land().await {
                    Ok(landed) if is_told => self.landed.push(landed.into()),
                    Ok(_) => {}
                    Err(error) => self.note_failure(number, &file_name, error),
                },
                PendingFile::Unfit(unfit) => self.record_unfit(unfit).await,
            }
        }
    }

    async fn record_unfit(&mut self, unfit: Unfit) {
        let (number, file_name, error) = match unfit {
            Unfit::Failed { number, incoming, file_name, error } => {
                (number, file_name, (*incoming).fail(&error).await.err().unwrap_or(error))
            }
            Unfit::Refused { number, refused } => {
                let file_name = refused.file_name().to_owned();
                (number, file_name, self.destination.record(refused).await)
            }
        };
        self.note_failure(number, &file_name, error);
    }

    /// Fails the waiting files of a body that is incomplete, or does not match its fields.
    async fn fail_held(&mut self, error: &Error) -> Result<(), Error> {
        let mut recorded = Ok(());
        for held in std::mem::take(&mut self.held) {
            match held {
                PendingFile::Whole { number, incoming, file_name, .. } => {
                    // The others are recorded even if one cannot be: a row that stays in flight would keep its sync
                    // from ending.
                    recorded = incoming.fail(error).await.and(recorded);
                    self.note_failure(number, &file_name, for_another_file(error));
                }
                PendingFile::Unfit(unfit) => self.record_unfit(unfit).await,
            }
        }
        recorded
    }

    fn note_failure(&mut self, number: usize, file_name: &str, error: Error) {
        self.num_failed += 1;
        let at = self.failed.partition_point(|(other, _)| *other < number);
        if at < FAILED_NAMED_MAX {
            self.failed.insert(at, (number, FailedFile::new(file_name, error)));
            self.failed.truncate(FAILED_NAMED_MAX);
        }
    }

    /// Drops the rest of a refused file.
    async fn discard_part(&mut self) -> Result<(), Error> {
        while let Some(bytes) = self.chunk().await? {
            self.discarded_bytes += bytes.len() as u64;
            if self.discarded_bytes > DISCARDED_BYTES_MAX {
                if !self.has_file {
                    // The names of the parts are the cause, as in a form that is read to its end.
                    return Err(self.no_file());
                }
                return Err(Error::IncompleteUpload(format!(
                    "refused files had more than {DISCARDED_BYTES_MAX} bytes, so the request was ended; send the other files again"
                )));
            }
        }
        Ok(())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        uninterrupted(self.app_state, self.body.chunk(), AGAIN).await
    }

    fn no_file(&self) -> Error {
        let seen = match self.other_names.as_slice() {
            [] => String::new(),
            names => format!(", only {}", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")),
        };
        Error::Invalid(format!(
            "the body has no file{seen}; send it as the part \"file\", for example: curl --form file=@sales.parquet"
        ))
    }
}
