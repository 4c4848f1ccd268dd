//! Time and randomness, handed in.

use crate::error::Error;
use crate::time::Timestamp;

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

pub trait Randomness: Send + Sync {
    /// Fills `bytes` from a source that is fit for secrets.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error>;
}
