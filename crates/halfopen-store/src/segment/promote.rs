//! Frequent attribute keys get columns of their own when segments are merged: a key in the map
//! costs ten times a column to read, and is stored again in each row.
//!
//! **Invariant:** nothing is converted and nothing is lost. A value whose text would not come back
//! the same from the column stays in the map, and so does a second value of one key. The column
//! [`ORDER`] says in which order the entries of a row were, where that is not the order of the
//! columns followed by the rest. `join` is the way back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, MapArray,
    RecordBatch, StringArray, StructArray, UInt8Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use halfopen_model::attribute::show_double;
use halfopen_model::batch::map_entries;
use halfopen_model::known::Scope;
use halfopen_model::schema::{ATTRIBUTES, attributes_type, entry_fields, value_fields, word_type};
use halfopen_model::{Table, ValueType, schema};
use xxhash_rust::xxh3::xxh3_64;

/// The column that says in which order the attributes of a row were.
pub(crate) const ORDER: &str = "attributes.order";
/// Marks a promoted column in the schema of a file.
pub(crate) const PROMOTED: &str = "halfopen.promoted";
/// In the footer: promoted keys of which some values are in the map.
pub(crate) const PARTLY: &str = "halfopen.partly_promoted";

/// Columns that a file gets at most: each costs some 200 bytes in the footer of a row group.
const KEYS_MAX: usize = 100;
/// A key is frequent in more than one of so many rows.
const FREQUENT_PART: usize = 100;
/// Longer keys are not made column names.
const KEY_BYTES_MAX: usize = 200;
/// Different keys that are counted; rows that bring more are not looked at further.
const COUNTED_KEYS_MAX: usize = 4_096;
/// Text of which more than one of so many values is new is no small set of words.
const WORDS_PART: usize = 4;

/// How a promoted column holds its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Word,
    Text,
    Int,
    Double,
    Bool,
}

/// The keys that get a column in one file.
#[derive(Debug, Default)]
pub(crate) struct Promotion {
    columns: Vec<(String, Kind)>,
    places: HashMap<String, usize>,
}

/// What is known of a key in a sample.
struct Seen {
    first: usize,
    rows: usize,
    last_row: usize,
    tag: u8,
    fits: bool,
    values: HashSet<u64>,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Kind::Word => word_type(),
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Double => DataType::Float64,
            Kind::Bool => DataType::Boolean,
        }
    }
}

