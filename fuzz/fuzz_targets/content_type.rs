//! The boundary of any Content-Type: bounded in length, and independent of its notation.

#![no_main]

use lakeshore_body::multipart::boundary;
use libfuzzer_sys::fuzz_target;

const KIND: &str = "multipart/form-data";
const BOUNDARY_BYTES_MAX: usize = 70;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let Some(found) = boundary(&text) else { return };
    assert!((1..=BOUNDARY_BYTES_MAX).contains(&found.len()));
    let kind = text.split(';').next().unwrap_or_default();
    assert!(kind.trim().eq_ignore_ascii_case(KIND));
    let quoted = found.replace('\\', "\\\\").replace('"', "\\\"");
    assert_eq!(boundary(&format!("{KIND}; boundary=\"{quoted}\"")).as_ref(), Some(&found));
    // The last boundary counts, since curl appends its own. An unclosed quote or a parameter without a value would
    // swallow it; such headers are malformed, and not checked.
    let is_well_formed = !text.contains('"') && text.split(';').skip(1).all(|parameter| parameter.contains('='));
    if is_well_formed {
        assert_eq!(boundary(&format!("{text}; boundary=appended")).as_deref(), Some("appended"));
    }
});
