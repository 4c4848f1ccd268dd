//! The engine on SQLite, with files in memory: what it does when steps fail, what it tells, and random calls beside a model.

#![allow(clippy::unwrap_used)]

mod bench;
mod bounds;
mod deferred;
mod end;
mod events;
mod model;
mod patience;
mod schemas;
mod trash;
mod unsettled;
