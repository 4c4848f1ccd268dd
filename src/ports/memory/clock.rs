//! What is recorded of the clock.

use super::MemoryState;
use crate::model::clock_watch::ClockRecord;
use crate::model::error::Error;
use crate::ports::ClockState;
use async_trait::async_trait;

#[async_trait]
impl ClockState for MemoryState {
    async fn clock_record(&self) -> Result<Option<ClockRecord>, Error> {
        Ok(self.data().clock.clone())
    }

    async fn record_clock(&self, record: &ClockRecord) -> Result<(), Error> {
        self.data().clock = Some(record.clone());
        Ok(())
    }
}
