//! Metrics: what all points of one have in common.

use halfopen_model::ValueType;
use xxhash_rust::xxh3::xxh3_64;

use super::row::set_word;
use super::walk::{Level, Walk, has_field};
use crate::columns::{Context, MetricsTable};
use crate::wire::{Reader, WireValue};

/// Kinds of metrics, in the order of the words in the column `kind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MetricKind {
    Gauge = 0,
    Sum = 1,
    Histogram = 2,
    ExponentialHistogram = 3,
    Summary = 4,
}

impl MetricKind {
    /// The kind whose points stand in this field of a metric.
    fn of_field(field: u32) -> Option<MetricKind> {
        match field {
            5 => Some(MetricKind::Gauge),
            7 => Some(MetricKind::Sum),
            9 => Some(MetricKind::Histogram),
            10 => Some(MetricKind::ExponentialHistogram),
            11 => Some(MetricKind::Summary),
            _ => None,
        }
    }
}

/// A metric without its points.
pub(super) struct Metric<'a> {
    name: &'a [u8],
    description: &'a [u8],
    unit: &'a [u8],
    /// Numbers of the three texts above in the dictionaries of their columns: a long text is
    /// looked at once, not for every point. `None` for one that is not UTF-8.
    numbers: [Option<u32>; 3],
    pub(super) metadata: Vec<&'a [u8]>,
    pub(super) kind: MetricKind,
    temporality: u64,
    monotonic: bool,
    series: u64,
}

impl<'a> Metric<'a> {
    /// Reads what stands around the points, as far as it can be read.
    fn read(message: &'a [u8]) -> Metric<'a> {
        let mut metric = Metric {
            name: &[],
            description: &[],
            unit: &[],
            numbers: [None; 3],
            metadata: Vec::new(),
            kind: MetricKind::Gauge,
            temporality: 0,
            monotonic: false,
            series: 0,
        };
        let mut reader = Reader::new(message);
        while let Ok(Some((field, WireValue::Bytes(bytes)))) = reader.next() {
            match field {
                1 => metric.name = bytes,
                2 => metric.description = bytes,
                3 => metric.unit = bytes,
                12 => metric.metadata.push(bytes),
                _ => {}
            }
        }
        metric
    }

    /// Looks the texts up.
    fn resolve(&mut self, table: &mut MetricsTable) {
        self.numbers = [
            table.name.number(self.name),
            table.description.number(self.description),
            table.unit.number(self.unit),
        ];
    }

    /// Reads what stands beside the points: only sums and histograms have something there.
    fn read_data(&mut self, kind: MetricKind, message: &[u8], context: &Context) {
        self.kind = kind;
        let has_temporality = matches!(
            kind,
            MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram
        );
        let mut reader = Reader::new(message);
        while let Ok(Some((field, value))) = reader.next() {
            match (field, value) {
                (2, WireValue::Varint(value)) if has_temporality => self.temporality = value,
                (3, WireValue::Varint(value)) if kind == MetricKind::Sum => {
                    self.monotonic = value != 0;
                }
                _ => {}
            }
        }
        let parts = [
            xxh3_64(self.name),
            xxh3_64(self.unit),
            self.kind as u64,
            self.temporality,
            context.series,
        ];
        let mut bytes = [0; 40];
        for (chunk, part) in bytes.chunks_exact_mut(8).zip(parts) {
            chunk.copy_from_slice(&part.to_le_bytes());
        }
        self.series = xxh3_64(&bytes);
    }

    /// The series of a point whose attributes have the given hashes, added up: their order does
    /// not matter.
    pub(super) fn series(&self, attributes: u64) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.series.to_le_bytes());
        bytes[8..].copy_from_slice(&attributes.to_le_bytes());
        xxh3_64(&bytes)
    }

    /// Fills the columns that are the same for all points.
    pub(super) fn set_columns(&self, table: &mut MetricsTable) {
        let MetricsTable { rows, .. } = table;
        let row = rows.count();
        let attributes = &mut rows.attributes;
        let texts = [
            (&mut table.name, self.name, "name"),
            (&mut table.description, self.description, "description"),
            (&mut table.unit, self.unit, "unit"),
        ];
        for ((words, text, column), number) in texts.into_iter().zip(self.numbers) {
            match number {
                Some(_) if text.is_empty() && column != "name" => {}
                Some(number) => words.set_number(row, number),
                None => set_word(words, row, text, attributes, column),
            }
        }
        table.kind.set(row, self.kind as u64);
        let is_unknown = self.temporality > 0 && !table.temporality.set(row, self.temporality - 1);
        if is_unknown {
            let number = (self.temporality as i64).to_string();
            attributes.note("temporality", ValueType::Int, &number);
        }
        if self.kind == MetricKind::Sum {
            table.monotonic.set(row, self.monotonic);
        }
    }
}

impl<'r> Walk<'_, 'r> {
    /// Makes rows of all points of a metric.
    pub(super) fn metric(&mut self, context: u32, message: &'r [u8]) {
        let mut metric = Metric::read(message);
        metric.resolve(&mut self.tables.metrics);
        for field in [5, 7, 9, 10, 11] {
            let Some(kind) = MetricKind::of_field(field) else { continue };
            if !has_field(message, field) {
                continue;
            }
            let level = Level { name: "metric", field, is_container: true };
            self.each(level, message, &mut |walk, data| {
                metric.read_data(kind, data, walk.tables.contexts.get(context));
                let points = Level { name: "points of a metric", field: 1, is_container: false };
                let metric = &metric;
                walk.each(points, data, &mut |walk, point| {
                    walk.row(point, |walk| walk.point(context, metric, point));
                });
            });
            return;
        }
        self.check(message);
    }

    /// Reports what is broken in a metric without points.
    fn check(&mut self, message: &'r [u8]) {
        let nothing = Level { name: "metric", field: 0, is_container: false };
        self.each(nothing, message, &mut |_, _| {});
    }
}
