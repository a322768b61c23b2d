//! All spans of a question as columns of numbers: one pass over the batches, no allocation for
//! each row, texts interned once for each value of a dictionary.
//!
//! **Invariant:** rows keep the numbers of their place in the evidence; nothing is sorted in
//! place, so a row can always be read again from its batch.

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch};
use arrow::datatypes::Int64Type;
use halfopen_model::batch::Cells;
use halfopen_model::schema::ATTRIBUTES;
use halfopen_model::{SpanId, TraceId};

use crate::codes::Codes;
use crate::intern::{FoldMap, NONE, Words};
use crate::threads;
use halfopen_model::request;
use ids::{ID_COLUMNS, Numbers, Traces};

mod cells;
mod ids;

use cells::each_word;
pub(crate) use cells::{KeyCache, MapEntries, by_text, words_of};

mod names;

pub(crate) use names::{config_names, peer_names, release_names};

/// Stands for the duration of a span that never ended.
pub(crate) const UNENDED: i64 = i64::MIN;

/// The kinds of spans that matter here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A request was taken: server or consumer.
    Entry,
    /// A request was made: client or producer.
    Exit,
    /// Anything else.
    Inner,
}

/// Facts of every span that are read from attributes, under their current and old names; where
/// several names stand, the first that has a value counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fact {
    Http,
    Grpc,
    Peer(u8),
    Method,
    Route,
    Version,
    Commit,
    Image,
    Config,
    Started,
    Instance(u8),
    TailSampled,
}

/// The rank of a peer that is known by the name of its service.
const PEER_NAMED: u8 = 0;

/// The rank of a peer that is only known by its kind: `postgresql`, `kafka`.
const PEER_BACKING: u8 = 3;

/// Every name under which a fact is sent. A lower number of a peer or instance goes before a
/// higher one.
const FACTS: &[(&str, Fact)] = &[
    (request::HTTP_STATUS[0], Fact::Http),
    (request::HTTP_STATUS[1], Fact::Http),
    (request::GRPC_STATUS[0], Fact::Grpc),
    (request::GRPC_STATUS[1], Fact::Grpc),
    (request::GRPC_STATUS[2], Fact::Grpc),
    ("span.service.peer.name", Fact::Peer(PEER_NAMED)),
    ("span.peer.service", Fact::Peer(PEER_NAMED)),
    ("span.rpc.service", Fact::Peer(2)),
    ("span.server.address", Fact::Peer(1)),
    ("span.net.peer.name", Fact::Peer(1)),
    ("span.db.system.name", Fact::Peer(PEER_BACKING)),
    ("span.db.system", Fact::Peer(PEER_BACKING)),
    ("span.messaging.system", Fact::Peer(PEER_BACKING)),
    ("span.http.request.method", Fact::Method),
    ("span.http.method", Fact::Method),
    ("span.http.route", Fact::Route),
    ("resource.service.version", Fact::Version),
    ("resource.service.instance.id", Fact::Instance(0)),
    ("resource.k8s.pod.name", Fact::Instance(1)),
    ("resource.host.name", Fact::Instance(2)),
    ("resource.vcs.ref.head.revision", Fact::Commit),
    ("resource.container.image.tags", Fact::Image),
    ("resource.container.image.tag", Fact::Image),
    ("resource.oci.manifest.digest", Fact::Image),
    ("resource.container.image.id", Fact::Image),
    ("resource.config.hash", Fact::Config),
    ("resource.service.config.hash", Fact::Config),
    ("resource.k8s.pod.annotation.checksum/config", Fact::Config),
    ("resource.k8s.pod.annotations.checksum/config", Fact::Config),
    ("resource.process.creation.time", Fact::Started),
    ("resource.k8s.pod.start_time", Fact::Started),
    ("span.tailsampling.policy", Fact::TailSampled),
    ("scope.tailsampling.policy", Fact::TailSampled),
    ("span.tailsampling.composite_policy", Fact::TailSampled),
];

/// One batch of the evidence.
pub(crate) struct Part<'a> {
    pub(crate) rows: &'a RecordBatch,
    /// Number of its first row among all rows.
    pub(crate) first: usize,
}

