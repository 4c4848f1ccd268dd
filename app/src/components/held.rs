//! Effect of publishing a held sync, in words.

use crate::format;
use lakeshore::model::sync::hold::Hold;

/// Effect of publishing the sync at `path`. `of_schema` follows the text of a schema mismatch: `: ` and the columns, or
/// where to see them.
pub fn consequence(path: &str, hold: Hold, of_schema: &str) -> String {
    let Hold { replaced, published, differing_files, .. } = hold;
    if differing_files > 0 {
        let files = format::counted(differing_files, "file");
        let do_not = if differing_files == 1 { "does" } else { "do" };
        return format!("{files} {do_not} not match the schema of {path}{of_schema}.");
    }
    match (published.files, replaced.files) {
        (0, 0) => format!("No files have landed, and {path} is empty: publishing would change nothing."),
        (0, _) => {
            format!("No files have landed: publishing would empty {path}, which holds {}.", format::totals(replaced))
        }
        _ => format!(
            "Publishing would replace {} at {path} with only {}.",
            format::totals(replaced),
            format::totals(published)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::time::Timestamp;
    use lakeshore::model::totals::Totals;

    #[test]
    fn the_figures_say_what_would_be_lost() {
        let hold = |files, bytes| Hold {
            since: Timestamp(1),
            replaced: Totals { files: 12, bytes: 3_100_000_000 },
            published: Totals { files, bytes },
            differing_files: 0,
        };
        assert_eq!(
            consequence("/d", hold(1, 5), ""),
            "Publishing would replace 12 files, 3.1 GB at /d with only 1 file, 5 B."
        );
        let differing = Hold { differing_files: 2, ..hold(9, 9) };
        let told = consequence("/d", differing, ": amount is string, was int64");
        assert_eq!(told, "2 files do not match the schema of /d: amount is string, was int64.");
        assert_eq!(
            consequence("/d", differing, "; see the files below"),
            "2 files do not match the schema of /d; see the files below."
        );
        assert_eq!(consequence("/d", differing, ""), "2 files do not match the schema of /d.");
        assert!(consequence("/d", hold(0, 0), "").contains("would empty /d, which holds 12 files"));
        let nothing = Hold { replaced: Totals::default(), ..hold(0, 0) };
        assert!(consequence("/d", nothing, "").contains("would change nothing"));
    }
}
