//! Log records.

use halfopen_model::AttributeValue;
use halfopen_model::known::Scope;

use super::json::Json;
use super::spans::ids;
use super::{Rows, value};

pub(super) fn write(json: &mut Json<'_>, rows: Rows<'_>, members: &[usize]) {
    json.list(members, |json, row| json.object(|json| record(json, rows, *row)));
}

fn record(json: &mut Json<'_>, rows: Rows<'_>, row: usize) {
    let cells = rows.cells;
    let attributes = cells.attributes(row);
    value::time(json, "timeUnixNano", cells.time("time", row), &attributes, "time");
    let observed = cells.time("observed_time", row);
    value::time(json, "observedTimeUnixNano", observed, &attributes, "observed_time");
    ids(json, cells, row);
    json.some_small("severityNumber", cells.small("severity_number", row));
    json.some_text("severityText", cells.text("severity_text", row));
    json.some_text("eventName", cells.text("event_name", row));
    if let Some(body) = cells.text("body", row) {
        let body = match cells.small("body_type", row) {
            None => AttributeValue::Text(body.to_owned()),
            Some(tag) => AttributeValue::from_stored(tag as u8, body),
        };
        json.name("body");
        value::value(json, &body);
    }
    json.name("attributes");
    let own = value::of_scope(&attributes, Scope::Log);
    value::pairs(json, None, value::originals(&attributes, &["time", "observed_time"]).chain(own));
    json.some_small("droppedAttributesCount", cells.small("dropped_attributes", row));
    json.some_small("flags", cells.small("flags", row));
}
