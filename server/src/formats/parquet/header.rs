//! The header of a page, as far as it says how much will come of it.
//!
//! The parquet crate believes a page's header: it makes room for what the header announces, and unpacks gzip to wherever it
//! ends. So headers of strangers are read here first. They are Thrift structs in the compact protocol (`parquet.thrift`,
//! `PageHeader`; thrift-compact-protocol.md).

/// Structs in structs; those of a page's header are two deep.
const DEPTH_MAX: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PageHeader {
    pub(super) uncompressed_bytes: u64,
    pub(super) compressed_bytes: u64,
    /// Of a data page; how many values of a nested column may have to be read for one row.
    pub(super) num_values: u64,
    /// Of a data page of the second version: what comes before the compressed part.
    pub(super) level_bytes: u64,
    pub(super) is_stored: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It goes on behind the bytes that were given.
    Incomplete,
    Wrong,
}

impl PageHeader {
    /// Of the bytes from the beginning of a page on.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let mut header = Self::default();
        Compact(bytes).fields(0, &mut |field, kind, compact| {
            match (field, kind) {
                (2, I32) => header.uncompressed_bytes = compact.size()?,
                (3, I32) => header.compressed_bytes = compact.size()?,
                (5, STRUCT) => compact.fields(1, &mut |field, kind, compact| match (field, kind) {
                    (1, I32) => compact.size().map(|size| header.num_values = size),
                    _ => compact.skip(kind, 2),
                })?,
                (8, STRUCT) => compact.fields(1, &mut |field, kind, compact| {
                    match (field, kind) {
                        (1, I32) => header.num_values = compact.size()?,
                        (5 | 6, I32) => header.level_bytes += compact.size()?,
                        (7, FALSE) => header.is_stored = true,
                        _ => compact.skip(kind, 2)?,
                    }
                    Ok(())
                })?,
                _ => compact.skip(kind, 1)?,
            }
            Ok(())
        })?;
        Ok(header)
    }
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// What is left to read.
struct Compact<'a>(&'a [u8]);

type OnField<'f> = &'f mut dyn FnMut(i16, u8, &mut Compact<'_>) -> Result<(), HeaderFault>;

impl Compact<'_> {
    fn byte(&mut self) -> Result<u8, HeaderFault> {
        let (&byte, rest) = self.0.split_first().ok_or(HeaderFault::Incomplete)?;
        self.0 = rest;
        Ok(byte)
    }

    fn pass(&mut self, length: u64) -> Result<(), HeaderFault> {
        let length = usize::try_from(length).map_err(|_| HeaderFault::Wrong)?;
        self.0 = self.0.get(length..).ok_or(HeaderFault::Incomplete)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, HeaderFault> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(HeaderFault::Wrong)
    }

    fn integer(&mut self) -> Result<i64, HeaderFault> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn size(&mut self) -> Result<u64, HeaderFault> {
        u64::try_from(self.integer()?).map_err(|_| HeaderFault::Wrong)
    }

    fn fields(&mut self, depth: u32, on_field: OnField<'_>) -> Result<(), HeaderFault> {
        if depth > DEPTH_MAX {
            return Err(HeaderFault::Wrong);
        }
        let mut field: i16 = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            field = match head >> 4 {
                0 => i16::try_from(self.integer()?).map_err(|_| HeaderFault::Wrong)?,
                delta => field.checked_add(i16::from(delta)).ok_or(HeaderFault::Wrong)?,
            };
            on_field(field, head & 0x0f, self)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<(), HeaderFault> {
        if depth > DEPTH_MAX {
            return Err(HeaderFault::Wrong);
        }
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            I16 | I32 | I64 => self.varint().map(|_| ()),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | SET => {
                let head = self.byte()?;
                let length = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..length).try_for_each(|_| self.skip_element(head & 0x0f, depth))
            }
            MAP => {
                let length = self.varint()?;
                let kinds = if length == 0 { 0 } else { self.byte()? };
                (0..length).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth)?;
                    self.skip_element(kinds & 0x0f, depth)
                })
            }
            STRUCT => self.fields(depth, &mut |_, kind, compact| compact.skip(kind, depth + 1)),
            _ => Err(HeaderFault::Wrong),
        }
    }

    /// In a list, a truth is a byte.
    fn skip_element(&mut self, kind: u8, depth: u32) -> Result<(), HeaderFault> {
        self.skip(if matches!(kind, TRUE | FALSE) { BYTE } else { kind }, depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_of_both_versions_of_data_pages_are_read() {
        // type 0, 300 bytes uncompressed, 100 compressed, DataPageHeader { 1000 values, ... }
        let first = [0x15, 0, 0x15, 0xd8, 4, 0x15, 0xc8, 1, 0x2c, 0x15, 0xd0, 0x0f, 0x15, 0, 0x15, 0, 0x15, 0, 0, 0];
        let header = PageHeader::parse(&first).unwrap();
        assert_eq!((header.uncompressed_bytes, header.compressed_bytes, header.num_values), (300, 100, 1000));
        assert_eq!(PageHeader::parse(&first[..first.len() - 1]), Err(HeaderFault::Incomplete));
        // type 3, the same sizes, DataPageHeaderV2 { 10 values, 0 nulls, 10 rows, plain, levels of 2 and 3, stored }
        let second = [
            0x15, 6, 0x15, 0xd8, 4, 0x15, 0xc8, 1, 0x5c, 0x15, 20, 0x15, 0, 0x15, 20, 0x15, 0, 0x15, 4, 0x15, 6, 0x12,
            0, 0,
        ];
        let header = PageHeader::parse(&second).unwrap();
        assert_eq!((header.num_values, header.level_bytes, header.is_stored), (10, 5, true));
    }

    #[test]
    fn a_list_that_says_it_is_endless_ends_with_its_bytes() {
        let endless = [0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3];
        assert_eq!(PageHeader::parse(&endless), Err(HeaderFault::Incomplete));
        let deep = [0x1c; 4096];
        assert_eq!(PageHeader::parse(&deep), Err(HeaderFault::Wrong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PageHeader::parse(&bytes);
        }
    }
}