/// A value in its column, when its text comes back the same from there.
enum Value<'a> {
    Text(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

fn value_of(tag: u8, text: &str) -> Option<Value<'_>> {
    match ValueType::from_tag(tag)? {
        ValueType::Text => Some(Value::Text(text)),
        ValueType::Int => {
            let value: i64 = text.parse().ok()?;
            (value.to_string() == text).then_some(Value::Int(value))
        }
        ValueType::Double => {
            let value: f64 = text.parse().ok()?;
            (show_double(value) == text).then_some(Value::Double(value))
        }
        ValueType::Bool => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

impl Promotion {
    /// Chooses keys by a sample of the rows.
    pub(crate) fn choose(table: Table, sample: &[RecordBatch]) -> Promotion {
        let rows: usize = sample.iter().map(RecordBatch::num_rows).sum();
        let mut keys = count(sample);
        let whole = schema::schema(table);
        keys.retain(|key, seen| {
            seen.fits
                && seen.rows * FREQUENT_PART > rows
                && key.len() <= KEY_BYTES_MAX
                && !key.chars().any(char::is_control)
                && Scope::split(key).is_some()
                && whole.column_with_name(key).is_none()
        });
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_by(|(_, one), (_, other)| {
            other.rows.cmp(&one.rows).then(one.first.cmp(&other.first))
        });
        keys.truncate(KEYS_MAX);
        keys.sort_by_key(|(_, seen)| seen.first);
        let columns: Vec<_> =
            keys.into_iter().map(|(key, seen)| (key.to_owned(), kind_of(&seen))).collect();
        let places = columns.iter().enumerate();
        let places = places.map(|(place, (key, _))| (key.clone(), place)).collect();
        Promotion { columns, places }
    }

    /// Whether no key has a column.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// How many keys have one.
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The key in a place.
    pub(crate) fn key(&self, place: usize) -> &str {
        &self.columns[place].0
    }

    /// The columns of a file: those of its rows, and the promoted ones.
    pub(crate) fn schema(&self, rows: &SchemaRef) -> SchemaRef {
        if self.is_empty() {
            return Arc::clone(rows);
        }
        let mark = || HashMap::from([(PROMOTED.to_owned(), "1".to_owned())]);
        let promoted = self.columns.iter().map(|(key, kind)| {
            Arc::new(Field::new(key, kind.data_type(), true).with_metadata(mark()))
        });
        let order = Arc::new(Field::new(ORDER, word_type(), true));
        let fields = rows.fields().iter().cloned().chain(promoted).chain([order]);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Moves values out of the map into their columns; `partly` takes note of keys of which some
    /// value stayed.
    pub(crate) fn split(
        &self,
        rows: &RecordBatch,
        whole: &SchemaRef,
        partly: &mut [bool],
    ) -> Result<RecordBatch, ArrowError> {
        let map = rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
        let Some(map) = map.filter(|_| !self.is_empty()) else { return Ok(rows.clone()) };
        let mut split = Split::new(self, rows.num_rows());
        for row in 0..rows.num_rows() {
            split.row(self, map, row, partly);
        }
        let (rest, promoted) = split.finish()?;
        let own = rows.schema_ref().fields().iter().zip(rows.columns());
        let own = own.map(|(field, column)| match field.name().as_str() {
            ATTRIBUTES => Arc::clone(&rest),
            _ => Arc::clone(column),
        });
        RecordBatch::try_new(Arc::clone(whole), own.chain(promoted).collect())
    }
}

fn kind_of(seen: &Seen) -> Kind {
    match ValueType::from_tag(seen.tag) {
        Some(ValueType::Int) => Kind::Int,
        Some(ValueType::Double) => Kind::Double,
        Some(ValueType::Bool) => Kind::Bool,
        _ if seen.values.len() * WORDS_PART > seen.rows => Kind::Text,
        _ => Kind::Word,
    }
}

fn count(sample: &[RecordBatch]) -> HashMap<&str, Seen> {
    let mut keys: HashMap<&str, Seen> = HashMap::new();
    let mut number = 0;
    for rows in sample {
        let map = rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
        let Some(map) = map else { continue };
        for row in 0..rows.num_rows() {
            number += 1;
            map_entries(map, row, &mut |key, tag, text| {
                let first = keys.len();
                if first >= COUNTED_KEYS_MAX && !keys.contains_key(key) {
                    return;
                }
                let new =
                    Seen { first, rows: 0, last_row: 0, tag, fits: true, values: HashSet::new() };
                let seen = keys.entry(key).or_insert(new);
                if seen.last_row == number {
                    return;
                }
                (seen.last_row, seen.rows) = (number, seen.rows + 1);
                seen.fits &= seen.tag == tag && value_of(tag, text).is_some();
                if tag == ValueType::Text.tag() {
                    seen.values.insert(xxh3_64(text.as_bytes()));
                }
            });
        }
    }
    keys
}

/// Values of one column as they come.
enum Filling<'a> {
    Text(Kind, Vec<Option<&'a str>>),
    Int(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Bool(Vec<Option<bool>>),
}

impl<'a> Filling<'a> {
    fn new(kind: Kind, rows: usize) -> Filling<'a> {
        match kind {
            Kind::Word | Kind::Text => Filling::Text(kind, vec![None; rows]),
            Kind::Int => Filling::Int(vec![None; rows]),
            Kind::Double => Filling::Double(vec![None; rows]),
            Kind::Bool => Filling::Bool(vec![None; rows]),
        }
    }

    /// Takes the first value of a row, when it fits.
    fn take(&mut self, row: usize, value: Value<'a>) -> bool {
        match (self, value) {
            (Filling::Text(_, values), Value::Text(text)) if values[row].is_none() => {
                values[row] = Some(text);
            }
            (Filling::Int(values), Value::Int(value)) if values[row].is_none() => {
                values[row] = Some(value);
            }
            (Filling::Double(values), Value::Double(value)) if values[row].is_none() => {
                values[row] = Some(value);
            }
            (Filling::Bool(values), Value::Bool(value)) if values[row].is_none() => {
                values[row] = Some(value);
            }
            _ => return false,
        }
        true
    }

    fn finish(self) -> ArrayRef {
        match self {
            Filling::Text(Kind::Text, values) => Arc::new(StringArray::from(values)),
            Filling::Text(_, values) => {
                Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
            }
            Filling::Int(values) => Arc::new(Int64Array::from(values)),
            Filling::Double(values) => Arc::new(Float64Array::from(values)),
            Filling::Bool(values) => Arc::new(BooleanArray::from(values)),
        }
    }
}

/// A map on its way into columns and a rest.
struct Split<'a> {
    columns: Vec<Filling<'a>>,
    order: Vec<Option<String>>,
    entries: Entries<'a>,
    /// Keys of this row that are in the map already: later values stay there too.
    stayed: Vec<usize>,
    /// Places of this row's entries; `None` for one in the rest.
    tokens: Vec<Option<usize>>,
}

/// Entries of a map.
#[derive(Default)]
pub(crate) struct Entries<'a> {
    keys: Vec<&'a str>,
    tags: Vec<u8>,
    texts: Vec<std::borrow::Cow<'a, str>>,
    lengths: Vec<usize>,
    closed: usize,
}

impl<'a> Entries<'a> {
    /// Adds one to the row.
    pub(crate) fn push(&mut self, key: &'a str, tag: u8, text: std::borrow::Cow<'a, str>) {
        self.keys.push(key);
        self.tags.push(tag);
        self.texts.push(text);
    }

    /// Ends the row.
    pub(crate) fn end_row(&mut self) {
        self.lengths.push(self.keys.len() - self.closed);
        self.closed = self.keys.len();
    }

    /// The map.
    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let texts = StringArray::from_iter_values(self.texts);
        let values = StructArray::try_new(
            value_fields(),
            vec![Arc::new(UInt8Array::from(self.tags)), Arc::new(texts)],
            None,
        )?;
        let keys = StringArray::from_iter_values(self.keys);
        let entries =
            StructArray::try_new(entry_fields(), vec![Arc::new(keys), Arc::new(values)], None)?;
        let DataType::Map(field, ordered) = attributes_type() else {
            return Err(ArrowError::SchemaError("attributes are no map".to_owned()));
        };
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        Ok(Arc::new(MapArray::try_new(field, offsets, entries, None, ordered)?))
    }
}

