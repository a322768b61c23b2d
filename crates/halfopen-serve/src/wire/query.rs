//! The answer of `query`.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use halfopen_store::QueryAnswer;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::Version;
use super::cell::cell_json;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryQuestionV1 {
    /// One SELECT.
    pub sql: String,
    /// No more rows than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_max: Option<usize>,
}

/// The rows of a query.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QueryV1 {
    /// Version.
    pub v: Version,
    /// The columns. Names are made different where SQL gave one name twice.
    pub columns: Vec<ColumnV1>,
    /// The rows: one value for each column.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than were asked for.
    pub truncated: bool,
    /// What could not be looked at, in words.
    pub unread: Vec<String>,
}

/// One column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ColumnV1 {
    /// Its name.
    pub name: String,
    /// text, number, bool, time, id, bytes, attributes or nested.
    #[serde(rename = "type")]
    pub form: String,
}

impl From<&QueryAnswer> for QueryV1 {
    fn from(answer: &QueryAnswer) -> QueryV1 {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut columns = Vec::new();
        for field in answer.schema.fields() {
            let times = seen.entry(field.name()).or_default();
            *times += 1;
            let name = match *times {
                1 => field.name().clone(),
                again => format!("{}:{again}", field.name()),
            };
            columns.push(ColumnV1 { name, form: form(field.data_type()).to_owned() });
        }
        let mut rows = Vec::new();
        for batch in &answer.batches {
            for row in 0..batch.num_rows() {
                let cell = |column: &arrow::array::ArrayRef| cell_json(column.as_ref(), row);
                rows.push(batch.columns().iter().map(cell).collect());
            }
        }
        let truncated = answer.truncated;
        QueryV1 { v: Version::THIS, columns, rows, truncated, unread: answer.unread.clone() }
    }
}

fn form(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Dictionary(_, value) => form(value),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Boolean => "bool",
        DataType::FixedSizeBinary(_) => "id",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes",
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => "time",
        DataType::Map(..) => "attributes",
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::Struct(_) => "nested",
        other if other.is_numeric() => "number",
        _ => "text",
    }
}

/// A row as an object, columns in the order of the query.
pub fn row_json<'a>(columns: &'a [ColumnV1], row: &'a [Value]) -> impl Serialize + 'a {
    RowObject { columns, row }
}

/// `serde_json` sorts the keys of its own objects; this one keeps them as they are.
struct RowObject<'a> {
    columns: &'a [ColumnV1],
    row: &'a [Value],
}

impl Serialize for RowObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().map(|column| &column.name).zip(self.row))
    }
}
