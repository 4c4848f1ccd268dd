//! Decides when a checkpoint is due.

/// Commits between two checkpoints, and so the most that a reader reads besides one.
pub const COMMITS_PER_CHECKPOINT: u64 = 100;
/// Actions of files between two checkpoints, of commits with many.
pub const ACTIONS_PER_CHECKPOINT: u64 = 100_000;

/// Whether a checkpoint is due after `commit`. `last` is the commit of the last checkpoint, and `actions` counts the actions of files
/// since then. A table of one commit needs no checkpoint, however large it is: it would hold the same.
pub fn is_checkpoint_due(commit: u64, last: Option<u64>, actions: u64) -> bool {
    let commits = last.map_or(commit, |last| commit.saturating_sub(last));
    commits > 0 && (commits >= COMMITS_PER_CHECKPOINT || actions >= ACTIONS_PER_CHECKPOINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_after_many_commits_or_large_ones() {
        assert!(!is_checkpoint_due(0, None, 1_000_000));
        assert!(!is_checkpoint_due(99, None, 0) && is_checkpoint_due(100, None, 0));
        assert!(!is_checkpoint_due(199, Some(100), 99_999) && is_checkpoint_due(200, Some(100), 0));
        assert!(is_checkpoint_due(101, Some(100), 100_000) && !is_checkpoint_due(100, Some(100), 100_000));
    }
}
