//! Imports: what other tools wrote becomes evidence.
//!
//! | module | holds |
//! |---|---|
//! | [`Format`] | which formats there are, and how a source shows its own |
//! | `input`, `items` | lines and items of a source of any size, one at a time |
//! | `otlp`, `jaeger`, `zipkin`, `har` | what the fields of each format mean |
//! | `log_json`, `logfmt`, `pattern` | lines; `record` and `when` know levels and times |
//! | `prometheus`, [`Mapping`] | metrics in text; tables by a file that says what is what |
//! | `emit`, [`Group`] | items become groups of a bounded size |
//! | `rows` | rows of exchanges and changes |
//!
//! Importers write export requests of OTLP, so that one decoder gives all telemetry its meaning,
//! whether a group is decoded here or travels to a server first.
//!
//! **Invariant:** memory is bounded however large a source is: by one item and one group.

use std::io::BufRead;
use std::ops::ControlFlow;
use std::sync::Arc;

use halfopen_model::UnixNanos;

mod emit;
mod format;
mod group;
mod har;
mod input;
mod items;
mod jaeger;
mod log_json;
mod logfmt;
mod mapping;
mod metric;
mod otlp;
mod pattern;
mod prometheus;
mod record;
pub(crate) mod rows;
mod value;
mod when;
mod zipkin;

use crate::builder::EvidenceBuilder;
use crate::columns::RejectRow;
use crate::otlp::{Request, Walk};
use crate::settings::Arrival;
use emit::{Emitter, Halt};
use input::Input;
use xxhash_rust::xxh3::xxh3_128;

pub use format::{Format, HEAD_BYTES, NoFormat, detect};
pub(crate) use group::Change;
pub use group::{Group, GroupError};
pub use mapping::{Mapping, MappingError};
pub use pattern::{Pattern, PatternError};

/// In front of the sender of everything that was imported.
pub const SENDER_PREFIX: &str = "import ";

/// How sources are read.
#[derive(Clone, Debug)]
pub struct ImportSettings {
    /// The service of things that name none.
    pub service: Option<String>,
    /// How lines are taken apart; without one [`Format::Pattern`] takes those that begin with a
    /// time.
    pub pattern: Option<Pattern>,
    /// How tables become evidence; without one [`Format::Mapped`] rejects the whole source.
    pub mapping: Option<Arc<Mapping>>,
    /// The name of the source, by which a mapping chooses what it is.
    pub source: String,
    /// When things without a time of their own happened.
    pub at: UnixNanos,
}

impl Default for ImportSettings {
    fn default() -> Self {
        let (service, pattern, mapping) = (None, None, None);
        ImportSettings { service, pattern, mapping, source: String::new(), at: UnixNanos(0) }
    }
}

/// How the reading of a source ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// At its end, or where it broke off, which is a reject.
    Whole,
    /// Because `give` wanted no more.
    Stopped,
}

/// Reads a source and gives its evidence away, group by group. What cannot be read is among it,
/// as rejects.
pub fn read(
    format: Format,
    settings: &ImportSettings,
    source: &mut dyn BufRead,
    give: &mut dyn FnMut(Group) -> ControlFlow<()>,
) -> Ended {
    let mut input = Input::new(source);
    let mut out = Emitter::new(format.name(), settings.service.as_deref(), give);
    let result = match format {
        Format::OtlpJson => otlp::json_document(&mut input, &mut out),
        Format::OtlpJsonLines => otlp::json_lines(&mut input, &mut out),
        Format::OtlpProto => otlp::proto_document(&mut input, &mut out),
        Format::OtlpProtoLengths => otlp::proto_lengths(&mut input, &mut out),
        Format::Jaeger => jaeger::read(&mut input, &mut out),
        Format::Zipkin => zipkin::read(&mut input, &mut out),
        Format::Har => har::read(&mut input, &mut out),
        Format::JsonLines => log_json::lines(&mut input, &mut out),
        Format::JsonList => log_json::list(&mut input, &mut out),
        Format::Logfmt => logfmt::read(&mut input, &mut out),
        Format::AccessLog => pattern::read(Pattern::access(), &mut input, &mut out),
        Format::TimedLines => pattern::read(Pattern::iso(), &mut input, &mut out),
        Format::ContainerLog => pattern::read(Pattern::cri(), &mut input, &mut out),
        Format::Pattern => {
            let pattern = settings.pattern.as_ref().unwrap_or_else(|| Pattern::iso());
            pattern::read(pattern, &mut input, &mut out)
        }
        Format::Prometheus => prometheus::read(&mut input, settings.at.0, &mut out),
        Format::Mapped => match settings.mapping.as_ref().and_then(|m| m.table(&settings.source)) {
            Some(table) => mapping::read(table, settings.at.0, &mut input, &mut out),
            None => {
                out.reject("its name".to_owned(), "no mapping takes it".to_owned(), 1, b"");
                Ok(())
            }
        },
    };
    match result {
        Ok(()) => {}
        Err(Halt::Stopped) => return Ended::Stopped,
        Err(Halt::Io(error)) => {
            let reason = format!("the source breaks off: {error}");
            out.reject(format!("byte {}", input.offset), reason, 1, b"");
        }
    }
    match out.finish() {
        Ok(()) => Ended::Whole,
        Err(_) => Ended::Stopped,
    }
}

impl EvidenceBuilder {
    /// Makes rows of a group that was read from `source`. Log records without any time, and
    /// rejects, are placed at `at`.
    pub fn import(&mut self, group: &Group, source: &str, at: UnixNanos) {
        for part in &group.parts {
            let sender = sender(source, &part.place);
            let arrival = Arrival { sender: &sender, at };
            let request = Request::imported(part.signal, &part.format, &part.body, arrival);
            Walk::new(&mut self.tables, request, &part.body).run();
        }
        for exchange in &group.exchanges {
            self.exchanges.push(exchange, &mut self.tables);
        }
        self.changes.extend_from_slice(&group.changes);
        for reject in &group.rejects {
            let sender = sender(source, &reject.place);
            let row = RejectRow {
                time: at.0,
                format: &reject.format,
                sender: &sender,
                reason: &reject.reason,
                items: reject.items,
                raw_bytes: reject.raw_bytes,
                raw: &reject.raw,
            };
            let content = [sender.as_bytes(), reject.reason.as_bytes(), &reject.raw].concat();
            self.tables.rejects.push(&row, xxh3_128(&content));
        }
        self.tables.count_dictionaries();
    }
}

fn sender(source: &str, place: &str) -> String {
    match place {
        "" => format!("{SENDER_PREFIX}{source}"),
        _ => format!("{SENDER_PREFIX}{source}: {place}"),
    }
}
