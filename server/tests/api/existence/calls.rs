//! Every call and every page that names something, and a request for each.

use crate::server::TestServer;
use crate::tus_client::CHUNK_TYPE;
use reqwest::{Method, RequestBuilder};

/// Kind of the name in a call: a sync, a row of the history, a trash item, a path, or a resumable upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Sync,
    Row,
    Trash,
    Place,
    Upload,
}

/// Least role for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    Read,
    Write,
    Admin,
}

pub(super) struct Call {
    pub(super) names: Names,
    pub(super) needs: Needs,
    pub(super) method: &'static str,
    /// URL, with `@` in place of the name.
    pub(super) address: &'static str,
    /// Body, with `@` in place of the name; empty for none.
    pub(super) body: &'static str,
}

pub(super) const fn call(
    names: Names,
    needs: Needs,
    method: &'static str,
    address: &'static str,
    body: &'static str,
) -> Call {
    Call { names, needs, method, address, body }
}

/// Every call of the API, and every server function, with a name.
pub(super) const CALLS: &[Call] = {
    use Names::{Place, Row, Sync, Trash, Upload};
    use Needs::{Admin, Read, Write};
    &[
        call(Sync, Read, "GET", "/api/ingestion/file/sync/@", ""),
        call(Sync, Read, "GET", "/api/ingestion/file/sync/history?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/ingestion/file/sync/history?sync_id=@&status=Failed", ""),
        call(Sync, Read, "GET", "/api/ingestion/file/sync/history?sync_id=@&order=desc&q=list", ""),
        call(Sync, Read, "GET", "/api/ingestion/file/sync/in-flight?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/files?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/file/sync/expect?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/file/sync/difference?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/trash?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/trash/groups?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/activity?sync_id=@", ""),
        call(Sync, Read, "GET", "/api/lake/search?q=@", ""),
        call(Sync, Write, "POST", "/api/ingestion/file/sync/end", "{\"sync_id\":@}"),
        call(
            Sync,
            Write,
            "POST",
            "/api/ingestion/file/sync/end",
            "{\"sync_id\":@,\"confirm\":true,\"allow_empty\":true}",
        ),
        call(Sync, Write, "POST", "/api/ingestion/file/sync/abort", "{\"sync_id\":@}"),
        call(Sync, Write, "POST", "/api/lake/file/sync/expect", "{\"sync_id\":@,\"expected\":{\"count\":1}}"),
        call(Sync, Write, "POST", "/api/lake/file/missing", "{\"sync_id\":@,\"files\":[]}"),
        call(
            Sync,
            Write,
            "POST",
            "/api/lake/file/missing",
            "{\"sync_id\":@,\"files\":[],\"path\":\"/hr\",\"take_over\":true}",
        ),
        call(Sync, Write, "POST", "/api/lake/file/upload?sync_id=@", "multipart"),
        call(Sync, Write, "POST", "/api/lake/file/upload?sync_id=@&path=/hr/layoffs/x", "multipart"),
        call(Sync, Write, "POST", "/api/lake/file/resumable/a?sync_id=@", "bytes"),
        call(Sync, Write, "PUT", "/api/lake/file/resumable/a?sync_id=@", "bytes"),
        call(Sync, Write, "POST", "/api/lake/files?sync_id=@", "tus"),
        call(Sync, Write, "POST", "/api/lake/trash/restore", "{\"sync_id\":@}"),
        call(Sync, Admin, "POST", "/api/lake/trash/empty", "{\"sync_id\":@}"),
        call(Row, Read, "GET", "/api/ingestion/file/sync/upload/@", ""),
        call(Trash, Read, "GET", "/api/lake/trash/look?trash_id=@", ""),
        call(Trash, Read, "GET", "/api/lake/trash/look?trash_id=@&relative=a", ""),
        call(Trash, Read, "GET", "/api/lake/dataset/difference?path=/hr/layoffs&trash_id=@", ""),
        call(Trash, Write, "POST", "/api/lake/trash/restore", "{\"trash_id\":@}"),
        call(Trash, Write, "POST", "/api/lake/trash/restore", "{\"trash_ids\":[@,@]}"),
        call(Trash, Admin, "POST", "/api/lake/trash/empty", "{\"trash_id\":@}"),
        call(Place, Read, "GET", "/api/ingestion/file/sync/list?path=@", ""),
        call(Place, Read, "GET", "/api/ingestion/file/sync/history?path=@", ""),
        call(Place, Read, "GET", "/api/lake/file/list?path=@", ""),
        call(Place, Read, "GET", "/api/lake/file/list?path=@&sort=size&order=desc", ""),
        call(Place, Read, "GET", "/api/lake/file/list?path=@&q=list", ""),
        call(Place, Read, "GET", "/api/lake/file/download?path=@", ""),
        call(Place, Read, "GET", "/api/lake/file/download?path=@/list.csv", ""),
        call(Place, Read, "HEAD", "/api/lake/file/download?path=@/list.csv", ""),
        call(Place, Read, "GET", "/api/lake/file/preview?path=@/list.csv", ""),
        call(Place, Read, "GET", "/api/lake/datasets?path=@", ""),
        call(Place, Read, "GET", "/api/lake/datasets?q=@", ""),
        call(Place, Read, "GET", "/api/lake/dataset?path=@", ""),
        call(Place, Read, "GET", "/api/lake/dataset/schema?path=@", ""),
        call(Place, Read, "GET", "/api/lake/search?q=@", ""),
        call(Place, Read, "GET", "/api/lake/activity?path=@", ""),
        call(Place, Read, "GET", "/api/lake/trash?path=@", ""),
        call(Place, Read, "GET", "/api/lake/trash/groups?path=@", ""),
        call(Place, Write, "POST", "/api/lake/dataset/rhythm", "{\"path\":\"@\",\"rhythm\":null}"),
        call(Upload, Write, "HEAD", "/api/lake/files/@", ""),
        call(Upload, Write, "DELETE", "/api/lake/files/@", ""),
        call(Upload, Write, "PATCH", "/api/lake/files/@", "tus"),
        call(Upload, Write, "PATCH", "/api/lake/files/@", "draft"),
        call(Sync, Read, "POST", "/fn/sync", "{\"sync_id\":@}"),
        call(Sync, Read, "POST", "/fn/sync-rows", "{\"sync_id\":@,\"parameters\":{}}"),
        call(Sync, Read, "POST", "/fn/timeline", "{\"sync_id\":@}"),
        call(Sync, Read, "POST", "/fn/end-preview", "{\"sync_id\":@}"),
        call(Sync, Read, "POST", "/fn/expected", "{\"sync_id\":@}"),
        call(Sync, Read, "POST", "/fn/difference", "{\"sync_id\":@}"),
        call(Sync, Read, "POST", "/fn/failures", "{\"sync_id\":@}"),
        call(Sync, Read, "POST", "/fn/made-version", "{\"sync_id\":@}"),
        call(Sync, Write, "POST", "/fn/restore-trash-preview", "{\"wanted\":{\"sync_id\":@}}"),
        call(Sync, Write, "POST", "/fn/end", "{\"end\":{\"sync_id\":@}}"),
        call(Sync, Write, "POST", "/fn/abort", "{\"end\":{\"sync_id\":@}}"),
        call(Sync, Write, "POST", "/fn/missing", "{\"offer\":{\"sync_id\":@,\"files\":[]}}"),
        call(Sync, Write, "POST", "/fn/restore-trash", "form:sync_id=@"),
        call(Sync, Admin, "POST", "/fn/empty-trash", "form:word=delete&sync_id=@"),
        call(Trash, Read, "POST", "/fn/trash-item", "{\"wanted\":{\"trash_id\":@}}"),
        call(Trash, Write, "POST", "/fn/restore-trash", "form:trash_id=@"),
        call(Trash, Write, "POST", "/fn/restore-trash", "form:trash_ids[0]=@"),
        call(Trash, Write, "POST", "/fn/restore-trash-preview", "{\"wanted\":{\"trash_id\":@}}"),
        call(Trash, Write, "POST", "/fn/displaced", "{\"trash_ids\":[@]}"),
        call(Trash, Write, "POST", "/fn/undo-restore", "form:trash_ids[0]=@"),
        call(Trash, Admin, "POST", "/fn/empty-trash", "form:word=delete&trash_id=@"),
        call(Place, Read, "POST", "/fn/lake", "{\"wanted\":{\"path\":\"@\"}}"),
        call(Place, Read, "POST", "/fn/lake", "{\"wanted\":{\"path\":\"@/list.csv\"}}"),
        call(
            Place,
            Read,
            "POST",
            "/fn/dataset",
            "{\"path\":\"@\",\"wanted\":{\"tab\":\"Files\",\"folder\":\"\",\"page\":0}}",
        ),
        call(Place, Read, "POST", "/fn/version", "{\"path\":\"@\",\"version\":1}"),
        call(Place, Write, "POST", "/fn/restore-preview", "{\"path\":\"@\",\"version\":1}"),
        call(Place, Write, "POST", "/fn/restore-version", "form:path=@&version=1"),
        call(Place, Write, "POST", "/fn/pin-version", "form:path=@&version=1&keep=true"),
        call(Place, Read, "POST", "/fn/datasets", "{\"beginning\":\"@\"}"),
        call(Place, Read, "POST", "/fn/search", "{\"wanted\":{\"q\":\"@\"}}"),
        call(Place, Write, "POST", "/fn/rhythm", "form:path=@&every="),
    ]
};

