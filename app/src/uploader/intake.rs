//! What comes into the queue, and what is left out of it.

use super::browser::{self, Chosen};
use super::{Phase, Uploader};
use leptos::prelude::*;

/// Files that were chosen and are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Names that begin with a dot, which readers of the lake skip.
    pub hidden: usize,
    /// Names of the first files that are larger than the server takes.
    pub too_large: Vec<String>,
    pub too_large_count: usize,
}

impl LeftOut {
    const NAMES_MAX: usize = 3;

    /// True when the file may go; else it is remembered why not.
    fn admits(&mut self, folder: &str, name: &str, size_bytes: u64, bytes_max: u64) -> bool {
        // A step upward is not a hidden name: it is sent, so that the server refuses it by name.
        let hides = |component: &str| component.starts_with('.') && component != "." && component != "..";
        let is_hidden = folder.split('/').chain(name.split('/')).any(hides);
        if is_hidden {
            self.hidden += 1;
        } else if size_bytes > bytes_max {
            self.too_large_count += 1;
            if self.too_large.len() < Self::NAMES_MAX {
                self.too_large.push(name.to_owned());
            }
        }
        !is_hidden && size_bytes <= bytes_max
    }
}

impl Uploader {
    /// Puts files into the queue. During an upload they are sent with the others.
    pub fn add(self, chosen: Vec<Chosen>, bytes_max: u64) {
        if chosen.is_empty() || matches!(self.phase.get_untracked(), Phase::Ending | Phase::Ended | Phase::Aborted) {
            return;
        }
        self.left_out.update(|left_out| {
            self.queue.update_value(|queue| {
                for Chosen { folder, name, size_bytes, file } in chosen {
                    if left_out.admits(&folder, &name, size_bytes, bytes_max) {
                        browser::keep(queue.add(folder, name, size_bytes), file);
                    }
                }
            });
        });
        self.resume();
    }

    /// Empties the queue for another upload. Nothing is on its way then.
    pub fn reset(self) {
        browser::release_all();
        self.queue.update_value(|queue| *queue = Default::default());
        self.phase.set(Phase::Preparing);
        self.target.set(None);
        self.left_out.set(LeftOut::default());
        self.end_when_done.set(true);
        self.error.set(None);
        self.in_the_way.set(None);
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_too_large_files_are_left_out_and_counted() {
        let mut left_out = LeftOut::default();
        assert!(left_out.admits("sales/dt=1", "a.parquet", 10, 10));
        assert!(!left_out.admits("", ".DS_Store", 10, 10));
        assert!(!left_out.admits("sales/.git", "config", 10, 10));
        assert!(!left_out.admits("", "b.parquet", 11, 10));
        assert!(left_out.admits("", "../../etc/passwd", 10, 10), "it is refused by the server, and said so");
        assert_eq!(left_out, LeftOut { hidden: 2, too_large: vec!["b.parquet".into()], too_large_count: 1 });
    }
}
