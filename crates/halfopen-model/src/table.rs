//! The nine tables of evidence.

use std::fmt;
use std::str::FromStr;

/// A table of evidence; its columns are in [`crate::schema`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Table {
    /// OpenTelemetry spans.
    Spans,
    /// OpenTelemetry log records and log lines.
    Logs,
    /// Points of metric series.
    Metrics,
    /// Recorded requests with their answers.
    Exchanges,
    /// Deploys, configuration, flags and other changes.
    Changes,
    /// Injected faults.
    Faults,
    /// Statements with their evidence.
    Findings,
    /// Correlation ids and where they were seen.
    Ids,
    /// What could not be read.
    Rejects,
}

impl Table {
    /// All tables, in the order in which documents list them.
    pub const ALL: [Table; 9] = [
        Table::Spans,
        Table::Logs,
        Table::Metrics,
        Table::Exchanges,
        Table::Changes,
        Table::Faults,
        Table::Findings,
        Table::Ids,
        Table::Rejects,
    ];

    /// The name in SQL, in files and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Table::Spans => "spans",
            Table::Logs => "logs",
            Table::Metrics => "metrics",
            Table::Exchanges => "exchanges",
            Table::Changes => "changes",
            Table::Faults => "faults",
            Table::Findings => "findings",
            Table::Ids => "ids",
            Table::Rejects => "rejects",
        }
    }

    /// The column by which rows are placed in time.
    pub fn time_column(self) -> &'static str {
        match self {
            Table::Spans => "start_time",
            _ => "time",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// No table has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no table \"{0}\"")]
pub struct UnknownTable(pub String);

impl FromStr for Table {
    type Err = UnknownTable;
    fn from_str(name: &str) -> Result<Self, UnknownTable> {
        let found = Table::ALL.into_iter().find(|table| table.name() == name);
        found.ok_or_else(|| UnknownTable(name.to_owned()))
    }
}
