//! Parts of a multipart form: which of them are files, and those that wait for the end of the body.

use super::checksum::Checksums;
use crate::chunk_fields::ChunkFields;
use lakeshore::Error;
use lakeshore::model::upload::in_flight::Sender;
use lakeshore::service::{IncomingUpload, RefusedBeginning};
use lakeshore_body::content_disposition::decode_quoted_name;
use lakeshore_body::digest_fields::DigestFields;
use lakeshore_body::multipart::Part;
use std::sync::Arc;

/// A file of the body that waits for the end of the body.
pub enum PendingFile {
    Whole {
        number: usize,
        incoming: Box<IncomingUpload>,
        file_name: String,
        /// Whether the answer has its digest.
        is_told: bool,
    },
    Unfit(Unfit),
}

/// A file that does not land. It is recorded together with the others, so that the history keeps their order.
pub enum Unfit {
    Failed { number: usize, incoming: Box<IncomingUpload>, file_name: String, error: Error },
    Refused { number: usize, refused: RefusedBeginning },
}

/// Fields of the request that concern its form.
pub struct FormHead {
    pub boundary: String,
    pub sender: Arc<Sender>,
    /// Bytes of the whole body, if announced.
    pub length: Option<u64>,
    /// Digests of the only file.
    pub announced: DigestFields,
    /// Checksums of the body or of its only file: clients differ.
    pub checksums: Checksums,
    pub chunk_fields: ChunkFields,
    /// Whether the answer has the digest of each file. Otherwise it has those of files with an announced digest.
    pub wants_digests: bool,
    /// Whether its client percent-encodes file names.
    pub encodes_names: bool,
}

impl FormHead {
    /// File name of a part, as its user knows it.
    pub fn file_name(&self, part: &Part) -> String {
        let name = part.file_name.as_deref().unwrap_or_default();
        let decoded = (self.encodes_names && !part.has_extended_name).then(|| decode_quoted_name(name)).flatten();
        decoded.unwrap_or_else(|| name.to_owned())
    }
}

/// Whether a part is a file: `file`, `files`, and the array forms of PHP, jQuery and Rails, `file[]` and `files[0]`.
pub fn is_file(name: &str) -> bool {
    let base = name.split_once('[').filter(|(_, rest)| rest.ends_with(']')).map_or(name, |(base, _)| base);
    matches!(base, "file" | "files")
}

/// Copies an error of the body, for each file that it keeps from landing.
pub fn for_another_file(error: &Error) -> Error {
    match error {
        Error::IncompleteUpload(text) => Error::IncompleteUpload(text.clone()),
        Error::Invalid(text) => Error::Invalid(text.clone()),
        Error::PartOfFile(text) => Error::PartOfFile(text.clone()),
        Error::DigestMismatch { algorithm, announced, arrived } => {
            Error::DigestMismatch { algorithm, announced: announced.clone(), arrived: arrived.clone() }
        }
        other => other.repeated(),
    }
}

/// Error of a file under the name of another part.
pub fn misnamed(part_name: &str) -> Error {
    Error::Invalid(format!("the part {part_name:?} is not read; send the file again, as the part \"file\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_of_two_names_with_or_without_brackets() {
        for name in ["file", "files", "file[]", "files[]", "files[0]", "file[a]"] {
            assert!(is_file(name), "{name}");
        }
        for name in ["", "upload", "file[", "files]", "profile", "file2", "[file]"] {
            assert!(!is_file(name), "{name}");
        }
    }
}
