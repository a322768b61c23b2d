//! Metrics. A point that cannot be read loses only itself.

use super::fields::{JsonError, Object, double, unsigned};
use super::parse::Json;
use super::{Problem, problem};
use crate::wire::{Writer, zigzag32};

/// `AggregationTemporality` by number.
const TEMPORALITIES: &[&str] = &["UNSPECIFIED", "DELTA", "CUMULATIVE"];

/// Names of the kinds of data in both spellings, and their field in a metric.
const DATA: &[([&str; 2], u32)] = &[
    (["gauge", "gauge"], 5),
    (["sum", "sum"], 7),
    (["histogram", "histogram"], 9),
    (["exponentialHistogram", "exponential_histogram"], 10),
    (["summary", "summary"], 11),
];

/// Writes the fields of a `Metric`.
pub(super) fn metric(
    object: Object<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
    out: &mut Writer,
) -> Result<(), JsonError> {
    out.bytes(1, object.text(["name", "name"])?.as_bytes());
    out.bytes(2, object.text(["description", "description"])?.as_bytes());
    out.bytes(3, object.text(["unit", "unit"])?.as_bytes());
    for (name, field) in DATA {
        let Some(data) = object.get(*name) else { continue };
        let path = format!("{path}.{}.dataPoints", name[0]);
        let data = Object::of(data).map_err(|error| error.inside(name[0]))?;
        out.message(*field, |out| write_data(data, *field, &path, problems, out))
            .map_err(|error| error.inside(name[0]))?;
        break;
    }
    object.attributes(["metadata", "metadata"], 12, out)
}

fn write_data(
    data: Object<'_>,
    field: u32,
    path: &str,
    problems: &mut Vec<Problem>,
    out: &mut Writer,
) -> Result<(), JsonError> {
    let points = data.list(["dataPoints", "data_points"])?;
    for (index, point) in points.iter().enumerate() {
        if let Err(error) = write_point(point, field, out) {
            problems.push(problem(point, &format!("{path}[{index}]"), error, 1));
        }
    }
    let name = ["aggregationTemporality", "aggregation_temporality"];
    if matches!(field, 7 | 9 | 10) {
        let prefix = "AGGREGATION_TEMPORALITY_";
        out.varint(2, data.enumerated(name, prefix, TEMPORALITIES)?);
    }
    if field == 7 {
        out.varint(3, u64::from(data.bool(["isMonotonic", "is_monotonic"])?));
    }
    Ok(())
}

fn write_point(point: &Json<'_>, field: u32, out: &mut Writer) -> Result<(), JsonError> {
    let point = Object::of(point)?;
    out.message(1, |out| {
        out.fixed64(2, point.number(["startTimeUnixNano", "start_time_unix_nano"])?);
        out.fixed64(3, point.number(["timeUnixNano", "time_unix_nano"])?);
        let flags = point.number(["flags", "flags"])?;
        match field {
            9 => write_histogram(point, flags, out),
            10 => write_exponential(point, flags, out),
            11 => write_summary(point, flags, out),
            _ => write_number(point, flags, out),
        }
    })
}

const ATTRIBUTES: [&str; 2] = ["attributes", "attributes"];

fn write_number(point: Object<'_>, flags: u64, out: &mut Writer) -> Result<(), JsonError> {
    if let Some(value) = point.double(["asDouble", "as_double"])? {
        out.fixed64_always(4, value.to_bits());
    } else if let Some(value) = point.signed(["asInt", "as_int"])? {
        out.fixed64_always(6, value as u64);
    }
    write_exemplars(point, 5, out)?;
    point.attributes(ATTRIBUTES, 7, out)?;
    out.varint(8, flags);
    Ok(())
}

/// A float that was given, also when it is 0.
fn write_double(
    point: Object<'_>,
    name: &str,
    field: u32,
    out: &mut Writer,
) -> Result<(), JsonError> {
    if let Some(value) = point.double([name, name])? {
        out.fixed64_always(field, value.to_bits());
    }
    Ok(())
}

