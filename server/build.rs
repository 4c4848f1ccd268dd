//! Makes room for the embedded site, and folds identical functions of the release binary.

use std::env;
use std::path::Path;

fn main() -> std::io::Result<()> {
    // Without a built site the binary embeds an empty folder, so that it compiles.
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/site");
    std::fs::create_dir_all(&site)?;
    // The manifest names every file by its content.
    println!("cargo:rerun-if-changed={}", site.join("manifest.json").display());
    println!("cargo:rerun-if-env-changed=PROFILE");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && links_with_lld() {
        // Generic code has many copies with identical instructions.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
    Ok(())
}

/// Whether the compiler links with its own LLD, as it does by default for this target since 1.90 (Rust blog, 2025-09-01).
fn links_with_lld() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_other_linker = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu") && !has_other_linker
}
