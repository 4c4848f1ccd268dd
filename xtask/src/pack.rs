//! Names by content, compressed copies, and the manifest by which the server finds them.

use crate::Workspace;
use crate::wasm::NAME;
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Characters of a content hash in a name: 40 bits, against a handful of files.
const HASH_CHARACTERS: usize = 10;
const BROTLI_QUALITY_MAX: u32 = 11;
const BROTLI_WINDOW_BITS: u32 = 22;
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes the whole site aside, then puts it in the place of the old one.
pub fn pack(workspace: &Workspace, bound: &Path) -> Result<()> {
    let site = workspace.site();
    let aside = site.with_extension("new");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    let script = put_by_content(&aside, &bound.join(format!("{NAME}.js")), NAME, "js")?;
    let wasm = put_by_content(&aside, &bound.join(format!("{NAME}_bg.wasm")), NAME, "wasm")?;
    let stylesheet = put_by_content(&aside, &workspace.root.join("style/main.css"), "main", "css")?;
    // What the JavaScript imports by name: their folders are named by content already.
    for snippet in files_below(&bound.join("snippets"))? {
        put(&aside, &Path::new("pkg").join(snippet.strip_prefix(bound)?), &fs::read(&snippet)?)?;
    }
    let public = workspace.root.join("public");
    for file in files_below(&public)? {
        put(&aside, file.strip_prefix(&public)?, &fs::read(&file)?)?;
    }
    let manifest = json!({ "script": script, "wasm": wasm, "stylesheet": stylesheet });
    fs::write(aside.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    fs::rename(&aside, &site).with_context(|| format!("putting {} in place", site.display()))
}

/// Puts a file under a name that changes with its content, and gives its address.
fn put_by_content(site: &Path, file: &Path, name: &str, extension: &str) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let hash = hexadecimal(&Sha256::digest(&bytes));
    let name = format!("pkg/{name}.{}.{extension}", &hash[..HASH_CHARACTERS]);
    put(site, Path::new(&name), &bytes)?;
    Ok(format!("/{name}"))
}

/// Puts a file, and its compressed copies where they are smaller.
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

/// Every file below a folder, in the order of their names. A folder that is not there has none.
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

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
