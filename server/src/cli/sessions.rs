//! Implementation of `lakeshore session …`.

use super::administration;
use super::moment::moment;
use super::table;
use crate::config::{EndSession, SessionAction};
use crate::control::{Request, WantedSessions};
use anyhow::anyhow;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::access::session::{EndSessions, SessionEntry};
use lakeshore::model::id::SessionId;
use lakeshore::model::limits::SESSIONS_LISTED_MAX;
use lakeshore::ports::{Clock, State};
use lakeshore_metadata::store::Opening;
use lakeshore_system::clock::SystemClock;
use lakeshore_system::terminal;
use std::io::Write;

pub async fn run(action: &SessionAction) -> anyhow::Result<()> {
    let (data, request) = match action {
        SessionAction::List(data) => (data, Request::ListSessions),
        SessionAction::End(end) => (&end.data, Request::EndSessions(wanted(end))),
    };
    administration::run(data, Opening::Existing, &request).await
}

fn wanted(end: &EndSession) -> WantedSessions {
    match (end.session, &end.key) {
        (Some(id), _) => WantedSessions::One(id),
        (None, Some(key)) => WantedSessions::OfKey(key.clone()),
        (None, None) => WantedSessions::All,
    }
}

pub(super) async fn list(state: &dyn State, output: &mut impl Write) -> anyhow::Result<()> {
    let head = ["ID", "KEY", "NAME", "STARTED", "LAST SEEN", "EXPIRES", "ADDRESS", "CLIENT"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(state.sessions(None, SystemClock.now(), SESSIONS_LISTED_MAX).await?.iter().map(row));
    table::print(output, &rows, &[])?;
    Ok(())
}

fn row(session: &SessionEntry) -> [String; 8] {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        session.session_id.0.to_string(),
        session.key_id.map_or("-".to_owned(), |key_id| key_id.0.to_string()),
        if session.key_id.is_some() { session.key_name.clone() } else { "first sign-in".to_owned() },
        moment(Some(session.begun_at), "-"),
        moment(Some(session.last_seen_at), "-"),
        moment(Some(session.expires_at), "-"),
        or_unknown(&session.address),
        or_unknown(&session.program),
    ]
}

pub(super) async fn end(state: &dyn State, wanted: &WantedSessions, output: &mut impl Write) -> anyhow::Result<()> {
    let wanted = match wanted {
        WantedSessions::One(id) => EndSessions::One(SessionId(*id)),
        WantedSessions::OfKey(key) => EndSessions::OfKey(super::keys::active_key(state, key).await?),
        WantedSessions::All => EndSessions::Others,
    };
    let ended = state.end_sessions(wanted, None, None, &Actor::command_line(), SystemClock.now()).await?;
    if let (0, EndSessions::One(SessionId(id))) = (ended, wanted) {
        return Err(anyhow!("session {id} not found; \"lakeshore session list\" lists the sessions"));
    }
    let said = if ended == 1 { "1 session ended".to_owned() } else { format!("{ended} sessions ended") };
    terminal::line(output, &said)?;
    Ok(())
}
