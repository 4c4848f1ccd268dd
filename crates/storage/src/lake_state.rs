//! State of a lake before a server opens it.

/// State of a lake root or bucket, read without changing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeState {
    /// A server has served it before. Always false for a bucket.
    pub has_engine_folder: bool,
    /// A server serves it now. Always false for a bucket, whose servers are found by their lease.
    pub is_served: bool,
    /// It holds datasets, trash, or uploads.
    pub holds_something: bool,
    pub identity: Option<String>,
}
