//! Server functions: the pages' calls of the lake, a few lines each over the service that REST uses too.
//!
//! The server provides the [`Lake`], the [`Caller`] and the [`Site`] by context.

pub mod activity;
pub mod datasets;
pub mod search;
pub mod sessions;
pub mod trash;
pub mod versions;

use crate::drawing::Drawing;
use crate::error::ApiError;
use crate::json::Call;
use lakeshore::model::access::role::Role;
use lakeshore::model::dataset::browsing::{BrowseFolder, Browsed};
use lakeshore::model::dataset::schema::SchemaPolicy;
use lakeshore::model::dataset::schema_policy::DatasetSchema;
use lakeshore::model::event::EventId;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::ListParameters;
use lakeshore::model::path::LakePath;
use lakeshore::model::preview::FilePreview;
use lakeshore::model::sync::comparison::Comparison;
use lakeshore::model::sync::difference::Difference;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::{end, failure_report, start};
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::in_flight::UploadInFlight;
use lakeshore::model::upload::offer::{Missing, Offer};
use lakeshore::model::upload::row::Upload;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use lakeshore::model::access::key::may_administer;
#[cfg(feature = "ssr")]
use lakeshore::model::dataset::schema_policy;
#[cfg(feature = "ssr")]
use lakeshore::{Caller, Grant, Lake};
#[cfg(feature = "ssr")]
use std::{pin::Pin, sync::Arc};

/// Address of this server, as the browser sees it: `http://127.0.0.1:3000`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    pub origin: String,
    /// This visitor needs no key to read: the lake is open to their network.
    pub is_open: bool,
}

/// An answer with the server's time and event id. Relative times such as "3 minutes ago" are computed from that time,
/// so that server and browser render the same text whatever the browser's clock says. The event id lets the page miss
/// no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf<T> {
    pub now: Timestamp,
    /// The answer includes the effects of all events up to this one.
    pub last_event: EventId,
    pub value: T,
}

/// Folder that readers of the lake read, on the server's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeRoot(pub String);

#[cfg(feature = "ssr")]
impl LakeRoot {
    /// Where a file or folder of the lake lies on the server's disk; `None` on object storage, where names are in the
    /// database.
    pub(crate) fn disk_path(&self, path: &LakePath) -> Option<String> {
        (!self.0.contains("://")).then(|| format!("{}{path}", self.0.trim_end_matches('/')))
    }
}

/// Checks whether a write would succeed. The answer is the reason why not, if any.
#[cfg(feature = "ssr")]
#[derive(Clone)]
pub struct ReadinessCheck(pub Arc<dyn Fn() -> ReadinessAnswer + Send + std::marker::Sync>);

#[cfg(feature = "ssr")]
pub type ReadinessAnswer = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// File or folder at a lake path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InLake {
    Folder {
        folder: Browsed,
        /// Absent for the lake root.
        schema: Option<Box<DatasetSchema>>,
        /// Prefix of the key, above which nothing is shown.
        top: Option<LakePath>,
        /// The dataset that the folder is or belongs to.
        dataset: Option<LakePath>,
    },
    File {
        file: Box<FilePreview>,
        /// The dataset that the file belongs to.
        dataset: Option<LakePath>,
        /// Where it lies on the server's disk, for those who may know.
        disk_path: Option<String>,
    },
}

/// The visitor's session, and server settings that pages need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Name and role of the key that signed in; absent for a visitor.
    pub signed_in: Option<(String, Role)>,
    /// Signed in by the link of the first start, which is valid until a key exists.
    #[serde(default)]
    pub is_first_sign_in: bool,
    /// Administers the whole lake: keys, and the trash of all paths.
    #[serde(default)]
    pub may_administer: bool,
    pub site: Site,
    /// Largest file that the server accepts, in bytes.
    pub upload_bytes_max: u64,
}

impl Session {
    pub fn has_role(&self, needed: Role) -> bool {
        self.signed_in.as_ref().is_some_and(|(_, role)| *role >= needed)
    }

    /// Whether a sign-in is needed before anything may be shown.
    pub fn must_sign_in(&self) -> bool {
        !self.site.is_open && self.signed_in.is_none()
    }
}

/// Lake and caller of the current request.
#[cfg(feature = "ssr")]
fn request_context() -> Result<(Lake, Caller), ApiError> {
    let lake = use_context::<Lake>().ok_or_else(ApiError::no_context)?;
    let caller = use_context::<Caller>().ok_or_else(ApiError::no_context)?;
    Ok((lake, caller))
}

