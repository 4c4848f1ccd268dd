//! Cuts the WASM of the pages into shared code and parts, each of which is loaded with its pages.
//!
//! Functions with `wasm_split` mark the cuts. Code that one part needs is in that part; code that several parts need,
//! and the shared code does not, is in chunks of its own.

use crate::Workspace;

use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wasm_split_cli_support::Options;

/// Loader of the parts: wasm-bindgen's JavaScript imports it, and it imports that JavaScript.
pub const LOADER: &str = "parts.js";

pub struct Split {
    /// Shared WASM that is always loaded, before wasm-bindgen has processed it.
    pub shared: PathBuf,
    /// Folder of the chunks.
    pub folder: PathBuf,
    /// File names of the chunks that each part needs.
    pub parts: BTreeMap<String, Vec<String>>,
}

pub fn split(workspace: &Workspace, compiled: &Path) -> Result<Split> {
    eprintln!("site: cutting the pages' WASM into parts");
    let folder = workspace.target.join("site-split");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let shared = workspace.target.join("site-shared.wasm");
    let input = fs::read(compiled).with_context(|| format!("reading {}", compiled.display()))?;
    let link = format!("./{LOADER}");
    let mut options = Options::new(&input);
    options.output_dir = &folder;
    options.main_out_path = &shared;
    // The splitter writes its own loader there, which is not used: that of `bundles.rs` loads several chunks at once.
    options.link_name = &link;
    let split = wasm_split_cli_support::transform(options).map_err(|error| anyhow!("{error:?}"))?;
    let file = |stem: String| format!("{stem}.wasm");
    let parts = split.prefetch_map.into_iter();
    let parts = parts.map(|(part, stems)| (part, stems.into_iter().map(file).collect())).collect();
    Ok(Split { shared, folder, parts })
}
