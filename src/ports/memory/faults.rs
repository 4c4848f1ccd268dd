//! Calls that are made to fail, for tests of what becomes of it.

use crate::model::error::Error;
use std::collections::{BTreeMap, VecDeque};

/// By the name of the call, what it fails with next.
#[derive(Default)]
pub struct Faults(BTreeMap<&'static str, VecDeque<Error>>);

impl Faults {
    pub fn add(&mut self, call: &'static str, errors: Vec<Error>) {
        self.0.entry(call).or_default().extend(errors);
    }

    /// To be asked before the call does anything.
    pub fn next(&mut self, call: &'static str) -> Result<(), Error> {
        self.0.get_mut(call).and_then(VecDeque::pop_front).map_or(Ok(()), Err)
    }
}
