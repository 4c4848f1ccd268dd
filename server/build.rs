//! The server carries the site inside it. Where none was built, it carries none: an empty folder lets it compile.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/site");
    std::fs::create_dir_all(&site)?;
    // The manifest names every file by its content.
    println!("cargo:rerun-if-changed={}", site.join("manifest.json").display());
    Ok(())
}
