//! Data and intent before name, name before response, row before the response where a file is replaced: the order of the
//! system calls.
//!
//! A power cut keeps synced data and may lose the rest. So each step must be durable before the next one begins,
//! whether by a sync of one file or of the whole file system.

use crate::server::TestServer;
use crate::strace::{Call, Tracer};
use std::path::PathBuf;

const RECORDED: &str = "trace=openat,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,ftruncate,fallocate,fsync,\
                        fdatasync,syncfs,sync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdirat,sendto,sendmsg";

/// Recorded calls of one request.
struct Record {
    calls: Vec<Call>,
    /// Folder of the lake and the database, on one file system.
    folder: PathBuf,
}

impl Record {
    fn at(&self, below: &str) -> String {
        self.folder.join(below).to_str().unwrap().to_owned()
    }

    /// Move that gave `to` its content.
    fn naming(&self, to: &str) -> &Call {
        let named = self.calls.iter().rfind(|call| call.moves().is_some_and(|(_, name)| name == to));
        named.unwrap_or_else(|| panic!("nothing moved to {to}: {:#?}", self.calls))
    }

    /// Earlier names of the content of `to`, first one first.
    fn earlier_names(&self, to: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut name = to.to_owned();
        for call in self.calls.iter().rev() {
            if let Some((from, _)) = call.moves().filter(|(_, to)| *to == name) {
                names.insert(0, from.clone());
                name = from;
            }
        }
        names
    }

    /// Whether a sync of `path`, or of its whole file system, began after `after` and ended before `before`.
    fn is_synced_between(&self, path: &str, after: usize, before: usize) -> bool {
        self.calls.iter().any(|call| {
            let of_it = ["fsync", "fdatasync"].contains(&call.name.as_str()) && call.file() == path;
            let of_all = call.name == "syncfs" && call.file().starts_with(self.folder.to_str().unwrap());
            let all = of_it || of_all || call.name == "sync";
            all && call.succeeded() && call.began > after && call.ended < before
        })
    }

    /// Asserts that the bytes of `to` are synced before the file gets this name.
    fn assert_data_before_name(&self, to: &str) {
        let names = self.earlier_names(to);
        let named = self.naming(to);
        let is_of_it = |call: &&Call| call.is_a_write() && names.iter().any(|name| name == call.file());
        let written = self.calls.iter().rfind(is_of_it).unwrap_or_else(|| panic!("{names:?} was never written"));
        assert!(written.ended < named.began, "{to} has its name before its last byte: {written:?}");
        let is_synced = names.iter().any(|name| self.is_synced_between(name, written.ended, named.began));
        assert!(is_synced, "{to} has its name before its bytes are synced: {:#?}", self.calls);
    }

    /// Asserts that the folder of the name is synced before the row and the response.
    fn assert_name_before_answer(&self, name: &str, moved: &Call) {
        let folder = name.rsplit_once('/').unwrap().0;
        let is_synced = self.is_synced_between(folder, moved.ended, self.answer());
        assert!(is_synced, "the answer comes before {folder} is synced: {:#?}", self.calls);
    }

    /// Asserts that the intent is stored before the file gets its name. With it, a restart writes the row.
    fn assert_intent_before_name(&self, named: &Call) {
        let is_intent = |call: &&Call| call.is_a_write() && call.file().ends_with("-wal") && call.ended < named.began;
        let intent = self.calls.iter().rfind(is_intent);
        let intent = intent.unwrap_or_else(|| panic!("the file has its name before its intent: {:#?}", self.calls));
        assert!(self.is_synced_between(intent.file(), intent.ended, named.began), "{:#?}", self.calls);
    }

    /// Asserts that a row is written after the move, and synced before the response. The first write is the row; the
    /// columns of the file are written later in another transaction, for which nobody waits.
    fn assert_row_before_answer(&self, moved: &Call) {
        let is_row = |call: &&Call| call.is_a_write() && call.file().ends_with("-wal");
        let row = self.calls.iter().filter(is_row).find(|call| call.began > moved.ended && call.ended < self.answer());
        let row = row.unwrap_or_else(|| panic!("no row is written between name and answer: {:#?}", self.calls));
        let is_synced = self.is_synced_between(row.file(), row.ended, self.answer());
        assert!(is_synced, "the answer comes before the row is synced: {:#?}", self.calls);
    }

