//! `/api/v1/changes`: somebody, mostly a pipeline, says that something was changed; and what is
//! known to have changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use halfopen_model::time::parse_time;
use halfopen_model::{AttributeValue, Batch, UnixNanos};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::change_rows;
use super::error::ApiError;
use crate::wire::{TakenV1, Version};

/// Kinds of changes, as `docs/schema.md` lists them.
const KINDS: [&str; 10] = [
    "deploy",
    "config",
    "flag",
    "scale",
    "schema",
    "certificate",
    "restart",
    "fault_begin",
    "fault_end",
    "other",
];

/// Who tells of a change.
const SOURCES: [&str; 2] = ["api", "import"];
/// Files of one change.
const FILES_MAX: usize = 10_000;
/// Changes of one request; a pipeline sends one.
pub(crate) const CHANGES_MAX: usize = 1_000;
/// Bytes of a diff that are kept: what a person still reads.
pub(crate) const DIFF_BYTES_MAX: usize = 256 << 10;

/// One change, as it is sent.
#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ChangeV1 {
    #[serde(alias = "change_id")]
    pub(super) id: Option<String>,
    pub(super) time: Option<String>,
    pub(super) end_time: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) service: Option<String>,
    pub(super) version: Option<String>,
    pub(super) previous_version: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) title: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) author: Option<String>,
    pub(super) files: Vec<String>,
    pub(super) diff: Option<String>,
    pub(super) url: Option<String>,
    pub(super) source: Option<String>,
    pub(super) attributes: BTreeMap<String, Value>,
}

/// One change that may be written.
pub(super) struct Change {
    pub(super) id: String,
    pub(super) time: UnixNanos,
    pub(super) end_time: Option<UnixNanos>,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) sent: ChangeV1,
}

/// Reads one change or a list of them.
pub(super) fn read(body: &[u8], now: UnixNanos) -> Result<(Batch, TakenV1), ApiError> {
    let hint = "send one object or a list of them, for example \
        {\"kind\": \"deploy\", \"service\": \"payment\", \"version\": \"2.3.1\"}";
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::wrong("the body is no JSON").detail(error.to_string()).hint(hint)
    })?;
    let items = match value {
        Value::Array(items) => items,
        one @ Value::Object(_) => vec![one],
        _ => return Err(ApiError::wrong("the body is neither an object nor a list").hint(hint)),
    };
    if items.is_empty() || items.len() > CHANGES_MAX {
        let fact = format!("{} changes came, 1 to {CHANGES_MAX} are taken at a time", items.len());
        return Err(ApiError::wrong(fact).hint(hint));
    }
    let mut changes = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let change: Result<ChangeV1, _> = serde_json::from_value(item);
        let checked = change.map_err(|error| error.to_string()).and_then(|c| check(c, now));
        changes.push(checked.map_err(|problem| {
            let fact = format!("change {} of the request cannot be taken", index + 1);
            ApiError::wrong(fact).detail(problem).hint(hint)
        })?);
    }
    let change_ids = changes.iter().map(|change| change.id.clone()).collect();
    let batch = change_rows::batch(&changes).map_err(|error| {
        let fact = "the changes could not be made into rows";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, fact).detail(error.to_string())
    })?;
    Ok((batch, TakenV1 { v: Version::THIS, change_ids }))
}

