//! Packs the site: names with content hashes, compressed copies, and the manifest for the server.

use crate::Workspace;
use crate::split::LOADER;
use crate::wasm::{Artifact, HASHER, PAGES};
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Characters of a content hash in a name: 40 bits suffice for a handful of files.
const HASH_CHARACTERS: usize = 10;
const BROTLI_QUALITY_MAX: u32 = 11;
const BROTLI_WINDOW_BITS: u32 = 22;
const BUFFER_BYTES: usize = 64 * 1024;

/// Source of the worker, without the addresses of its parts.
pub const WORKER: &str = "crates/hasher/worker.js";

/// Writes the whole site to a temporary folder, then replaces the old one.
pub fn pack(workspace: &Workspace, pages: &Path, parts: &BTreeMap<String, Vec<String>>, hasher: &Path) -> Result<()> {
    let site = workspace.site();
    let aside = site.with_extension("new");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    let folder = put_pages(&aside, pages)?;
    let addresses = |files: &Vec<String>| files.iter().map(|file| format!("{folder}/{file}")).collect::<Vec<_>>();
    let parts: BTreeMap<_, _> = parts.iter().map(|(part, files)| (part, addresses(files))).collect();
    let (script, wasm) = (format!("{folder}/{}.js", PAGES.name), format!("{folder}/{}_bg.wasm", PAGES.name));
    let stylesheet = put_by_content(&aside, &read(&workspace.root.join("style/main.css"))?, "main", "css")?;
    let hasher = put_worker(workspace, &aside, hasher)?;
    let public = workspace.root.join("public");
    for file in files_below(&public)? {
        put(&aside, file.strip_prefix(&public)?, &fs::read(&file)?)?;
    }
    let manifest = json!({
        "script": script,
        "wasm": wasm,
        "loader": format!("{folder}/{LOADER}"),
        "parts": parts,
        "stylesheet": stylesheet,
        "hasher": hasher,
    });
    fs::write(aside.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    fs::rename(&aside, &site).with_context(|| format!("putting {} in place", site.display()))
}

/// Copies the pages' code into a folder that is named by its content, since the files import each other by name;
/// returns its address.
fn put_pages(site: &Path, bound: &Path) -> Result<String> {
    let mut files = Vec::new();
    let mut hash = Sha256::new();
    for file in files_below(bound)? {
        let bytes = read(&file)?;
        let name = file.strip_prefix(bound)?.to_owned();
        hash.update(name.to_string_lossy().as_bytes());
        hash.update(&bytes);
        files.push((name, bytes));
    }
    let folder = format!("pkg/{}.{}", PAGES.name, &hex::encode(hash.finalize())[..HASH_CHARACTERS]);
    for (name, bytes) in files {
        put(site, &Path::new(&folder).join(name), &bytes)?;
    }
    Ok(format!("/{folder}"))
}

/// Copies the JavaScript and the WASM of an artifact; returns their addresses.
fn put_bound(site: &Path, bound: &Path, artifact: Artifact) -> Result<(String, String)> {
    let name = artifact.name;
    let script = put_by_content(site, &read(&bound.join(format!("{name}.js")))?, name, "js")?;
    let wasm = put_by_content(site, &read(&bound.join(format!("{name}_bg.wasm")))?, name, "wasm")?;
    Ok((script, wasm))
}

/// Copies the worker's script and the files that it loads; returns the script's address.
fn put_worker(workspace: &Workspace, site: &Path, bound: &Path) -> Result<String> {
    let (script, wasm) = put_bound(site, bound, HASHER)?;
    let mut worker = format!("import start, {{ digest }} from '{script}';\nconst WASM = '{wasm}';\n").into_bytes();
    worker.extend(read(&workspace.root.join(WORKER))?);
    put_by_content(site, &worker, "worker", "js")
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// Writes bytes under a name with their hash; returns the address.
fn put_by_content(site: &Path, bytes: &[u8], name: &str, extension: &str) -> Result<String> {
    let hash = hex::encode(Sha256::digest(bytes));
    let name = format!("pkg/{name}.{}.{extension}", &hash[..HASH_CHARACTERS]);
    put(site, Path::new(&name), bytes)?;
    Ok(format!("/{name}"))
}

/// Writes a file, and its compressed copies where they are smaller.
fn put(site: &Path, name: &Path, bytes: &[u8]) -> Result<()> {
    let path = site.join(name);
    fs::create_dir_all(path.parent().unwrap_or(site))?;
    fs::write(&path, bytes)?;
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), BUFFER_BYTES, BROTLI_QUALITY_MAX, BROTLI_WINDOW_BITS);
    brotli.write_all(bytes)?;
    let brotli = brotli.into_inner();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    let gzip = gzip.finish()?;
    eprintln!("site: {:>8} bytes, {:>7} in brotli: {}", bytes.len(), brotli.len(), name.display());
    for (extension, compressed) in [("br", brotli), ("gz", gzip)] {
        if compressed.len() < bytes.len() {
            let mut copy = path.clone().into_os_string();
            copy.push(".");
            copy.push(extension);
            fs::write(copy, compressed)?;
        }
    }
    Ok(())
}

/// All files below a folder, sorted by name. A missing folder has none.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
