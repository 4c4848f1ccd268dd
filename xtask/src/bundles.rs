//! Joins the chunks of the pages' WASM into a few bundles.
//!
//! The splitter makes a chunk for each set of parts that share code: dozens, most of them tiny. Bundles let each part
//! load with few requests, and with few bytes that only other parts need.

use crate::Workspace;
use crate::split::{LOADER, Split};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Bundles that a part may need.
const BUNDLES_MAX: usize = 5;

/// The part of the page that most people open first. A superfluous byte in it counts several times, since other parts
/// load while people look at this one.
const FIRST: &str = "overview";
const FIRST_WEIGHT: usize = 3;

/// Loader of the bundles, without the table of the bundles of each part.
pub const SOURCE: &str = "app/parts.js";

struct Bundle {
    chunks: Vec<Vec<u8>>,
    bytes: usize,
    parts: BTreeSet<String>,
}

/// Writes the bundles and their loader into the folder of the pages' JavaScript; returns the files that each part
/// needs.
pub fn bundle(workspace: &Workspace, split: &Split, pages: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let bundles = together(chunks(split)?);
    let mut needed: BTreeMap<String, Vec<String>> = split.parts.keys().map(|part| (part.clone(), Vec::new())).collect();
    for (number, bundle) in bundles.iter().enumerate() {
        let name = format!("part-{number}.bin");
        fs::write(pages.join(&name), written(&bundle.chunks)?)?;
        for part in &bundle.parts {
            needed.entry(part.clone()).or_default().push(name.clone());
        }
    }
    let source = workspace.root.join(SOURCE);
    let mut loader = fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
    for (part, names) in &needed {
        let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        writeln!(loader, "export const __wasm_split_load_{part} = part({});", names.join(", "))?;
    }
    fs::write(pages.join(LOADER), loader)?;
    Ok(needed)
}

/// A bundle for each chunk.
fn chunks(split: &Split) -> Result<Vec<Bundle>> {
    let mut parts: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for (part, chunks) in &split.parts {
        for chunk in chunks {
            parts.entry(chunk).or_default().insert(part.clone());
        }
    }
    let bundle = |(chunk, parts): (&String, _)| {
        let path = split.folder.join(chunk);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Bundle { bytes: bytes.len(), chunks: vec![bytes], parts })
    };
    parts.into_iter().map(bundle).collect()
}

/// Joins two bundles at a time: those that add the fewest superfluous bytes to the parts.
fn together(mut bundles: Vec<Bundle>) -> Vec<Bundle> {
    while has_too_many(&bundles) {
        let pairs = (0..bundles.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
        let Some((kept, gone)) = pairs.min_by_key(|&(one, other)| growth(&bundles[one], &bundles[other])) else {
            break;
        };
        let gone = bundles.remove(gone);
        let kept = &mut bundles[kept];
        kept.chunks.extend(gone.chunks);
        kept.bytes += gone.bytes;
        kept.parts.extend(gone.parts);
    }
    bundles
}

fn has_too_many(bundles: &[Bundle]) -> bool {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for part in bundles.iter().flat_map(|bundle| &bundle.parts) {
        *counts.entry(part).or_default() += 1;
    }
    counts.values().any(|&count| count > BUNDLES_MAX)
}

/// Superfluous bytes that all parts together would load.
fn growth(one: &Bundle, other: &Bundle) -> usize {
    let weight = |part: &String| if part == FIRST { FIRST_WEIGHT } else { 1 };
    let only =
        |one: &Bundle, other: &Bundle| one.parts.difference(&other.parts).map(weight).sum::<usize>() * other.bytes;
    only(one, other) + only(other, one)
}

/// Format that `app/parts.js` reads.
fn written(chunks: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut bytes = u32::try_from(chunks.len())?.to_le_bytes().to_vec();
    for chunk in chunks {
        bytes.extend(u32::try_from(chunk.len())?.to_le_bytes());
    }
    bytes.extend(chunks.iter().flatten());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: usize, parts: &[&str]) -> Bundle {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        Bundle { chunks: vec![vec![0; bytes]], bytes, parts }
    }

    #[test]
    fn a_part_comes_in_few_bundles_and_brings_little_that_only_others_need() {
        let mut chunks: Vec<_> = (1..20).map(|bytes| chunk(bytes, &["a", "b"])).collect();
        chunks.push(chunk(1_000_000, &["b"]));
        chunks.push(chunk(10, &["a"]));
        let bundles = together(chunks);
        assert!(!has_too_many(&bundles));
        let of_a: usize = bundles.iter().filter(|bundle| bundle.parts.contains("a")).map(|bundle| bundle.bytes).sum();
        assert_eq!(of_a, (1..20).sum::<usize>() + 10);
    }

    #[test]
    fn the_first_page_is_spared_before_others() {
        let mut chunks: Vec<_> = (0..BUNDLES_MAX).map(|at| chunk(2000, &["b", &format!("c{at}")])).collect();
        chunks.push(chunk(1000, &["b", FIRST]));
        let bundles = together(chunks);
        let of_first: usize =
            bundles.iter().filter(|bundle| bundle.parts.contains(FIRST)).map(|bundle| bundle.bytes).sum();
        assert_eq!(of_first, 1000);
    }

    #[test]
    fn a_bundle_says_where_its_chunks_begin() {
        let bundle = written(&[b"ab".to_vec(), b"c".to_vec()]).unwrap();
        assert_eq!(bundle, b"\x02\0\0\0\x02\0\0\0\x01\0\0\0abc");
    }
}
