//! Layers of the engine, read from its sources: the model uses no ports and no service, the ports use no service, and
//! no modules of the model use each other, directly or in a circle.

#![allow(clippy::unwrap_used, reason = "a panic fails the test, in helper functions too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Used modules of each module of the engine.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `model::sync::guard` for `src/model/sync/guard.rs`, and for the files in a folder of that name.
fn module_of(file: &Path, root: &Path) -> String {
    let parent = file.parent().unwrap().with_extension("rs");
    if parent.starts_with(root) && parent.is_file() {
        return module_of(&parent, root);
    }
    let names: Vec<_> = file.strip_prefix(root).unwrap().iter().map(|name| name.to_str().unwrap()).collect();
    names.join("::").trim_end_matches(".rs").trim_end_matches("::mod").to_owned()
}

/// Source text without comments.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path below `crate::`, with names in braces expanded.
fn paths_in(code: &str) -> Vec<String> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + found.len()..];
        let path: String = rest.chars().take_while(|&c| is_of_path(c)).collect();
        match rest[path.len()..].strip_prefix('{') {
            Some(names) => {
                expand(&path, names, &mut paths);
            }
            None => paths.push(path),
        }
    }
    paths
}

/// Adds the names up to the closing brace, each with `prefix`. Returns the remaining text.
fn expand<'a>(prefix: &str, mut names: &'a str, paths: &mut Vec<String>) -> &'a str {
    let mut name = String::new();
    while let Some(c) = names.chars().next() {
        names = &names[c.len_utf8()..];
        match c {
            '{' => {
                names = expand(&format!("{prefix}{name}"), names, paths);
                name.clear();
            }
            ',' | '}' => {
                if !name.is_empty() {
                    paths.push(format!("{prefix}{}", name.split(" as ").next().unwrap()));
                    name.clear();
                }
                if c == '}' {
                    return names;
                }
            }
            '\n' => {}
            ' ' if name.is_empty() => {}
            other => name.push(other),
        }
    }
    names
}

fn uses() -> Uses {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(file, &root)).collect();
    let mut uses = Uses::new();
    for file in files {
        let module = module_of(&file, &root);
        for path in paths_in(&code(&fs::read_to_string(&file).unwrap())) {
            // The deepest module on the path.
            let mut known = path.as_str();
            while !modules.contains(known) {
                known = known.rsplit_once("::").map_or("", |(above, _)| above);
                if known.is_empty() {
                    break;
                }
            }
            let known = if known.is_empty() { &path } else { known };
            if known != module {
                uses.entry(module.clone()).or_default().insert(known.to_owned());
            }
        }
    }
    uses
}

fn layer(module: &str) -> &str {
    module.split("::").next().unwrap()
}

#[test]
fn layers_of_the_engine_use_only_those_below_them() {
    let mut wrong = Vec::new();
    for (module, used) in uses() {
        for other in used {
            let is_allowed = match layer(&module) {
                "lib" => true,
                "model" => layer(&other) == "model",
                "ports" => {
                    matches!(layer(&other), "model" | "ports" | "promises" | "state_promises" | "files_promises")
                }
                "service" => matches!(layer(&other), "model" | "ports" | "service"),
                _ => false,
            };
            if !is_allowed {
                wrong.push(format!("{module} uses {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_modules_of_the_model_have_no_circle() {
    let uses = uses();
    let mut left: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, used) in uses.iter().filter(|(module, _)| layer(module) == "model") {
        left.insert(module, used.iter().map(String::as_str).collect());
    }
    assert!(left.len() > 20, "the modules were not found");
    // A module without remaining uses is in no circle.
    loop {
        let done: Vec<&str> = left
            .iter()
            .filter(|(_, used)| used.iter().all(|one| !left.contains_key(one)))
            .map(|(one, _)| *one)
            .collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module, _| !done.contains(module));
    }
    let circle: Vec<String> = left
        .iter()
        .map(|(module, used)| {
            let used: Vec<_> = used.iter().filter(|one| left.contains_key(**one)).copied().collect();
            format!("{module} uses {}", used.join(", "))
        })
        .collect();
    assert!(circle.is_empty(), "these modules know each other around a circle:\n{}", circle.join("\n"));
}

#[test]
fn paths_are_found_in_use_lines_and_in_code() {
    let text = "use crate::model::{error::Error, sync::{guard::ShrinkGuard, hold::Hold as Held}};\nfn f() { crate::ports::x() }";
    let found = ["model::error::Error", "model::sync::guard::ShrinkGuard", "model::sync::hold::Hold", "ports::x"];
    assert_eq!(paths_in(text), found);
}
