//! Reads tables row by row: comma-separated values, and objects in JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use super::cells::{Row, at_path, shown};
use super::evidence::Writing;
use super::{Form, TableMapping};
use crate::import::emit::{Emitter, Halt, LINE_BYTES_MAX, each_line};
use crate::import::input::Input;
use crate::import::items::each_item;
use crate::json::{Json, Kind, parse};

/// Columns of one table. Somebody's adjacency matrix has hundreds.
const COLUMNS_MAX: usize = 10_000;
/// The name of the value of a cell in a table that is melted.
const CELL: &str = "value";

/// Reads a table.
pub(crate) fn read(
    mapping: &TableMapping,
    at: i64,
    input: &mut Input<'_>,
    out: &mut Emitter<'_>,
) -> Result<(), Halt> {
    let mut writing = Writing::new(mapping, at);
    match mapping.form {
        Form::Csv => csv(mapping, &mut writing, input, out),
        Form::Json => each_item(&[&[]], "item", input, out, &mut |raw, place, out| {
            json_row(raw, place, &mut writing, out);
            Ok(())
        }),
        Form::Lines => each_line(input, out, &mut |raw, _, place, out| {
            json_row(raw, place, &mut writing, out);
        }),
    }
}

/// A row of a table with a header.
struct CsvRow<'t> {
    columns: &'t HashMap<String, usize>,
    cells: &'t [String],
}

impl Row for CsvRow<'_> {
    fn cell(&self, column: &str) -> Option<Cow<'_, str>> {
        let cell = self.cells.get(*self.columns.get(column)?)?;
        Some(Cow::Borrowed(cell))
    }
}

/// One cell of a row with what its headers say.
struct Melted<'t> {
    names: &'t [String],
    headers: &'t [Vec<String>],
    first_name: &'t str,
    cells: &'t [String],
    index: usize,
}

impl Row for Melted<'_> {
    fn cell(&self, column: &str) -> Option<Cow<'_, str>> {
        let found = if column == CELL {
            self.cells.get(self.index)
        } else if let Some(header) = self.names.iter().position(|name| name == column) {
            self.headers.get(header)?.get(self.index)
        } else if column == self.first_name || column == "row" {
            self.cells.first()
        } else {
            None
        };
        found.map(|text| Cow::Borrowed(text.as_str()))
    }
}

/// An object.
struct JsonRow<'j>(&'j Json<'j>);

impl Row for JsonRow<'_> {
    fn cell(&self, column: &str) -> Option<Cow<'_, str>> {
        at_path(self.0, column).map(shown)
    }
}

fn csv(
    mapping: &TableMapping,
    writing: &mut Writing<'_>,
    input: &mut Input<'_>,
    out: &mut Emitter<'_>,
) -> Result<(), Halt> {
    let mut table = Csv { delimiter: mapping.delimiter, bytes: Vec::new(), cells: Vec::new() };
    let mut headers = Vec::new();
    let header_rows = mapping.melt.as_ref().map_or(1, Vec::len).max(1);
    while headers.len() < header_rows {
        match table.next(input, out)? {
            Some(_) => headers.push(table.cells.clone()),
            None => return Ok(()),
        }
    }
    let columns: HashMap<String, usize> =
        headers[0].iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
    // The last header row of a melted table may name its first column.
    let mut first_name = headers.last().and_then(|row| row.first()).cloned().unwrap_or_default();
    while let Some(place) = table.next(input, out)? {
        let is_odd = table.cells.len() != headers[0].len();
        if is_odd {
            let (found, wanted) = (table.cells.len(), headers[0].len());
            let reason = format!("{found} cells, the header has {wanted}");
            out.reject(place, reason, 1, &table.bytes);
        } else if let Some(names) = &mapping.melt {
            // A row without any value names the first column (pandas writes it so).
            if table.cells[1..].iter().all(String::is_empty) && !table.cells[0].is_empty() {
                first_name.clone_from(&table.cells[0]);
                continue;
            }
            for index in 1..table.cells.len() {
                let first_name = &first_name;
                let cells = &table.cells;
                let row = Melted { names, headers: &headers, first_name, cells, index };
                if !writing.is_null(&cells[index]) {
                    writing.write(&row, &place, &table.bytes, out);
                    out.breathe()?;
                }
            }
        } else {
            let row = CsvRow { columns: &columns, cells: &table.cells };
            let mut rest: Vec<(&str, &str)> = Vec::new();
            if mapping.rest {
                let named = headers[0].iter().zip(&table.cells);
                rest.extend(named.map(|(name, cell)| (name.as_str(), cell.as_str())));
            }
            writing.write_with_rest(&row, &rest, &place, &table.bytes, out);
        }
        out.breathe()?;
    }
    Ok(())
}

