//! What the tables of all three signals have in common: rows with a context, attributes and a
//! fingerprint, and how a batch is made of them.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use halfopen_model::known::Scope;
use halfopen_model::{Batch, Fingerprint, Table};

use super::context::context_columns;
use super::{Column, Context, RowAttributes};

/// The rows of a table, without the fixed columns that only this table has.
pub(crate) struct Rows {
    table: Table,
    count: usize,
    contexts: Vec<u32>,
    fingerprints: Vec<Fingerprint>,
    pub(crate) attributes: RowAttributes,
}

/// A column with its name.
pub(crate) type Named<'a> = (&'static str, &'a mut dyn Column);

impl Rows {
    pub(crate) fn new(table: Table, scope: Scope) -> Rows {
        Rows {
            table,
            count: 0,
            contexts: Vec::new(),
            fingerprints: Vec::new(),
            attributes: RowAttributes::new(scope),
        }
    }

    /// Number of whole rows; also the index of the row at hand.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Begins a row: the attributes of its context come first.
    #[inline]
    pub(crate) fn begin(&mut self, context: &Context) {
        self.attributes.map.entries.extend(&context.entries);
    }

    /// Ends the row at hand.
    #[inline]
    pub(crate) fn end(&mut self, context: u32, fingerprint: Fingerprint) {
        self.attributes.map.close();
        self.contexts.push(context);
        self.fingerprints.push(fingerprint);
        self.count += 1;
    }

    /// Takes back what the row at hand left behind, in these columns and in its own.
    pub(crate) fn undo(&mut self, columns: Vec<Named<'_>>) {
        self.attributes.truncate(self.count);
        columns.into_iter().for_each(|(_, column)| column.truncate(self.count));
    }

    /// Memory held by values of varying size.
    pub(crate) fn bytes(&self) -> usize {
        self.attributes.bytes()
    }

    /// Makes a batch of the rows and of the fixed columns; `None` when there is no row.
    pub(crate) fn finish(
        &mut self,
        contexts: &[Context],
        columns: Vec<Named<'_>>,
    ) -> Option<Batch> {
        let rows = mem::take(&mut self.count);
        if rows == 0 {
            return None;
        }
        let mut arrays = take_all(columns, rows);
        arrays.extend(context_columns(contexts, &mem::take(&mut self.contexts)));
        arrays.extend(self.attributes.take_known(rows));
        if let Some(map) = self.attributes.map.take(rows) {
            arrays.push((halfopen_model::schema::ATTRIBUTES.to_owned(), map));
        }
        let fingerprints = mem::take(&mut self.fingerprints);
        Some(Batch { table: self.table, rows: record_batch(arrays, rows), fingerprints })
    }
}

/// The arrays of the columns in which a row has a value.
pub(crate) fn take_all(columns: Vec<Named<'_>>, rows: usize) -> Vec<(String, ArrayRef)> {
    columns
        .into_iter()
        .filter_map(|(name, column)| column.take(rows).map(|array| (name.to_owned(), array)))
        .collect()
}

/// Puts columns together.
pub(crate) fn record_batch(arrays: Vec<(String, ArrayRef)>, rows: usize) -> RecordBatch {
    let field = |(name, array): &(String, ArrayRef)| {
        Field::new(name, array.data_type().clone(), array.is_nullable())
    };
    let schema = Schema::new(arrays.iter().map(field).collect::<Vec<_>>());
    let columns = arrays.into_iter().map(|(_, array)| array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
        .expect("every column has one value for each row")
}
