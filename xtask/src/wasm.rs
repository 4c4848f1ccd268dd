//! From the source to the WASM and JavaScript that browsers load: those of the pages, and those of the worker that takes
//! digests.

use crate::{Workspace, pack};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm-release";

/// What is compiled to WASM.
#[derive(Clone, Copy)]
pub struct Artifact {
    pub package: &'static str,
    features: &'static [&'static str],
    /// The name of the JavaScript and, with `_bg` behind it, of the WASM.
    pub name: &'static str,
    /// What wasm-opt is asked for.
    optimisation: &'static str,
    /// What is asked of the browser beyond what every build asks for.
    simd: bool,
    /// Whether it is cut into parts: the linker then leaves what that needs.
    is_cut: bool,
}

pub const PAGES: Artifact = Artifact {
    package: "app",
    features: &["--features", "hydrate"],
    name: "lakeshore",
    optimisation: "-Oz",
    simd: false,
    is_cut: true,
};
/// Fast before small: it does nothing but calculate. Where a browser has no SIMD the worker says that it cannot be.
pub const HASHER: Artifact =
    Artifact { package: "hasher", features: &[], name: "hasher", optimisation: "-O3", simd: true, is_cut: false };

const SIMD: &str = r#"target.wasm32-unknown-unknown.rustflags=["-Ctarget-feature=+simd128"]"#;

/// What every browser of the last years understands, and Rust's compiler makes use of.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-simd",
];

pub fn compile(workspace: &Workspace, artifact: Artifact) -> Result<PathBuf> {
    let Artifact { package, features, .. } = artifact;
    eprintln!("site: compiling {package} to WebAssembly");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    if artifact.simd {
        command.args(["--config", SIMD]);
    }
    let status = command
        .current_dir(&workspace.root)
        .args(["rustc", "--package", package, "--lib", "--target", TARGET, "--profile", PROFILE])
        .args(["--crate-type", "cdylib", "--no-default-features"])
        .args(features)
        .args(artifact.is_cut.then_some(["--", "-Clink-arg=--emit-relocs"]).into_iter().flatten())
        .status()
        .context("running cargo")?;
    if !status.success() {
        bail!("{package} does not compile to WebAssembly; is the target there? rustup target add {TARGET}");
    }
    Ok(workspace.target.join(TARGET).join(PROFILE).join(format!("{package}.wasm")))
}

/// Makes the JavaScript that loads the WASM, and gives the folder of both.
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
        // The parts of the pages find what they share by the names that the linker gave.
        .keep_lld_exports(artifact.is_cut)
        .out_name(artifact.name)
        .generate(&folder)?;
    Ok(folder)
}

/// The wasm-opt of npm's binaryen, where it is installed.
pub fn find_optimiser(workspace: &Workspace) -> Option<PathBuf> {
    Some(workspace.root.join("xtask/node_modules/.bin/wasm-opt")).filter(|path| path.exists())
}

/// Makes the WASM smaller, where that can be done.
pub fn optimise(folder: &Path, artifact: Artifact, optimiser: Option<&Path>) -> Result<()> {
    let Some(optimiser) = optimiser else {
        eprintln!("site: wasm-opt is not installed, so the pages load a larger file; Node and npm bring it");
        return Ok(());
    };
    eprintln!("site: making {} smaller", artifact.package);
    let is_wasm = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
    for wasm in pack::files_below(folder)?.into_iter().filter(is_wasm) {
        let status = Command::new(optimiser)
            .arg(artifact.optimisation)
            .args(FEATURES)
            .arg(&wasm)
            .arg("-o")
            .arg(&wasm)
            .status()
            .context("running wasm-opt")?;
        if !status.success() {
            bail!("wasm-opt failed");
        }
    }
    Ok(())
}