/// Comma-separated values on their way.
struct Csv {
    delimiter: char,
    /// The record at hand.
    bytes: Vec<u8>,
    cells: Vec<String>,
}

impl Csv {
    /// Reads the next record that is one; where it stands.
    fn next(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Emitter<'_>,
    ) -> Result<Option<String>, Halt> {
        let mut line_bytes = Vec::new();
        loop {
            self.bytes.clear();
            let mut begin = None;
            let mut is_open = false;
            while let Some(line) = input.line(&mut line_bytes, LINE_BYTES_MAX)? {
                let place = begin.get_or_insert_with(|| line.place());
                if line.is_cut || self.bytes.len() + line_bytes.len() > LINE_BYTES_MAX {
                    let reason = format!("a row is longer than {LINE_BYTES_MAX} bytes");
                    out.reject(place.clone(), reason, 1, &line_bytes);
                    self.bytes.clear();
                    is_open = false;
                    begin = None;
                    continue;
                }
                if is_open {
                    self.bytes.push(b'\n');
                }
                self.bytes.extend_from_slice(&line_bytes);
                is_open ^= line_bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
                if !is_open {
                    break;
                }
            }
            let Some(place) = begin else { return Ok(None) };
            if self.bytes.trim_ascii().is_empty() {
                continue;
            }
            let text = out.text(&self.bytes, &place);
            self.cells = cells(&text, self.delimiter);
            if self.cells.len() > COLUMNS_MAX || is_open {
                let reason = match is_open {
                    true => "a quote does not end".to_owned(),
                    false => format!("more than {COLUMNS_MAX} cells"),
                };
                out.reject(place, reason, 1, &self.bytes);
                continue;
            }
            return Ok(Some(place));
        }
    }
}

/// The cells of a record (RFC 4180): quoted ones may hold the delimiter, and quotes twice.
fn cells(text: &str, delimiter: char) -> Vec<String> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut characters = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' if is_quoted => is_quoted = false,
            '"' if cell.is_empty() => is_quoted = true,
            c if c == delimiter && !is_quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

fn json_row(raw: &[u8], place: &str, writing: &mut Writing<'_>, out: &mut Emitter<'_>) {
    let text = String::from_utf8_lossy(raw);
    let object = match parse(&text) {
        Ok(object) => object,
        Err(error) => {
            return out.reject(place.to_owned(), format!("no JSON: {error}"), 1, raw);
        }
    };
    let Kind::Object(fields) = &object.kind else {
        return out.reject(place.to_owned(), "JSON, but no object".to_owned(), 1, raw);
    };
    let row = JsonRow(&object);
    let texts: Vec<Cow<'_, str>> = fields.iter().map(|(_, value)| shown(value)).collect();
    let is_null = |value: &Json<'_>| value.kind == Kind::Null;
    let rest: Vec<(&str, &str)> = fields
        .iter()
        .zip(&texts)
        .filter(|((_, value), _)| !is_null(value))
        .map(|((name, _), text)| (name.as_ref(), text.as_ref()))
        .collect();
    writing.write_with_rest(&row, &rest, place, raw, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_taken_apart_with_their_quotes() {
        assert_eq!(cells("a,\"b,\"\"c\"\"\",,d", ','), ["a", "b,\"c\"", "", "d"]);
        assert_eq!(cells("a;b\"c;", ';'), ["a", "b\"c", ""]);
        assert_eq!(cells("", ','), [""]);
    }
}