impl<'a> Split<'a> {
    fn new(promotion: &Promotion, rows: usize) -> Split<'a> {
        Split {
            columns: promotion.columns.iter().map(|(_, kind)| Filling::new(*kind, rows)).collect(),
            order: Vec::with_capacity(rows),
            entries: Entries::default(),
            stayed: Vec::new(),
            tokens: Vec::new(),
        }
    }

    fn row(&mut self, promotion: &Promotion, map: &'a MapArray, row: usize, partly: &mut [bool]) {
        self.stayed.clear();
        self.tokens.clear();
        if map.is_valid(row) {
            map_entries(map, row, &mut |key, tag, text| {
                let place = promotion.places.get(key).copied();
                let taken = place.is_some_and(|place| {
                    let value = value_of(tag, text).filter(|_| !self.stayed.contains(&place));
                    value.is_some_and(|value| self.columns[place].take(row, value))
                });
                self.tokens.push(place.filter(|_| taken));
                if !taken {
                    self.entries.push(key, tag, text.into());
                    if let Some(place) = place {
                        self.stayed.push(place);
                        partly[place] = true;
                    }
                }
            });
        }
        self.entries.end_row();
        self.order.push(order_word(&self.tokens));
    }

    fn finish(self) -> Result<(ArrayRef, Vec<ArrayRef>), ArrowError> {
        let mut columns: Vec<ArrayRef> = self.columns.into_iter().map(Filling::finish).collect();
        let order = self.order.iter().map(|word| word.as_deref());
        columns.push(Arc::new(order.collect::<DictionaryArray<Int32Type>>()));
        Ok((self.entries.finish()?, columns))
    }
}

/// What [`ORDER`] says about a row: places of columns and `*` for the next entry of the rest.
/// `None` where entries of columns, by place, come before the rest.
fn order_word(tokens: &[Option<usize>]) -> Option<String> {
    let promoted = tokens.iter().take_while(|token| token.is_some()).count();
    let (first, rest) = tokens.split_at(promoted);
    if first.is_sorted() && rest.iter().all(Option::is_none) {
        return None;
    }
    let end = tokens.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let words = tokens[..end].iter().map(|token| match token {
        Some(place) => place.to_string(),
        None => "*".to_owned(),
    });
    Some(words.collect::<Vec<_>>().join(" "))
}