#[cfg(feature = "ssr")]
async fn as_of<T>(lake: &Lake, read: impl Future<Output = Result<T, lakeshore::Error>>) -> Result<AsOf<T>, ApiError> {
    // Taken before the read, so that no later event is skipped.
    let last_event = lake.last_event();
    let value = read.await?;
    Ok(AsOf { now: lake.now(), last_event, value })
}

#[server(prefix = "/fn", endpoint = "session", input = Call, output = Call)]
pub async fn current_session() -> Result<Session, ApiError> {
    let (lake, caller) = request_context()?;
    let is_first_sign_in = caller.known().is_ok_and(Grant::is_first_sign_in);
    let is_administrator = may_administer(&caller).is_ok();
    let signed_in = match caller {
        Caller::Known(grant) => Some((grant.name, grant.role)),
        Caller::Guest(_) | Caller::Anonymous => None,
    };
    let site = use_context::<Site>().ok_or_else(ApiError::no_context)?;
    let upload_bytes_max = lake.limits().upload_bytes_max;
    Ok(Session { signed_in, is_first_sign_in, may_administer: is_administrator, site, upload_bytes_max })
}

#[server(prefix = "/fn", endpoint = "syncs", input = Call, output = Call)]
pub async fn list_syncs(parameters: ListParameters) -> Result<AsOf<Vec<SyncJob>>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.syncs(&caller, &parameters)).await
}

#[server(prefix = "/fn", endpoint = "sync", input = Call, output = Call)]
pub async fn get_sync(sync_id: SyncId) -> Result<AsOf<SyncJob>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.sync(&caller, sync_id)).await
}

/// Uploads in flight that the page of a sync shows at first.
#[cfg(feature = "ssr")]
const IN_FLIGHT_GIVEN_MAX: u64 = 200;

/// A sync, a page of its uploads, and its uploads in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRows {
    pub sync: SyncJob,
    pub uploads: Vec<Upload>,
    pub in_flight: Vec<UploadInFlight>,
}

/// `parameters` select the page of uploads.
#[server(prefix = "/fn", endpoint = "sync-rows", input = Call, output = Call)]
pub async fn get_sync_rows(sync_id: SyncId, parameters: ListParameters) -> Result<AsOf<SyncRows>, ApiError> {
    let (lake, caller) = request_context()?;
    let read = async {
        let of_sync = ListParameters { sync_id: Some(sync_id), ..parameters };
        let sync = lake.sync(&caller, sync_id).await?;
        let uploads = lake.uploads(&caller, &of_sync).await?;
        let all =
            ListParameters { sync_id: Some(sync_id), size: Some(IN_FLIGHT_GIVEN_MAX), ..ListParameters::default() };
        let in_flight = lake.in_flight(&caller, &all).await?;
        Ok(SyncRows { sync, uploads, in_flight })
    };
    as_of(&lake, read).await
}

/// Waterfall chart of a sync.
#[server(prefix = "/fn", endpoint = "timeline", input = Call, output = Call)]
pub async fn get_timeline(sync_id: SyncId) -> Result<AsOf<Drawing>, ApiError> {
    let (lake, caller) = request_context()?;
    let timeline = as_of(&lake, lake.timeline(&caller, sync_id)).await?;
    let value = crate::charts::waterfall(&timeline.value, timeline.now);
    Ok(AsOf { now: timeline.now, last_event: timeline.last_event, value })
}

#[server(prefix = "/fn", endpoint = "history", input = Call, output = Call)]
pub async fn list_uploads(parameters: ListParameters) -> Result<AsOf<Vec<Upload>>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.uploads(&caller, &parameters)).await
}

#[server(prefix = "/fn", endpoint = "start", input = Call, output = Call)]
pub async fn start_sync(start: start::StartSync) -> Result<SyncId, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.start_sync(&caller, &start).await?)
}

#[server(prefix = "/fn", endpoint = "end", input = Call, output = Call)]
pub async fn end_sync(end: end::EndSync) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.end_sync(&caller, &end).await?)
}

#[server(prefix = "/fn", endpoint = "abort", input = Call, output = Call)]
pub async fn abort_sync(end: end::EndSync) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.abort_sync(&caller, &end).await?)
}

/// Effect of ending the sync. Requested when the dialog opens, because it counts files.
#[server(prefix = "/fn", endpoint = "end-preview", input = Call, output = Call)]
pub async fn end_preview(sync_id: SyncId) -> Result<end::EndPreview, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.end_preview(&caller, sync_id).await?)
}

