//! Parquet files with a footer of any bytes, read by the server's reader processes: an answer arrives in time, whatever
//! happens to the reader. A part of the input before the footer may be pages.
//!
//! The first two bytes are the length of that part.

#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: common::be_a_reader_if_asked(),
    |input: &[u8]| {
        let Some((length, rest)) = input.split_first_chunk::<2>() else { return };
        let (pages, footer) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        let length = (footer.len() as u32).to_le_bytes();
        common::read("x.parquet", &[b"PAR1", pages, footer, &length, b"PAR1"].concat());
    }
);
