//! The tests of `engine` on PostgreSQL.

#![allow(clippy::unwrap_used)]

#[path = "engine/bench.rs"]
mod bench;
#[path = "engine/bounds.rs"]
mod bounds;
#[path = "engine/end.rs"]
mod end;
#[path = "engine/events.rs"]
mod events;
#[path = "engine/model/mod.rs"]
mod model;
#[path = "engine/patience.rs"]
mod patience;
#[path = "engine/schemas.rs"]
mod schemas;
#[path = "engine/trash.rs"]
mod trash;
#[path = "engine/unsettled.rs"]
mod unsettled;