/// Pages with a name.
pub(super) const PAGES: &[(Names, &str)] = &[
    (Names::Sync, "/syncs/@"),
    (Names::Sync, "/trash/syncs/@"),
    (Names::Trash, "/trash/@"),
    (Names::Place, "/lake@"),
    (Names::Place, "/lake@/list.csv"),
    (Names::Place, "/datasets@"),
    (Names::Place, "/datasets@?tab=versions"),
    (Names::Place, "/versions@?version=1"),
    (Names::Place, "/restore@?version=1"),
    (Names::Trash, "/trash/restore?trash_id=@"),
];

pub(super) fn request(server: &TestServer, call: &Call, name: &str) -> RequestBuilder {
    let address = call.address.replace('@', name);
    let request =
        server.client.request(Method::from_bytes(call.method.as_bytes()).unwrap(), server.url.clone() + &address);
    let body = call.body.replace('@', name);
    match call.body {
        "" => request,
        "multipart" => {
            let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n";
            request.header("content-type", "multipart/form-data; boundary=b").body(part)
        }
        "bytes" => request.body("x"),
        "draft" => {
            let request = request.header("Content-Type", "application/partial-upload");
            request.header("Upload-Offset", "4").header("Upload-Complete", "?0").body("x")
        }
        "tus" => {
            let request = request.header("Tus-Resumable", "1.0.0").header("Content-Type", CHUNK_TYPE);
            let request = request.header("Upload-Metadata", crate::tus_client::metadata(&[("filename", "a")]));
            request.header("Upload-Length", 9).header("Upload-Offset", 4).body("x")
        }
        form if form.starts_with("form:") => {
            request.header("content-type", "application/x-www-form-urlencoded").body(body["form:".len()..].to_owned())
        }
        _ => request.header("content-type", "application/json").body(body),
    }
}
