//! The table of metric points.

use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use halfopen_model::known::Scope;
use halfopen_model::schema::Form;
use halfopen_model::{Batch, Table};

use super::rows::Named;
use super::{
    Booleans, Column, Context, Enumerated, Exemplars, Lists, Numbers, Quantiles, Rows, Words,
};

/// Kinds of points, in the order of `MetricKind`.
pub(crate) const KINDS: &[&str] =
    &["gauge", "sum", "histogram", "exponential_histogram", "summary"];
/// Temporalities by their number in OTLP, less one.
pub(crate) const TEMPORALITIES: &[&str] = &["delta", "cumulative"];

/// Points under construction.
pub(crate) struct MetricsTable {
    pub(crate) rows: Rows,
    pub(crate) series: Numbers<UInt64Type>,
    pub(crate) time: Numbers<TimestampNanosecondType>,
    pub(crate) start_time: Numbers<TimestampNanosecondType>,
    pub(crate) name: Words,
    pub(crate) description: Words,
    pub(crate) unit: Words,
    pub(crate) kind: Enumerated,
    pub(crate) temporality: Enumerated,
    pub(crate) monotonic: Booleans,
    pub(crate) flags: Numbers<UInt32Type>,
    pub(crate) value_int: Numbers<Int64Type>,
    pub(crate) value_double: Numbers<Float64Type>,
    pub(crate) count: Numbers<UInt64Type>,
    pub(crate) sum: Numbers<Float64Type>,
    pub(crate) min: Numbers<Float64Type>,
    pub(crate) max: Numbers<Float64Type>,
    pub(crate) bounds: Lists<Float64Type>,
    pub(crate) buckets: Lists<UInt64Type>,
    pub(crate) scale: Numbers<Int64Type>,
    pub(crate) zero_count: Numbers<UInt64Type>,
    pub(crate) zero_threshold: Numbers<Float64Type>,
    pub(crate) positive_offset: Numbers<Int64Type>,
    pub(crate) positive_buckets: Lists<UInt64Type>,
    pub(crate) negative_offset: Numbers<Int64Type>,
    pub(crate) negative_buckets: Lists<UInt64Type>,
    pub(crate) quantiles: Quantiles,
    pub(crate) exemplars: Exemplars,
}

impl MetricsTable {
    pub(crate) fn new() -> MetricsTable {
        let time = || Numbers::new(Form::Time.data_type());
        let double = || Numbers::new(DataType::Float64);
        let int = || Numbers::new(DataType::Int64);
        let count = || Numbers::new(DataType::UInt64);
        MetricsTable {
            rows: Rows::new(Table::Metrics, Scope::Metric),
            series: count(),
            time: time(),
            start_time: time(),
            name: Words::default(),
            description: Words::default(),
            unit: Words::default(),
            kind: Enumerated::new(KINDS),
            temporality: Enumerated::new(TEMPORALITIES),
            monotonic: Booleans::default(),
            flags: Numbers::new(DataType::UInt32),
            value_int: int(),
            value_double: double(),
            count: count(),
            sum: double(),
            min: double(),
            max: double(),
            bounds: Lists::default(),
            buckets: Lists::default(),
            scale: int(),
            zero_count: count(),
            zero_threshold: double(),
            positive_offset: int(),
            positive_buckets: Lists::default(),
            negative_offset: int(),
            negative_buckets: Lists::default(),
            quantiles: Quantiles::default(),
            exemplars: Exemplars::default(),
        }
    }

    fn split(&mut self) -> (&mut Rows, Vec<Named<'_>>) {
        let columns: Vec<Named<'_>> = vec![
            ("series", &mut self.series),
            ("time", &mut self.time),
            ("start_time", &mut self.start_time),
            ("name", &mut self.name),
            ("description", &mut self.description),
            ("unit", &mut self.unit),
            ("kind", &mut self.kind),
            ("temporality", &mut self.temporality),
            ("monotonic", &mut self.monotonic),
            ("flags", &mut self.flags),
            ("value_int", &mut self.value_int),
            ("value_double", &mut self.value_double),
            ("count", &mut self.count),
            ("sum", &mut self.sum),
            ("min", &mut self.min),
            ("max", &mut self.max),
            ("bounds", &mut self.bounds),
            ("buckets", &mut self.buckets),
            ("scale", &mut self.scale),
            ("zero_count", &mut self.zero_count),
            ("zero_threshold", &mut self.zero_threshold),
            ("positive_offset", &mut self.positive_offset),
            ("positive_buckets", &mut self.positive_buckets),
            ("negative_offset", &mut self.negative_offset),
            ("negative_buckets", &mut self.negative_buckets),
            ("quantiles", &mut self.quantiles),
            ("exemplars", &mut self.exemplars),
        ];
        (&mut self.rows, columns)
    }

    /// Takes back the row at hand.
    pub(crate) fn undo(&mut self) {
        let (rows, columns) = self.split();
        rows.undo(columns);
    }

    /// Memory held by values of varying size.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.bounds.bytes()
            + self.buckets.bytes()
            + self.positive_buckets.bytes()
            + self.negative_buckets.bytes();
        self.rows.bytes() + lists + self.quantiles.bytes() + self.exemplars.bytes()
    }

    /// The batch of all rows.
    pub(crate) fn finish(&mut self, contexts: &[Context]) -> Option<Batch> {
        let (rows, columns) = self.split();
        rows.finish(contexts, columns)
    }
}
