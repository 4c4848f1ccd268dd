//! Changes of row counts and columns, beside the files of a comparison.

use crate::components::fact::fact;
use crate::format;
use crate::visible::visible;
use lakeshore::model::sync::difference::{Difference, RowTotals};
use leptos::prelude::*;

/// Empty if no row counts are known.
#[component]
pub fn RowChanges(
    rows: RowTotals,
    /// Columns that differ, as text.
    columns: Option<String>,
    /// Set for an incremental sync, which is not compared.
    #[prop(optional)]
    only_new: bool,
) -> impl IntoView {
    let is_known = rows.old > 0 || rows.new > 0;
    let unknown = (is_known && rows.num_unknown > 0)
        .then(|| format!("excluding {} with unknown row counts", format::counted(rows.num_unknown, "file")));
    let fell = !only_new && rows.num_unknown == 0 && rows.new < rows.old;
    let rows = is_known.then(|| {
        fact(
            "Rows",
            view! {
                <span class:bad=fell>{if only_new { format::count(rows.new) } else { in_words(rows) }}</span>
                {unknown.map(|unknown| view! { <span class="row-note">{unknown}</span> })}
            },
        )
    });
    let columns = columns.map(|columns| fact("Columns", visible(columns)));
    (rows.is_some() || columns.is_some())
        .then(|| view! { <dl class="facts row-changes">{rows} {columns}</dl> }.into_any())
}

/// Columns that differ, as text.
pub fn columns_of(difference: &Difference) -> Option<String> {
    difference.schema.as_ref().map(|schema| schema.in_words())
}

/// Formats `1,200, before 1,000 (+200)`. Without a difference if some counts are unknown.
fn in_words(rows: RowTotals) -> String {
    let (new, old) = (format::count(rows.new), format::count(rows.old));
    if rows.num_unknown > 0 {
        return format!("{new} now, {old} before");
    }
    let change = match rows.new.cmp(&rows.old) {
        std::cmp::Ordering::Equal => return format!("{new}, unchanged"),
        std::cmp::Ordering::Greater => format!("+{}", format::count(rows.new - rows.old)),
        std::cmp::Ordering::Less => format!("\u{2212}{}", format::count(rows.old - rows.new)),
    };
    format!("{new}, before {old} ({change})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_beside_those_before() {
        let told = |old, new| in_words(RowTotals { old, new, num_unknown: 0 });
        assert_eq!(told(1000, 1200), "1,200, before 1,000 (+200)");
        assert_eq!(told(1000, 3), "3, before 1,000 (\u{2212}997)");
        assert_eq!(told(7, 7), "7, unchanged");
        assert_eq!(in_words(RowTotals { old: 0, new: 9, num_unknown: 2 }), "9 now, 0 before");
    }
}
