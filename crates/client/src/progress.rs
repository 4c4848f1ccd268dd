//! Progress on standard error: bars on a terminal, else a line every few seconds.

use bytesize::ByteSize;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lakeshore_system::terminal;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Interval of the lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const REDRAW_EVERY: Duration = Duration::from_millis(120);
/// Size from which a file has its own bar.
const LARGE_BYTES_MIN: u64 = 8 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProgressOutput {
    Bars,
    Lines,
    Quiet,
}

pub struct Progress {
    output: ProgressOutput,
    bars: MultiProgress,
    stage: Mutex<Stage>,
    files: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Stage {
    doing: String,
    files: Option<u64>,
    bytes: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(quiet: bool) -> Arc<Self> {
        let output = match (quiet, terminal::is_watched()) {
            (true, _) => ProgressOutput::Quiet,
            (false, true) => ProgressOutput::Bars,
            (false, false) => ProgressOutput::Lines,
        };
        let target =
            if output == ProgressOutput::Bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let progress = Arc::new(Self {
            output,
            bars: MultiProgress::with_draw_target(target),
            stage: Mutex::default(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        if output == ProgressOutput::Lines {
            let told = Arc::downgrade(&progress);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LINE_EVERY).await;
                    let Some(progress) = told.upgrade() else { return };
                    progress.line();
                }
            });
        }
        progress
    }

    /// Begins a stage, with its files and bytes if known, and ends the one before.
    pub fn begin(&self, doing: &str, files: Option<u64>, bytes: Option<u64>) {
        self.end();
        self.files.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        let bar = (self.output == ProgressOutput::Bars).then(|| {
            let bar = match bytes {
                Some(bytes) => ProgressBar::new(bytes).with_style(style(
                    "{prefix} [{bar:24}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {msg} eta {eta}",
                )),
                None => ProgressBar::no_length().with_style(style("{spinner} {prefix} {binary_bytes} {msg}")),
            };
            let bar = self.bars.add(bar).with_prefix(doing.to_owned());
            bar.enable_steady_tick(REDRAW_EVERY);
            bar
        });
        *self.stage() = Stage { doing: doing.to_owned(), files, bytes, bar };
    }

    /// Ends the stage, and removes its bar.
    pub fn end(&self) {
        let stage = std::mem::take(&mut *self.stage());
        if let Some(bar) = stage.bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    fn stage(&self) -> parking_lot::MutexGuard<'_, Stage> {
        self.stage.lock()
    }

    pub fn add_bytes(&self, count: u64) {
        let bytes = self.bytes.fetch_add(count, Ordering::Relaxed) + count;
        if let Some(bar) = &self.stage().bar {
            bar.set_position(bytes);
        }
    }

    /// Subtracts bytes that have to be sent again.
    fn subtract(&self, count: u64) {
        self.bytes.fetch_sub(count, Ordering::Relaxed);
        self.add_bytes(0);
    }

    pub fn add_files(&self, count: u64) {
        let files = self.files.fetch_add(count, Ordering::Relaxed) + count;
        let stage = self.stage();
        if let Some(bar) = &stage.bar {
            bar.set_message(match stage.files {
                Some(all) => format!("{files}/{all} files"),
                None => format!("{files} files"),
            });
        }
    }

    /// Progress of a file, with its own bar if it is large.
    pub fn of_file(self: &Arc<Self>, name: &str, size_bytes: u64) -> Arc<FileProgress> {
        let wanted = self.output == ProgressOutput::Bars && size_bytes >= LARGE_BYTES_MIN;
        let bar = wanted.then(|| {
            let style = style("  {binary_bytes}/{binary_total_bytes} {wide_msg}");
            self.bars
                .add(ProgressBar::new(size_bytes).with_style(style).with_message(terminal::visible(name).into_owned()))
        });
        Arc::new(FileProgress { all: self.clone(), bar, position: AtomicU64::new(0) })
    }

    /// Prints a line for people, above the bars.
    pub fn tell(&self, line: &str) {
        self.bars.suspend(|| {
            terminal::say(line);
        });
    }

    fn line(&self) {
        let (files, bytes) = (self.files.load(Ordering::Relaxed), ByteSize(self.bytes.load(Ordering::Relaxed)));
        let stage = self.stage();
        let line = match (stage.files, stage.bytes) {
            (Some(all_files), Some(all_bytes)) => {
                format!("{}: {files} of {all_files} files, {bytes} of {}", stage.doing, ByteSize(all_bytes))
            }
            _ => format!("{}: {files} files, {bytes}", stage.doing),
        };
        if !stage.doing.is_empty() {
            terminal::say(&line);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// Progress of one file.
pub struct FileProgress {
    all: Arc<Progress>,
    bar: Option<ProgressBar>,
    position: AtomicU64,
}

impl FileProgress {
    pub fn add(&self, count: u64) {
        self.at(self.position.load(Ordering::Relaxed) + count);
    }

    /// Sets the number of bytes sent; it decreases when an upload goes back.
    pub fn at(&self, position: u64) {
        let before = self.position.swap(position, Ordering::Relaxed);
        match position.checked_sub(before) {
            Some(more) => self.all.add_bytes(more),
            None => self.all.subtract(before - position),
        }
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }
}

impl Drop for FileProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.all.bars.remove(bar);
        }
    }
}
