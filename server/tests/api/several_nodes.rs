//! Several servers of one lake (`--cluster`), on PostgreSQL and object storage.

use crate::events::{EVENTS, IN_FLIGHT, Listening};
use crate::server::cluster::{self, start};
use crate::server::{CLUSTER, Stopped, TestServer, answer, bucket, lakeshore, skipped};
use crate::tus_client::{Tus, bytes};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection, Executor};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// The rows agree with each other, and with the files.
fn assert_is_clean(server: &Stopped) {
    let data_dir = server.data_dir().to_str().unwrap();
    let checked = lakeshore(&["check", "--digests", "--data-dir", data_dir]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert_eq!(bucket::disagreements(server.data_dir(), server.bucket.as_ref().unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn files_of_one_name_that_land_by_two_servers_are_recorded_in_the_order_in_which_they_replace_each_other() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let servers = [start(&first).await, start(&second).await];
    let id = servers[0].start_sync("/data/t", "IncrementalSync").await;
    let senders = (0..8).map(async |sender: usize| {
        for round in 0..12 {
            let name = format!("f{}.csv", round % 3);
            servers[sender % 2].upload(id, &name, format!("{sender}-{round}").as_bytes()).await;
        }
    });
    join_all(senders).await;
    for server in &servers {
        assert_eq!(server.sync(id).await["total_files"], 96);
        assert_eq!(server.file_names("data/t"), ["f0.csv", "f1.csv", "f2.csv"]);
        // A version names the file that is there.
        for file in ["f0.csv", "f1.csv", "f2.csv"] {
            let path = format!("/api/lake/file/download?path=/data/t/{file}&dataset=/data/t&version=");
            let versions = server.rows("/api/lake/dataset/versions?path=/data/t&size=1").await;
            let address = format!("{path}{}", versions[0]["version"]);
            let body = server.get(&address).header("X-API-Key", &server.key).send().await.unwrap();
            assert_eq!(body.status(), 200, "{address}");
            let bytes = body.bytes().await.unwrap().to_vec();
            assert_eq!(servers[0].files("data/t")[file], bytes);
        }
    }
    servers[1].end_sync(id).await;
    servers.into_iter().for_each(|mut server| assert_eq!(server.stop(), Some(0)));
    assert_is_clean(&first);
}

#[tokio::test]
async fn a_full_sync_that_two_servers_fill_and_end_is_published_once_and_whole() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let servers = [start(&first).await, start(&second).await];
    for round in 0..6 {
        let id = servers[round % 2].start_sync("/data/full", "FullSync").await;
        let names: Vec<_> = (0..10).map(|number| format!("{round}-{number}")).collect();
        let uploads = names.iter().enumerate().map(async |(number, name)| {
            servers[number % 2].upload(id, name, name.as_bytes()).await;
        });
        join_all(uploads).await;
        // Late ones land before the end, or are refused.
        let late = (0..6).map(async |number: usize| {
            let name = format!("late-{number}");
            let (status, _) = servers[number % 2].try_upload(&format!("sync_id={id}"), &[(&name, b"late")]).await;
            (status == 200).then_some(name)
        });
        let ends = servers.iter().map(async |server| server.try_end(id, json!({})).await);
        let (late, ended) = tokio::join!(join_all(late), join_all(ends));
        assert!(ended.iter().all(|(status, body)| *status == 200 || body["code"] == 40901), "{ended:?}");
        while servers[0].try_end(id, json!({})).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut expected: Vec<_> = names.into_iter().chain(late.into_iter().flatten()).collect();
        expected.sort();
        assert_eq!(servers[1].file_names("data/full"), expected);
    }
    servers.into_iter().for_each(|mut server| assert_eq!(server.stop(), Some(0)));
    assert_is_clean(&second);
}

#[tokio::test]
async fn leftovers_of_a_killed_server_are_undone_by_another_whose_own_uploads_go_on() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let (killed, other) = (start(&first).await, start(&second).await);
    let id = killed.start_sync("/data/t", "IncrementalSync").await;
    let half_sent = |server: &TestServer, name: &str| {
        let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
        let head = format!(
            "POST /api/lake/file/upload?sync_id={id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300200\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&bytes(200_000)).unwrap();
        connection
    };
    let (_dead, mut alive) = (half_sent(&killed, "dead"), half_sent(&other, "alive"));
    let syncing = async || {
        let rows = other.history(&format!("sync_id={id}&status=Syncing")).await;
        (rows.len() == 2).then_some(())
    };
    other.eventually(syncing).await;
    killed.kill();
    let failed = async || other.history(&format!("sync_id={id}&status=Failed")).await.into_iter().next();
    let failed = other.eventually(failed).await;
    assert_eq!(failed["file_name"], "dead");
    assert!(failed["message"].as_str().unwrap().contains("the server stopped"), "{failed}");
    // The other one is untouched, and lands.
    let rest = &bytes(300_000)[200_000..];
    let end = b"\r\n--b--\r\n";
    alive.write_all(rest).unwrap();
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"alive\"\r\n\r\n".len();
    alive.write_all(&vec![b' '; 300_200 - 300_000 - head - end.len()]).unwrap();
    alive.write_all(end).unwrap();
    let landed = async || {
        let rows = other.history(&format!("sync_id={id}&status=Finished")).await;
        rows.into_iter().next()
    };
    assert_eq!(other.eventually(landed).await["file_name"], "alive");
    other.end_sync(id).await;
    // The first comes back beside the other.
    let again = start(&first).await;
    assert_eq!(again.sync(id).await["sync_status"], "Finished");
    for mut server in [again, other] {
        assert_eq!(server.stop(), Some(0));
    }
    assert_is_clean(&first);
}

#[tokio::test]
async fn a_resumable_upload_changes_its_server_at_every_chunk() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let servers = [start(&first).await, start(&second).await];
    let id = servers[0].start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(20_000_000);
    let address = Tus(&servers[0]).create(id, "large", content.len()).await;
    let mut offset = 0;
    for (number, chunk) in content.chunks(3_000_000).enumerate() {
        let server = &servers[number % 2];
        let (status, at) = Tus(server).append(&address, offset, chunk).await;
        offset += chunk.len() as u64;
        assert_eq!((status, at), (204, Some(offset)), "chunk {number}");
    }
    assert_eq!(servers[0].files("data/t")["large"], content);
    servers[1].end_sync(id).await;
    servers.into_iter().for_each(|mut server| assert_eq!(server.stop(), Some(0)));
    assert_is_clean(&first);
}

#[tokio::test]
async fn a_request_that_sends_a_resumable_upload_lets_it_go_for_one_of_another_server() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let servers = [start(&first).await, start(&second).await];
    let id = servers[0].start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(1_000_000);
    let address = Tus(&servers[0]).create(id, "large", content.len()).await;
    let mut connection = TcpStream::connect(servers[0].url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "PATCH {address} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&content[..600_000]).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let offset = Tus(&servers[1]).offset(&address).await;
    assert!(offset <= 600_000);
    let rest = &content[usize::try_from(offset).unwrap()..];
    assert_eq!(Tus(&servers[1]).append(&address, offset, rest).await, (204, Some(1_000_000)));
    assert_eq!(servers[0].files("data/t")["large"], content);
}

#[tokio::test]
async fn an_event_of_one_server_is_heard_at_another_where_a_stream_goes_on() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let servers = [start(&first).await, start(&second).await];
    let mut listening = Listening::open(servers[1].get(EVENTS)).await;
    assert_eq!(listening.next().await.unwrap().kind, "ready");
    let id = servers[0].start_sync("/data/t", "IncrementalSync").await;
    let started = listening.until("sync_started").await;
    assert_eq!(started.data["sync"]["sync_id"], id);
    servers[0].upload(id, "a.csv", b"1").await;
    let landed = listening.until("uploads_landed").await;
    drop(listening);
    servers[1].end_sync(id).await;
    // On the first, where nothing is missing.
    let resumed = servers[0].get(EVENTS).header("Last-Event-ID", &landed.id);
    let mut listening = Listening::open(resumed).await;
    assert_eq!(listening.next().await.unwrap().kind, "ready");
    assert_eq!(listening.until("sync_finished").await.data["sync"]["sync_id"], id);
}

