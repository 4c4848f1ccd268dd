//! From the app's source to the WASM and JavaScript that browsers load.

use crate::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm-release";
/// The name of the JavaScript and, with `_bg` behind it, of the WASM.
pub const NAME: &str = "lakeshore";

/// What every browser of the last years understands, and Rust's compiler makes use of.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
];

pub fn compile(workspace: &Workspace) -> Result<PathBuf> {
    eprintln!("site: compiling the pages to WebAssembly");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(&workspace.root)
        .args(["build", "--package", "app", "--lib", "--target", TARGET, "--profile", PROFILE])
        .args(["--no-default-features", "--features", "hydrate"])
        .status()
        .context("running cargo")?;
    if !status.success() {
        bail!("the pages do not compile to WebAssembly; is the target there? rustup target add {TARGET}");
    }
    Ok(workspace.target.join(TARGET).join(PROFILE).join("app.wasm"))
}

/// Makes the JavaScript that loads the WASM, and gives the folder of both.
pub fn bind(workspace: &Workspace, compiled: &Path) -> Result<PathBuf> {
    eprintln!("site: binding it to JavaScript");
    let folder = workspace.target.join("site-bound");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Bindgen::new().input_path(compiled).web(true)?.typescript(false).out_name(NAME).generate(&folder)?;
    Ok(folder)
}

/// The wasm-opt of npm's binaryen, where it is installed.
pub fn find_optimiser(workspace: &Workspace) -> Option<PathBuf> {
    Some(workspace.root.join("xtask/node_modules/.bin/wasm-opt")).filter(|path| path.exists())
}

/// Makes the WASM smaller, where that can be done.
pub fn optimise(folder: &Path, optimiser: Option<&Path>) -> Result<()> {
    let Some(optimiser) = optimiser else {
        eprintln!("site: wasm-opt is not installed, so the pages load a larger file; Node and npm bring it");
        return Ok(());
    };
    eprintln!("site: making it smaller");
    let wasm = folder.join(format!("{NAME}_bg.wasm"));
    let smaller = folder.join("smaller.wasm");
    let status = Command::new(optimiser)
        .arg("-Oz")
        .args(FEATURES)
        .arg(&wasm)
        .arg("-o")
        .arg(&smaller)
        .status()
        .context("running wasm-opt")?;
    if !status.success() {
        bail!("wasm-opt failed");
    }
    fs::rename(&smaller, &wasm)?;
    Ok(())
}
