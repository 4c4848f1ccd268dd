//! `cargo xtask site`: builds the site (WASM, style, public files) that the server embeds.
//!
//! It needs no installed tool but cargo: wasm-bindgen is linked as a library, at the version of Cargo.lock. Where npm
//! has installed binaryen (`make` does), it shrinks the WASM.

mod bundles;
mod pack;
mod sections;
mod split;
mod wasm;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use wasm::{HASHER, PAGES};

#[expect(clippy::disallowed_methods, reason = "the log of a build tool goes to standard error")]
fn main() -> Result<()> {
    // The splitter reports its warnings by tracing.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    match std::env::args().nth(1).as_deref() {
        Some("site") => build_site(),
        _ => bail!("usage: cargo xtask site"),
    }
}

/// Folders that a build reads and writes.
struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    fn find() -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.parent().context("xtask lies in the workspace")?.to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { root, target })
    }

    /// Folder of the site that the server embeds when it is compiled.
    fn site(&self) -> PathBuf {
        self.root.join("target/site")
    }
}

fn build_site() -> Result<()> {
    let workspace = Workspace::find()?;
    let pages = wasm::compile(&workspace, PAGES)?;
    let hasher = wasm::compile(&workspace, HASHER)?;
    let optimiser = wasm::find_optimiser(&workspace);
    let stamp_file = workspace.root.join("target/site.stamp");
    let stamp = stamp(&workspace, [&pages, &hasher], optimiser.as_deref())?;
    if fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp)
        && workspace.site().join("manifest.json").exists()
    {
        eprintln!("site: up to date");
        return Ok(());
    }
    let split = split::split(&workspace, &pages)?;
    let pages = wasm::bind(&workspace, PAGES, &split.shared)?;
    let hasher = wasm::bind(&workspace, HASHER, &hasher)?;
    for (artifact, folder) in [(PAGES, &pages), (PAGES, &split.folder), (HASHER, &hasher)] {
        wasm::optimise(folder, artifact, optimiser.as_deref())?;
    }
    let parts = bundles::bundle(&workspace, &split, &pages)?;
    pack::pack(&workspace, &pages, &parts, &hasher)?;
    fs::write(&stamp_file, stamp)?;
    Ok(())
}

/// Hash of all inputs of the site: if it matches the last build, the build is skipped.
fn stamp(workspace: &Workspace, compiled: [&Path; 2], optimiser: Option<&Path>) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut inputs: Vec<_> = compiled.map(Path::to_owned).into();
    inputs.extend(["style/main.css", bundles::SOURCE, pack::WORKER].map(|source| workspace.root.join(source)));
    inputs.push(std::env::current_exe()?);
    inputs.extend(optimiser.map(Path::to_owned));
    inputs.extend(pack::files_below(&workspace.root.join("public"))?);
    for input in inputs {
        hasher.update(input.to_string_lossy().as_bytes());
        hasher.update(fs::read(&input).with_context(|| format!("reading {}", input.display()))?);
    }
    Ok(hex::encode(hasher.finalize()))
}
