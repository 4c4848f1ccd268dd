//! Joining of parts into one upload, for clients that send the parts of a file in parallel.

use super::ResumableSession;
use super::access::may_go_on;
use crate::model::error::Error;
use crate::model::limits::PARTS_MAX;
use crate::model::sync::status::Status;
use crate::model::upload::request::{ResumableRequest, UploadRequest};
use crate::model::upload::resumable::Token;
use crate::ports::metadata::resumable::ResumableRecord;
use crate::service::{Destination, Lake};

/// Bytes read from a part at once.
const JOINED_BYTES: usize = 1 << 20;

impl Destination {
    /// Joins complete parts into one upload, and lands it. A repeated call returns the same upload, as the first
    /// response may have been lost.
    pub async fn join(&self, request: ResumableRequest) -> Result<ResumableSession, Error> {
        if request.parts.len() > PARTS_MAX {
            return Err(Error::Invalid(format!("an upload is joined from at most {PARTS_MAX} parts; send fewer")));
        }
        let parts = self.parts(&request.parts).await?;
        let mut joined = match self.joined_before(&request.parts, &parts).await? {
            Some(joined) => joined,
            None => {
                if let Some(spent) = parts.iter().find(|part| part.status == Status::Finished) {
                    return Err(Error::NoSuchResumable(spent.token.to_string()));
                }
                let length = parts.iter().filter_map(|part| part.length).sum();
                let upload = UploadRequest { length: Some(length), ..request.upload };
                self.begin_resumable(ResumableRequest { upload, brings_bytes: false, ..request }).await?
            }
        };
        match joined.take_parts(&parts).await {
            Ok(()) => joined.settle().await?,
            Err(error) => {
                joined.give_up(&error).await?;
                return Err(error);
            }
        }
        Ok(joined)
    }

    async fn joined_before(
        &self,
        tokens: &[Token],
        parts: &[ResumableRecord],
    ) -> Result<Option<ResumableSession>, Error> {
        let Some(into) = parts.first().and_then(|part| part.joined_into.clone()) else { return Ok(None) };
        let Some(record) = self.lake.0.state.resumable(&into).await? else { return Ok(None) };
        let is_same = record.parts == tokens && record.sync_id == Some(self.sync.sync_id);
        if !is_same || !may_go_on(self.owner, record.owner) || record.status == Status::Failed {
            return Ok(None);
        }
        match self.lake.hold(&into).await {
            Ok(joined) => Ok(Some(joined)),
            // It has ended meanwhile.
            Err(Error::ResumableEnded { .. } | Error::NoSuchResumable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Parts that this sender may use. Those of others are reported as missing.
    async fn parts(&self, tokens: &[Token]) -> Result<Vec<ResumableRecord>, Error> {
        let mut parts = Vec::with_capacity(tokens.len());
        for token in tokens {
            let part = self.lake.known_resumable(token).await?;
            if !may_go_on(self.owner, part.owner) {
                return Err(Error::NoSuchResumable(token.to_string()));
            }
            if part.upload_id.is_some() {
                // Without the token, as messages are logged.
                return Err(Error::Invalid(format!(
                    "number {} of the list is a separate upload, not a part; create parts with \"Upload-Concat: partial\"",
                    parts.len() + 1
                )));
            }
            if part.length != Some(part.checkpoint.offset) {
                return Err(Error::PartUnfinished(token.clone()));
            }
            parts.push(part);
        }
        Ok(parts)
    }
}

impl Lake {
    /// Discards the bytes of parts whose joined upload has landed. Their records stay, as complete.
    pub(in crate::service) async fn drop_parts(&self, tokens: &[Token]) -> Result<(), Error> {
        for token in tokens {
            if let Some(part) = self.0.state.resumable(token).await? {
                self.discard(&part.partial).await;
            }
        }
        Ok(())
    }
}

impl ResumableSession {
    async fn take_parts(&mut self, parts: &[ResumableRecord]) -> Result<(), Error> {
        if self.is_complete() {
            return Ok(());
        }
        let mut end = 0;
        for part in parts {
            let begin = end;
            end += part.checkpoint.offset;
            while self.offset() < end {
                let at = self.offset() - begin;
                let bytes = usize::try_from(end - self.offset()).unwrap_or(JOINED_BYTES).min(JOINED_BYTES);
                let bytes = self.lake.0.files.read_partial(&part.partial, at, bytes).await?;
                if bytes.is_empty() {
                    return Err(Error::BytesLost);
                }
                self.write(bytes).await?;
            }
        }
        Ok(())
    }
}
