//! Benchmarks of hot functions one by one: the multipart scan, the hash, lake paths, a page of history, the rows of a
//! landing. They measure a change to one of them before the whole is measured: criterion compares with the run before.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../pages/fill.rs"]
// Only the filling is used here.
#[allow(dead_code)]
mod fill;
mod rows;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lakeshore::LakePath;
use lakeshore::model::page::{Order, Page, UploadQuery};
use lakeshore::ports::metadata::upload::UploadState;
use lakeshore_body::multipart::Multipart;
use lakeshore_metadata::sqlite::SqliteState;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;
use tokio::runtime::Runtime;

const BOUNDARY: &str = "------------------------0d1dfe63a1b2c3d4";
/// Bytes that a connection usually has ready at once.
const CHUNK_BYTES: usize = 64 * 1024;
const FILE_BYTES: usize = 4 * 1024 * 1024;
const HISTORY_ROWS: u64 = 100_000;

criterion_group! {
    name = micro;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = multipart, hash, paths, history, rows::rows
}
criterion_main!(micro);

fn multipart(criterion: &mut Criterion) {
    let plain: Vec<u8> = (0..FILE_BYTES as u32 / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    // Every line looks like the beginning of a delimiter.
    let misleading = b"\r\n------------------------0d1dfe63a1b2c3dX".repeat(FILE_BYTES / 42);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut group = criterion.benchmark_group("multipart");
    for (name, parts) in [
        ("one file", vec![plain.as_slice()]),
        ("one file of near-delimiters", vec![misleading.as_slice()]),
        ("4096 files of 1 KiB", plain.chunks(1024).collect()),
    ] {
        let chunks = chunks_of(&body(&parts));
        group.throughput(Throughput::Bytes(chunks.iter().map(|chunk| chunk.len() as u64).sum()));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| chunks.clone(), |chunks| runtime.block_on(scan(chunks)), BatchSize::SmallInput);
        });
    }
}

fn body(parts: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"part-{number}.parquet\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn chunks_of(body: &[u8]) -> Vec<Bytes> {
    body.chunks(CHUNK_BYTES).map(Bytes::copy_from_slice).collect()
}

async fn scan(chunks: Vec<Bytes>) -> usize {
    let stream = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
    let mut multipart = Multipart::new(stream, BOUNDARY);
    let mut length = 0;
    while multipart.next_part().await.unwrap().is_some() {
        while let Some(chunk) = multipart.chunk().await.unwrap() {
            length += chunk.len();
        }
    }
    length
}

fn hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for (name, length) in [("16 KiB", 16 << 10), ("1 MiB", 1 << 20)] {
        let bytes = vec![7_u8; length];
        group.throughput(Throughput::Bytes(length as u64));
        group
            .bench_function(format!("SHA-256 of {name}"), |bencher| bencher.iter(|| Sha256::digest(black_box(&bytes))));
    }
}

fn paths(criterion: &mut Criterion) {
    let text = "/data/teams/team_5/table_5";
    let dataset = LakePath::parse(text).unwrap();
    let mut group = criterion.benchmark_group("paths");
    group.bench_function("parse", |bencher| bencher.iter(|| LakePath::parse(black_box(text)).unwrap()));
    group.bench_function("file", |bencher| {
        bencher.iter(|| dataset.file(black_box("dt=2026-11-24/part-00042.parquet")).unwrap());
    });
    group.bench_function("upload_folder", |bencher| {
        bencher.iter(|| dataset.upload_folder(black_box(Some("/data/teams/team_5/table_5/dt=2026-11-24"))).unwrap());
    });
}

fn history(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("lakeshore.db");
    let state = runtime.block_on(async {
        SqliteState::open(&file).await.unwrap().close().await;
        fill::fill(&file, HISTORY_ROWS).await;
        SqliteState::open(&file).await.unwrap()
    });
    let mut group = criterion.benchmark_group("history");
    for (name, from) in [("first page", 0), ("last page", HISTORY_ROWS - 50)] {
        let page = Page { from, size: 50, order: Order::Asc };
        let query = UploadQuery { page, sync_id: None, status: None, path: None, text: None, scope: None };
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(state.uploads(&query)).unwrap()));
    }
    group.finish();
    runtime.block_on(state.close());
}
