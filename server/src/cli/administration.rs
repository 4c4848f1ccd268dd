//! The commands that work on the database: carried out here, by whichever process has it; on PostgreSQL, by this one.

use super::{keys, sessions};
use crate::config::DataDir;
use crate::control::{Reached, Request, reach};
use crate::opening::make_data_folder;
use crate::placement;
use anyhow::{Context, bail};
use lakeshore::ports::State;
use lakeshore::service::KeyRing;
use lakeshore_metadata::postgres::PostgresState;
use lakeshore_metadata::sqlite::{SqliteState, refuse_missing};
use lakeshore_metadata::store::Opening;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use lakeshore_system::terminal;

/// Performs a command and prints its output.
pub(super) async fn run(data: &DataDir, opening: Opening, request: &Request) -> anyhow::Result<()> {
    if let Some(postgres) = &data.metadata {
        let state = PostgresState::open_for(postgres, opening).await?;
        let performed = perform(request, &state).await;
        state.close().await;
        return print(&performed?);
    }
    let database = data.database();
    placement::refuse_inside_a_lake(&database)?;
    refuse_missing(&database, opening)?;
    if opening != Opening::Existing {
        // It is unknown here whether the lake is inside.
        make_data_folder(&data.path, true)?;
    }
    let output = match reach(data).await? {
        Reached::Server(server) => server.ask(request).await?,
        Reached::Own(turn) => {
            let was_there = database.exists();
            let state = SqliteState::open_in_turn(&database, opening, turn).await?;
            if !was_there {
                terminal::say(&format!("created a new database at {}", database.display()));
            }
            let performed = perform(request, &state).await;
            state.close().await;
            performed?
        }
    };
    print(&output)
}

fn print(output: &str) -> anyhow::Result<()> {
    let mut standard_output = terminal::output();
    for line in output.lines() {
        terminal::line(&mut standard_output, line).context("cannot print the result")?;
    }
    Ok(())
}

/// Performs a command on an open database, and returns its output.
pub async fn perform(request: &Request, state: &dyn State) -> anyhow::Result<String> {
    let ring = KeyRing { state, clock: &SystemClock, randomness: &SystemRandomness };
    let mut output = Vec::new();
    match request {
        Request::CreateKey(new) => keys::create(&ring, new, &mut output).await?,
        Request::ListKeys => keys::list(&ring, &mut output).await?,
        Request::RevokeKey(key) => keys::revoke(&ring, key).await?,
        Request::ListSessions => sessions::list(state, &mut output).await?,
        Request::EndSessions(wanted) => sessions::end(state, wanted, &mut output).await?,
        Request::Copy => bail!("a copy is sent as bytes"),
    }
    Ok(String::from_utf8(output)?)
}
