//! Points of metrics out of sources that know a name, labels and a number.

use super::emit::{Emitter, Origin};
use super::group::message;
use super::value::{Value, attribute, some_text};
use crate::settings::Signal;
use crate::wire::Writer;

/// `AggregationTemporality` of OTLP.
const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// What the number of a point is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    /// A value of its own.
    Gauge(f64),
    /// A count since the start of whoever counts.
    Counter(f64),
    /// A count since the point before.
    Delta(f64),
    /// Counts of values by their size; bounds ascend, and there is one count more than bounds.
    Histogram { count: u64, sum: Option<f64>, bounds: Vec<f64>, counts: Vec<u64> },
    /// Quantiles and their values.
    Summary { count: u64, sum: f64, quantiles: Vec<(f64, f64)> },
}

/// A point and what it belongs to.
pub(crate) struct Point<'t> {
    pub(crate) name: &'t str,
    pub(crate) about: &'t str,
    pub(crate) unit: &'t str,
    pub(crate) service: &'t str,
    /// Nanoseconds since the epoch.
    pub(crate) time: i64,
    pub(crate) resource: &'t [(String, String)],
    pub(crate) attributes: Vec<(&'t str, Value<'t>)>,
    pub(crate) kind: Kind,
}

impl Point<'_> {
    /// Writes the point.
    pub(crate) fn write(&self, out: &mut Emitter<'_>) {
        let mut resource = Writer::new();
        some_text(&mut resource, 1, "service.name", out.service_or(self.service));
        for (key, text) in self.resource {
            some_text(&mut resource, 1, key, text);
        }
        let origin = Origin { resource: resource.into_bytes(), scope: Vec::new() };
        out.sure_item(Signal::Metrics, &origin, |out| self.write_metric(out));
    }

    fn write_metric(&self, out: &mut Writer) {
        out.bytes(1, self.name.as_bytes());
        out.bytes(2, self.about.as_bytes());
        out.bytes(3, self.unit.as_bytes());
        match &self.kind {
            Kind::Gauge(value) => message(out, 5, |out| self.write_number(*value, out)),
            Kind::Counter(value) => message(out, 7, |out| {
                self.write_number(*value, out);
                out.varint(2, CUMULATIVE);
                out.varint(3, 1);
            }),
            Kind::Delta(value) => message(out, 7, |out| {
                self.write_number(*value, out);
                out.varint(2, DELTA);
                out.varint(3, 1);
            }),
            Kind::Histogram { count, sum, bounds, counts } => message(out, 9, |out| {
                message(out, 1, |out| {
                    self.write_head(9, out);
                    out.fixed64(4, *count);
                    if let Some(sum) = sum {
                        out.fixed64_always(5, sum.to_bits());
                    }
                    let counts: Vec<u8> =
                        counts.iter().flat_map(|count| count.to_le_bytes()).collect();
                    out.bytes(6, &counts);
                    let bounds: Vec<u8> =
                        bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect();
                    out.bytes(7, &bounds);
                });
                out.varint(2, CUMULATIVE);
            }),
            Kind::Summary { count, sum, quantiles } => message(out, 11, |out| {
                message(out, 1, |out| {
                    self.write_head(7, out);
                    out.fixed64(4, *count);
                    out.fixed64_always(5, sum.to_bits());
                    for (quantile, value) in quantiles {
                        message(out, 6, |out| {
                            out.fixed64_always(1, quantile.to_bits());
                            out.fixed64_always(2, value.to_bits());
                        });
                    }
                });
            }),
        }
    }

    fn write_number(&self, value: f64, out: &mut Writer) {
        message(out, 1, |out| {
            self.write_head(7, out);
            out.fixed64_always(4, value.to_bits());
        });
    }

    /// Attributes in `field`, and the time.
    fn write_head(&self, field: u32, out: &mut Writer) {
        self.attributes.iter().for_each(|(key, value)| attribute(out, field, key, *value));
        out.fixed64(3, self.time.max(0) as u64);
    }
}
