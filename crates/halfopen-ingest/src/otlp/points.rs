//! Points of metrics.

use halfopen_model::Table;
use xxhash_rust::xxh3::xxh3_64;

use super::any_value::key_value;
use super::keys::Owner;
use super::metrics::{Metric, MetricKind};
use super::row::{ItemError, PARTS_MAX, PartReader, part_id, time_of, time_of_part};
use super::walk::Walk;
use crate::builder::Tables;
use crate::columns::{ExemplarRow, Exemplars, MetricsTable};
use crate::ids::Carrier;
use crate::wire::{Reader, WireError, WireValue};

/// The single fields of a point of any kind.
#[derive(Default)]
struct Point<'a> {
    attributes: Vec<&'a [u8]>,
    exemplars: Vec<&'a [u8]>,
    quantiles: Vec<(f64, f64)>,
    start: u64,
    time: u64,
    flags: u64,
    value_int: Option<i64>,
    value_double: Option<f64>,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bounds: Vec<f64>,
    buckets: Vec<u64>,
    scale: i64,
    zero_count: u64,
    zero_threshold: f64,
    positive: Option<Buckets>,
    negative: Option<Buckets>,
}

/// One side of an exponential histogram.
#[derive(Default)]
struct Buckets {
    offset: i64,
    counts: Vec<u64>,
}

impl Buckets {
    fn read(message: &[u8]) -> Result<Buckets, ItemError> {
        let mut buckets = Buckets::default();
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            match field {
                1 => buckets.offset = value.zigzag(field)?,
                2 => {
                    if let WireValue::Bytes(packed) = value {
                        check_parts(packed.len())?;
                    }
                    value.each_varint(field, |count| buckets.counts.push(count))?;
                }
                _ => {}
            }
            check_parts(buckets.counts.len())?;
        }
        Ok(buckets)
    }
}

fn check_parts(parts: usize) -> Result<(), ItemError> {
    if parts > PARTS_MAX { Err(ItemError::Parts) } else { Ok(()) }
}

impl<'a> Point<'a> {
    fn read(kind: MetricKind, message: &'a [u8]) -> Result<Point<'a>, ItemError> {
        let mut point = Point::default();
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            match kind {
                MetricKind::Gauge | MetricKind::Sum => point.read_number(field, value)?,
                MetricKind::Histogram => point.read_histogram(field, value)?,
                MetricKind::ExponentialHistogram => point.read_exponential(field, value)?,
                MetricKind::Summary => point.read_summary(field, value)?,
            }
            let lists = point.buckets.len().max(point.bounds.len()).max(point.quantiles.len());
            check_parts(lists.max(point.attributes.len() + point.exemplars.len()))?;
        }
        Ok(point)
    }

    /// Fields 2 and 3 are the same in all kinds.
    fn read_time(&mut self, field: u32, value: WireValue<'a>) -> Result<(), WireError> {
        match field {
            2 => self.start = value.fixed64(field)?,
            3 => self.time = value.fixed64(field)?,
            _ => {}
        }
        Ok(())
    }

    fn read_number(&mut self, field: u32, value: WireValue<'a>) -> Result<(), ItemError> {
        match field {
            4 => (self.value_int, self.value_double) = (None, Some(value.double(field)?)),
            5 => self.exemplars.push(value.bytes(field)?),
            6 => (self.value_int, self.value_double) = (Some(value.fixed64(field)? as i64), None),
            7 => self.attributes.push(value.bytes(field)?),
            8 => self.flags = value.varint(field)?,
            _ => self.read_time(field, value)?,
        }
        Ok(())
    }

    fn read_histogram(&mut self, field: u32, value: WireValue<'a>) -> Result<(), ItemError> {
        match field {
            4 => self.count = value.fixed64(field)?,
            5 => self.sum = Some(value.double(field)?),
            6 => value.each_fixed64(field, |count| self.buckets.push(count))?,
            7 => value.each_fixed64(field, |bits| self.bounds.push(f64::from_bits(bits)))?,
            8 => self.exemplars.push(value.bytes(field)?),
            9 => self.attributes.push(value.bytes(field)?),
            10 => self.flags = value.varint(field)?,
            11 => self.min = Some(value.double(field)?),
            12 => self.max = Some(value.double(field)?),
            _ => self.read_time(field, value)?,
        }
        Ok(())
    }

    fn read_exponential(&mut self, field: u32, value: WireValue<'a>) -> Result<(), ItemError> {
        match field {
            1 => self.attributes.push(value.bytes(field)?),
            4 => self.count = value.fixed64(field)?,
            5 => self.sum = Some(value.double(field)?),
            6 => self.scale = value.zigzag(field)?,
            7 => self.zero_count = value.fixed64(field)?,
            8 => self.positive = Some(Buckets::read(value.bytes(field)?)?),
            9 => self.negative = Some(Buckets::read(value.bytes(field)?)?),
            10 => self.flags = value.varint(field)?,
            11 => self.exemplars.push(value.bytes(field)?),
            12 => self.min = Some(value.double(field)?),
            13 => self.max = Some(value.double(field)?),
            14 => self.zero_threshold = value.double(field)?,
            _ => self.read_time(field, value)?,
        }
        Ok(())
    }

    fn read_summary(&mut self, field: u32, value: WireValue<'a>) -> Result<(), ItemError> {
        match field {
            4 => self.count = value.fixed64(field)?,
            5 => self.sum = Some(value.double(field)?),
            6 => {
                let mut quantile = (0.0, 0.0);
                let mut reader = Reader::new(value.bytes(field)?);
                while let Some((field, value)) = reader.next()? {
                    match field {
                        1 => quantile.0 = value.double(field)?,
                        2 => quantile.1 = value.double(field)?,
                        _ => {}
                    }
                }
                self.quantiles.push(quantile);
            }
            7 => self.attributes.push(value.bytes(field)?),
            8 => self.flags = value.varint(field)?,
            _ => self.read_time(field, value)?,
        }
        Ok(())
    }