/// All spans of a question.
pub(crate) struct Spans<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) words: Words,
    pub(crate) trace_ids: Vec<TraceId>,
    /// Trace of each row; [`NONE`] for a row without trace id.
    pub(crate) trace: Vec<u32>,
    /// Span ids; 0 for none.
    pub(crate) id: Vec<u64>,
    pub(crate) parent_id: Vec<u64>,
    pub(crate) start: Vec<i64>,
    pub(crate) duration: Vec<i64>,
    pub(crate) service: Vec<u32>,
    pub(crate) name: Vec<u32>,
    pub(crate) kind: Vec<Kind>,
    pub(crate) failed: Vec<bool>,
    pub(crate) weight: Vec<f32>,
    pub(crate) peer: Vec<u32>,
    pub(crate) method: Vec<u32>,
    pub(crate) route: Vec<u32>,
    pub(crate) version: Vec<u32>,
    pub(crate) instance: Vec<u32>,
    /// Commit, image, configuration and start of the process; empty where no span tells of them.
    release: Vec<[u32; 4]>,
    /// Whether the peer is a database or a queue, which send no spans by nature.
    pub(crate) backing: Vec<bool>,
    /// First row of the baseline window.
    pub(crate) baseline_from: usize,
    /// Spans that say that their trace was sampled by outcome.
    pub(crate) tail_sampled: Vec<u32>,
    /// Time beyond the usual in nanoseconds, where slow requests were asked about; else empty.
    pub(crate) lost: Vec<i64>,
    /// Whether any row has a weight other than 1.
    pub(crate) weighted: bool,
    /// The rank of the name that gave a peer or an instance, to let better names win.
    ranks: Vec<(u8, u8)>,
    pub(crate) trace_codes: FoldMap<u128, u32>,
}

