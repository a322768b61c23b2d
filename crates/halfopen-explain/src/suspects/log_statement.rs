//! Which statements services write.
//!
//! Rule: the share of an operation's spans with a certain statement in their log changed. A
//! statement of an error that comes, and one that goes, weigh more than one that is only new: a
//! fault makes code speak of an error, or ends it before it gets to its other statements.
//! Confuser: more traffic, which changes lines and spans alike; and an error that is gone.
//!
//! Lines that name no span are counted by slices of time: whether their service writes the
//! statement in them.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use halfopen_model::batch::Cells;

use super::Places;
use super::eras::Units;
use super::presence::Presence;
use super::templates::Templates;
use crate::intern::{FoldMap, NONE};
use crate::spans::Spans;
use crate::tree::Forest;

/// The least severity of an error (logs data model of OpenTelemetry).
const ERROR_SEVERITY_MIN: u32 = 17;

/// All statements, and where they were seen.
pub(super) struct Statements {
    /// Places are numbers of (service, name of the span), the latter nothing for slices of time;
    /// items are statements.
    pub(super) presence: Presence,
    pub(super) templates: Templates,
    /// Lines of each statement: of errors, and all.
    lines: Vec<[u32; 2]>,
}

impl Statements {
    /// Whether most lines of a statement tell of an error.
    pub(super) fn is_error(&self, statement: u32) -> bool {
        let [errors, all] = self.lines.get(statement as usize).copied().unwrap_or_default();
        errors * 2 > all
    }
}

/// One line, by numbers.
struct Line {
    service: u32,
    /// The row of its span; [`NONE`] for none.
    row: u32,
    at: i64,
    statement: u32,
    is_error: bool,
}

/// Mines the lines of all batches.
pub(super) fn mine(
    spans: &mut Spans<'_>,
    forest: &Forest,
    units: &Units,
    logs: &[RecordBatch],
    places: &mut Places,
) -> Statements {
    let (presence, templates) = (Presence::default(), Templates::new());
    let mut statements = Statements { presence, templates, lines: Vec::new() };
    if logs.iter().all(|batch| batch.num_rows() == 0) {
        return statements;
    }
    let mut rows: FoldMap<(u32, u64), u32> = FoldMap::default();
    for row in (0..spans.len()).filter(|row| spans.trace[*row] != NONE) {
        // What was left out comes again where its span is asked for: its lines are left out too.
        rows.entry((spans.trace[row], spans.id[row])).or_insert(row as u32);
    }
    let (mut of_spans, mut of_slices) = (BTreeSet::new(), BTreeSet::new());
    let (mut writing, mut slices) = (BTreeSet::new(), BTreeSet::new());
    for batch in logs {
        let cells = Cells::new(batch);
        for record in 0..batch.num_rows() {
            let templates = &mut statements.templates;
            let Some(line) = read(&cells, record, spans, &rows, templates) else { continue };
            if line.row != NONE && forest.is_repetition(line.row as usize) {
                continue;
            }
            let counts = &mut statements.lines;
            counts.resize(counts.len().max(line.statement as usize + 1), [0, 0]);
            counts[line.statement as usize][0] += u32::from(line.is_error);
            counts[line.statement as usize][1] += 1;
            writing.insert(line.service);
            if line.row != NONE {
                of_spans.insert((line.row, line.statement));
            } else if let Some(slice) = units.slice(line.at) {
                slices.insert((line.service, slice));
                of_slices.insert((line.service, slice, line.statement));
            }
        }
    }
    let presence = &mut statements.presence;
    let place = |spans: &Spans<'_>, row: usize| [spans.service[row], spans.name[row]];
    for row in (0..spans.len()).filter(|row| writing.contains(&spans.service[*row])) {
        if spans.trace[row] != NONE && !forest.is_repetition(row) {
            presence.chance(places.code(place(spans, row)), spans.trace[row]);
        }
    }
    for (row, statement) in of_spans {
        let row = row as usize;
        presence.seen(places.code(place(spans, row)), statement, spans.trace[row]);
    }
    for (service, slice) in slices {
        presence.chance(places.code([service, NONE]), slice);
    }
    for (service, slice, statement) in of_slices {
        presence.seen(places.code([service, NONE]), statement, slice);
    }
    presence.settle();
    statements
}

fn read(
    cells: &Cells<'_>,
    record: usize,
    spans: &mut Spans<'_>,
    rows: &FoldMap<(u32, u64), u32>,
    templates: &mut Templates,
) -> Option<Line> {
    let body = cells.text("body", record)?;
    let trace = cells.trace_id("trace_id", record).and_then(|id| {
        let id = u128::from_be_bytes(id.0);
        spans.trace_codes.get(&id).copied()
    });
    let span = cells.span_id("span_id", record).map(|id| u64::from_be_bytes(id.0));
    let row = trace.zip(span).and_then(|key| rows.get(&key).copied()).unwrap_or(NONE);
    // The span knows best who wrote it.
    let service = match cells.text("service", record) {
        _ if row != NONE && spans.service[row as usize] != NONE => spans.service[row as usize],
        Some(service) => spans.words.code(service),
        None => return None,
    };
    let severity = cells.small("severity_number", record).unwrap_or(0);
    Some(Line {
        service,
        row,
        at: cells.time("time", record)?.0,
        statement: templates.code(service, body)?,
        is_error: severity >= ERROR_SEVERITY_MIN,
    })
}