    fn set_columns(&self, kind: MetricKind, table: &mut MetricsTable) -> i64 {
        let MetricsTable { rows, .. } = table;
        let row = rows.count();
        let time = time_of(self.time, &mut rows.attributes, "time");
        table.time.set(row, time);
        if self.start != 0 {
            let start = time_of(self.start, &mut rows.attributes, "start_time");
            table.start_time.set(row, start);
        }
        if self.flags != 0 {
            table.flags.set(row, self.flags as u32);
        }
        if let Some(value) = self.value_int {
            table.value_int.set(row, value);
        }
        let doubles = [
            (&mut table.value_double, self.value_double),
            (&mut table.min, self.min),
            (&mut table.max, self.max),
        ];
        for (column, value) in doubles {
            if let Some(value) = value {
                column.set(row, value);
            }
        }
        match kind {
            MetricKind::Gauge | MetricKind::Sum => {}
            MetricKind::Histogram | MetricKind::ExponentialHistogram => {
                table.count.set(row, self.count);
                if let Some(sum) = self.sum {
                    table.sum.set(row, sum);
                }
            }
            MetricKind::Summary => {
                table.count.set(row, self.count);
                table.sum.set(row, self.sum.unwrap_or_default());
            }
        }
        self.set_shape(kind, table, row);
        time
    }

    /// Fills the columns that tell how values are distributed.
    fn set_shape(&self, kind: MetricKind, table: &mut MetricsTable, row: usize) {
        match kind {
            MetricKind::Gauge | MetricKind::Sum => {}
            MetricKind::Histogram => {
                table.bounds.set(row, &self.bounds);
                table.buckets.set(row, &self.buckets);
            }
            MetricKind::ExponentialHistogram => {
                table.scale.set(row, self.scale);
                table.zero_count.set(row, self.zero_count);
                table.zero_threshold.set(row, self.zero_threshold);
                if let Some(positive) = &self.positive {
                    table.positive_offset.set(row, positive.offset);
                    table.positive_buckets.set(row, &positive.counts);
                }
                if let Some(negative) = &self.negative {
                    table.negative_offset.set(row, negative.offset);
                    table.negative_buckets.set(row, &negative.counts);
                }
            }
            MetricKind::Summary => {
                for (quantile, value) in &self.quantiles {
                    table.quantiles.push(*quantile, *value);
                }
                table.quantiles.close(row);
            }
        }
    }
}

impl<'r> Walk<'_, 'r> {
    /// Makes a row of a point.
    pub(super) fn point(
        &mut self,
        context: u32,
        metric: &Metric<'r>,
        message: &'r [u8],
    ) -> Result<(), ItemError> {
        let point = Point::read(metric.kind, message)?;
        let fingerprint = self.request.row_fingerprint();
        let depth_max = self.tables.settings.depth_max;
        let Tables { metrics: table, contexts, keys, found, ids, seen_ids, .. } = &mut *self.tables;
        let row = table.rows.count();
        let common = contexts.get(context);
        found.clear();
        table.rows.begin(common);
        metric.set_columns(table);
        let time = point.set_columns(metric.kind, table);
        let mut attributes_hash = 0_u64;
        let metadata = metric.metadata.iter().map(|message| (Owner::Metadata, message));
        let own = point.attributes.iter().map(|message| (Owner::Metric, message));
        for (owner, attribute) in metadata.chain(own) {
            let (key, value) = key_value(attribute)?;
            let info = keys.info(owner, key);
            table.rows.attributes.add(row, info, value, depth_max)?;
            if owner == Owner::Metric {
                attributes_hash = attributes_hash.wrapping_add(xxh3_64(attribute));
                if let Some(name) = &info.id {
                    found.add_value(name, value);
                }
            }
        }
        table.series.set(row, metric.series(attributes_hash));
        let mut parts = PartReader { keys, found: &mut *found, depth_max };
        read_exemplars(&point.exemplars, &mut table.exemplars, row, &mut parts)?;
        let carrier = Carrier {
            table: Table::Metrics,
            trace_id: None,
            span_id: None,
            time,
            service: common.service.as_deref(),
        };
        found.write(&carrier, ids, seen_ids);
        table.rows.end(context, fingerprint);
        Ok(())
    }
}

fn read_exemplars(
    messages: &[&[u8]],
    exemplars: &mut Exemplars,
    row: usize,
    parts: &mut PartReader<'_>,
) -> Result<(), WireError> {
    for message in messages {
        let mut exemplar = ExemplarRow::default();
        let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
        let mut time = 0;
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            let entries = &mut exemplars.attributes.entries;
            match field {
                2 => time = value.fixed64(field)?,
                3 => {
                    exemplar.value_double = Some(value.double(field)?);
                    exemplar.value_int = None;
                }
                4 => span_id = value.bytes(field)?,
                5 => trace_id = value.bytes(field)?,
                6 => {
                    exemplar.value_int = Some(value.fixed64(field)? as i64);
                    exemplar.value_double = None;
                }
                7 => parts.add(entries, value.bytes(field)?)?,
                _ => {}
            }
        }
        let entries = &mut exemplars.attributes.entries;
        exemplar.time = time_of_part(time, entries, "time");
        exemplar.trace_id = part_id(trace_id, entries, "trace_id");
        exemplar.span_id = part_id(span_id, entries, "span_id");
        exemplars.push(&exemplar);
    }
    if !messages.is_empty() {
        exemplars.close(row);
    }
    Ok(())
}
