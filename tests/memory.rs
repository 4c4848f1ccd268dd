//! Conformance of the in-memory storage.

mod files {
    use lakeshore::ports::memory::MemoryFiles;
    lakeshore::files_promises!(pollster::block_on, async { (MemoryFiles::default(), ()) });
}
