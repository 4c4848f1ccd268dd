//! Cuts the WASM of the pages into what all of them share, and the part of each page, which is loaded with it.
//!
//! Functions that say `wasm_split` are where it is cut. What only one part needs is in that part; what several need, and
//! the rest does not, is in pieces of its own.

use crate::Workspace;

use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wasm_split_cli_support::Options;

/// What loads the parts: wasm-bindgen's JavaScript imports it, and it imports wasm-bindgen's.
pub const LOADER: &str = "parts.js";

pub struct Split {
    /// What is always loaded; wasm-bindgen has not seen it yet.
    pub shared: PathBuf,
    /// The folder of the pieces.
    pub folder: PathBuf,
    /// The file names of the pieces that each part needs.
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
    // Its own loader is put there too, and left: ours (`bundles.rs`) loads several pieces at once.
    options.link_name = &link;
    let split = wasm_split_cli_support::transform(options).map_err(|error| anyhow!("{error:?}"))?;
    let file = |stem: String| format!("{stem}.wasm");
    let parts = split.prefetch_map.into_iter();
    let parts = parts.map(|(part, stems)| (part, stems.into_iter().map(file).collect())).collect();
    Ok(Split { shared, folder, parts })
}
