//! The columns of every table. `docs/schema.md` is written from here.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::id::{SPAN_ID_BYTES, TRACE_ID_BYTES};
use crate::known::{self, KnownType, Scope};
use crate::table::Table;

mod actions;
pub mod markdown;
mod telemetry;

/// The version of these schemas; segments and folders carry it.
pub const SCHEMA_VERSION: u32 = 1;

/// The name of the map column that holds every attribute without a column of its own.
pub const ATTRIBUTES: &str = "attributes";

/// One column: its name, its form, whether every row has a value, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name.
    pub name: &'static str,
    /// What a cell holds.
    pub form: Form,
    /// Whether every row has a value.
    pub required: bool,
    /// What it means: unit, and the field of the source that it comes from.
    pub about: &'static str,
}

/// What a cell holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// 16 bytes.
    TraceId,
    /// 8 bytes.
    SpanId,
    /// Nanoseconds since the epoch, UTC.
    Time,
    /// Signed nanoseconds.
    Nanos,
    /// UTF-8 text, mostly different in each row.
    Text,
    /// UTF-8 text from a small set: a dictionary column.
    Word,
    /// A boolean.
    Bool,
    /// A small unsigned number.
    Small,
    /// A signed 64-bit integer.
    Int,
    /// An unsigned 64-bit count.
    Count,
    /// A 64-bit float.
    Double,
    /// Bytes.
    Bytes,
    /// A list of texts.
    Texts,
    /// A list of floats.
    Doubles,
    /// A list of counts.
    Counts,
    /// Attributes: a map from key to typed value.
    Attributes,
    /// Events of a span.
    Events,
    /// Links of a span.
    Links,
    /// Quantiles of a summary.
    Quantiles,
    /// Exemplars of a metric point.
    Exemplars,
    /// Headers of an exchange, in order, repeated names kept.
    Headers,
    /// Evidence of a finding.
    Evidence,
}

impl Form {
    /// The Arrow type of such a cell.
    pub fn data_type(self) -> DataType {
        match self {
            Form::TraceId => DataType::FixedSizeBinary(TRACE_ID_BYTES as i32),
            Form::SpanId => DataType::FixedSizeBinary(SPAN_ID_BYTES as i32),
            Form::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Form::Nanos | Form::Int => DataType::Int64,
            Form::Text => DataType::Utf8,
            Form::Word => word_type(),
            Form::Bool => DataType::Boolean,
            Form::Small => DataType::UInt32,
            Form::Count => DataType::UInt64,
            Form::Double => DataType::Float64,
            Form::Bytes => DataType::Binary,
            Form::Texts => list_of(DataType::Utf8),
            Form::Doubles => list_of(DataType::Float64),
            Form::Counts => list_of(DataType::UInt64),
            Form::Attributes => attributes_type(),
            Form::Events => list_of(DataType::Struct(event_fields())),
            Form::Links => list_of(DataType::Struct(link_fields())),
            Form::Quantiles => list_of(DataType::Struct(quantile_fields())),
            Form::Exemplars => list_of(DataType::Struct(exemplar_fields())),
            Form::Headers => list_of(DataType::Struct(header_fields())),
            Form::Evidence => list_of(DataType::Struct(evidence_fields())),
        }
    }
}

/// The type of dictionary columns.
pub fn word_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

fn fields(columns: &[(&str, Form, bool)]) -> Fields {
    columns.iter().map(|(name, form, null)| Field::new(*name, form.data_type(), *null)).collect()
}

/// The fields of a stored attribute value: its type tag ([`crate::ValueType`]) and its text.
pub fn value_fields() -> Fields {
    Fields::from(vec![
        Field::new("type", DataType::UInt8, false),
        Field::new("text", DataType::Utf8, false),
    ])
}

/// The fields of an entry of an attribute map.
pub fn entry_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Struct(value_fields()), false),
    ])
}

/// The type of attribute maps. Entries keep the order and the repetitions of their source.
pub fn attributes_type() -> DataType {
    let entries = Field::new("entries", DataType::Struct(entry_fields()), false);
    DataType::Map(Arc::new(entries), false)
}

