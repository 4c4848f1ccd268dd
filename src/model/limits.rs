//! Every bound of the lake, with its unit. What a deployment may change is in `settings`; the rest holds everywhere.

use std::time::Duration;

/// Longest lake path, in bytes of UTF-8: leaves room below `PATH_MAX` (4096) for the lake root and the engine's folders.
pub const PATH_BYTES_MAX: usize = 1024;
/// Longest name of a file or folder, in bytes: `NAME_MAX` of the usual file systems (POSIX `limits.h`).
pub const NAME_BYTES_MAX: usize = 255;
/// Longest name of a sync or key, in bytes.
pub const LABEL_BYTES_MAX: usize = 512;
/// Most rows that one list request gives.
pub const LIST_SIZE_MAX: u64 = 1000;
/// Rows that a list request gives when it names no size: as documented.
pub const LIST_SIZE_DEFAULT: u64 = 10;
/// Deeds that a list of them gives when no size is named.
pub const ACTIVITY_SIZE_DEFAULT: u64 = 50;
/// Refused sign-ins that are listed in one minute. More are counted, so that nobody fills the disk by guessing.
pub const REFUSED_SIGN_INS_LISTED_MAX: u32 = 20;
/// Most files that one question for missing files may name.
pub const OFFERED_FILES_MAX: usize = 10_000;
/// Most uploads in flight that a refusal names.
pub const IN_FLIGHT_NAMED_MAX: u64 = 20;
/// Most files that a declaration names (see [`crate::model::sync::manifest`]).
pub const EXPECTED_FILES_MAX: usize = 100_000;
/// Most files of each kind that a comparison with a declaration names; it counts them all.
pub const MISMATCHES_NAMED_MAX: usize = 100;
/// Comparisons of a sync with its dataset that run at the same time; more wait. Each visits every file.
pub const DIFFERENCES_MAX: usize = 2;
/// Comparisons of one caller that run, one at a time, or wait; more are refused.
pub const DIFFERENCES_SHARE_MAX: usize = 8;
/// Previews of one caller that run or wait at the same time; more are refused, and one runs.
pub const PREVIEWS_SHARE_MAX: usize = 32;
/// Files of each kind that such a comparison names in short.
pub const DIFFERENCES_NAMED_MAX: u64 = 20;
/// Files of such a comparison that are looked up in the history at once.
pub const DIFFERENCE_LOOK_UPS_MAX: u64 = 1000;
/// Names that came twice in a sync, of which it tells; it counts them all.
pub const DUPLICATES_NAMED_MAX: usize = 3;
/// Datasets that one step of counting them counts.
pub const DATASET_COUNTS_MAX: u64 = 16;
/// A dataset that was counted is not counted again for so many times as long as that took,
pub const DATASET_REST_FACTOR: u32 = 30;
/// and for so long at least.
pub const DATASET_REST_MIN: Duration = Duration::from_secs(1);
/// Folders of a dataset whose states are kept, to know later that no file has come or gone; one with more is counted anew.
pub const FOLDERS_KNOWN_MAX: usize = 1024;
/// Datasets whose counts are kept so; and the fewest files that are worth it.
pub const MEASURES_MAX: usize = 64;
pub const MEASURE_WORTH_FILES: u64 = 64;
/// Versions of a dataset in the trash that its page names.
pub const VERSIONS_NAMED_MAX: u64 = 100;
/// Snapshots that there may be at the same time,
pub const SNAPSHOTS_MAX: u64 = 256;
/// and those of one key, or of all without a key.
pub const SNAPSHOTS_SHARE_MAX: u64 = 64;
/// How long a snapshot is kept where nothing else was said,
pub const SNAPSHOT_LIFETIME_DEFAULT: Duration = Duration::from_secs(6 * 3600);
/// and at most, counted from when it was made or renewed.
pub const SNAPSHOT_LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest note on why a version is pinned, in bytes.
pub const PIN_NOTE_BYTES_MAX: usize = 1000;
/// Files of a version that are looked up at once.
pub const VERSION_LOOK_UPS_MAX: u64 = 1000;
/// Names that are looked at to order a folder by size or time, or to find a text below it.
pub const BROWSED_NAMES_MAX: u64 = 50_000;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long a start under an `Idempotency-Key` is remembered.
pub const IDEMPOTENCY_LIFETIME: Duration = Duration::from_secs(48 * 3600);
/// Pieces of trash that one transaction marks for removal, and that one step of the removal looks at.
pub const EMPTYING_PIECES_MAX: u64 = 256;
/// Most pieces of trash that one call puts back.
pub const RESTORED_PIECES_MAX: u64 = 10_000;
/// Of pieces that could not be put back, how many an answer names.
pub const NOT_RESTORED_NAMED_MAX: usize = 100;
/// Files and folders that one step of the removal takes away, before it lets others go first.
pub const EMPTYING_REMOVALS_MAX: u64 = 256;
/// What is kept free where nothing else was said: a hundredth of the disk, and at most so many bytes.
pub const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// How long a look at the free space of the disks may be relied on.
pub const SPACE_KNOWN_MAX: Duration = Duration::from_millis(100);
/// A large upload looks again each time that so many bytes of it have come.
pub const SPACE_LOOK_BYTES: u64 = 64 << 20;
/// How long a session lasts, however much it is used,
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// and how long when nobody uses it.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long the session of the first sign-in lasts: time enough to make a key.
pub const FIRST_SESSION_LIFETIME: Duration = Duration::from_secs(3600);
/// The last use of a session is written at most this often.
pub const SESSION_SEEN_GRANULARITY: Duration = Duration::from_secs(60);
/// Sessions that one key may have; the oldest ends when there are more.
pub const SESSIONS_OF_KEY_MAX: u64 = 100;
/// Sessions that a list of them gives.
pub const SESSIONS_LISTED_MAX: u64 = 1000;
/// Wrong sign-ins that one address may try in [`WRONG_SIGN_INS_WINDOW`] before it is told to wait,
pub const WRONG_SIGN_INS_MAX: u32 = 10;
pub const WRONG_SIGN_INS_WINDOW: Duration = Duration::from_secs(60);
/// for so many addresses at once.
pub const WRONG_SIGN_IN_ADDRESSES_MAX: usize = 4096;
/// How long the sign-in link of a start lasts.
pub const SIGN_IN_LINK_LIFETIME: Duration = Duration::from_secs(3600);
/// A resumable upload on its way is made durable, for its sender to go on from there after a crash, each time that so many
/// bytes of it have come,
pub const CHECKPOINT_BYTES: u64 = 16 << 20;
/// or so much time has passed.
pub const CHECKPOINT_MAX: Duration = Duration::from_secs(5);
/// A resumable upload of which no byte has come is given up after so long, or after `resumable_idle_max` where that is
/// shorter.
pub const UNTOUCHED_RESUMABLE_MAX: Duration = Duration::from_secs(15 * 60);
/// Resumable uploads and parts that one key, or all guests together, may have unfinished.
pub const UNFINISHED_UPLOADS_MAX: u64 = 4096;
/// Of the room on the disk, what the announced bytes of one owner may keep from others: one part in so many;
pub const ANNOUNCED_SHARE: u64 = 4;
/// and those of all owners together.
pub const ANNOUNCED_SHARE_OF_ALL: u64 = 2;
/// Most parts of which one upload is joined.
pub const PARTS_MAX: usize = 1024;
/// Refused uploads that get a row in the history, of one request,
pub const REFUSED_ROWS_OF_REQUEST_MAX: u64 = 10;
/// and of one sync. More are counted, so that nobody fills the database with names that the lake does not take.
pub const REFUSED_ROWS_MAX: u64 = 100;
/// The same of small uploads that fail before they have a row, for other reasons, with those that were refused.
pub const FAILED_ROWS_MAX: u64 = 1000;
/// Of a name that was refused, and of why, the characters that are kept.
pub const REFUSED_NAME_CHARACTERS_MAX: usize = 255;
pub const REFUSED_MESSAGE_CHARACTERS_MAX: usize = 500;
/// Longest text that a client has kept with a resumable upload, in bytes.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Events that are kept for those who come back to the stream,
pub const EVENTS_KEPT_MAX: usize = 4096;
/// and bytes of them.
pub const EVENTS_KEPT_BYTES_MAX: usize = 8 << 20;
/// Event streams that are open at the same time; more are refused.
pub const SUBSCRIBERS_MAX: usize = 1024;
/// Of them, those that one key may have open, or one network without a key; so none takes the last ones.
pub const SUBSCRIBERS_SHARE_MAX: usize = 256;
/// Events that one step of a stream gives.
pub const EVENTS_AT_ONCE_MAX: usize = 256;
/// Syncs of which one step of the telling tells; the rest come next.
pub const SYNCS_TOLD_MAX: usize = 64;
/// Files that an event names as landed, or uploads of one sync that are told as failed, in a moment.
pub const LANDED_NAMED_MAX: usize = 10;
/// Uploads in flight that are told of in one second; with more of them, each has its turn.
pub const PROGRESS_TOLD_MAX: usize = 100;
/// Between two samples of the uploads in flight; younger ones are not told of.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Uploads in flight that are known to the last byte; beyond, only their rows are.
pub const IN_FLIGHT_KNOWN_MAX: usize = 10_000;
/// Most uploads that the timeline of a sync shows;
pub const TIMELINE_UPLOADS_MAX: u64 = 200;
/// where there are more: so many stretches of them,
pub const TIMELINE_STRETCHES: u64 = 16;
/// and so many of the failed ones.
pub const TIMELINE_FAILURES_MAX: u64 = 40;
/// Longest text that is searched for, in bytes.
pub const SEARCH_BYTES_MAX: usize = 200;
/// Searches of one caller that run, one at a time, or wait; more are refused.
pub const SEARCHES_SHARE_MAX: usize = 8;
/// Of the datasets that a search finds, so many are weighed against each other; there may be more.
pub const SEARCH_RANKED_MAX: u64 = 200;
/// Where a search has no word that is long enough for an index: datasets, and syncs, that are looked at.
pub const SHORT_WORDS_LOOKED_AT: u64 = 1000;
/// A key's last use is written at most this often, so that reading does not turn into writing.
pub const LAST_USE_GRANULARITY: Duration = Duration::from_secs(60);

/// Between the attempts at a step of a landing. Short beside the time that senders wait for an answer.
pub const ATTEMPT_PAUSES: [Duration; ATTEMPTS_MAX - 1] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Attempts at one step of a landing.
pub const ATTEMPTS_MAX: usize = 3;

/// Between the attempts at settling a landing, while a caller waits. A disk that is well again within the sum of them costs its callers nothing else.
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
