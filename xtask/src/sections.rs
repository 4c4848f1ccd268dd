//! Removes sections of a WASM file.
//!
//! A file has a head of eight bytes, then sections: an identifier, a length in LEB128, and the content.

use anyhow::{Context, Result};

const HEAD_BYTES: usize = 8;
const CUSTOM: u8 = 0;

/// Removes the custom sections: names, producers, features. Browsers do not need them, and binaryen warns of unknown
/// ones.
pub fn without_custom(wasm: &[u8]) -> Result<Vec<u8>> {
    const CUT: &str = "the WASM ends amid a section";
    let mut kept = wasm.get(..HEAD_BYTES).context(CUT)?.to_vec();
    let mut rest = &wasm[HEAD_BYTES..];
    while let Some((&identifier, after)) = rest.split_first() {
        let (length, length_bytes) = unsigned(after).context(CUT)?;
        let (section, next) = rest.split_at_checked(1 + length_bytes + length).context(CUT)?;
        if identifier != CUSTOM {
            kept.extend(section);
        }
        rest = next;
    }
    Ok(kept)
}

/// Decodes a number in LEB128; returns it and its length in bytes.
fn unsigned(bytes: &[u8]) -> Option<(usize, usize)> {
    let last = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let number = bytes[..=last].iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f));
    Some((number, last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn custom_sections_are_left_out_and_all_else_stays() {
        let long = [&[1, 0x80, 0x01][..], &[7; 128]].concat();
        let wasm = [HEAD, &[0, 2, 1, b'a'], &long, &[0, 1, 0], &[10, 1, 0]].concat();
        assert_eq!(without_custom(&wasm).unwrap(), [HEAD, &long, &[10, 1, 0]].concat());
    }

    #[test]
    fn what_ends_amid_a_section_is_refused() {
        for cut in [&[1][..], &[1, 3, 0], &[1, 0x80]] {
            assert!(without_custom(&[HEAD, cut].concat()).is_err());
        }
        assert!(without_custom(b"\0asm").is_err());
    }
}