#[tokio::test]
async fn a_server_for_itself_is_refused_beside_several_and_one_of_several_beside_it() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let several = start(&first).await;
    let refused = second.try_start(&[]).await.err().unwrap().said;
    assert!(refused.contains("already served by"), "{refused}");
    several.kill();
    let alone = second.start().await;
    let refused = first.try_start(&[CLUSTER]).await.err().unwrap().said;
    assert!(refused.contains("already served by"), "{refused}");
    assert_eq!(answer(alone.get("/readyz")).await.0, 200);
}

#[tokio::test]
async fn a_server_that_stood_still_for_too_long_wakes_up_and_writes_nothing() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let (mut still, other) = (start(&first).await, start(&second).await);
    let id = still.start_sync("/data/t", "IncrementalSync").await;
    still.signal("STOP");
    let mut is_fenced = false;
    for _ in 0..90 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        is_fenced |= other.stderr().contains("has ended or does not answer");
        if is_fenced {
            break;
        }
        other.upload(id, "meanwhile.csv", b"1").await;
    }
    assert!(is_fenced, "{}", other.stderr());
    still.signal("CONT");
    let sent = still.upload_request(&format!("sync_id={id}"), &[("zombie.csv", b"1")]).send().await;
    assert!(sent.is_err() || sent.unwrap().status() != 200);
    assert_eq!(still.exit_code(), Some(1), "{}", still.stderr());
    assert_eq!(other.file_names("data/t"), ["meanwhile.csv"]);
    other.end_sync(id).await;
}

