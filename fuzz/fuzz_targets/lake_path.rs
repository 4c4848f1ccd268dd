//! Lake paths from any text: every accepted path stays inside the lake, and parses to itself.
//!
//! The input is a name; or a base, the byte 255 (which occurs in no UTF-8 text) and a name.

#![no_main]

use lakeshore::LakePath;
use lakeshore::model::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path};

const SEPARATOR: u8 = 255;
const ROOT: &str = "/srv/lake";

fuzz_target!(|input: &[u8]| {
    let (base, name) = match input.iter().position(|&byte| byte == SEPARATOR) {
        Some(at) => (String::from_utf8_lossy(&input[..at]), String::from_utf8_lossy(&input[at + 1..])),
        None => ("/data/db".into(), String::from_utf8_lossy(input)),
    };
    if let Ok(path) = LakePath::parse(&name) {
        check(&path);
    }
    let Ok(base) = LakePath::parse(&base) else { return };
    check(&base);
    for path in [base.join(&name), base.file(&name), base.upload_folder(Some(&name))].into_iter().flatten() {
        check(&path);
        check_below(&base, &path);
    }
    // A file is never the folder itself. A name that is valid as a relative folder is valid as a file, unless it is
    // empty.
    if let Ok(file) = base.file(&name) {
        assert_ne!(file, base);
        assert_eq!(base.join(&name).as_ref(), Ok(&file));
    }
    assert_eq!(base.upload_folder(None).as_ref(), Ok(&base));
});

fn check(path: &LakePath) {
    let text = path.as_str();
    assert_eq!(LakePath::parse(text).as_ref(), Ok(path), "it parses to itself");
    assert_eq!(LakePath::try_from(text.to_owned()).as_ref(), Ok(path));
    assert!(text.len() <= PATH_BYTES_MAX);
    let components: Vec<_> = path.components().collect();
    assert!(!components.is_empty());
    assert_eq!(format!("/{}", components.join("/")), text);
    assert_eq!(components.last(), Some(&path.leaf()));
    for component in components {
        assert!(!component.is_empty() && component.len() <= NAME_BYTES_MAX, "{component:?}");
        // Excludes ".", ".." and the engine's own folder too.
        assert!(!component.starts_with('.'), "{component:?}");
        assert!(!component.chars().any(is_forbidden), "{component:?}");
    }
    // The standard library finds no component that leads elsewhere.
    let place = Path::new(ROOT).join(&text[1..]);
    assert!(place.starts_with(ROOT) && place != Path::new(ROOT));
    assert!(Path::new(&text[1..]).components().all(|component| matches!(component, Component::Normal(_))));
}

/// The documented list, written independently of the code: control characters, text direction marks, backslashes.
fn is_forbidden(character: char) -> bool {
    character < ' '
        || ('\u{7F}'..='\u{9F}').contains(&character)
        || "\\\u{61C}\u{200E}\u{200F}\u{2028}\u{2029}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}\u{FEFF}"
            .contains(character)
}

fn check_below(base: &LakePath, path: &LakePath) {
    assert!(base.contains(path) && base.overlaps(path) && path.overlaps(base));
    assert_eq!(path.contains(base), path == base);
    match base.relative(path) {
        None => assert_eq!(base, path),
        Some(relative) => {
            assert_eq!(base.join(relative).as_ref(), Ok(path));
            let (first, last) = base.range_below();
            assert!(first.as_str() <= path.as_str() && path.as_str() < last.as_str());
        }
    }
}
