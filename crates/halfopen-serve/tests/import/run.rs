//! Runs an importer over a text and reads the rows.

use std::ops::ControlFlow;

use halfopen_ingest::import::{Format, Group, ImportSettings, detect, read};
use halfopen_ingest::{EvidenceBuilder, IngestSettings};
use halfopen_model::batch::Cells;
use halfopen_model::{Batch, Table, UnixNanos};

pub(crate) const AT: UnixNanos = UnixNanos(5_000);

/// All groups of a source, after a way through their bytes.
pub(crate) fn groups(format: Format, settings: &ImportSettings, text: &[u8]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut source = text;
    let _ = read(format, settings, &mut source, &mut |group| {
        groups.push(Group::decode(&group.encode()).expect("a group comes back"));
        ControlFlow::Continue(())
    });
    groups
}

/// The rows of a source in a given format.
pub(crate) fn rows_of(format: Format, settings: &ImportSettings, text: &[u8]) -> Found {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    for group in groups(format, settings, text) {
        builder.import(&group, "a.file", AT);
    }
    Found(builder.finish())
}

/// The rows of a source in the format that it shows.
pub(crate) fn rows(text: &str) -> Found {
    let format = detect(text.as_bytes()).expect("a format").expect("content");
    rows_of(format, &ImportSettings::default(), text.as_bytes())
}

/// Rows of all tables.
pub(crate) struct Found(pub(crate) Vec<Batch>);

impl Found {
    pub(crate) fn count(&self, table: Table) -> usize {
        let batches = self.0.iter().filter(|batch| batch.table == table);
        batches.map(|batch| batch.rows.num_rows()).sum()
    }

    pub(crate) fn cells(&self, table: Table) -> Cells<'_> {
        let batch = self.0.iter().find(|batch| batch.table == table);
        Cells::new(&batch.expect("the table has rows").rows)
    }

    /// The reasons of all rejects.
    pub(crate) fn reasons(&self) -> Vec<String> {
        if self.count(Table::Rejects) == 0 {
            return Vec::new();
        }
        let cells = self.cells(Table::Rejects);
        let reason = |row| {
            let (sender, reason) = (cells.text("sender", row), cells.text("reason", row));
            format!("{}: {}", sender.unwrap_or_default(), reason.unwrap_or_default())
        };
        (0..cells.len()).map(reason).collect()
    }
}
