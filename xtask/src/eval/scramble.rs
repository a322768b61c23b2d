//! The same evidence under other names, in another order, at another time: services and values
//! of attributes get new words, rows are shuffled, everything moves in time. An answer that
//! changes with it rests on something that it must not rest on.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, ListArray, MapArray, RecordBatch, StringArray,
    StructArray, TimestampNanosecondArray, UInt8Array, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, TimestampNanosecondType, UInt8Type};
use arrow::error::ArrowError;
use halfopen_model::known::Scope;
use halfopen_model::port::Refusal;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Batch, Table, TimeRange, ValueType, WriteEvidence as _};

use super::chance::{Chance, word};
use super::evidence::Stored;
use super::forms::combination;
use super::labels::{Kind, Question, When, shifted};
use super::naming::Naming;

/// What answers rest on.
const TABLES: [Table; 4] = [Table::Spans, Table::Logs, Table::Metrics, Table::Changes];
/// Rows of one write.
const WRITE_ROWS: usize = 10_000;
/// Texts with a meaning of their own, by the conventions of OpenTelemetry.
const MEANINGS: [&str; 7] = ["http.", "rpc.", "error.", "exception.", "otel.", "messaging.", "db."];
/// A shorter name may be a part of other words.
const NAME_CHARS_MIN: usize = 5;
/// Moves are at most so far.
const DAYS_MAX: u64 = 300;

/// How names and times were changed.
pub(super) struct Names {
    seed: u64,
    services: Vec<String>,
    shift_ns: i64,
}

impl Names {
    fn new(seed: u64, services: BTreeSet<String>) -> Names {
        let mut services: Vec<String> = services.into_iter().collect();
        // A name may be the beginning of a longer one.
        services.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let shift = Chance::new(seed, 0).below(DAYS_MAX * 86_400) as i64 * SECOND_NS;
        Names { seed, services, shift_ns: -shift }
    }

    fn word(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { word(self.seed, text) }
    }

    /// A candidate under its new name.
    pub(super) fn candidate(&self, kind: Kind, name: &str) -> String {
        match kind {
            Kind::Service | Kind::Node => self.word(name),
            Kind::Commit => name.to_owned(),
            Kind::Change => {
                let words: Vec<String> = name.split(' ').map(|part| self.word(part)).collect();
                words.join(" ")
            }
            Kind::Attributes => {
                let part = |part: &str| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (name.to_owned(), self.word(value))
                };
                combination(name.split(" & ").map(part).collect())
            }
        }
    }

    /// The question and its true answers.
    pub(super) fn rename(
        &self,
        kind: Kind,
        question: &Question,
        truth: &[String],
    ) -> (Question, Vec<String>) {
        let renamed =
            |naming: &Naming| naming.renamed(|name| self.word(name), |text| self.prose(text));
        let moved = |when: &When| When::At(shifted(when.range(), self.shift_ns));
        let question = Question {
            window: moved(&question.window),
            baseline: question.baseline.as_ref().map(moved),
            service: question.service.as_deref().map(|name| self.word(name)),
            naming: question.naming.as_ref().map(renamed),
            ..question.clone()
        };
        (question, truth.iter().map(|name| self.candidate(kind, name)).collect())
    }

    /// A text in which services may be named.
    fn prose(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in self.services.iter().filter(|name| name.len() >= NAME_CHARS_MIN) {
            if text.contains(name.as_str()) {
                text = text.replace(name.as_str(), &self.word(name));
            }
        }
        text
    }
}

/// The same evidence, changed, and how.
///
/// # Errors
/// When evidence cannot be read or written.
pub(super) async fn scrambled(stored: &Stored, seed: u64) -> Result<(Stored, Names), String> {
    let mut services = BTreeSet::new();
    for table in TABLES {
        services.extend(stored.texts(table, "service", TimeRange::ALL).await?);
    }
    let names = Names::new(seed, services);
    let other = Stored::empty().await?;
    for (place, table) in TABLES.into_iter().enumerate() {
        let rows = stored.rows(table, TimeRange::ALL, None).await?;
        let Some(first) = rows.first() else { continue };
        let whole = concat_batches(&first.schema(), &rows).and_then(|rows| changed(&rows, &names));
        let whole = whole.map_err(|error| error.to_string())?;
        let order = Chance::new(seed, place as u64 + 1).order(whole.num_rows());
        for part in order.chunks(WRITE_ROWS) {
            // Rows of their own: a slice would weigh as much as the whole.
            let part = take_record_batch(&whole, &UInt32Array::from(part.to_vec()));
            let part = part.map_err(|error| error.to_string())?;
            write(&other, Batch { table, rows: part, fingerprints: Vec::new() }).await?;
        }
    }
    Ok((other, names))
}

