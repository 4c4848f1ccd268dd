//! `lakeshore get`: from the lake to this machine.

use super::client::{connect, end, interruption, printed, tell};
use crate::client::call::Client;
use crate::client::download::{Fetched, fetch, print};
use crate::client::error::{ClientError, DONE, FAILED};
use crate::client::fetch::{Got, fetch_folder};
use crate::client::listing::{Listing, is_not_there};
use crate::client::progress::Progress;
use crate::config::GetOptions;
use bytesize::ByteSize;
use lakeshore::LakePath;
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

pub async fn run(options: &GetOptions) -> ExitCode {
    end(get(options).await)
}

async fn get(options: &GetOptions) -> Result<u8, ClientError> {
    let stop = interruption()?;
    let progress = Progress::new(options.quiet);
    let told = progress.clone();
    let client = connect(&options.connect, stop, Arc::new(move |line| told.tell(line)))?;
    let path = &options.path;
    let is_folder = is_folder(&client, path).await?;
    let to_stdout = options.to.as_deref() == Some(Path::new("-"));
    if to_stdout {
        if is_folder || options.json {
            return Err(ClientError::Usage("standard output takes one file, and nothing beside it".into()));
        }
        print(&client, path, &progress.of_file(path.as_str(), 0)).await?;
        return Ok(DONE);
    }
    let to = options.to.clone().unwrap_or_else(|| PathBuf::from(path.leaf()));
    let (to, got) = if is_folder {
        let got = fetch_folder(&client, path, &to, options.jobs.get(), &progress).await?;
        (to, got)
    } else {
        fetch_one(&client, path, to, &progress).await?
    };
    tell_what(options, &to, &got)?;
    Ok(if got.failed.count > 0 { FAILED } else { DONE })
}

async fn fetch_one(
    client: &Client,
    path: &LakePath,
    to: PathBuf,
    progress: &Arc<Progress>,
) -> Result<(PathBuf, Got), ClientError> {
    let to = if to.is_dir() { to.join(path.leaf()) } else { to };
    progress.begin("fetching", Some(1), None);
    let mut got = Got::default();
    let fetched: Fetched = fetch(client, path, &to, &progress.of_file(path.leaf(), 0)).await?;
    progress.end();
    got.add(fetched);
    Ok((to, got))
}

/// Asks the folder that it is in.
async fn is_folder(client: &Client, path: &LakePath) -> Result<bool, ClientError> {
    match Listing::of(client, path.as_str()).next_page().await {
        Ok(_) => Ok(true),
        // A file, or nothing: fetching it tells.
        Err(error) if is_not_there(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn tell_what(options: &GetOptions, to: &Path, got: &Got) -> Result<(), ClientError> {
    if options.json {
        #[derive(Serialize)]
        struct Report<'a> {
            path: &'a LakePath,
            to: &'a Path,
            #[serde(flatten)]
            got: &'a Got,
        }
        let report = Report { path: &options.path, to, got };
        let mut output = io::stdout().lock();
        let written = serde_json::to_writer(&mut output, &report).map_err(io::Error::from);
        return printed(written.and_then(|()| writeln!(output)));
    }
    let Got { files, bytes, unchanged, failed } = got;
    tell(&format!("{files} files ({}) fetched to {}, {unchanged} were there already", ByteSize(*bytes), to.display()));
    if failed.count > 0 {
        tell(&format!("lakeshore: {} files could not be fetched", failed.count));
    }
    Ok(())
}
