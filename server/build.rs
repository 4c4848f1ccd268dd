//! The server carries the site inside it. Where none was built, it carries none: an empty folder lets it compile.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/site");
    std::fs::create_dir_all(&site)?;
    // The manifest names every file by its content.
    for watched in [site.join("manifest.json"), Path::new("migrations").to_owned()] {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    Ok(())
}
