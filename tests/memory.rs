//! The in-memory ports keep the promises that every backend keeps.

mod state {
    use lakeshore::ports::memory::MemoryState;
    lakeshore::state_promises!(pollster::block_on, async { (MemoryState::default(), ()) });
}

mod files {
    use lakeshore::ports::memory::MemoryFiles;
    lakeshore::files_promises!(pollster::block_on, async { (MemoryFiles::default(), ()) });
}