impl<'a> Spans<'a> {
    /// Reads all batches: those of the window, then those of the baseline.
    pub(crate) fn load(window: &'a [RecordBatch], baseline: &'a [RecordBatch]) -> Spans<'a> {
        let rows =
            |batches: &[RecordBatch]| -> usize { batches.iter().map(|b| b.num_rows()).sum() };
        let total = rows(window) + rows(baseline);
        let mut spans = Spans::with_room(total, rows(window));
        let mut first = 0;
        for rows in window.iter().chain(baseline) {
            spans.parts.push(Part { rows, first });
            first += rows.num_rows();
        }
        let batches = || window.iter().chain(baseline);
        let ids = || ID_COLUMNS.map(|name| ids::span_ids(batches(), name, total));
        if threads::threads(total) == 1 {
            spans.read_all(batches());
            let (traces, numbers) =
                (Traces::read(batches(), total), Numbers::read(batches(), total));
            return spans.with(traces, ids(), numbers);
        }
        let (traces, ids, numbers) = std::thread::scope(|scope| {
            let traces = scope.spawn(|| Traces::read(batches(), total));
            let ids = scope.spawn(ids);
            let numbers = scope.spawn(|| Numbers::read(batches(), total));
            spans.read_all(batches());
            (threads::joined(traces), threads::joined(ids), threads::joined(numbers))
        });
        spans.with(traces, ids, numbers)
    }

    /// Reads what is words.
    fn read_all(&mut self, batches: impl Iterator<Item = &'a RecordBatch>) {
        let mut seen = Dictionaries::default();
        let mut words = std::mem::take(&mut self.words);
        for rows in batches {
            self.read(rows, &mut words, &mut seen);
        }
        self.words = words;
    }

    /// Adds what is no words.
    fn with(self, traces: Traces, ids: [Vec<u64>; 2], numbers: Numbers) -> Spans<'a> {
        let [id, parent_id] = ids;
        let mut spans = Spans {
            trace_ids: traces.ids,
            trace_codes: traces.codes,
            trace: traces.of_rows,
            id,
            parent_id,
            start: numbers.start,
            duration: numbers.duration,
            weighted: numbers.weight.iter().any(|weight| *weight != 1.0),
            weight: numbers.weight,
            ..self
        };
        for (failed, duration) in spans.failed.iter_mut().zip(&spans.duration) {
            *failed |= *duration == UNENDED;
        }
        spans
    }

    fn with_room(total: usize, baseline_from: usize) -> Spans<'a> {
        Spans {
            parts: Vec::new(),
            words: Words::new(),
            trace_ids: Vec::new(),
            trace: Vec::new(),
            id: Vec::new(),
            parent_id: Vec::new(),
            start: Vec::new(),
            duration: Vec::new(),
            service: Vec::with_capacity(total),
            name: Vec::with_capacity(total),
            kind: Vec::with_capacity(total),
            failed: Vec::with_capacity(total),
            weight: Vec::new(),
            peer: vec![NONE; total],
            backing: vec![false; total],
            method: vec![NONE; total],
            route: vec![NONE; total],
            version: vec![NONE; total],
            instance: vec![NONE; total],
            release: Vec::new(),
            baseline_from,
            tail_sampled: Vec::new(),
            lost: Vec::new(),
            weighted: false,
            ranks: vec![(u8::MAX, u8::MAX); total],
            trace_codes: FoldMap::default(),
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.trace.len()
    }

    /// Whether the peer of a row is known by the name of a service, not only by an address or a
    /// kind.
    pub(crate) fn peer_is_named(&self, row: usize) -> bool {
        self.ranks[row].0 == PEER_NAMED
    }

    /// The batch of a row.
    pub(crate) fn part(&self, row: usize) -> &'a RecordBatch {
        self.parts[self.parts.partition_point(|part| part.first <= row) - 1].rows
    }

    /// The batch of a row, and the row's number inside it.
    pub(crate) fn cells(&self, row: usize) -> (Cells<'a>, usize) {
        let part = self.parts.partition_point(|part| part.first <= row) - 1;
        let part = &self.parts[part];
        (Cells::new(part.rows), row - part.first)
    }

    /// The trace id of a row that has one.
    pub(crate) fn trace_id(&self, row: usize) -> Option<TraceId> {
        self.trace_ids.get(self.trace[row] as usize).copied()
    }

    pub(crate) fn span_id(&self, row: usize) -> SpanId {
        SpanId(self.id[row].to_be_bytes())
    }

    /// What ran where a span was made: version, commit, image, configuration, instance, start of
    /// the process.
    pub(crate) fn state(&self, row: usize) -> [u32; 6] {
        let [commit, image, config, started] = *self.release.get(row).unwrap_or(&[NONE; 4]);
        [self.version[row], commit, image, config, self.instance[row], started]
    }

    /// When a span ended; its start for one that never did.
    pub(crate) fn end(&self, row: usize) -> i64 {
        let duration = if self.duration[row] == UNENDED { 0 } else { self.duration[row] };
        self.start[row].saturating_add(duration)
    }

    fn read(&mut self, rows: &'a RecordBatch, words: &mut Words, seen: &mut Dictionaries) {
        let first = self.service.len();
        let (len, column) = (rows.num_rows(), |name: &str| rows.column_by_name(name));
        let read = [
            (column("service"), &mut self.service, &mut seen.service),
            (column("name"), &mut self.name, &mut seen.name),
        ];
        for (column, codes, seen) in read {
            codes.resize(first + len, NONE);
            if let Some(column) = column {
                each_word(column, words, seen, |row, code| codes[first + row] = code);
            }
        }
        self.kind.extend(kinds_of(column("kind"), len));
        let failed = by_text(column("status"), len, false, |text| text == "error");
        self.failed.extend(failed);
        self.read_facts(rows, first, words, seen);
    }

    fn read_facts(
        &mut self,
        rows: &'a RecordBatch,
        first: usize,
        words: &mut Words,
        seen: &mut Dictionaries,
    ) {
        seen.facts.resize_with(FACTS.len(), Codes::default);
        for ((name, fact), seen) in FACTS.iter().zip(&mut seen.facts) {
            let column = rows.column_by_name(name).filter(|c| c.null_count() < c.len());
            if let Some(column) = column {
                self.read_fact_column(column, *fact, first, words, seen);
            }
        }
        if let Some(map) = rows.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt()) {
            self.read_fact_map(map, first, words);
        }
    }

    fn read_fact_column(
        &mut self,
        column: &ArrayRef,
        fact: Fact,
        first: usize,
        words: &mut Words,
        seen: &mut Codes,
    ) {
        let len = column.len();
        if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
            for row in (0..len).filter(|row| ints.is_valid(*row)) {
                self.failed[first + row] |= match fact {
                    Fact::Http => ints.value(row) >= request::HTTP_FAILED_MIN,
                    Fact::Grpc => request::grpc_code_failed(ints.value(row)),
                    _ => false,
                };
            }
            return;
        }
        if let Fact::Http | Fact::Grpc = fact {
            let is_http = fact == Fact::Http;
            let rule = if is_http { request::http_text_failed } else { request::grpc_text_failed };
            let failed = by_text(Some(column), len, false, rule);
            failed.enumerate().for_each(|(row, failed)| self.failed[first + row] |= failed);
            return;
        }
        let alone = match fact {
            Fact::Method => Some(&mut self.method),
            Fact::Route => Some(&mut self.route),
            Fact::Version => Some(&mut self.version),
            _ => None,
        };
        match alone {
            Some(codes) => {
                let codes = &mut codes[first..first + len];
                each_word(column, words, seen, |row, code| put_first(&mut codes[row], code));
            }
            None => each_word(column, words, seen, |row, code| {
                self.take_fact(fact, first + row, code);
            }),
        }
    }

    fn read_fact_map(&mut self, map: &'a MapArray, first: usize, words: &mut Words) {
        let Some(entries) = MapEntries::new(map) else { return };
        let mut keys: KeyCache<'_, Option<Fact>> = KeyCache::new();
        for row in 0..map.len() {
            for (ordinal, entry) in entries.of(row).enumerate() {
                let fact = |key: &str| FACTS.iter().find(|(name, _)| *name == key).map(|f| f.1);
                let Some(fact) = keys.get(ordinal, entries.key(entry), fact) else { continue };
                let (tag, text) = entries.value(entry);
                match fact {
                    Fact::Http => self.failed[first + row] |= request::http_text_failed(text),
                    Fact::Grpc if tag != 0 => {
                        self.failed[first + row] |= request::grpc_text_failed(text);
                    }
                    Fact::Grpc => {}
                    _ => {
                        let code = words.code(text);
                        self.take_fact(fact, first + row, code);
                    }
                }
            }
        }
    }

    fn put_release(&mut self, place: usize, row: usize, code: u32) {
        if self.release.is_empty() {
            self.release.resize(self.peer.len(), [NONE; 4]);
        }
        put_first(&mut self.release[row][place], code);
    }

    fn take_fact(&mut self, fact: Fact, row: usize, code: u32) {
        let put = |column: &mut Vec<u32>| put_first(&mut column[row], code);
        if fact == Fact::Peer(PEER_BACKING) {
            self.backing[row] = true;
        }
        match fact {
            Fact::Peer(rank) if rank < self.ranks[row].0 => {
                (self.peer[row], self.ranks[row].0) = (code, rank);
            }
            Fact::Instance(rank) if rank < self.ranks[row].1 => {
                (self.instance[row], self.ranks[row].1) = (code, rank);
            }
            Fact::Method => put(&mut self.method),
            Fact::Route => put(&mut self.route),
            Fact::Version => put(&mut self.version),
            Fact::Commit => self.put_release(0, row, code),
            Fact::Image => self.put_release(1, row, code),
            Fact::Config => self.put_release(2, row, code),
            Fact::Started => self.put_release(3, row, code),
            Fact::TailSampled => self.tail_sampled.push(row as u32),
            Fact::Peer(_) | Fact::Instance(_) | Fact::Http | Fact::Grpc => {}
        }
    }
}

/// What the dictionaries of the last batch led to.
#[derive(Default)]
struct Dictionaries {
    service: Codes,
    name: Codes,
    /// In the order of [`FACTS`].
    facts: Vec<Codes>,
}

/// Where several names stand for one fact, the first that has a value counts.
fn put_first(cell: &mut u32, code: u32) {
    if *cell == NONE {
        *cell = code;
    }
}

fn kinds_of(column: Option<&ArrayRef>, len: usize) -> impl Iterator<Item = Kind> {
    by_text(column, len, Kind::Inner, |text| match text {
        "server" | "consumer" => Kind::Entry,
        "client" | "producer" => Kind::Exit,
        _ => Kind::Inner,
    })
}

#[cfg(test)]
mod tests;
