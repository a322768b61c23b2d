//! Columns under construction. A column takes memory only when a row has a value for it, and
//! whatever a row left behind can be taken back: a row that turns out to be broken is undone.
//!
//! **Invariant:** rows are set in order, each at most once; rows that were skipped are null.

mod attributes;
mod context;
mod dictionary;
mod logs;
mod maps;
mod metrics;
mod nested;
mod numbers;
mod rows;
mod small_tables;
mod spans;
mod text;

use arrow::array::ArrayRef;

pub(crate) use attributes::{RAW_PREFIX, RowAttributes, raw_key};
pub(crate) use context::{Context, KnownValue};
pub(crate) use dictionary::{Enumerated, Words};
pub(crate) use logs::LogsTable;
pub(crate) use maps::{Entries, Maps};
pub(crate) use metrics::{MetricsTable, TEMPORALITIES};
pub(crate) use nested::{Events, ExemplarRow, Exemplars, Links, Lists, Quantiles};
pub(crate) use numbers::{Booleans, Fixed, Numbers};
pub(crate) use rows::Rows;
pub(crate) use small_tables::{IdRow, IdsTable, RejectRow, RejectsTable};
pub(crate) use spans::{KINDS, STATUSES, SpansTable};
pub(crate) use text::{TextBuffer, Texts};

/// A column of a table.
pub(crate) trait Column {
    /// Forgets what lies behind the first `rows` rows.
    fn truncate(&mut self, rows: usize);

    /// The array of the first `rows` rows, `None` when no row ever had a value. The column is
    /// empty afterwards.
    fn take(&mut self, rows: usize) -> Option<ArrayRef>;

    /// Memory held by values of varying size.
    fn bytes(&self) -> usize {
        0
    }
}
