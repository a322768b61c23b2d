//! Rows of a query as a table.

use halfopen_serve::wire::{ColumnV1, QueryV1};
use serde_json::Value;

use super::text::{clean, cut, padded, right, width};
use crate::Failure;
use crate::terminal::{STRONG, Terminal};

/// A wider cell pushes everything else off the screen; `--json` has it whole.
const CELL_COLUMNS_MAX: usize = 60;
/// Below this a cell says nothing.
const CELL_COLUMNS_MIN: usize = 8;
/// Between two columns.
const GUTTER: &str = "  ";

/// Writes the table; gives the number of cells that were cut.
pub(crate) fn show(terminal: &mut Terminal, answer: &QueryV1) -> Result<usize, Failure> {
    let cells: Vec<Vec<String>> =
        answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let widths = widths(&answer.columns, &cells, terminal.width_of_tty());
    let mut heads = Vec::new();
    for (column, columns) in answer.columns.iter().zip(&widths) {
        heads.push(aligned(column, &cut(&clean(&column.name), *columns, "…"), *columns));
    }
    terminal.line(format_args!("{STRONG}{}{STRONG:#}", heads.join(GUTTER).trim_end()))?;
    let mut cut_cells = 0;
    for row in &cells {
        let mut shown = Vec::new();
        for ((column, columns), text) in answer.columns.iter().zip(&widths).zip(row) {
            cut_cells += usize::from(width(text) > *columns);
            shown.push(aligned(column, &cut(text, *columns, "…"), *columns));
        }
        terminal.line(shown.join(GUTTER).trim_end())?;
    }
    Ok(cut_cells)
}

fn aligned(column: &ColumnV1, text: &str, columns: usize) -> String {
    if column.form == "number" { right(text, columns) } else { padded(text, columns) }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => clean(text).into_owned(),
        other => clean(&other.to_string()).into_owned(),
    }
}

/// As wide as the widest cell, within bounds; on a narrow terminal the widest columns give way.
fn widths(columns: &[ColumnV1], cells: &[Vec<String>], room: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| width(&clean(&column.name))).collect();
    for row in cells {
        for (widest, text) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(text));
        }
    }
    for widest in &mut widths {
        *widest = (*widest).min(CELL_COLUMNS_MAX);
    }
    let Some(room) = room else { return widths };
    let gutters = GUTTER.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gutters > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > CELL_COLUMNS_MIN => *widest -= 1,
            _ => break,
        }
    }
    widths
}
