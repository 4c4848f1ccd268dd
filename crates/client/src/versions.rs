//! Versions of datasets, as `get` and `snapshot` ask for them: what is fetched is all of one version, or it fails.

use super::call::Client;
use super::error::ClientError;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::limits::LIST_SIZE_MAX;
use lakeshore::model::version_requests::{ListedVersionFile, VersionDetail};
use lakeshore::{ErrorCode, LakePath};

const ADDRESS: &str = "/api/lake/dataset/version";
/// Files of one page.
const PAGE_SIZE: u64 = LIST_SIZE_MAX;

/// Which version is wanted; by neither, the newest.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub version: Option<u64>,
    /// A time, as the server understands it.
    pub as_of: Option<String>,
}

impl Wanted {
    fn is_named(&self) -> bool {
        self.version.is_some() || self.as_of.is_some()
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let version = self.version.map(|version| ("version", version.to_string()));
        let as_of = self.as_of.clone().map(|as_of| ("as_of", as_of));
        version.into_iter().chain(as_of).collect()
    }
}

/// One version of a dataset, which stays what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfVersion {
    pub dataset: LakePath,
    pub number: VersionNumber,
}

/// The version that a place belongs to, and its first file there. `None` where the place lies in no dataset that has versions,
/// and none was named.
pub async fn find(
    client: &Client,
    place: &LakePath,
    wanted: &Wanted,
) -> Result<Option<(OfVersion, Option<ListedVersionFile>)>, ClientError> {
    let mut query = wanted.query();
    query.push(("path", place.to_string()));
    query.push(("size", "1".to_owned()));
    let found: Result<VersionDetail, _> = client.get(ADDRESS, &query).await;
    match found {
        Ok(VersionDetail { version, files, .. }) => {
            let of = OfVersion { dataset: version.path, number: version.version };
            Ok(Some((of, files.into_iter().next())))
        }
        // No dataset; or a server of before there were versions.
        Err(error)
            if !wanted.is_named()
                && [ErrorCode::NoSuchDataset, ErrorCode::NoSuchVersion, ErrorCode::NoSuchRoute]
                    .into_iter()
                    .any(|code| error.is_refusal(code)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The files of a version at a place and below, page by page.
pub struct VersionListing<'a> {
    client: &'a Client,
    of: &'a OfVersion,
    place: LakePath,
    after: Option<LakePath>,
    is_over: bool,
}

impl<'a> VersionListing<'a> {
    pub fn of(client: &'a Client, of: &'a OfVersion, place: &LakePath) -> Self {
        Self { client, of, place: place.clone(), after: None, is_over: false }
    }

    /// The next files; none when there are no more.
    pub async fn next_page(&mut self) -> Result<Vec<ListedVersionFile>, ClientError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let mut query = vec![
            ("path", self.place.to_string()),
            ("version", self.of.number.to_string()),
            ("size", PAGE_SIZE.to_string()),
        ];
        query.extend(self.after.iter().map(|after| ("after", after.to_string())));
        let VersionDetail { files, next, .. } = self.client.get(ADDRESS, &query).await?;
        let is_behind = |path: &LakePath| self.after.as_ref().is_none_or(|after| after < path);
        let is_in_order = files.is_sorted_by(|one, other| one.path < other.path);
        if !is_in_order
            || files.first().is_some_and(|first| !is_behind(&first.path))
            || (next.is_some() && files.is_empty())
        {
            let server = self.client.server();
            return Err(ClientError::Unexpected(format!(
                "{server} lists the files of a version out of order; check that it is a Lakeshore server"
            )));
        }
        self.is_over = next.is_none();
        self.after = files.last().map(|last| last.path.clone());
        Ok(files)
    }
}