async fn write(stored: &Stored, batch: Batch) -> Result<(), String> {
    loop {
        match stored.store.write(vec![batch.clone()]).await {
            Ok(_) => return Ok(()),
            Err(Refusal::Later { .. }) => {
                stored.store.seal().await.map_err(|error| error.to_string())?;
            }
            Err(refusal) => return Err(refusal.to_string()),
        }
    }
}

/// Rows with other names at another time.
fn changed(rows: &RecordBatch, names: &Names) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| {
        let is_service = field.name() == "service" || is_renamed(field.name());
        let change = |text: &str| match is_service {
            true => names.word(text),
            false => names.prose(text),
        };
        match column.data_type() {
            DataType::Timestamp(_, _) => Ok(moved(column, names.shift_ns)),
            DataType::Map(_, _) => renamed_map(column.as_map(), names),
            DataType::List(_) => of_list(column.as_list(), &change),
            _ => Ok(retold(column, &change)),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<Vec<_>, _>>()?)
}

/// Whether this is an attribute whose values are names that somebody chose.
fn is_renamed(name: &str) -> bool {
    let bare = Scope::split(name).map(|(_, bare)| bare);
    bare.is_some_and(|bare| !MEANINGS.iter().any(|beginning| bare.starts_with(beginning)))
}

fn moved(column: &ArrayRef, shift_ns: i64) -> ArrayRef {
    let times = column.as_primitive::<TimestampNanosecondType>();
    let moved: TimestampNanosecondArray = times.unary(|time: i64| time.saturating_add(shift_ns));
    Arc::new(moved.with_data_type(column.data_type().clone()))
}

/// Other texts; what is no text stays as it is.
fn retold(column: &ArrayRef, change: &dyn Fn(&str) -> String) -> ArrayRef {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Arc::new(texts.iter().map(|text| text.map(change)).collect::<StringArray>());
    }
    let Some(words) = column.as_dictionary_opt::<Int32Type>() else { return Arc::clone(column) };
    match words.values().as_string_opt::<i32>() {
        Some(values) => {
            let values: StringArray = values.iter().map(|text| text.map(change)).collect();
            let keys = words.keys().clone();
            // Words may become equal only where they were equal.
            let words = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values));
            words.map_or_else(|_| Arc::clone(column), |words| Arc::new(words) as ArrayRef)
        }
        None => Arc::clone(column),
    }
}

fn of_list(list: &ListArray, change: &dyn Fn(&str) -> String) -> Result<ArrayRef, ArrowError> {
    let DataType::List(field) = list.data_type() else { return Ok(Arc::new(list.clone())) };
    let values = retold(list.values(), change);
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, nulls)?))
}

/// Attributes with other values.
fn renamed_map(map: &MapArray, names: &Names) -> Result<ArrayRef, ArrowError> {
    let entries = map.entries();
    let (keys, values) = (map.keys().as_string::<i32>(), map.values().as_struct());
    let (types, texts) = (values.column(0), values.column(1).as_string::<i32>());
    let types = types.as_primitive::<UInt8Type>();
    // Numbers of a metric's attributes name things; elsewhere they are sizes.
    let is_word = |entry: usize| {
        let key = keys.value(entry);
        let is_text = types.value(entry) == ValueType::Text.tag();
        is_renamed(key) && (is_text || key.starts_with(Scope::Metric.prefix()))
    };
    let text = |entry: usize| {
        let text = texts.value(entry);
        match is_word(entry) {
            true => names.word(text),
            false => text.to_owned(),
        }
    };
    let tag = |entry: usize| match is_word(entry) {
        true => ValueType::Text.tag(),
        false => types.value(entry),
    };
    let tags: UInt8Array = (0..texts.len()).map(|entry| Some(tag(entry))).collect();
    let texts: StringArray = (0..texts.len()).map(|entry| Some(text(entry))).collect();
    let parts: Vec<ArrayRef> = vec![Arc::new(tags), Arc::new(texts)];
    let fields = values.fields().clone();
    let values = StructArray::try_new(fields, parts, values.nulls().cloned())?;
    let parts: Vec<ArrayRef> = vec![Arc::clone(map.keys()), Arc::new(values)];
    let entries = StructArray::try_new(entries.fields().clone(), parts, entries.nulls().cloned())?;
    let DataType::Map(field, sorted) = map.data_type() else { return Ok(Arc::new(map.clone())) };
    let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?))
}
