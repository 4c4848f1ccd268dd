//! Bounds of the lake, each with its unit. Bounds that a deployment may change are in `settings`.

use std::time::Duration;

/// Longest lake path, in bytes of UTF-8. Leaves space below `PATH_MAX` (4096) for the lake root and the engine's
/// folders.
pub const PATH_BYTES_MAX: usize = 1024;
/// Longest name of a file or folder, in bytes: `NAME_MAX` of the usual file systems (POSIX `limits.h`).
pub const NAME_BYTES_MAX: usize = 255;
/// Longest name of a sync or key, in bytes.
pub const LABEL_BYTES_MAX: usize = 512;
/// Maximum rows of one list response.
pub const LIST_SIZE_MAX: u64 = 1000;
/// Rows of a list response without a `size`, as documented.
pub const LIST_SIZE_DEFAULT: u64 = 10;
/// Audit entries of a list response without a `size`.
pub const ACTIVITY_SIZE_DEFAULT: u64 = 50;
/// Refused sign-ins that get an audit entry within one minute. More are only counted, so that guessing cannot fill the
/// disk.
pub const REFUSED_SIGN_INS_LISTED_MAX: u32 = 20;
/// Maximum files in one question for missing files.
pub const OFFERED_FILES_MAX: usize = 10_000;
/// Maximum uploads in flight that an error names.
pub const IN_FLIGHT_NAMED_MAX: u64 = 20;
/// Maximum files of a declaration (see [`crate::model::sync::manifest`]).
pub const EXPECTED_FILES_MAX: usize = 100_000;
/// Maximum files of each kind that a comparison with a declaration names; all are counted.
pub const MISMATCHES_NAMED_MAX: usize = 100;
/// Concurrent comparisons of syncs with their datasets; more wait. Each comparison visits every file.
pub const DIFFERENCES_MAX: usize = 2;
/// Comparisons of one caller that run or wait; more are refused. One runs at a time.
pub const DIFFERENCES_SHARE_MAX: usize = 8;
/// Previews of one caller that run or wait; more are refused. One runs at a time.
pub const PREVIEWS_SHARE_MAX: usize = 32;
/// Folder lists of one caller that run or wait; more are refused. One runs at a time.
pub const FOLDER_LISTS_SHARE_MAX: usize = 64;
/// Files of each kind that the short form of such a comparison names.
pub const DIFFERENCES_NAMED_MAX: u64 = 20;
/// Files that the refusal of a restore names.
pub const DAMAGED_FILES_NAMED_MAX: usize = 5;
/// Files of such a comparison that are looked up in the history at once.
pub const DIFFERENCE_LOOK_UPS_MAX: u64 = 1000;
/// Duplicate names that a sync reports; all are counted.
pub const DUPLICATES_NAMED_MAX: usize = 3;
/// Datasets counted by one step of the background job.
pub const DATASET_COUNTS_MAX: u64 = 16;
/// Pause before a dataset is counted again, as a multiple of the time that the last count took.
pub const DATASET_REST_FACTOR: u32 = 30;
/// Shortest pause before a dataset is counted again.
pub const DATASET_REST_MIN: Duration = Duration::from_secs(1);
/// Maximum folders of a dataset whose states are cached, to detect later that no file was added or removed. A larger
/// dataset is counted in full each time.
pub const FOLDERS_KNOWN_MAX: usize = 1024;
/// Maximum datasets in that cache, and the fewest files for which a dataset is cached.
pub const MEASURES_MAX: usize = 64;
pub const MEASURE_WORTH_FILES: u64 = 64;
/// Versions in the trash that the page of a dataset lists.
pub const VERSIONS_NAMED_MAX: u64 = 100;
/// Maximum open syncs of one key, or of all callers without a key.
pub const OPEN_SYNCS_SHARE_MAX: u64 = 1000;
/// Maximum snapshots at a time.
pub const SNAPSHOTS_MAX: u64 = 256;
/// Maximum snapshots of one key, or of all callers without a key.
pub const SNAPSHOTS_SHARE_MAX: u64 = 64;
/// Snapshots of one caller that are being made or wait for that; more are refused. One is made at a time.
pub const SNAPSHOTS_MADE_SHARE_MAX: usize = 8;
/// Lifetime of a snapshot without an explicit one.
pub const SNAPSHOT_LIFETIME_DEFAULT: Duration = Duration::from_secs(6 * 3600);
/// Longest lifetime of a snapshot, counted from its creation or renewal.
pub const SNAPSHOT_LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest note of a pin, in bytes.
pub const PIN_NOTE_BYTES_MAX: usize = 1000;
/// Files of a version that are looked up at once.
pub const VERSION_LOOK_UPS_MAX: u64 = 1000;
/// Names read to sort a folder by size or time, or to search below it.
pub const BROWSED_NAMES_MAX: u64 = 50_000;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Time for which a start under an `Idempotency-Key` is kept.
pub const IDEMPOTENCY_LIFETIME: Duration = Duration::from_secs(48 * 3600);
/// Trash items that one transaction marks for a purge, and that one step of the purge processes.
pub const EMPTYING_ITEMS_MAX: u64 = 256;
/// Maximum trash items that one call restores.
pub const RESTORED_ITEMS_MAX: u64 = 10_000;
/// Items that could not be restored, as named in a response.
pub const NOT_RESTORED_NAMED_MAX: usize = 100;
/// Items moved to the trash by one restore, as named in its response.
pub const DISPLACED_NAMED_MAX: usize = 100;
/// Items that the preview of a restore names.
pub const RESTORE_PREVIEW_NAMED_MAX: usize = 100;
/// Failed uploads of a sync that are examined for their causes.
pub const FAILURES_LOOKED_AT_MAX: u64 = 10_000;
/// Files named for one cause of failures.
pub const FAILURE_FILES_NAMED_MAX: usize = 5;
/// Maximum causes of failures of one sync; the last stands for all others.
pub const FAILURE_CAUSES_MAX: usize = 20;
/// Files and folders that one step of a purge removes before it lets other work run.
pub const EMPTYING_REMOVALS_MAX: u64 = 256;
/// Default free space: one percent of the disk, at most this many bytes.
pub const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Time for which a reading of the free disk space stays valid.
pub const SPACE_KNOWN_MAX: Duration = Duration::from_millis(100);
/// Bytes of a large upload between two checks of the free disk space.
pub const SPACE_LOOK_BYTES: u64 = 64 << 20;
/// Longest lifetime of a session, however much it is used.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Lifetime of an unused session.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Lifetime of the session of the first sign-in, long enough to make a key.
pub const FIRST_SESSION_LIFETIME: Duration = Duration::from_secs(3600);
/// Shortest time between two writes of the last use of a session.
pub const SESSION_SEEN_GRANULARITY: Duration = Duration::from_secs(60);
/// Maximum sessions of one key; beyond it the oldest ends.
pub const SESSIONS_OF_KEY_MAX: u64 = 100;
/// Maximum sessions in a list.
pub const SESSIONS_LISTED_MAX: u64 = 1000;
/// Failed sign-ins of one address within [`FAILED_SIGN_INS_WINDOW`] before it has to wait.
pub const FAILED_SIGN_INS_MAX: u32 = 10;
pub const FAILED_SIGN_INS_WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose failed sign-ins are tracked at a time.
pub const WRONG_SIGN_IN_ADDRESSES_MAX: usize = 4096;
/// Lifetime of the sign-in link of a start.
pub const SIGN_IN_LINK_LIFETIME: Duration = Duration::from_secs(3600);
/// Bytes of a resumable upload between two checkpoints, from which its sender continues after a crash.
pub const CHECKPOINT_BYTES: u64 = 16 << 20;
/// Longest time between two checkpoints.
pub const CHECKPOINT_MAX: Duration = Duration::from_secs(5);
/// Lifetime of a resumable upload without a byte; `resumable_idle_max` where that is shorter.
pub const UNTOUCHED_RESUMABLE_MAX: Duration = Duration::from_secs(15 * 60);
/// Maximum unfinished resumable uploads and parts of one key, or of all guests together.
pub const UNFINISHED_UPLOADS_MAX: u64 = 4096;
/// Divisor of the free space: limit of the space that announced bytes of one owner reserve against others.
pub const ANNOUNCED_SHARE: u64 = 4;
/// Divisor of the free space: limit of the space that announced bytes of all other owners together reserve.
pub const ANNOUNCED_SHARE_OF_ALL: u64 = 2;
/// Maximum parts of one joined upload.
pub const PARTS_MAX: usize = 1024;
/// Refused uploads of one request that get a row in the history.
pub const REFUSED_ROWS_OF_REQUEST_MAX: u64 = 10;
/// Refused uploads of one sync that get a row in the history. More are only counted, so that invalid names cannot fill
/// the database.
pub const REFUSED_ROWS_MAX: u64 = 100;
/// Small uploads of one sync that failed without a row, including refused ones, and get a row in the history. More are
/// only counted.
pub const FAILED_ROWS_MAX: u64 = 1000;
/// Characters kept of a refused name, and of the reason.
pub const REFUSED_NAME_CHARACTERS_MAX: usize = 255;
pub const REFUSED_MESSAGE_CHARACTERS_MAX: usize = 500;
/// Longest metadata text of a resumable upload, in bytes.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Maximum events kept for clients that reconnect to the stream.
pub const EVENTS_KEPT_MAX: usize = 4096;
/// Maximum bytes of these events.
pub const EVENTS_KEPT_BYTES_MAX: usize = 8 << 20;
/// Maximum open event streams; more are refused.
pub const SUBSCRIBERS_MAX: usize = 1024;
/// Maximum open event streams of one key, or of one network without a key, so that no caller takes all.
pub const SUBSCRIBERS_SHARE_MAX: usize = 256;
/// Events that one step of a stream returns.
pub const EVENTS_AT_ONCE_MAX: usize = 256;
/// Syncs for which one publishing step sends events; the rest follow in the next step.
pub const SYNCS_TOLD_MAX: usize = 64;
/// Files that an event names as landed, and failed uploads of one sync that get an event, within one publishing step.
pub const LANDED_NAMED_MAX: usize = 10;
/// Uploads in flight with a progress event in one second; more of them take turns.
pub const PROGRESS_TOLD_MAX: usize = 100;
/// Time between two samples of the uploads in flight. Younger uploads have no progress events.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Uploads in flight that are tracked to the byte; beyond, only their rows are known.
pub const IN_FLIGHT_KNOWN_MAX: usize = 10_000;
/// Maximum single uploads in the timeline of a sync.
pub const TIMELINE_UPLOADS_MAX: u64 = 200;
/// Groups of uploads in the timeline when there are more.
pub const TIMELINE_STRETCHES: u64 = 16;
/// Failed uploads in the timeline when there are more.
pub const TIMELINE_FAILURES_MAX: u64 = 40;
/// Longest search text, in bytes.
pub const SEARCH_BYTES_MAX: usize = 200;
/// Searches of one caller that run or wait; more are refused. One runs at a time.
pub const SEARCHES_SHARE_MAX: usize = 8;
/// Maximum matching datasets that a search ranks; there may be more.
pub const SEARCH_RANKED_MAX: u64 = 200;
/// Datasets, and syncs, scanned by a search without a word long enough for an index.
pub const SHORT_WORDS_LOOKED_AT: u64 = 1000;
/// Shortest time between two writes of the last use of a key, so that reads do not become writes.
pub const LAST_USE_GRANULARITY: Duration = Duration::from_secs(60);

/// Pauses between the attempts at a step of a landing. Short compared with the time that senders wait for a response.
pub const ATTEMPT_PAUSES: [Duration; ATTEMPTS_MAX - 1] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Attempts at one step of a landing.
pub const ATTEMPTS_MAX: usize = 3;

/// Pauses between the attempts to settle a landing while a caller waits. A disk that recovers within their sum costs
/// callers only that time.
pub const SETTLING_PAUSES: [Duration; 8] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
    Duration::from_millis(3200),
];
