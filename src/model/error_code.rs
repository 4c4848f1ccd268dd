//! Stable codes of errors.

macro_rules! error_codes {
    ($($variant:ident = $number:literal, $meaning:literal;)+) => {
        /// Stable number for each kind of error: the HTTP status, then two digits. Never 0, which means success.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode { $(#[doc = $meaning] $variant = $number,)+ }

        impl ErrorCode {
            /// Every code, in the order of the numbers: the table of `docs/reference/errors.md`.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

error_codes! {
    Invalid = 40000, "malformed or invalid request";
    InvalidPath = 40001, "invalid path or file name";
    IncompleteUpload = 40002, "the upload was interrupted or stalled, or its body was malformed";
    DigestMismatch = 40003, "checksum mismatch between the file and its announced digest";
    InconsistentLength = 40004, "the length differs from the announced length, or from the data sent";
    PartOfFile = 40005, "a part or chunk of a file, sent to an address for whole files";
    RequestHead = 40010, "ambiguous request header, or not exactly one host";
    NoKey = 40100, "missing key";
    BadKey = 40101, "unknown or revoked key, or a used sign-in link";
    ExpiredKey = 40102, "expired key";
    Role = 40300, "the role of the key does not allow this";
    Prefix = 40301, "the key does not cover this path";
    CrossSite = 40302, "a change requested by a page of another site";
    JoinedUpload = 40303, "an upload joined from parts accepts no data of its own";
    Embedded = 40304, "a browser requested data as a part of a page, such as a script or a frame";
    NoSuchRoute = 40400, "address not found";
    NoSuchSync = 40401, "sync not found";
    NoSuchTrash = 40402, "trash item not found";
    NoSuchKey = 40403, "key not found";
    NoSuchResumable = 40404, "resumable upload not found";
    NoSuchFile = 40405, "file or folder not found";
    NoSuchDataset = 40406, "dataset not found";
    NoSuchUpload = 40408, "upload not found";
    NoSuchVersion = 40409, "version not found";
    NoSuchSnapshot = 40410, "snapshot not found";
    MethodNotAllowed = 40500, "this address accepts other methods";
    SyncEnded = 40900, "the sync has ended";
    PathHeld = 40901, "the path is held by another sync or a restore";
    UploadsInFlight = 40902, "uploads of the sync are in flight";
    EmptyFullSync = 40903, "a full sync without files, not confirmed";
    DatasetsBelow = 40904, "a full sync, or a restore, on a parent path of other datasets";
    InTheWay = 40905, "a file, folder or link of the lake is in the way";
    Discarded = 40906, "the upload was discarded by the end of its sync";
    WrongOffset = 40907, "wrong offset of a resumable upload";
    ResumableComplete = 40908, "the resumable upload is complete";
    PartUnfinished = 40909, "a part of the upload is incomplete";
    NotAsExpected = 40910, "the sync differs from its expected files";
    Held = 40911, "a full sync or a restore held by the shrink guard, not confirmed";
    SchemaHeld = 40912, "a full sync held because of a schema mismatch, not confirmed";
    Pinned = 40913, "the trash holds files of a pinned version";
    RestoringSync = 40914, "the sync restores a version, and only the server adds files to it";
    ResumableEnded = 41000, "the resumable upload has failed";
    VersionGone = 41001, "files of the version are gone";
    WrongVersion = 41200, "unsupported version of tus";
    PreconditionFailed = 41201, "the file is not the version that the request requires";
    TooLarge = 41300, "the file, or the body, is too large";
    NotMultipart = 41500, "an upload that is not multipart/form-data";
    WrongMediaType = 41501, "wrong media type for data of a resumable upload";
    Encoded = 41502, "an encoded body or part of a form";
    RangeNotSatisfiable = 41600, "the requested range starts after the end of the file";
    UnknownHost = 42100, "the host of the request is not a name of this server";
    IdempotencyKeyReused = 42200, "the Idempotency-Key was already used for another request";
    SearchTooLong = 42201, "the search takes too long";
    TakenOver = 42300, "another request has resumed the upload";
    OverShare = 42900, "the key, or the address, has reached its share of a limit";
    TooManyUnfinished = 42901, "too many unfinished resumable uploads of one key";
    TooManySignIns = 42902, "too many failed sign-ins from this address";
    WrongChecksum = 46000, "checksum mismatch of the data of a request";
    Internal = 50000, "internal error, logged by the server";
    DamagedDatabase = 50001, "the database is damaged, and the operator must restore a backup";
    ReadOnlyDisk = 50002, "a disk of the server is read-only";
    NoRights = 50003, "permission denied on a folder or file of the lake";
    NoDescriptors = 50004, "the server has too many open files";
    FailingDisk = 50005, "a disk of the server reported an error";
    Unsettled = 50006, "a disk or the database failed during the request, and its outcome is not known yet";
    ObjectStorageRefuses = 50007, "the object storage of the lake refuses access";
    ShuttingDown = 50300, "the server is shutting down";
    TooManySubscribers = 50301, "too many event streams are open";
    TooManyConnections = 50302, "too many connections from the client's address";
    OpenedAhead = 50303, "a prefetched sign-in link";
    TooManySnapshots = 50304, "too many snapshots";
    ColumnsUnread = 50305, "schemas of files of the sync have not been read yet";
    NotReady = 50306, "writes would fail at the moment, with the reason";
    Moving = 50307, "the file is being moved by a publish, a landing or a restore";
    NoObjectStorage = 50308, "the object storage of the lake does not answer, or is overloaded";
    NoDatabase = 50309, "the database of the lake does not answer, or is overloaded";
    SyncBusy = 50310, "another server is ending the sync, or comparing its files";
    DiskFull = 50700, "the disk is full, except for its reserve";
}

impl ErrorCode {
    pub fn number(self) -> u32 {
        self as u32
    }

    /// HTTP status (RFC 9110) of the code.
    pub fn http_status(self) -> u16 {
        (self.number() / 100) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_never_zero_and_listed_in_the_reference() {
        let reference = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/errors.md"));
        let mut numbers: Vec<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        for code in ErrorCode::ALL {
            let row = format!("| {} | {} | {} |", code.http_status(), code.number(), code.meaning());
            assert!(reference.contains(&row), "docs/reference/errors.md lacks the row {row}");
        }
        numbers.dedup();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        assert!(numbers.is_sorted() && numbers[0] > 0);
    }
}
