//! Implementation of `lakeshore ls`: lists a folder of the lake.

use super::client::{connect_plainly, end, interruption, printed};
use super::moment::moment;
use crate::config::ListOptions;
use bytesize::ByteSize;
use lakeshore::model::dataset::browsing::LakeEntry;
use lakeshore_client::error::{ClientError, DONE};
use lakeshore_client::listing::Listing;
use lakeshore_system::terminal::{self, json_line, line};
use std::io::{self, Write};
use std::process::ExitCode;

/// Digits of a SHA-256 that distinguish files for people.
const DIGITS: usize = 12;

pub async fn run(options: &ListOptions) -> ExitCode {
    end(list(options).await)
}

async fn list(options: &ListOptions) -> Result<u8, ClientError> {
    let client = connect_plainly(&options.connect, interruption()?)?;
    let mut listing = Listing::of(&client, &options.path);
    loop {
        let page = listing.next_page().await?;
        if page.is_empty() {
            return Ok(DONE);
        }
        let mut output = terminal::output();
        for entry in &page {
            printed(if options.json { json_line(&mut output, entry) } else { print(&mut output, entry) })?;
        }
    }
}

fn print(output: &mut impl Write, entry: &LakeEntry) -> io::Result<()> {
    let size = if entry.is_folder { "-".to_owned() } else { ByteSize(entry.size_bytes).to_string() };
    let sha256 = entry.sha256.as_deref().and_then(|digits| digits.get(..DIGITS)).unwrap_or("-");
    let slash = if entry.is_folder { "/" } else { "" };
    let time = moment(Some(entry.modified_time), "-");
    line(output, &format!("{size:>10}  {time:17}  {sha256:DIGITS$}  {}{slash}", entry.name))
}
