//! Resumable uploads that requests of a node have: columns of `resumables`. A request of another node asks for one, and
//! waits until it is let go. What a fenced node had is nobody's.

use super::PostgresState;
use super::held;
use super::query::{Row, execute, fetch_all, fetch_optional, values};
use super::writing::Durability::Synced;
use super::writing::transaction;
use crate::backend::Backend as _;
use lakeshore::Error;
use lakeshore::model::upload::resumable::Token;
use lakeshore::ports::metadata::node::Held;
use sqlx::Row as _;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between two attempts to take an upload that another node has.
const TAKE_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for a node that lives: it lets an upload go when its step is done.
const TAKE_MAX: Duration = Duration::from_secs(45);

const TAKE: &str = "\
    UPDATE resumables SET serving_node = serving_node(), serving_hold = $2, serving_wanted = FALSE \
    WHERE token = $1 AND NOT is_of_another(serving_node) RETURNING resumable_id";
const ASK: &str = "UPDATE resumables SET serving_wanted = TRUE WHERE token = $1 RETURNING resumable_id";
const RELEASE: &str = "\
    UPDATE resumables SET serving_node = NULL WHERE token = $1 AND serving_node = serving_node() AND serving_hold = $2";

#[derive(Debug, thiserror::Error)]
#[error("another server receives this upload, and has not released it")]
struct Busy;

struct Hold {
    state: PostgresState,
    token: Token,
    hold: i64,
}

impl Held for Hold {}

impl Drop for Hold {
    fn drop(&mut self) {
        let (token, hold) = (self.token.clone(), self.hold);
        held::release(self.state.clone(), move |state| {
            let token = token.clone();
            async move { release(&state, &token, hold).await }
        });
    }
}

enum Taken {
    Held,
    /// By another node.
    Busy,
    Unknown,
}

pub(super) async fn take(state: &PostgresState, token: &Token) -> Result<Box<dyn Held>, Error> {
    if state.group().is_none() {
        return Ok(Box::new(()));
    }
    let end = Instant::now() + TAKE_MAX;
    let hold = new_hold(state, token);
    loop {
        match attempt(state, token, hold.hold, true).await? {
            Taken::Held => return Ok(Box::new(hold)),
            Taken::Unknown => return Ok(Box::new(())),
            Taken::Busy if Instant::now() >= end => return Err(Error::transient(Busy)),
            Taken::Busy => sleep(TAKE_PAUSE).await,
        }
    }
}

/// Takes the upload, unless another node has it.
pub(super) async fn try_to_take(state: &PostgresState, token: &Token) -> Result<Option<Box<dyn Held>>, Error> {
    if state.group().is_none() {
        return Ok(Some(Box::new(())));
    }
    let hold = new_hold(state, token);
    Ok(match attempt(state, token, hold.hold, false).await? {
        Taken::Held => Some(Box::new(hold)),
        Taken::Unknown => Some(Box::new(())),
        Taken::Busy => None,
    })
}

fn new_hold(state: &PostgresState, token: &Token) -> Hold {
    Hold { state: state.clone(), token: token.clone(), hold: held::next_hold() }
}

async fn attempt(state: &PostgresState, token: &Token, hold: i64, asks: bool) -> Result<Taken, Error> {
    transaction!(state, Synced, |writing| {
        if fetch_optional(writing, TAKE, values![token.as_str(), hold], |_| Ok(())).await?.is_some() {
            return Ok(Taken::Held);
        }
        let sql = if asks { ASK } else { "SELECT 1 FROM resumables WHERE token = $1" };
        let is_known = fetch_optional(writing, sql, values![token.as_str()], |_| Ok(())).await?.is_some();
        Ok(if is_known { Taken::Busy } else { Taken::Unknown })
    })
}

/// A hold that the same node has begun since is another one.
async fn release(state: &PostgresState, token: &Token, hold: i64) -> Result<(), Error> {
    transaction!(state, Synced, |writing| execute(writing, RELEASE, values![token.as_str(), hold]).await.map(drop))
}

/// Uploads of this node that others wait for.
pub(super) async fn wanted(state: &PostgresState) -> Result<Vec<Token>, Error> {
    let (Some(node), Some(_)) = (state.node(), state.group()) else { return Ok(Vec::new()) };
    let sql = "SELECT token FROM resumables WHERE serving_node = ? AND serving_wanted";
    let token = |row: &Row| row.try_get("token").map(Token::from_stored);
    fetch_all(&mut *state.look().await?, sql, values![node], token).await
}