fn check(mut sent: ChangeV1, now: UnixNanos) -> Result<Change, String> {
    if let Some(url) = sent.url.take() {
        sent.attributes.insert("url".to_owned(), Value::String(url));
    }
    if sent.source.as_ref().is_some_and(|source| !SOURCES.contains(&source.as_str())) {
        return Err(format!("its source is one of {}", SOURCES.join(", ")));
    }
    if sent.files.len() > FILES_MAX {
        return Err(format!("it names more than {FILES_MAX} files"));
    }
    let kind = sent.kind.clone().unwrap_or_else(|| "deploy".to_owned());
    if !KINDS.contains(&kind.as_str()) {
        return Err(format!("\"{kind}\" is no kind of change; there are {}", KINDS.join(", ")));
    }
    let read = |text: &Option<String>| match text {
        Some(text) => parse_time(text, now).map(Some).map_err(|error| error.to_string()),
        None => Ok(None),
    };
    let time = read(&sent.time)?.unwrap_or(now);
    let end_time = read(&sent.end_time)?;
    if end_time.is_some_and(|end| end < time) {
        return Err("it ends before it begins".to_owned());
    }
    if sent.diff.as_ref().is_some_and(|diff| diff.len() > DIFF_BYTES_MAX) {
        return Err(format!("its diff is larger than {DIFF_BYTES_MAX} bytes; name its files"));
    }
    if sent.service.is_none() && sent.title.is_none() {
        return Err("it names neither a service nor a title".to_owned());
    }
    let title = sent.title.clone().unwrap_or_else(|| {
        let parts = [Some(kind.as_str()), sent.service.as_deref(), sent.version.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    let id = sent.id.clone().unwrap_or_else(|| {
        // The same change sent again has the same id, and is kept once.
        let mut hasher = DefaultHasher::new();
        (&sent, time.0).hash(&mut hasher);
        format!("change-{:016x}", hasher.finish())
    });
    Ok(Change { id, time, end_time, kind, title, sent })
}

/// The typed form of a JSON value.
pub(super) fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Empty,
        Value::Bool(truth) => AttributeValue::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(int) => AttributeValue::Int(int),
            None => AttributeValue::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => AttributeValue::Text(text.clone()),
        Value::Array(_) => AttributeValue::List(value.to_string()),
        Value::Object(_) => AttributeValue::Map(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_model::batch::{Cells, conform};
    use halfopen_model::schema::schema;

    const NOW: UnixNanos = UnixNanos(1_795_185_000_000_000_000);

    #[test]
    fn a_deploy_becomes_a_row_and_the_same_deploy_the_same_row() {
        let body = br#"{"service": "payment", "version": "2.3.1", "time": "14:02:10",
            "files": ["a.rs", "b.rs"], "attributes": {"pods": 3, "canary": true}}"#;
        let (batch, taken) = read(body, NOW).expect("a change");
        let rows = conform(&batch.rows, &schema(batch.table)).expect("rows of the table");
        let cells = Cells::new(&rows);
        assert_eq!(cells.text("title", 0), Some("deploy payment 2.3.1"));
        assert_eq!(cells.text("kind", 0), Some("deploy"));
        assert_eq!(cells.text("source", 0), Some("api"));
        assert_eq!(
            cells.time("time", 0).map(UnixNanos::to_rfc3339).as_deref(),
            Some("2026-11-20T14:02:10Z")
        );
        assert_eq!(cells.texts("files", 0), ["a.rs", "b.rs"]);
        assert_eq!(cells.attribute("pods", 0), Some(AttributeValue::Int(3)));
        assert_eq!(cells.attribute("canary", 0), Some(AttributeValue::Bool(true)));
        let (again, taken_again) = read(body, NOW).expect("a change");
        assert_eq!((taken, batch.fingerprints), (taken_again, again.fingerprints));
    }

    #[test]
    fn what_is_no_change_says_why() {
        let check = |body: &str, part: &str| {
            let error = read(body.as_bytes(), NOW).map(|_| ()).expect_err(body);
            let text = format!("{} {}", error.fact, error.detail.unwrap_or_default());
            assert!(text.contains(part), "{body}: {text}");
        };
        check("", "no JSON");
        check("7", "neither an object nor a list");
        check("[]", "0 changes");
        check("{}", "neither a service nor a title");
        check(r#"{"service": "a", "kind": "party"}"#, "is no kind of change; there are deploy,");
        check(r#"{"service": "a", "colour": "red"}"#, "unknown field `colour`");
        check(r#"[{"service": "a"}, {"service": "a", "time": "soon"}]"#, "change 2 of the request");
        check(r#"{"service": "a", "time": "14:10", "end_time": "14:00"}"#, "ends before it begins");
        check(r#"{"service": "a", "source": "telemetry"}"#, "its source is one of api, import");
    }
}
