//! A Parquet file as the parquet crate reads it, piece by piece, with its announcements checked before they are believed.

use super::header::{HeaderFault, PageHeader};
use crate::formats::Fault;
use crate::formats::source::Source;
use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

/// A footer with what it describes; one of a thousand row groups and a hundred columns has some 10 MB.
const FOOTER_BYTES_MAX: u64 = 32 << 20;
/// The last bytes are read at once: most footers are in them.
const TAIL_BYTES: usize = 64 * 1024;
/// What a page may unpack to. DuckDB makes one page of 122,880 rows.
const PAGE_BYTES_MAX: u64 = 128 << 20;
/// The same, where it cannot be known beforehand whether that is true.
const PAGE_BYTES_UNKNOWN_MAX: u64 = 1 << 20;
/// Values of a nested column in the pages of its first rows: each of them may have to be in memory.
const NESTED_VALUES_MAX: u64 = 4_000_000;
/// A page's header is looked for in so many bytes, then in more: it may hold the page's least and greatest value.
const HEADER_BYTES: [usize; 3] = [1024, 16 * 1024, 256 * 1024];

#[derive(Clone)]
pub(super) struct Guard {
    source: Arc<Source>,
    /// Where it begins, and what it is.
    tail: (u64, Bytes),
    /// Of the column that is read; absent while the footer is.
    column: Option<Arc<Pages>>,
    /// The parquet crate keeps no more of an error than its words.
    fault: Arc<Mutex<Option<Fault>>>,
}

/// The pages of one column.
struct Pages {
    compression: Compression,
    is_nested: bool,
    last: Mutex<(PageHeader, u64)>,
}

impl Guard {
    /// Reads the end of the file and looks at the footer's length, which the crate would believe.
    pub(super) fn new(source: &Arc<Source>) -> Result<Self, Fault> {
        let length = source.len();
        let begins_at = length.saturating_sub(TAIL_BYTES as u64);
        let tail = source.read(begins_at, TAIL_BYTES)?;
        match tail.last_chunk::<8>() {
            Some([.., b'P', b'A', b'R', b'E']) => return Err(Fault::unreadable("it is encrypted")),
            Some([a, b, c, d, b'P', b'A', b'R', b'1']) if length >= 12 => {
                let footer = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                if footer > length - 12 {
                    return Err(Fault::unreadable("its footer is said to be longer than the whole file"));
                }
                if footer > FOOTER_BYTES_MAX {
                    let limit = FOOTER_BYTES_MAX >> 20;
                    return Err(Fault::unreadable(format!("its footer is longer than {limit} MiB")));
                }
            }
            _ => {
                let problem = "it does not end as a Parquet file does: it is cut off, or something else";
                return Err(Fault::unreadable(problem));
            }
        }
        Ok(Self { source: source.clone(), tail: (begins_at, tail), column: None, fault: Arc::default() })
    }

    /// For the pages of a column whose first chunk is this.
    pub(super) fn of_column(&self, chunk: &ColumnChunkMetaData) -> Self {
        let pages = Pages {
            compression: chunk.compression(),
            is_nested: chunk.column_descr().max_rep_level() > 0,
            last: Mutex::default(),
        };
        Self { column: Some(Arc::new(pages)), fault: Arc::default(), ..self.clone() }
    }

    /// What was wrong, where the crate has said that something was.
    pub(super) fn cause(&self, error: impl std::fmt::Display) -> Fault {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.unwrap_or_else(|| {
            let message = error.to_string();
            let cause = message.rsplit(" error: ").next().unwrap_or_default().to_owned();
            Fault::Unreadable(format!(
                "it is damaged: {}",
                cause.trim_start_matches("Arrow: ").trim_start_matches("EOF: ")
            ))
        })
    }

    fn kept<T>(&self, result: Result<T, Fault>) -> Result<T, ParquetError> {
        result.map_err(|fault| {
            let error = ParquetError::General(fault.to_string());
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            error
        })
    }

    fn read(&self, at: u64, length: usize) -> Result<Bytes, Fault> {
        let (begins_at, tail) = &self.tail;
        let in_tail = at.checked_sub(*begins_at).and_then(|at| usize::try_from(at).ok());
        match in_tail {
            Some(at) if at + length <= tail.len() => Ok(tail.slice(at..at + length)),
            _ => self.source.read_exactly(at, length),
        }
    }

    /// The beginning of a page, after a look at its header.
    fn header(&self, pages: &Pages, at: u64) -> Result<Bytes, Fault> {
        for length in HEADER_BYTES {
            let rest = usize::try_from(self.source.len().saturating_sub(at)).unwrap_or(usize::MAX);
            let bytes = self.read(at, length.min(rest))?;
            match PageHeader::parse(&bytes) {
                Ok(header) => {
                    pages.check(header)?;
                    return Ok(bytes);
                }
                Err(HeaderFault::Incomplete) if length < rest => {}
                Err(_) => break,
            }
        }
        Err(Fault::unreadable("a page of it has a header that cannot be read"))
    }
}

impl Pages {
    fn check(&self, header: PageHeader) -> Result<(), Fault> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let values = last.1.saturating_add(header.num_values);
        *last = (header, values);
        if header.uncompressed_bytes > PAGE_BYTES_MAX || header.compressed_bytes > PAGE_BYTES_MAX {
            let limit = PAGE_BYTES_MAX >> 20;
            return Err(Fault::unreadable(format!("a page of it unpacks to more than {limit} MiB")));
        }
        if self.is_nested && values > NESTED_VALUES_MAX {
            return Err(Fault::unreadable("its first rows have too many values in them"));
        }
        Ok(())
    }

    /// Refuses what would unpack to more than its header says, where nothing else would end it.
    fn check_page(&self, page: &[u8]) -> Result<(), Fault> {
        let (header, _) = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if header.is_stored {
            return Ok(());
        }
        let levels = usize::try_from(header.level_bytes).unwrap_or(usize::MAX);
        match self.compression {
            Compression::GZIP(_) => {
                let packed = page.get(levels..).unwrap_or_default();
                let announced = header.uncompressed_bytes.saturating_sub(header.level_bytes);
                let unpacked =
                    std::io::copy(&mut MultiGzDecoder::new(packed).take(announced + 1), &mut std::io::sink());
                match unpacked {
                    Ok(unpacked) if unpacked > announced => {
                        Err(Fault::unreadable("a page of it unpacks to more than it says"))
                    }
                    // The crate will say what is wrong.
                    _ => Ok(()),
                }
            }
            Compression::BROTLI(_) | Compression::LZ4 | Compression::LZO
                if page.len() as u64 > PAGE_BYTES_UNKNOWN_MAX =>
            {
                Err(Fault::unreadable(format!("a page of it, packed by {}, is too large", self.compression)))
            }
            _ => Ok(()),
        }
    }
}

impl Length for Guard {
    fn len(&self) -> u64 {
        self.source.len()
    }
}

impl ChunkReader for Guard {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let bytes = match &self.column {
            Some(pages) => self.header(pages, start),
            // The length of the footer, which is in the tail.
            None => self.read(start, usize::try_from(self.len().saturating_sub(start)).unwrap_or(usize::MAX)),
        };
        self.kept(bytes).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let read = || {
            let bytes = self.read(start, length)?;
            if let Some(pages) = &self.column {
                pages.check_page(&bytes)?;
            }
            Ok(bytes)
        };
        self.kept(read())
    }
}
