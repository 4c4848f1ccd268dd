//! The files in memory keep the promises that every backend keeps.

mod files {
    use lakeshore::ports::memory::MemoryFiles;
    lakeshore::files_promises!(pollster::block_on, async { (MemoryFiles::default(), ()) });
}
