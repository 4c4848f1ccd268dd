//! Implementation of `lakeshore get`: downloads from the lake to this machine.

use super::client::{connect, end, interruption, printed, tell};
use crate::config::GetOptions;
use bytesize::ByteSize;
use lakeshore::LakePath;
use lakeshore::model::id::VersionNumber;
use lakeshore_client::call::Client;
use lakeshore_client::download::{Source, print};
use lakeshore_client::error::{ClientError, DONE, FAILED};
use lakeshore_client::fetch::{FetchReport, Fetcher};
use lakeshore_client::listing::{Listing, is_not_there};
use lakeshore_client::progress::Progress;
use lakeshore_client::target::{Folder, Records, Target};
use lakeshore_client::versions::{self, OfVersion, Wanted};
use lakeshore_system::terminal;
use serde::Serialize;
use std::path::Path;
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
    let wanted = Wanted { version: options.version, as_of: options.as_of.clone() };
    let what = what(&client, path, &wanted).await?;
    let to_stdout = options.to.as_deref() == Some(Path::new("-"));
    if to_stdout {
        let Download::File(source) = &what else {
            return Err(ClientError::Usage(
                "standard output takes a single file; choose a folder to fetch more".into(),
            ));
        };
        if options.json {
            return Err(ClientError::Usage(
                "standard output takes a single file; choose a folder to fetch more".into(),
            ));
        }
        print(&client, source, &progress.of_file(path.as_str(), 0)).await?;
        return Ok(DONE);
    }
    // Without a place for records, the next command starts an interrupted download again.
    let records = Records::open().inspect_err(|error| progress.tell(&format!("warning: {error}"))).ok();
    let folder = || match &options.to {
        Some(to) => Folder::named(to),
        // Nobody has typed this name, so an existing link under it is not followed.
        None => Folder::named(Path::new(""))?.below([path.leaf()]),
    };
    let fetcher = Fetcher { client: &client, records: records.as_ref(), jobs: options.jobs.get(), progress: &progress };
    let (to, got) = match &what {
        Download::Version(of) => {
            let to = folder()?;
            let got = fetcher.fetch_version(of, path, &to).await?;
            (to.path().to_owned(), got)
        }
        Download::Folder => {
            let to = folder()?;
            let got = fetcher.fetch_folder(path, &to).await?;
            (to.path().to_owned(), got)
        }
        Download::File(source) => {
            let target = target(path, options.to.as_deref())?;
            (target.path(), fetcher.fetch_file(source, &target).await?)
        }
    };
    let version = match &what {
        Download::Version(of) | Download::File(Source { of: Some(of), .. }) => Some(of),
        Download::Folder | Download::File(_) => None,
    };
    tell_what(options, version, &to, &got)?;
    Ok(if got.failed.count > 0 { FAILED } else { DONE })
}

/// Kind of the requested path.
enum Download {
    File(Source),
    /// A dataset, or a folder in one.
    Version(OfVersion),
    /// A folder outside any dataset.
    Folder,
}

async fn what(client: &Client, path: &LakePath, wanted: &Wanted) -> Result<Download, ClientError> {
    match versions::find(client, path, wanted).await? {
        Some((of, Some(file))) if file.path == *path => {
            // The current file, unless a version was given: a single file is always consistent.
            let is_named = wanted.version.is_some() || wanted.as_of.is_some();
            let source = Source { path: file.path, sha256: Some(file.sha256), of: Some(of) };
            Ok(Download::File(if is_named { source } else { Source::live(path) }))
        }
        Some((of, Some(_))) => Ok(Download::Version(of)),
        Some((of, None)) if of.dataset == *path => Ok(Download::Version(of)),
        // The version has no such file, but the current dataset may.
        Some((of, None)) if wanted.version.is_some() || wanted.as_of.is_some() => Err(ClientError::Local(format!(
            "version {} of {} has nothing at {path}; \"lakeshore ls {}\" shows what there is now",
            of.number, of.dataset, of.dataset
        ))),
        _ if is_folder(client, path).await? => Ok(Download::Folder),
        _ => Ok(Download::File(Source::live(path))),
    }
}

/// Target of a single file: inside the given folder, or under the given name.
fn target(path: &LakePath, to: Option<&Path>) -> Result<Target, ClientError> {
    let Some(to) = to else { return Ok(Folder::named(Path::new(""))?.file(path.leaf())) };
    if to.is_dir() {
        return Ok(Folder::named(to)?.file(path.leaf()));
    }
    match (to.parent(), to.file_name()) {
        (Some(folder), Some(name)) => Ok(Folder::named(folder)?.file(name)),
        _ => Err(ClientError::Usage(format!("{} is not a file name; choose another", to.display()))),
    }
}

/// Checks by listing the path.
async fn is_folder(client: &Client, path: &LakePath) -> Result<bool, ClientError> {
    match Listing::of(client, path.as_str()).next_page().await {
        Ok(_) => Ok(true),
        // A file or nothing: the download will tell.
        Err(error) if is_not_there(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn tell_what(
    options: &GetOptions,
    version: Option<&OfVersion>,
    to: &Path,
    got: &FetchReport,
) -> Result<(), ClientError> {
    if options.json {
        #[derive(Serialize)]
        struct Report<'a> {
            path: &'a LakePath,
            /// Absent for a folder outside any dataset, and for a single current file.
            #[serde(skip_serializing_if = "Option::is_none")]
            version: Option<VersionNumber>,
            to: &'a Path,
            #[serde(flatten)]
            got: &'a FetchReport,
        }
        let report = Report { path: &options.path, version: version.map(|of| of.number), to, got };
        return printed(terminal::json_line(&mut terminal::output(), &report));
    }
    let FetchReport { files, bytes, unchanged, failed } = got;
    let of = version.map_or_else(String::new, |of| format!(" of version {}", of.number));
    tell(&format!("{files} files{of} ({}) fetched to {}, {unchanged} unchanged", ByteSize(*bytes), to.display()));
    if failed.count > 0 {
        tell(&format!("lakeshore: {} files could not be fetched", failed.count));
    }
    Ok(())
}
