//! Adds files to the queue, and filters them.

use super::browser::{self, Chosen};
use super::queue::Added;
use super::{Phase, Uploader, View};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Chosen files that are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Files with a name that begins with a dot, which readers of the lake skip.
    pub hidden: usize,
    /// Names of the first files that exceed the server's limit.
    pub too_large: Vec<String>,
    pub too_large_count: usize,
}

impl LeftOut {
    const NAMES_MAX: usize = 3;

    /// Whether the file is sent. If not, records the reason.
    fn admits(&mut self, folder: &str, name: &str, size_bytes: u64, bytes_max: u64) -> bool {
        // `..` is not a hidden name: it is sent, so that the server refuses it by name.
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

/// Files that are queued without a pause, so that the page stays smooth.
const AT_ONCE: usize = 200;

/// The single top folder of all files that are in a folder. Several folders keep their names, so that files of the same
/// name do not collide.
fn only_folder<'a>(folders: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut tops = folders.filter(|folder| !folder.is_empty()).map(|folder| folder.split('/').next().unwrap_or(folder));
    let top = tops.next()?;
    tops.all(|other| other == top).then(|| top.to_owned())
}

/// The folder without its top folder.
fn below<'a>(top: &str, folder: &'a str) -> &'a str {
    folder.strip_prefix(top).map_or(folder, |rest| rest.trim_start_matches('/'))
}

impl Uploader {
    /// Puts files into the queue. During an upload they are sent with the others.
    pub fn add(self, mut chosen: Vec<Chosen>, bytes_max: u64) {
        if !self.keeps_folder_name.get_untracked()
            && let Some(top) = only_folder(chosen.iter().map(|one| one.folder.as_str()))
        {
            chosen.iter_mut().for_each(|one| one.folder = below(&top, &one.folder).to_owned());
        }
        spawn_local(async move {
            let mut chosen = chosen.into_iter().peekable();
            while chosen.peek().is_some() && self.takes_files() {
                self.add_some(chosen.by_ref().take(AT_ONCE), bytes_max);
                self.resume();
                browser::breathe().await;
            }
        });
    }

    fn takes_files(self) -> bool {
        !matches!(self.phase.get_untracked(), Phase::Ending | Phase::Ended | Phase::Aborted)
    }

    fn add_some(self, chosen: impl Iterator<Item = Chosen>, bytes_max: u64) {
        let mut left_out = self.left_out.get_untracked();
        let mut replaced = Vec::new();
        self.queue.update_value(|queue| {
            for Chosen { folder, name, size_bytes, modified_ms, file } in chosen {
                if !left_out.admits(&folder, &name, size_bytes, bytes_max) {
                    continue;
                }
                match queue.add(folder, name, size_bytes, modified_ms) {
                    Added::New(id) | Added::Again(id) => browser::keep(id, file),
                    Added::Instead { new, old } => {
                        browser::keep(new, file);
                        replaced.push(old);
                    }
                    Added::Known => {}
                }
            }
        });
        if self.left_out.with_untracked(|now| *now != left_out) {
            self.left_out.set(left_out);
        }
        for id in replaced {
            self.cancel_one(id);
        }
    }

    /// Empties the queue for another upload. No request may be running.
    pub fn reset(self) {
        browser::release_all();
        self.queue.update_value(|queue| *queue = Self::new_queue());
        self.phase.set(Phase::Preparing);
        self.target.set(None);
        self.left_out.set(LeftOut::default());
        self.end_when_done.set(true);
        self.error.set(None);
        self.in_the_way.set(None);
        self.is_paused.set(false);
        self.before.set(None);
        self.view.set(View::default());
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_lands_without_its_name_and_several_keep_theirs() {
        let top = |folders: &[&str]| only_folder(folders.iter().copied());
        assert_eq!(top(&["export", "export/dt=1", ""]).as_deref(), Some("export"));
        assert_eq!((top(&["export", "other"]), top(&["export", "export2"]), top(&[""])), (None, None, None));
        assert_eq!([below("export", "export"), below("export", "export/dt=1"), below("export", "")], ["", "dt=1", ""]);
    }

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
