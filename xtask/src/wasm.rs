//! Compiles the WASM and JavaScript of the pages, and of the worker that hashes files.

use crate::{Workspace, pack, sections};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm-release";

/// A package that is compiled to WASM.
#[derive(Clone, Copy)]
pub struct Artifact {
    pub package: &'static str,
    features: &'static [&'static str],
    /// Name of the JavaScript file and, with the suffix `_bg`, of the WASM file.
    pub name: &'static str,
    /// Options of binaryen: a level of speed, and one of size.
    optimisation: [&'static str; 2],
    /// Whether the browser has to support SIMD.
    simd: bool,
    /// Whether the WASM is cut into parts; the linker then keeps the relocations.
    is_cut: bool,
}

pub const PAGES: Artifact = Artifact {
    package: "app",
    features: &["--features", "hydrate"],
    name: "lakeshore",
    optimisation: ["2", "2"],
    simd: false,
    is_cut: true,
};
/// Optimised for speed, since it only calculates. In a browser without SIMD the worker reports that it cannot run.
pub const HASHER: Artifact =
    Artifact { package: "hasher", features: &[], name: "hasher", optimisation: ["3", "0"], simd: true, is_cut: false };

const SIMD: &str = "-Ctarget-feature=+simd128";

const OPTIMISER: &str = "xtask/optimise.mjs";

pub fn compile(workspace: &Workspace, artifact: Artifact) -> Result<PathBuf> {
    let Artifact { package, features, .. } = artifact;
    eprintln!("site: compiling {package} to WebAssembly");
    // A folder of its own: with the same one, cargo would compile crates again whenever the flags differ.
    let target = if artifact.simd { workspace.target.join("site-simd") } else { workspace.target.clone() };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(&workspace.root)
        .args(["--config", &flags(artifact)?])
        .args(["rustc", "--package", package, "--lib", "--target", TARGET, "--profile", PROFILE])
        .args(["--crate-type", "cdylib", "--no-default-features"])
        .arg("--target-dir")
        .arg(&target)
        .args(features)
        .args(artifact.is_cut.then_some(["--", "-Clink-arg=--emit-relocs"]).into_iter().flatten())
        .status()
        .context("running cargo")?;
    if !status.success() {
        bail!("{package} does not compile to WebAssembly; is the target there? rustup target add {TARGET}");
    }
    Ok(target.join(TARGET).join(PROFILE).join(format!("{package}.wasm")))
}

/// Compiler flags of an artifact, as a setting of cargo. Panics keep their positions, without the folders of this
/// machine.
fn flags(artifact: Artifact) -> Result<String> {
    let mut flags: Vec<_> =
        crate_folders()?.iter().map(|folder| format!("--remap-path-prefix={}=", folder.display())).collect();
    // Cargo adds flags of the build to those of its configuration, but replaces them by flags of a target.
    let key = if artifact.simd { format!("target.{TARGET}.rustflags") } else { "build.rustflags".to_owned() };
    flags.extend(artifact.simd.then(|| SIMD.to_owned()));
    Ok(format!("{key}={}", serde_json::to_string(&flags)?))
}

/// Folders in which cargo keeps the sources of other crates, one for each registry.
fn crate_folders() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")).filter(|sources| sources.exists()) else {
        return Ok(Vec::new());
    };
    let mut folders = fs::read_dir(sources)?.map(|entry| Ok(entry?.path().join(""))).collect::<Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}

/// Makes the JavaScript that loads the WASM; returns the folder of both.
pub fn bind(workspace: &Workspace, artifact: Artifact, compiled: &Path) -> Result<PathBuf> {
    eprintln!("site: binding {} to JavaScript", artifact.package);
    let folder = workspace.target.join("site-bound").join(artifact.package);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Bindgen::new()
        .input_path(compiled)
        .web(true)?
        .typescript(false)
        // The parts of the pages find the shared code by the names from the linker.
        .keep_lld_exports(artifact.is_cut)
        .out_name(artifact.name)
        .generate(&folder)?;
    Ok(folder)
}

/// The wrapper script of npm's binaryen, if it is installed.
pub fn find_optimiser(workspace: &Workspace) -> Option<PathBuf> {
    let is_installed = workspace.root.join("xtask/node_modules/binaryen").exists();
    is_installed.then(|| workspace.root.join(OPTIMISER))
}

/// Shrinks the WASM: removes custom sections, and runs binaryen if it is installed.
pub fn optimise(folder: &Path, artifact: Artifact, optimiser: Option<&Path>) -> Result<()> {
    let is_wasm = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
    let files: Vec<_> = pack::files_below(folder)?.into_iter().filter(is_wasm).collect();
    for file in &files {
        fs::write(file, sections::without_custom(&fs::read(file)?)?)?;
    }
    let Some(optimiser) = optimiser else {
        eprintln!("site: binaryen is not installed, so the pages load a larger file; Node and npm bring it");
        return Ok(());
    };
    eprintln!("site: making {} smaller", artifact.package);
    let status = Command::new("node").arg(optimiser).args(artifact.optimisation).args(files).status();
    if !status.context("running node")?.success() {
        bail!("binaryen failed");
    }
    Ok(())
}
