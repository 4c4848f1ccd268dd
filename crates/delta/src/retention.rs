//! When a checkpoint is due, and which entries of the log nobody needs any more.

/// Commits between two checkpoints: what a reader reads at most besides one.
pub const COMMITS_PER_CHECKPOINT: u64 = 100;
/// Actions of files between two checkpoints, of commits with many.
pub const ACTIONS_PER_CHECKPOINT: u64 = 100_000;

/// Whether a checkpoint is due after commit `commit`. `last` is the last one, and `actions` are those of files of the commits since.
/// A table of one commit needs none, however large: a checkpoint would say the same.
pub fn is_checkpoint_due(commit: u64, last: Option<u64>, actions: u64) -> bool {
    let commits = last.map_or(commit, |last| commit.saturating_sub(last));
    commits > 0 && (commits >= COMMITS_PER_CHECKPOINT || actions >= ACTIONS_PER_CHECKPOINT)
}

/// The first entry of the log that has to stay, where every commit from `oldest_kept` on is to be readable and `checkpoints` are
/// complete. Commits and checkpoints before it may be removed, the oldest first. `None` where none may.
pub fn first_needed(oldest_kept: u64, checkpoints: impl IntoIterator<Item = u64>) -> Option<u64> {
    checkpoints.into_iter().filter(|&checkpoint| checkpoint <= oldest_kept).max().filter(|&first| first > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_checkpoint_is_due_after_many_commits_or_large_ones() {
        assert!(!is_checkpoint_due(0, None, 1_000_000));
        assert!(!is_checkpoint_due(99, None, 0) && is_checkpoint_due(100, None, 0));
        assert!(!is_checkpoint_due(199, Some(100), 99_999) && is_checkpoint_due(200, Some(100), 0));
        assert!(is_checkpoint_due(101, Some(100), 100_000) && !is_checkpoint_due(100, Some(100), 100_000));
    }

    proptest! {
        #[test]
        fn what_is_kept_has_a_checkpoint_to_begin_with(
            oldest in 0_u64..50, checkpoints in prop::collection::btree_set(0_u64..50, 0..8),
        ) {
            match first_needed(oldest, checkpoints.iter().copied()) {
                Some(first) => {
                    prop_assert!(checkpoints.contains(&first) && first <= oldest);
                    prop_assert!(!checkpoints.iter().any(|&other| other > first && other <= oldest), "more could go");
                }
                None => prop_assert!(!checkpoints.iter().any(|&one| one > 0 && one <= oldest)),
            }
        }
    }
}