    /// Position of the successful response.
    fn answer(&self) -> usize {
        let is_sent = |call: &&Call| ["write", "writev", "sendto", "sendmsg"].contains(&call.name.as_str());
        let tells = |call: &&Call| {
            let said = &call.arguments;
            said.contains(r#"\"code\":0"#) || said.contains(r#"\"success\":true"#)
        };
        self.calls.iter().filter(is_sent).find(tells).unwrap_or_else(|| panic!("no answer: {:#?}", self.calls)).began
    }
}

/// Records the server's calls for one request. `None` if tracing is not possible.
async fn record(server: &TestServer, request: impl Future<Output = ()>) -> Option<Record> {
    let tracer = Tracer::attach(server, &["-e", RECORDED]).await?;
    request.await;
    let folder = server.data_dir().canonicalize().unwrap();
    Some(Record { calls: tracer.stop(), folder })
}

#[tokio::test]
async fn an_upload_is_synced_and_intended_then_renamed_then_acknowledged() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for (name, size_bytes) in [("small.csv", 1_000), ("large.parquet", 3_000_000)] {
        let bytes = vec![7; size_bytes];
        let Some(record) = record(&server, server.upload(id, name, &bytes)).await else { return };
        let live = record.at(&format!("lake/data/t/{name}"));
        record.assert_data_before_name(&live);
        record.assert_name_before_answer(&live, record.naming(&live));
        record.assert_intent_before_name(record.naming(&live));
    }
}

#[tokio::test]
async fn a_replaced_file_is_durable_in_the_trash_before_the_response() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"old").await;
    let Some(record) = record(&server, server.upload(id, "a.csv", b"new")).await else { return };
    let live = record.at("lake/data/t/a.csv");
    record.assert_data_before_name(&live);
    let named = record.naming(&live);
    record.assert_intent_before_name(named);
    record.assert_name_before_answer(&live, named);
    record.assert_row_before_answer(named);
    // An exchange: the other side of this move is in the trash.
    let (slot, _) = named.moves().unwrap();
    assert!(named.is_exchange() && slot.starts_with(&record.at("lake/.lakeshore/trash/")), "{named:?}");
    record.assert_name_before_answer(&slot, named);
}

#[tokio::test]
async fn a_publish_is_recorded_before_its_move_and_synced_before_its_response() {
    let server = TestServer::start().await;
    for version in ["old", "new"] {
        let id = server.start_sync("/data/t", "FullSync").await;
        let Some(staged) = record(&server, server.upload(id, "a.csv", version.as_bytes())).await else { return };
        let file = staged.at(&format!("lake/.lakeshore/staging/sync-{id}/a.csv"));
        staged.assert_data_before_name(&file);
        staged.assert_name_before_answer(&file, staged.naming(&file));
        staged.assert_intent_before_name(staged.naming(&file));

        let Some(published) = record(&server, server.end_sync(id)).await else { return };
        let live = published.at("lake/data/t");
        let named = published.naming(&live);
        published.assert_name_before_answer(&live, named);
        published.assert_row_before_answer(named);
        // The intent, which a restart needs.
        let first_move = published.calls.iter().find(|call| call.moves().is_some()).unwrap();
        let wal = published.at("lakeshore.db-wal");
        let intent = published.calls.iter().find(|call| call.is_a_write() && call.file() == wal).unwrap();
        let is_synced = published.is_synced_between(&wal, intent.ended, first_move.began);
        assert!(is_synced, "the folder moves before the state knows: {:#?}", published.calls);
        if version == "new" {
            let (slot, _) = named.moves().unwrap();
            assert!(named.is_exchange(), "{named:?}");
            published.assert_name_before_answer(&slot, named);
        }
    }
}
