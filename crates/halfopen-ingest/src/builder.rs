//! Collects the rows of many requests.

use halfopen_model::Batch;

use crate::columns::{Column, IdsTable, LogsTable, MetricsTable, RejectsTable, SpansTable};
use crate::ids::{FoundIds, IdNames, SeenIds};
use crate::import::Change;
use crate::import::rows::{ExchangeRows, changes};
use crate::json;
use crate::otlp::{Contexts, Keys, Request, Walk};
use crate::settings::{Arrival, BODY_BYTES_MAX, Encoding, IngestSettings, Outcome, Signal};

/// Memory of the fixed columns of a row, about.
const ROW_BYTES: usize = 160;

/// The rows of many requests and what is remembered from one request to the next.
pub(crate) struct Tables {
    pub(crate) settings: IngestSettings,
    pub(crate) keys: Keys,
    pub(crate) contexts: Contexts,
    pub(crate) spans: SpansTable,
    pub(crate) logs: LogsTable,
    pub(crate) metrics: MetricsTable,
    pub(crate) ids: IdsTable,
    pub(crate) rejects: RejectsTable,
    pub(crate) found: FoundIds,
    pub(crate) seen_ids: SeenIds,
    /// Memory of dictionaries when the last request was read.
    dictionary_bytes: usize,
}

impl Tables {
    fn new(settings: IngestSettings) -> Tables {
        Tables {
            keys: Keys::new(IdNames::new(&settings.id_names)),
            settings,
            contexts: Contexts::default(),
            spans: SpansTable::new(),
            logs: LogsTable::new(),
            metrics: MetricsTable::new(),
            ids: IdsTable::new(),
            rejects: RejectsTable::new(),
            found: FoundIds::default(),
            seen_ids: SeenIds::default(),
            dictionary_bytes: 0,
        }
    }

    /// Takes back the row at hand.
    pub(crate) fn undo(&mut self, signal: Signal) {
        match signal {
            Signal::Traces => self.spans.undo(),
            Signal::Logs => self.logs.undo(),
            Signal::Metrics => self.metrics.undo(),
        }
    }

    fn rows(&self) -> usize {
        let signals = [&self.spans.rows, &self.logs.rows, &self.metrics.rows];
        let telemetry: usize = signals.iter().map(|rows| rows.count()).sum();
        telemetry + self.ids.count() + self.rejects.count()
    }

    pub(crate) fn count_dictionaries(&mut self) {
        let signals = [&self.spans.rows, &self.logs.rows, &self.metrics.rows];
        let known: usize = signals.iter().map(|rows| rows.attributes.dictionary_bytes()).sum();
        self.dictionary_bytes = known + self.spans.name.bytes() + self.spans.trace_state.bytes();
    }

    /// Memory held, about. Cheap enough to be asked for every row.
    pub(crate) fn held(&self) -> usize {
        let values = self.spans.bytes() + self.logs.bytes() + self.metrics.bytes();
        let parts = self.dictionary_bytes + self.contexts.new_bytes() + self.rejects.bytes();
        self.rows() * ROW_BYTES + values + parts
    }
}

/// Makes one batch per table out of many requests.
pub struct EvidenceBuilder {
    pub(crate) tables: Tables,
    /// Rows that only imports have.
    pub(crate) exchanges: ExchangeRows,
    pub(crate) changes: Vec<Change>,
}

impl EvidenceBuilder {
    /// No rows yet.
    pub fn new(settings: IngestSettings) -> Self {
        EvidenceBuilder {
            tables: Tables::new(settings),
            exchanges: ExchangeRows::default(),
            changes: Vec::new(),
        }
    }

    /// Reads one request and keeps its rows. What cannot be read becomes rows of `rejects`.
    pub fn decode(
        &mut self,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
        arrival: &Arrival<'_>,
    ) -> Outcome {
        if body.is_empty() {
            return Outcome::default();
        }
        let tables = &mut self.tables;
        let request = Request::new(signal, encoding, body, *arrival);
        if body.len() > BODY_BYTES_MAX {
            let reason =
                format!("the body has {} bytes, at most {BODY_BYTES_MAX} are read", body.len());
            return request.refuse(tables, &reason);
        }
        let outcome = match encoding {
            Encoding::Protobuf => Walk::new(tables, request, body).run(),
            Encoding::Json => read_json(tables, request, body),
        };
        tables.count_dictionaries();
        outcome
    }

    /// Rows held, of all tables.
    pub fn rows(&self) -> usize {
        self.tables.rows() + self.exchanges.count() + self.changes.len()
    }

    /// Memory held, about.
    pub fn bytes(&self) -> usize {
        self.tables.held()
    }

    /// Takes the rows, one batch for each table that has some; the builder is ready for the next
    /// ones.
    pub fn finish(&mut self) -> Vec<Batch> {
        let tables = &mut self.tables;
        let contexts = tables.contexts.all();
        let batches = [
            tables.spans.finish(contexts),
            tables.logs.finish(contexts),
            tables.metrics.finish(contexts),
            self.exchanges.finish(),
            changes(&std::mem::take(&mut self.changes)),
            tables.ids.finish(),
            tables.rejects.finish(),
        ];
        tables.contexts.tidy();
        tables.dictionary_bytes = 0;
        tables.seen_ids = SeenIds::default();
        batches.into_iter().flatten().collect()
    }
}

/// Reads OTLP/JSON by way of protobuf.
fn read_json(tables: &mut Tables, mut request: Request<'_>, body: &[u8]) -> Outcome {
    match json::rewrite(request.signal, body) {
        Ok(rewritten) => {
            for problem in &rewritten.problems {
                request.reject(tables, &problem.raw, problem.items, &problem.reason);
            }
            Walk::new(tables, request, &rewritten.protobuf).run()
        }
        Err(reason) => request.refuse(tables, &reason),
    }
}
