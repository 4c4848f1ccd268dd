//! Stable codes of refusals.

macro_rules! error_codes {
    ($($variant:ident = $number:literal, $meaning:literal;)+) => {
        /// A stable number for each kind of refusal: the HTTP status, then two digits. Never 0, which is success.
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
    InvalidPath = 40001, "a path or file name that the lake does not take";
    IncompleteUpload = 40002, "the upload broke off, stalled, or its body was malformed";
    DigestMismatch = 40003, "the bytes that came are not those of the digest that was announced";
    InconsistentLength = 40004, "a length that contradicts the one announced, or what was sent";
    PartOfFile = 40005, "a part or chunk of a file, sent to where whole files are taken";
    RequestHead = 40010, "a head of a request that is ambiguous, or names no host or several";
    NoKey = 40100, "no key";
    BadKey = 40101, "unknown or revoked key, or a used sign-in link";
    ExpiredKey = 40102, "expired key";
    Role = 40300, "the key's role does not allow this";
    Prefix = 40301, "the key is not for this path";
    CrossSite = 40302, "a change asked for by a page of another site";
    JoinedUpload = 40303, "an upload that is joined of parts takes no bytes of its own";
    Embedded = 40304, "a browser asked for data as a part of a page, such as a script or a frame";
    NoSuchRoute = 40400, "no such address";
    NoSuchSync = 40401, "no such sync";
    NoSuchTrash = 40402, "no such trash";
    NoSuchKey = 40403, "no such key";
    NoSuchResumable = 40404, "no such resumable upload";
    NoSuchFile = 40405, "no such file or folder in the lake";
    NoSuchDataset = 40406, "no such dataset";
    NoSuchUpload = 40408, "no such upload";
    MethodNotAllowed = 40500, "this address takes another method";
    SyncEnded = 40900, "the sync has ended";
    PathHeld = 40901, "the path is held by another sync or a restore";
    UploadsInFlight = 40902, "uploads of the sync are in flight";
    EmptyFullSync = 40903, "an empty full sync, not confirmed";
    DatasetsBelow = 40904, "a full sync, or the restore of a dataset, above other datasets";
    InTheWay = 40905, "a file, folder or link of the lake is in the way";
    Discarded = 40906, "the upload was discarded by the end of its sync";
    WrongOffset = 40907, "the resumable upload goes on at another byte";
    ResumableComplete = 40908, "the resumable upload is complete";
    PartUnfinished = 40909, "a part of the upload is not whole yet";
    NotAsExpected = 40910, "the sync is not what was declared";
    Held = 40911, "a full sync that would shrink its dataset much, not confirmed";
    SchemaHeld = 40912, "a full sync whose files have other columns than its dataset, not confirmed";
    ResumableEnded = 41000, "the resumable upload has failed";
    WrongVersion = 41200, "a version of tus that is not spoken here";
    PreconditionFailed = 41201, "the file is not the version that the request is for";
    TooLarge = 41300, "the file, or the body, is too large";
    NotMultipart = 41500, "an upload that is not multipart/form-data";
    WrongMediaType = 41501, "not the media type of a piece of a resumable upload";
    Encoded = 41502, "a body, or a part of a form, that is encoded or wrapped";
    RangeNotSatisfiable = 41600, "the file ends before the range that was asked for";
    UnknownHost = 42100, "the host that the request names is not this server";
    IdempotencyKeyReused = 42200, "the Idempotency-Key was sent before, with another call";
    SearchTooLong = 42201, "a search by text that would take too long";
    TakenOver = 42300, "another request has gone on with the resumable upload";
    OverShare = 42900, "the key, or the address, has its share of what is bounded";
    TooManyUnfinished = 42901, "too many resumable uploads of one key are unfinished";
    TooManySignIns = 42902, "too many wrong sign-ins from this address";
    WrongChecksum = 46000, "a piece has another checksum than the one sent with it";
    Internal = 50000, "a fault inside the server, logged there";
    DamagedDatabase = 50001, "the database is damaged: its operator restores a backup";
    ReadOnlyDisk = 50002, "a disk of the server is mounted read-only";
    NoRights = 50003, "the server may not use a folder or file of the lake";
    NoDescriptors = 50004, "the server has no free file descriptor";
    FailingDisk = 50005, "a disk of the server has answered with an error";
    Unsettled = 50006, "a disk failed amid the call, and it is not known yet whether it was done";
    ShuttingDown = 50300, "the server is shutting down";
    TooManySubscribers = 50301, "too many event streams are open";
    TooManyConnections = 50302, "the client's address has its share of the connections";
    OpenedAhead = 50303, "a sign-in link that was fetched ahead of its use";
    ColumnsUnread = 50305, "columns of files of the sync could not be read yet";
    NotReady = 50306, "a write would not succeed now, and why";
    DiskFull = 50700, "the disk is full, or so full that the rest is kept back";
}

impl ErrorCode {
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The HTTP status (RFC 9110) that goes with it.
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