/// Declared files of the sync compared with the landed ones. `None` without a declaration.
#[server(prefix = "/fn", endpoint = "expected", input = Call, output = Call)]
pub async fn compare_expected(sync_id: SyncId) -> Result<Option<Comparison>, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.compare_expected(&caller, sync_id).await?)
}

/// Changes that the sync makes, with the first files of each kind. Visits every file.
#[server(prefix = "/fn", endpoint = "difference", input = Call, output = Call)]
pub async fn get_difference(sync_id: SyncId) -> Result<Difference, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.difference_in_short(&caller, sync_id).await?)
}

/// Failures of the sync by cause, and the last successful run before it.
#[server(prefix = "/fn", endpoint = "failures", input = Call, output = Call)]
pub async fn failure_report(sync_id: SyncId) -> Result<failure_report::FailureReport, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.failure_report(&caller, sync_id).await?)
}

/// Which of the files the lake lacks. In a full sync, what is unchanged becomes part of it where that is wanted.
#[server(prefix = "/fn", endpoint = "missing", input = Call, output = Call)]
pub async fn missing_files(offer: Offer) -> Result<Missing, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.missing_files(&caller, &offer).await?)
}

/// A page of a folder of the lake, or a file with its first rows.
#[server(prefix = "/fn", endpoint = "lake", input = Call, output = Call)]
pub async fn look_into_lake(wanted: BrowseFolder) -> Result<AsOf<InLake>, ApiError> {
    const ROWS: u64 = 100;
    let (lake, caller) = request_context()?;
    let top = caller.may_read()?;
    // For a key with a prefix, the lake is that folder, even while it does not exist.
    let is_top = top.as_ref().is_some_and(|top| wanted.path.as_deref().is_none_or(|path| path == top.as_str()));
    let path = if is_top { top.as_ref().map(ToString::to_string) } else { wanted.path.clone() };
    let wanted = BrowseFolder { path, ..wanted };
    let (now, last_event) = (lake.now(), lake.last_event());
    let (refused, path) = match (lake.browse_folder(&caller, &wanted).await, wanted.path) {
        (Ok(folder), _) => {
            let (schema, dataset) = match &folder.folder {
                Some(path) => {
                    let schema = Some(Box::new(lake.dataset_schema(&caller, path.as_str()).await?));
                    (schema, lake.current_version(&caller, path.as_str()).await.map(|(dataset, _)| dataset))
                }
                None => (None, None),
            };
            return Ok(AsOf { now, last_event, value: InLake::Folder { folder, schema, top, dataset } });
        }
        (Err(lakeshore::Error::NoSuchFolder(_)), _) if is_top => {
            let folder = Browsed { folder: top.clone(), entries: Vec::new(), is_cut: false };
            return Ok(AsOf { now, last_event, value: InLake::Folder { folder, schema: None, top, dataset: None } });
        }
        (Err(refused @ lakeshore::Error::NoSuchFolder(_)), Some(path)) => (refused, path),
        (Err(refused), _) => return Err(refused.into()),
    };
    let file = match lake.preview(&caller, &path, Some(ROWS)).await {
        Ok((file, _)) => Box::new(file),
        Err(lakeshore::Error::NoSuchFile(_)) => return Err(refused.into()),
        Err(fault) => return Err(fault.into()),
    };
    let dataset = lake.current_version(&caller, file.path.as_str()).await.map(|(dataset, _)| dataset);
    // Not for those who may see only a part of the lake.
    let sees_all = caller.may_read()?.is_none();
    let root = use_context::<LakeRoot>().filter(|_| sees_all);
    let disk_path = root.and_then(|root| root.disk_path(&file.path));
    Ok(AsOf { now, last_event, value: InLake::File { file, dataset, disk_path } })
}

/// Sets the schema policy of a dataset. The body is a form's.
#[server(prefix = "/fn", endpoint = "schema-policy")]
pub async fn set_schema_policy(path: String, policy: SchemaPolicy) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.set_schema_policy(&caller, &schema_policy::SetSchemaPolicy { path, policy }).await?)
}

/// Known datasets whose path begins with the text.
#[server(prefix = "/fn", endpoint = "datasets", input = Call, output = Call)]
pub async fn list_datasets(beginning: String) -> Result<Vec<LakePath>, ApiError> {
    let (lake, caller) = request_context()?;
    Ok(lake.datasets(&caller, &beginning).await?)
}
