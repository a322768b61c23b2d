//! The attributes of a row: well-known ones in columns, the others in the map.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};
use halfopen_model::ValueType;
use halfopen_model::known::{KnownType, Scope, known};
use halfopen_model::names::grpc_code;

use super::{Column, Maps, Numbers, Words};
use crate::otlp::{AnyValue, KeyInfo, Place};
use crate::wire::WireError;

/// A column of a well-known attribute.
pub(crate) enum KnownColumn {
    /// Text.
    Word(Words),
    /// An integer.
    Int(Numbers<Int64Type>),
}

impl KnownColumn {
    /// An empty column of this type.
    pub(crate) fn new(known_type: KnownType) -> KnownColumn {
        match known_type {
            KnownType::Word => KnownColumn::Word(Words::default()),
            KnownType::Int => KnownColumn::Int(Numbers::new(DataType::Int64)),
        }
    }

    /// Sets the row if the value has the type of the column and the row was not set before.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: AnyValue<'_>) -> bool {
        match (self, value) {
            (KnownColumn::Word(words), AnyValue::Text(text)) => {
                !words.has(row) && words.set(row, text)
            }
            (KnownColumn::Int(numbers), AnyValue::Int(value)) => {
                let is_free = !numbers.has(row);
                if is_free {
                    numbers.set(row, value);
                }
                is_free
            }
            _ => false,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            KnownColumn::Word(words) => words.bytes(),
            KnownColumn::Int(_) => 0,
        }
    }

    fn column(&mut self) -> &mut dyn Column {
        match self {
            KnownColumn::Word(words) => words,
            KnownColumn::Int(numbers) => numbers,
        }
    }
}

/// The attributes of all rows of a table.
pub(crate) struct RowAttributes {
    scope: Scope,
    known: Vec<KnownColumn>,
    pub(crate) map: Maps,
}

impl RowAttributes {
    /// For rows whose own attributes are those of `scope`.
    pub(crate) fn new(scope: Scope) -> RowAttributes {
        let columns = known(scope).iter().map(|(_, known_type)| KnownColumn::new(*known_type));
        RowAttributes { scope, known: columns.collect(), map: Maps::default() }
    }

    /// Adds an attribute to the row at hand.
    ///
    /// # Errors
    /// When the value is broken inside.
    #[inline]
    pub(crate) fn add(
        &mut self,
        row: usize,
        key: &KeyInfo,
        value: AnyValue<'_>,
        depth_max: usize,
    ) -> Result<(), WireError> {
        let is_set = match (key.place, value) {
            (Place::Column(index), _) => self.known[index].set(row, value),
            (Place::GrpcCode(index), AnyValue::Int(number)) => grpc_code(number)
                .is_some_and(|name| self.known[index].set(row, AnyValue::Text(name.as_bytes()))),
            _ => false,
        };
        if is_set {
            return Ok(());
        }
        self.map.entries.push(&key.prefixed, value, depth_max)
    }

    /// Adds what a fixed column could not hold: `halfopen.raw.<column>`.
    pub(crate) fn note(&mut self, column: &str, value_type: ValueType, text: &str) {
        self.map.entries.push_stored(&raw_key(column), value_type, text);
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.known.iter_mut().for_each(|known| known.column().truncate(rows));
        self.map.truncate(rows);
    }

    /// The columns of well-known attributes in which a row has a value.
    pub(crate) fn take_known(&mut self, rows: usize) -> Vec<(String, ArrayRef)> {
        let names = known(self.scope).iter().map(|(key, _)| *key);
        let prefix = self.scope.prefix();
        names
            .zip(&mut self.known)
            .filter_map(|(key, known)| {
                known.column().take(rows).map(|array| (format!("{prefix}{key}"), array))
            })
            .collect()
    }

    /// Memory held by dictionaries. Asking every column takes longer than adding a row.
    pub(crate) fn dictionary_bytes(&self) -> usize {
        self.known.iter().map(KnownColumn::bytes).sum()
    }

    /// Memory held by the map.
    pub(crate) fn bytes(&self) -> usize {
        self.map.bytes()
    }
}

/// Before the name of the column in the key of an original that it could not hold.
pub(crate) const RAW_PREFIX: &str = "halfopen.raw.";

/// The key under which the map keeps the original of a fixed column.
pub(crate) fn raw_key(column: &str) -> String {
    format!("{RAW_PREFIX}{column}")
}
