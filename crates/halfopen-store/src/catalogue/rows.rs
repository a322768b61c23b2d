//! Segments and cuts as rows.

use halfopen_model::{Table, TimeRange, TraceId, UnixNanos};

use super::State;
use super::statement::{Row, Statement, Value};
use crate::retain::Cut;
use crate::segment::SegmentInfo;

const INSERT: &str = "INSERT INTO segments (id, table_name, file, state, row_count, byte_count, \
    time_from, time_to, trace_first, trace_last, sums, schema_version, columns, node, sealed_at, \
    snapshot, level) \
    VALUES ($1, $2, $3, 'served', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// A segment as it is in another catalogue.
const COPY: &str = "INSERT INTO segments (id, table_name, file, state, reason, row_count, \
    byte_count, time_from, time_to, trace_first, trace_last, sums, schema_version, columns, node, \
    sealed_at, snapshot, level, removed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
    $11, $12, $13, $14, $15, $16, $17, $18, $19)";

const SET_CUT: &str = "INSERT INTO cuts (table_name, time_from, time_to, row_count) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (table_name) DO UPDATE SET \
    time_from = excluded.time_from, time_to = excluded.time_to, row_count = excluded.row_count";

pub(super) fn insert(segment: &SegmentInfo, node: &str, snapshot: u64) -> Statement {
    let sums: Vec<u8> = segment.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    Statement::new(INSERT)
        .int(segment.id)
        .text(segment.table.name())
        .text(&segment.file)
        .int(segment.rows as i64)
        .int(segment.bytes as i64)
        .int(segment.range.from.0)
        .int(segment.range.to.0)
        .bytes(segment.traces.map(|(first, _)| first.0.to_vec()))
        .bytes(segment.traces.map(|(_, last)| last.0.to_vec()))
        .bytes(Some(sums))
        .int(i64::from(segment.schema_version))
        .text(&segment.columns.join("\n"))
        .text(node)
        .int(segment.sealed_at.0)
        .int(snapshot as i64)
        .int(i64::from(segment.level))
}

pub(super) fn set_cut(table: Table, cut: &Cut) -> Statement {
    let set = Statement::new(SET_CUT).text(table.name());
    set.int(cut.range.from.0).int(cut.range.to.0).int(cut.rows as i64)
}

/// Takes a segment over from another catalogue.
pub(super) fn copy(row: &Row) -> Result<Statement, sqlx::Error> {
    let copy = Statement::new(COPY)
        .int(row.int("id")?)
        .text(&row.text("table_name")?)
        .text(&row.text("file")?)
        .text(&row.text("state")?)
        .with(Value::Text(row.text_or_null("reason")?))
        .int(row.int("row_count")?)
        .int(row.int("byte_count")?)
        .int(row.int("time_from")?)
        .int(row.int("time_to")?)
        .bytes(row.bytes_or_null("trace_first")?)
        .bytes(row.bytes_or_null("trace_last")?)
        .bytes(row.bytes_or_null("sums")?)
        .int(row.int("schema_version")?)
        .text(&row.text("columns")?)
        .text(&row.text("node")?)
        .int(row.int("sealed_at")?)
        .int(row.int("snapshot")?)
        .int(row.int("level")?)
        .with(Value::Int(row.int_or_null("removed_at")?));
    Ok(copy)
}

pub(super) fn segment(row: &Row) -> Result<(SegmentInfo, State), sqlx::Error> {
    let time = |name: &str| row.int(name).map(UnixNanos);
    let count = |name: &str| row.int(name).map(|count| count as u64);
    let trace = |name: &str| -> Result<Option<TraceId>, sqlx::Error> {
        let bytes = row.bytes_or_null(name)?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(TraceId))
    };
    let sums = row.bytes("sums")?;
    let info = SegmentInfo {
        id: row.int("id")?,
        table: table(row)?,
        file: row.text("file")?,
        rows: count("row_count")?,
        bytes: count("byte_count")?,
        range: TimeRange { from: time("time_from")?, to: time("time_to")? },
        traces: trace("trace_first")?.zip(trace("trace_last")?),
        sums: sums.as_chunks::<8>().0.iter().map(|sum| u64::from_le_bytes(*sum)).collect(),
        schema_version: count("schema_version")? as u32,
        columns: row.text("columns")?.lines().map(str::to_owned).collect(),
        sealed_at: time("sealed_at")?,
        // A catalogue of version 1 that is open for reading has no such column.
        level: row.int("level").unwrap_or_default() as u32,
    };
    let state = match row.text("state")?.as_str() {
        "served" => State::Served,
        "reserved" | "removed" => State::Leftover,
        _ => State::Damaged(row.text_or_null("reason")?.unwrap_or_default()),
    };
    Ok((info, state))
}

pub(super) fn cut(row: &Row) -> Result<(Table, Cut), sqlx::Error> {
    let time = |name: &str| row.int(name).map(UnixNanos);
    let range = TimeRange { from: time("time_from")?, to: time("time_to")? };
    Ok((table(row)?, Cut { range, rows: row.int("row_count")? as u64 }))
}

fn table(row: &Row) -> Result<Table, sqlx::Error> {
    row.text("table_name")?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
