//! The loads: files and concurrency.

use crate::kit::{chosen, number};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    Big,
    Many,
    Small32,
    Small8,
    Small1,
}

impl Load {
    pub const ALL: [Self; 5] = [Self::Big, Self::Many, Self::Small32, Self::Small8, Self::Small1];

    pub fn selected() -> Vec<Self> {
        Self::ALL.into_iter().filter(|load| chosen("BENCH_LOADS", load.name())).collect()
    }

    /// Name for `BENCH_LOADS`, and in the names of the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::Many => "many",
            Self::Small32 => "small-32",
            Self::Small8 => "small-8",
            Self::Small1 => "small-1",
        }
    }

    /// Title of its column in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Big => "1 GiB",
            Self::Many => "64 x 16 MiB",
            Self::Small32 => "16 KiB, 32 in flight",
            Self::Small8 => "16 KiB, 8 in flight",
            Self::Small1 => "16 KiB, one at a time",
        }
    }

    pub fn file_bytes(self) -> usize {
        match self {
            Self::Big => 1 << 30,
            Self::Many => 16 << 20,
            _ => 16 << 10,
        }
    }

    pub fn in_flight(self) -> usize {
        match self {
            Self::Big | Self::Small1 => 1,
            Self::Many => 64,
            Self::Small32 => 32,
            Self::Small8 => 8,
        }
    }

    pub fn is_small(self) -> bool {
        !matches!(self, Self::Big | Self::Many)
    }

    pub fn unit(self) -> &'static str {
        if self.is_small() { "files/s" } else { "MiB/s" }
    }

    /// Rate in the load's unit.
    pub fn rate(self, files: usize, elapsed: Duration) -> f64 {
        let amount = if self.is_small() { files } else { files * (self.file_bytes() >> 20) };
        amount as f64 / elapsed.as_secs_f64()
    }

    /// Small files are sent for a fixed time, so that slow servers end too and chance has the same weight for all.
    pub fn supply(self) -> Supply {
        if self.is_small() {
            Supply {
                files: usize::MAX,
                ends_at: Some(Instant::now() + Duration::from_secs(number("BENCH_SECONDS", 2))),
            }
        } else {
            Supply { files: self.in_flight(), ends_at: None }
        }
    }

    /// A few files before the measurement, for work that a server does once.
    pub fn warm_up(self) -> Supply {
        Supply { files: if self.is_small() { 200 } else { 0 }, ends_at: None }
    }
}

/// Number of files, or time, of a load.
#[derive(Clone, Copy)]
pub struct Supply {
    files: usize,
    ends_at: Option<Instant>,
}

impl Supply {
    /// Whether more files are left after `taken`.
    pub fn holds(&self, taken: usize) -> bool {
        taken < self.files && self.ends_at.is_none_or(|end| Instant::now() < end)
    }
}
