//! Tables of a preview: first rows, columns, row groups.

use crate::components::icon::{Icon, Picture};
use crate::components::table_head::{column, table_head};
use crate::format;
use crate::visible::visible;
use lakeshore::model::dataset::schema::Column;
use lakeshore::model::preview::Preview;
use leptos::prelude::*;
use std::iter;

#[component]
pub(in crate::pages) fn Rows(preview: Preview) -> impl IntoView {
    let Preview { schema, rows, row_count, num_columns, .. } = preview;
    let columns: Vec<Column> = schema.map(|schema| schema.columns).unwrap_or_default();
    let numbers: Vec<bool> = columns.iter().map(Column::is_number).collect();
    let note = note(rows.len() as u64, row_count, columns.len() as u64, num_columns);
    let heads = columns
        .into_iter()
        .map(|of| column(visible(of.name.clone())).number_if(of.is_number()).value_type(visible(of.kind)));
    let head = table_head(iter::once(column("Row").unseen()).chain(heads));
    let lines = rows.into_iter().zip(1_u64..).map(|(row, number)| {
        let cells = row.into_iter().zip(&numbers).map(|(value, is_number)| match value {
            Some(value) => {
                let class = if *is_number { "number" } else { "" };
                view! { <td class=class>{visible(value)}</td> }.into_any()
            }
            None => view! { <td class="null">"null"</td> }.into_any(),
        });
        view! {
            <tr>
                <th scope="row">{format::count(number)}</th>
                {cells.collect_view()}
            </tr>
        }
    });
    view! {
        <p class="hint">{note}</p>
        <div class="data" role="region" aria-label="First rows" tabindex="0">
            <table>
                {head}
                <tbody>{lines.collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Extent of the preview.
fn note(rows: u64, row_count: Option<u64>, columns: u64, num_columns: u64) -> String {
    let rows = match row_count {
        Some(0) => "No rows.".to_owned(),
        Some(count) if count == rows => format!("{}, all shown.", format::counted(count, "row")),
        Some(count) => format!("First {} of {}.", format::count(rows), format::counted(count, "row")),
        None => format!("First {}.", format::counted(rows, "row")),
    };
    if columns < num_columns {
        format!("{rows} First {} of {} columns.", format::count(columns), format::count(num_columns))
    } else {
        rows
    }
}

/// Lines that are not like the others.
#[component]
pub(in crate::pages) fn BadLines(preview: Preview) -> impl IntoView {
    let Preview { bad_lines, num_bad_lines, .. } = preview;
    let more = num_bad_lines.saturating_sub(bad_lines.len() as u64);
    (num_bad_lines > 0).then(|| {
        view! {
            <div class="notice notice-held">
                <Picture icon=Icon::Warning/>
                <details class="names">
                    <summary>
                        {format!(
                            "{} in the part that was read",
                            format::counted(num_bad_lines, "malformed line"),
                        )}
                    </summary>
                    <ul>
                        {bad_lines
                            .into_iter()
                            .map(|bad| view! { <li>{visible(format!("Line {}: {}", format::count(bad.line), bad.problem))}</li> })
                            .collect_view()}
                        {(more > 0).then(|| view! { <li>{format::and_more(more)}</li> })}
                    </ul>
                </details>
            </div>
        }
        .into_any()
    })
}

#[component]
pub(in crate::pages) fn SchemaTable(preview: Preview) -> impl IntoView {
    let Preview { format, schema, statistics, num_columns, .. } = preview;
    let columns = schema.map(|schema| schema.columns).unwrap_or_default();
    let more = num_columns.saturating_sub(columns.len() as u64);
    let has_statistics = !statistics.is_empty();
    let mut statistics = statistics.into_iter();
    let lines = columns.into_iter().map(|column| {
        let nulls = if column.nullable { "yes" } else { "no" };
        let of_column = statistics.next();
        let more = of_column.map(|of| {
            let or_dash = |text: Option<String>| text.map_or_else(|| "—".to_owned(), visible);
            let min = of.min.or_else(|| of.lower_bound.map(|bound| format!("≥ {bound}")));
            let max = of.max.or_else(|| of.upper_bound.map(|bound| format!("≤ {bound}")));
            view! {
                <td class="number">{or_dash(of.nulls.map(format::count))}</td>
                <td>{or_dash(min)}</td>
                <td>{or_dash(max)}</td>
                <td class="number">{format::bytes(of.compressed_bytes)}</td>
                <td class="number">{format::bytes(of.uncompressed_bytes)}</td>
                <td>{visible(of.compression)}</td>
            }
        });
        view! {
            <tr>
                <th scope="row">{visible(column.name)}</th>
                <td>
                    <code>{visible(column.kind)}</code>
                </td>
                <td>{nulls}</td>
                {more}
            </tr>
        }
    });
    let lines = lines.collect_view();
    view! {
        {format
            .is_sniffed()
            .then(|| {
                view! {
                    <p class="hint">
                        "Types are inferred from the first megabyte of the file."
                    </p>
                }
            })}
        <div class="data" role="region" aria-label="Columns" tabindex="0">
            <table class="data-schema">
                {table_head([
                    column("Column"), column("Type"), column("Nullable"),
                    column("Nulls").number().when(has_statistics), column("Min").when(has_statistics),
                    column("Max").when(has_statistics), column("Compressed").number().when(has_statistics),
                    column("Uncompressed").number().when(has_statistics),
                    column("Compression").when(has_statistics),
                ])}
                <tbody>{lines}</tbody>
            </table>
        </div>
        {(more > 0).then(|| view! { <p class="hint">{format!("And {}.", format::counted(more, "more column"))}</p> })}
    }
    .into_any()
}

#[component]
pub(in crate::pages) fn RowGroups(preview: Preview) -> impl IntoView {
    let Preview { row_groups, num_row_groups, .. } = preview;
    let more = num_row_groups.saturating_sub(row_groups.len() as u64);
    let lines = row_groups.into_iter().zip(1_u64..).map(|(group, number)| {
        view! {
            <tr>
                <th scope="row">{format::count(number)}</th>
                <td class="number">{format::count(group.rows)}</td>
                <td class="number">{format::bytes(group.compressed_bytes)}</td>
                <td class="number">{format::bytes(group.uncompressed_bytes)}</td>
            </tr>
        }
    });
    let count = format::counted(num_row_groups, "row group");
    view! {
        <p class="hint">{count} ". Readers skip row groups that they do not need."</p>
        <div class="data data-narrow" role="region" aria-label="Row groups" tabindex="0">
            <table>
                {table_head([
                    column("Row group"), column("Rows").number(), column("Compressed").number(),
                    column("Uncompressed").number(),
                ])}
                <tbody>{lines.collect_view()}</tbody>
            </table>
        </div>
        {(more > 0).then(|| view! { <p class="hint">{format!("And {} more.", format::count(more))}</p> })}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_shown_is_told() {
        assert_eq!(note(3, Some(3), 2, 2), "3 rows, all shown.");
        assert_eq!(note(100, Some(2_000_000), 2, 2), "First 100 of 2,000,000 rows.");
        assert_eq!(note(100, None, 100, 400), "First 100 rows. First 100 of 400 columns.");
    }
}
