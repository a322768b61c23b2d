//! What becomes of the fields of each format, and of tables by the mapping files of docs/import
//! (over made-up tables in the shape of the real ones).

use std::ops::ControlFlow;
use std::sync::Arc;

use halfopen_ingest::import::{Format, ImportSettings, Mapping, detect, read};
use halfopen_ingest::{EvidenceBuilder, IngestSettings};
use halfopen_model::batch::Cells;
use halfopen_model::{AttributeValue, Batch, Table, UnixNanos};

mod logs;
mod mapped;
mod metrics;
mod traces;

/// When things without a time of their own happened.
const AT: UnixNanos = UnixNanos(7);

/// The rows of a source in a given format.
fn rows_of(format: Format, settings: &ImportSettings, text: &[u8]) -> Found {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let mut source = text;
    let _ = read(format, settings, &mut source, &mut |group| {
        builder.import(&group, "a.file", AT);
        ControlFlow::Continue(())
    });
    Found(builder.finish())
}

/// The rows of a source in the format that it shows.
fn rows(text: &str) -> Found {
    let format = detect(text.as_bytes()).expect("a format").expect("content");
    rows_of(format, &ImportSettings::default(), text.as_bytes())
}

/// The rows of a table by a mapping file.
fn mapped(mapping: &str, source: &str, text: &str) -> Found {
    let mapping = Mapping::parse(mapping).expect("a mapping");
    assert!(mapping.takes(source), "{source}");
    let settings = ImportSettings {
        mapping: Some(Arc::new(mapping)),
        source: source.to_owned(),
        at: AT,
        ..ImportSettings::default()
    };
    rows_of(Format::Mapped, &settings, text.as_bytes())
}

/// Rows of all tables.
struct Found(Vec<Batch>);

impl Found {
    fn count(&self, table: Table) -> usize {
        let batches = self.0.iter().filter(|batch| batch.table == table);
        batches.map(|batch| batch.rows.num_rows()).sum()
    }

    fn cells(&self, table: Table) -> Cells<'_> {
        let batch = self.0.iter().find(|batch| batch.table == table);
        Cells::new(&batch.expect("the table has rows").rows)
    }

    fn attributes(&self, table: Table, row: usize) -> Vec<String> {
        let all = self.cells(table).attributes(row).into_iter();
        let mut all: Vec<String> =
            all.map(|(key, value)| format!("{key}={}", AttributeValue::to_text(&value))).collect();
        all.sort();
        all
    }

    fn reasons(&self) -> Vec<String> {
        let cells = self.cells(Table::Rejects);
        let text = |row, name| cells.text(name, row).unwrap_or_default();
        let reason = |row| format!("{}: {}", text(row, "sender"), text(row, "reason"));
        (0..cells.len()).map(reason).collect()
    }
}
