//! Tables for people: each column is as wide as its widest cell.

use lakeshore_system::terminal::{line, visible};
use std::io::{self, Write};

/// Prints rows with two spaces between cells. `right` has the right-aligned columns.
pub fn print<const N: usize>(output: &mut impl Write, rows: &[[String; N]], right: &[usize]) -> io::Result<()> {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| visible(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(
                |(at, (cell, width))| {
                    if right.contains(&at) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
                },
            )
            .collect();
        line(output, cells.join("  ").trim_end())?;
    }
    Ok(())
}
