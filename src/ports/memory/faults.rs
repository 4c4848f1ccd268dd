//! Injected errors of calls, for tests of their effects.

use crate::model::error::Error;
use std::collections::{BTreeMap, VecDeque};

/// Errors of the next calls, by the name of the call.
#[derive(Default)]
pub struct Faults(BTreeMap<&'static str, VecDeque<Error>>);

impl Faults {
    pub fn add(&mut self, call: &'static str, errors: Vec<Error>) {
        self.0.entry(call).or_default().extend(errors);
    }

    /// Called before a call has any effect.
    pub fn next(&mut self, call: &'static str) -> Result<(), Error> {
        self.0.get_mut(call).and_then(VecDeque::pop_front).map_or(Ok(()), Err)
    }
}
