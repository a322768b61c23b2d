//! What became of an import.

use std::collections::BTreeMap;

use halfopen_model::{Table, UnixNanos};
use serde::{Deserialize, Serialize};

use super::{TimeV1, Version};
use crate::import::{Counts, Rejected, Taken};

/// What became of one group.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ImportTakenV1 {
    /// Version.
    pub v: Version,
    /// Rows by table.
    pub tables: BTreeMap<String, ImportRowsV1>,
    /// What could not be read, by reason, the most frequent first.
    pub rejected: Vec<ImportRejectedV1>,
    /// What could not be compared with the rows that are there.
    pub notes: Vec<String>,
}

/// Rows of one table.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ImportRowsV1 {
    /// Rows that are new.
    pub kept: u64,
    /// Rows that were there already.
    pub collapsed: u64,
    /// The first time of them all.
    pub first: Option<TimeV1>,
    /// The last.
    pub last: Option<TimeV1>,
}

/// What could not be read for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImportRejectedV1 {
    /// The reason, as the first of them has it.
    pub reason: String,
    /// How many times.
    pub count: u64,
    /// Where the first of them stands.
    pub example: String,
}

impl From<&Taken> for ImportTakenV1 {
    fn from(taken: &Taken) -> ImportTakenV1 {
        let rows = |(table, counts): (&Table, &Counts)| {
            let row = ImportRowsV1 {
                kept: counts.kept,
                collapsed: counts.collapsed,
                first: counts.times.map(|(first, _)| TimeV1(first)),
                last: counts.times.map(|(_, last)| TimeV1(last)),
            };
            (table.name().to_owned(), row)
        };
        let rejected = |known: &Rejected| ImportRejectedV1 {
            reason: known.reason.clone(),
            count: known.count,
            example: known.example.clone(),
        };
        ImportTakenV1 {
            v: Version::THIS,
            tables: taken.tables.iter().map(rows).collect(),
            rejected: taken.rejected.iter().map(rejected).collect(),
            notes: taken.notes.clone(),
        }
    }
}

impl From<&ImportTakenV1> for Taken {
    fn from(wire: &ImportTakenV1) -> Taken {
        let row = |(name, row): (&String, &ImportRowsV1)| {
            let table = Table::ALL.into_iter().find(|table| table.name() == name)?;
            let times: Option<(UnixNanos, UnixNanos)> =
                row.first.zip(row.last).map(|(first, last)| (first.0, last.0));
            Some((table, Counts { kept: row.kept, collapsed: row.collapsed, times }))
        };
        let rejected = |known: &ImportRejectedV1| Rejected {
            reason: known.reason.clone(),
            count: known.count,
            example: known.example.clone(),
        };
        Taken {
            tables: wire.tables.iter().filter_map(row).collect(),
            rejected: wire.rejected.iter().map(rejected).collect(),
            notes: wire.notes.clone(),
        }
    }
}

/// The report of an import.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ImportV1 {
    /// Version.
    pub v: Version,
    /// Sources that were read, with the format of each.
    pub sources: Vec<ImportSourceV1>,
    /// Sources beyond those that are listed.
    pub sources_more: u64,
    /// Bytes that were read, before they were inflated.
    pub bytes: u64,
    /// Rows by table.
    pub tables: BTreeMap<String, ImportRowsV1>,
    /// What could not be read, by reason, the most frequent first.
    pub rejected: Vec<ImportRejectedV1>,
    /// What could not be compared with the rows that are there.
    pub notes: Vec<String>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// One source of an import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImportSourceV1 {
    /// The file.
    pub source: String,
    /// Its format; `None` for one without content, or without a format that fits.
    pub format: Option<String>,
    /// Why it was passed over.
    pub problem: Option<String>,
}