fn write_histogram(point: Object<'_>, flags: u64, out: &mut Writer) -> Result<(), JsonError> {
    out.fixed64(4, point.number(["count", "count"])?);
    write_double(point, "sum", 5, out)?;
    point.each(["bucketCounts", "bucket_counts"], |count| {
        out.fixed64_always(6, unsigned(count)?);
        Ok(())
    })?;
    point.each(["explicitBounds", "explicit_bounds"], |bound| {
        out.fixed64_always(7, double(bound)?.to_bits());
        Ok(())
    })?;
    write_exemplars(point, 8, out)?;
    point.attributes(ATTRIBUTES, 9, out)?;
    out.varint(10, flags);
    write_double(point, "min", 11, out)?;
    write_double(point, "max", 12, out)
}

fn write_exponential(point: Object<'_>, flags: u64, out: &mut Writer) -> Result<(), JsonError> {
    point.attributes(ATTRIBUTES, 1, out)?;
    out.fixed64(4, point.number(["count", "count"])?);
    write_double(point, "sum", 5, out)?;
    out.varint(6, small(point, "scale")?);
    out.fixed64(7, point.number(["zeroCount", "zero_count"])?);
    for (name, field) in [("positive", 8), ("negative", 9)] {
        let Some(buckets) = point.get([name, name]) else { continue };
        let buckets = Object::of(buckets).map_err(|error| error.inside(name))?;
        out.message(field, |out| {
            out.varint(1, small(buckets, "offset")?);
            buckets.each(["bucketCounts", "bucket_counts"], |count| {
                out.varint_always(2, unsigned(count)?);
                Ok(())
            })
        })
        .map_err(|error| error.inside(name))?;
    }
    out.varint(10, flags);
    write_exemplars(point, 11, out)?;
    write_double(point, "min", 12, out)?;
    write_double(point, "max", 13, out)?;
    let threshold = point.double(["zeroThreshold", "zero_threshold"])?;
    out.fixed64(14, threshold.unwrap_or_default().to_bits());
    Ok(())
}

fn small(object: Object<'_>, name: &str) -> Result<u64, JsonError> {
    let number = object.signed([name, name])?.unwrap_or_default();
    let fits = i32::try_from(number);
    fits.map(zigzag32).map_err(|_| JsonError::new("more than 32 bits").inside(name))
}

fn write_summary(point: Object<'_>, flags: u64, out: &mut Writer) -> Result<(), JsonError> {
    out.fixed64(4, point.number(["count", "count"])?);
    write_double(point, "sum", 5, out)?;
    point.each(["quantileValues", "quantile_values"], |quantile| {
        let quantile = Object::of(quantile)?;
        out.message(6, |out| {
            write_double(quantile, "quantile", 1, out)?;
            write_double(quantile, "value", 2, out)
        })
    })?;
    point.attributes(ATTRIBUTES, 7, out)?;
    out.varint(8, flags);
    Ok(())
}

fn write_exemplars(point: Object<'_>, field: u32, out: &mut Writer) -> Result<(), JsonError> {
    point.each(["exemplars", "exemplars"], |exemplar| {
        let exemplar = Object::of(exemplar)?;
        out.message(field, |out| {
            out.fixed64(2, exemplar.number(["timeUnixNano", "time_unix_nano"])?);
            if let Some(value) = exemplar.double(["asDouble", "as_double"])? {
                out.fixed64_always(3, value.to_bits());
            } else if let Some(value) = exemplar.signed(["asInt", "as_int"])? {
                out.fixed64_always(6, value as u64);
            }
            exemplar.span_id(["spanId", "span_id"], 4, 7, out)?;
            exemplar.trace_id(5, 7, out)?;
            exemplar.attributes(["filteredAttributes", "filtered_attributes"], 7, out)
        })
    })
}
