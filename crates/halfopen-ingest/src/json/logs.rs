//! Log records.

use super::fields::{JsonError, NOTES, Object};
use super::value::any_value;
use crate::wire::Writer;

/// `SeverityNumber` by number.
const SEVERITIES: &[&str] = &[
    "UNSPECIFIED",
    "TRACE",
    "TRACE2",
    "TRACE3",
    "TRACE4",
    "DEBUG",
    "DEBUG2",
    "DEBUG3",
    "DEBUG4",
    "INFO",
    "INFO2",
    "INFO3",
    "INFO4",
    "WARN",
    "WARN2",
    "WARN3",
    "WARN4",
    "ERROR",
    "ERROR2",
    "ERROR3",
    "ERROR4",
    "FATAL",
    "FATAL2",
    "FATAL3",
    "FATAL4",
];

/// Writes the fields of a `LogRecord`.
pub(super) fn record(object: Object<'_>, out: &mut Writer) -> Result<(), JsonError> {
    out.fixed64(1, object.number(["timeUnixNano", "time_unix_nano"])?);
    let number = ["severityNumber", "severity_number"];
    out.varint(2, object.enumerated(number, "SEVERITY_NUMBER_", SEVERITIES)?);
    out.bytes(3, object.text(["severityText", "severity_text"])?.as_bytes());
    if let Some(body) = object.get(["body", "body"]) {
        out.message(5, |out| any_value(body, out)).map_err(|error| error.inside("body"))?;
    }
    object.attributes(["attributes", "attributes"], 6, out)?;
    out.varint(7, object.number(["droppedAttributesCount", "dropped_attributes_count"])?);
    out.fixed32(8, object.number(["flags", "flags"])? as u32);
    object.trace_id(9, NOTES, out)?;
    object.span_id(["spanId", "span_id"], 10, NOTES, out)?;
    out.fixed64(11, object.number(["observedTimeUnixNano", "observed_time_unix_nano"])?);
    out.bytes(12, object.text(["eventName", "event_name"])?.as_bytes());
    Ok(())
}