/// The fields of a span event.
pub fn event_fields() -> Fields {
    fields(&[
        ("time", Form::Time, false),
        ("name", Form::Text, false),
        ("attributes", Form::Attributes, false),
        ("dropped_attributes", Form::Small, false),
    ])
}

/// The fields of a span link.
pub fn link_fields() -> Fields {
    fields(&[
        ("trace_id", Form::TraceId, false),
        ("span_id", Form::SpanId, false),
        ("trace_state", Form::Text, true),
        ("flags", Form::Small, false),
        ("attributes", Form::Attributes, false),
        ("dropped_attributes", Form::Small, false),
    ])
}

/// The fields of a quantile of a summary.
pub fn quantile_fields() -> Fields {
    fields(&[("quantile", Form::Double, false), ("value", Form::Double, false)])
}

/// The fields of an exemplar.
pub fn exemplar_fields() -> Fields {
    fields(&[
        ("time", Form::Time, false),
        ("value_int", Form::Int, true),
        ("value_double", Form::Double, true),
        ("trace_id", Form::TraceId, true),
        ("span_id", Form::SpanId, true),
        ("attributes", Form::Attributes, false),
    ])
}

/// The fields of a header of an exchange.
pub fn header_fields() -> Fields {
    fields(&[("name", Form::Text, false), ("value", Form::Bytes, false)])
}

/// The fields of a piece of evidence of a finding.
pub fn evidence_fields() -> Fields {
    fields(&[
        ("kind", Form::Text, false),
        ("subject", Form::Text, false),
        ("effect", Form::Double, true),
        ("unit", Form::Text, true),
        ("failing_count", Form::Count, false),
        ("failing_total", Form::Count, false),
        ("healthy_count", Form::Count, false),
        ("healthy_total", Form::Count, false),
        ("strength", Form::Text, false),
        ("trace_id", Form::TraceId, true),
        ("span_id", Form::SpanId, true),
        ("query", Form::Text, true),
    ])
}

/// The fixed columns of a table, in order; columns of well-known attributes come behind them.
pub fn columns(table: Table) -> &'static [Column] {
    match table {
        Table::Spans => telemetry::SPANS,
        Table::Logs => telemetry::LOGS,
        Table::Metrics => telemetry::METRICS,
        Table::Exchanges => actions::EXCHANGES,
        Table::Changes => actions::CHANGES,
        Table::Faults => actions::FAULTS,
        Table::Findings => actions::FINDINGS,
        Table::Ids => actions::IDS,
        Table::Rejects => actions::REJECTS,
    }
}

/// The scopes whose well-known attributes are columns of a table.
pub fn attribute_scopes(table: Table) -> &'static [Scope] {
    match table {
        Table::Spans => &[Scope::Resource, Scope::Span],
        Table::Logs => &[Scope::Resource, Scope::Log],
        Table::Metrics => &[Scope::Resource, Scope::Metric],
        _ => &[],
    }
}

/// The whole schema of a table: fixed columns, then those of well-known attributes. A batch may
/// leave out columns in which every row is null.
pub fn schema(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<Vec<SchemaRef>> =
        LazyLock::new(|| Table::ALL.into_iter().map(build).collect());
    Arc::clone(&SCHEMAS[table as usize])
}

fn build(table: Table) -> SchemaRef {
    let fixed = columns(table)
        .iter()
        .map(|column| Field::new(column.name, column.form.data_type(), !column.required));
    let attributes = attribute_scopes(table).iter().flat_map(|scope| {
        known::known(*scope).iter().map(|(key, known_type)| {
            let data_type = match known_type {
                KnownType::Word => word_type(),
                KnownType::Int => DataType::Int64,
            };
            Field::new(format!("{}{key}", scope.prefix()), data_type, true)
        })
    });
    Arc::new(Schema::new(fixed.chain(attributes).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_time_column_and_no_name_twice() {
        for table in Table::ALL {
            let schema = schema(table);
            let time = schema.field_with_name(table.time_column()).expect("a time column");
            assert_eq!((time.data_type(), time.is_nullable()), (&Form::Time.data_type(), false));
            let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), schema.fields().len(), "{table} repeats a column");
        }
    }
}