#[tokio::test]
async fn uploads_in_flight_of_all_servers_are_in_one_list_and_what_a_killed_one_received_waits_there() {
    let Some(([first, second], _database)) = cluster::new().await else { return };
    let servers = [start(&first).await, start(&second).await];
    let id = servers[0].start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(900_000);
    let mut addresses = Vec::new();
    for (server, name) in servers.iter().zip(["one", "two"]) {
        let address = Tus(server).create(id, name, content.len()).await;
        assert_eq!(Tus(server).append(&address, 0, &content[..300_000]).await, (204, Some(300_000)));
        addresses.push(address);
    }
    let list = format!("{IN_FLIGHT}?sync_id={id}");
    let both = async |server: &TestServer, received: [u64; 2]| {
        let rows = server.rows(&list).await;
        let of = |name: &str| rows.iter().find(|row| row["file_name"] == name).map(|row| row["received_bytes"].clone());
        (rows.len() == 2 && of("one") == Some(json!(received[0])) && of("two") == Some(json!(received[1])))
            .then_some(())
    };
    for server in &servers {
        server.eventually(async || both(server, [300_000, 300_000]).await).await;
    }
    // It goes on at the other server, and both say so.
    assert_eq!(Tus(&servers[1]).append(&addresses[0], 300_000, &content[300_000..600_000]).await, (204, Some(600_000)));
    for server in &servers {
        server.eventually(async || both(server, [600_000, 300_000]).await).await;
    }
    let [first, second] = servers;
    second.kill();
    let rest = &content[600_000..];
    assert_eq!(Tus(&first).append(&addresses[0], 600_000, rest).await, (204, Some(900_000)));
    first.eventually(async || (first.rows(&list).await.len() == 1).then_some(())).await;
    let is_abandoned = async || (first.rows(&list).await[0]["activity"] == "abandoned").then_some(());
    first.eventually(is_abandoned).await;
    assert_eq!(Tus(&first).append(&addresses[1], 300_000, &content[300_000..]).await, (204, Some(900_000)));
    first.eventually(async || first.rows(&list).await.is_empty().then_some(())).await;
    assert_eq!(first.files("data/t").len(), 2);
}

#[tokio::test]
async fn an_option_for_several_servers_is_refused_where_a_lake_can_have_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let refused = lakeshore(&["serve", "--cluster", "--listen", "127.0.0.1:0", "--data-dir", data_dir]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--cluster needs PostgreSQL"), "{said}");
}

#[tokio::test]
async fn servers_that_start_at_the_same_moment_on_an_empty_lake_have_it_together() {
    let Some((stopped, _database)) = cluster::new::<3>().await else { return };
    // A start reads what the process says, without a runtime.
    let starts = stopped
        .clone()
        .map(|stopped| std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(start(&stopped))));
    let servers: Vec<_> =
        tokio::task::spawn_blocking(|| starts.map(|start| start.join().unwrap())).await.unwrap().into();
    let id = servers[0].start_sync("/data/t", "IncrementalSync").await;
    for (number, server) in servers.iter().enumerate() {
        server.upload(id, &format!("{number}.csv"), b"1").await;
    }
    servers[2].end_sync(id).await;
    assert_eq!(servers[1].file_names("data/t"), ["0.csv", "1.csv", "2.csv"]);
    servers.into_iter().for_each(|mut server| assert_eq!(server.stop(), Some(0)));
    assert_is_clean(&stopped[0]);
}

#[tokio::test]
async fn a_schedule_set_by_one_server_makes_another_check_for_late_datasets() {
    let day = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 86_400;
    if day < 16 * 60 {
        return skipped("nothing can be late in the first minutes of a day");
    }
    let Some(([first, second], database)) = cluster::new().await else { return };
    let mut servers = [start(&first).await, start(&second).await];
    // Each makes the oldest one check, whichever has been asked.
    for (number, dataset) in ["/data/t", "/data/u"].into_iter().enumerate() {
        let id = servers[1].start_sync(dataset, "IncrementalSync").await;
        servers[1].upload(id, "b.csv", b"b").await;
        servers[1].end_sync(id).await;
        // A dataset is late on no day before its second.
        let mut connection = sqlx::PgConnection::connect(&database.address).await.unwrap();
        let sql = "UPDATE datasets SET first_landed = first_landed - 3 * 86400000";
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
        // The first check only takes note of what is late already.
        let mut listening = Listening::open(servers[number].get(EVENTS)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let rhythm = json!({ "every": "day", "by": "00:15", "files_min": 1000 });
        let body = json!({ "path": dataset, "rhythm": rhythm, "api_key": servers[1].key });
        let (status, said) = answer(servers[1].post("/api/lake/dataset/rhythm", &body)).await;
        assert_eq!(status, 200, "{said}");
        // A stream may begin a moment before the event of the other dataset.
        let late = async { while listening.until("dataset_late").await.data["dataset"]["path"] != dataset {} };
        tokio::time::timeout(Duration::from_secs(60), late).await.unwrap();
    }
    servers.iter_mut().for_each(|server| assert_eq!(server.stop(), Some(0)));
}
