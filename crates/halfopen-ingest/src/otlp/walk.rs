//! The way from a request to its items: the same three levels for all signals. Whatever cannot
//! be read on the way is rejected, and what stands around it is kept.

use xxhash_rust::xxh3::xxh3_128;

use super::context::ContextParts;
use super::row::ItemError;
use crate::builder::Tables;
use crate::columns::RejectRow;
use crate::settings::{Arrival, Encoding, Outcome, Signal};
use crate::wire::{Reader, WireError, WireValue};

/// Rows of `rejects` that one request makes; a request that is broken all over needs no more to
/// be understood. The others are counted in one more row.
const REJECTS_PER_REQUEST_MAX: usize = 64;

/// The request at hand and what became of it so far.
pub(crate) struct Request<'r> {
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) arrival: Arrival<'r>,
    /// As it was sent.
    original: &'r [u8],
    hash: u128,
    format: String,
    /// Items so far, whether they became rows or not.
    items: u64,
    rejects: usize,
    /// Rejects and their items beyond the bound.
    unlisted: (u64, u64),
    /// Items beyond a bound, and which bound.
    refused: (u64, &'static str),
    is_readable: bool,
    first_reason: Option<String>,
    accepted: u64,
    rejected: u64,
}

/// Repeated fields of the item at hand. Used again for each item, so that none allocates.
#[derive(Default)]
pub(crate) struct Scratch<'r> {
    pub(super) attributes: Vec<&'r [u8]>,
    pub(super) events: Vec<&'r [u8]>,
    pub(super) links: Vec<&'r [u8]>,
    pub(super) notes: Vec<&'r [u8]>,
}

impl Scratch<'_> {
    pub(super) fn clear(&mut self) {
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        self.notes.clear();
    }
}

impl<'r> Request<'r> {
    pub(crate) fn new(
        signal: Signal,
        encoding: Encoding,
        original: &'r [u8],
        arrival: Arrival<'r>,
    ) -> Request<'r> {
        Request {
            signal,
            encoding,
            arrival,
            original,
            hash: xxh3_128(original),
            format: format!("otlp/{} {}", encoding.name(), signal.name()),
            items: 0,
            rejects: 0,
            unlisted: (0, 0),
            refused: (0, ""),
            is_readable: false,
            first_reason: None,
            accepted: 0,
            rejected: 0,
        }
    }

    /// A request that an importer made; its items may hold notes as those of JSON do.
    pub(crate) fn imported(
        signal: Signal,
        format: &str,
        body: &'r [u8],
        arrival: Arrival<'r>,
    ) -> Request<'r> {
        let format = format!("{format} {}", signal.name());
        Request { format, ..Request::new(signal, Encoding::Json, body, arrival) }
    }

    /// Whether items may hold notes of the JSON reader.
    pub(super) fn has_notes(&self) -> bool {
        self.encoding == Encoding::Json
    }

    /// The fingerprint of the item at hand: a request that is sent again makes the same ones,
    /// two equal items of one request do not.
    pub(super) fn row_fingerprint(&self) -> u128 {
        indexed(self.hash, self.items)
    }

    /// Writes a row of `rejects`.
    pub(crate) fn reject(&mut self, tables: &mut Tables, raw: &[u8], items: u64, reason: &str) {
        self.rejected += items;
        self.first_reason.get_or_insert_with(|| reason.to_owned());
        if self.rejects >= REJECTS_PER_REQUEST_MAX {
            self.unlisted = (self.unlisted.0 + 1, self.unlisted.1 + items);
            return;
        }
        self.rejects += 1;
        self.write_reject(tables, raw, items, reason);
    }

    fn write_reject(&self, tables: &mut Tables, raw: &[u8], items: u64, reason: &str) {
        let kept = raw.len().min(tables.settings.reject_raw_bytes_max);
        let row = RejectRow {
            time: self.arrival.at.0,
            format: &self.format,
            sender: self.arrival.sender,
            reason,
            items,
            raw_bytes: raw.len() as u64,
            raw: &raw[..kept],
        };
        // Items count up from 0, rejects down from the largest number.
        let position = u64::MAX - (self.rejects as u64 + self.unlisted.0);
        tables.rejects.push(&row, indexed(self.hash, position));
    }

    /// Nothing of the body could be read.
    pub(crate) fn refuse(mut self, tables: &mut Tables, reason: &str) -> Outcome {
        self.reject(tables, self.original, 1, reason);
        Outcome { unreadable: true, ..self.finish(tables) }
    }

    /// Whether a part of the request could be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Writes what was only counted, and sums up.
    pub(crate) fn finish(mut self, tables: &mut Tables) -> Outcome {
        let (refused, bound) = self.refused;
        if refused > 0 {
            let reason = format!("{refused} {} beyond {bound}", self.signal.items());
            self.rejected += refused;
            self.first_reason.get_or_insert_with(|| reason.clone());
            self.write_reject(tables, self.original, refused, &reason);
        }
        let (unlisted, items) = self.unlisted;
        if unlisted > 0 {
            self.rejects += 1;
            let reason = format!("{unlisted} more parts of this request could not be read");
            self.write_reject(tables, self.original, items, &reason);
        }
        let problem = self.first_reason.take().map(|reason| {
            let (rejected, items) = (self.rejected, self.signal.items());
            match self.rejects {
                0 | 1 => format!("{rejected} {items} not kept: {reason}"),
                _ => format!("{rejected} {items} not kept; the first problem: {reason}"),
            }
        });
        let unreadable = !self.is_readable && self.accepted == 0 && problem.is_some();
        Outcome { accepted: self.accepted, rejected: self.rejected, problem, unreadable }
    }
}

fn indexed(hash: u128, index: u64) -> u128 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&hash.to_le_bytes());
    bytes[16..].copy_from_slice(&index.to_le_bytes());
    xxh3_128(&bytes)
}

/// A request on its way into the tables.
pub(crate) struct Walk<'b, 'r> {
    pub(crate) tables: &'b mut Tables,
    pub(crate) request: Request<'r>,
    pub(super) scratch: Scratch<'r>,
    /// The protobuf bytes that are walked over.
    body: &'r [u8],
}

/// A repeated field whose messages are walked over.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// The message that has the field.
    pub(super) name: &'static str,
    pub(super) field: u32,
    /// Whether half of such a message still holds whole ones.
    pub(super) is_container: bool,
}

impl<'b, 'r> Walk<'b, 'r> {
    pub(crate) fn new(tables: &'b mut Tables, request: Request<'r>, body: &'r [u8]) -> Self {
        Walk { tables, request, scratch: Scratch::default(), body }
    }

    /// Reads the whole request.
    pub(crate) fn run(mut self) -> Outcome {
        let level = Level { name: "the request", field: 1, is_container: true };
        self.each(level, self.body, &mut |walk, message| walk.resource(message));
        let Walk { tables, request, body, .. } = self;
        if !request.is_readable() && !body.is_empty() && request.rejects == 0 {
            return request.refuse(tables, "the request holds no field that OTLP knows");
        }
        request.finish(tables)
    }

    fn resource(&mut self, message: &'r [u8]) {
        let (resource, resource_schema_url) = head(message);
        let name = match self.request.signal {
            Signal::Traces => "resource_spans",
            Signal::Logs => "resource_logs",
            Signal::Metrics => "resource_metrics",
        };
        let of_resource = ContextParts::of_resource(resource, resource_schema_url);
        let level = Level { name, field: 2, is_container: true };
        self.each(level, message, &mut |walk, child| {
            let (scope, scope_schema_url) = head(child);
            walk.scope(&ContextParts { scope, scope_schema_url, ..of_resource }, child);
        });
    }

    fn scope(&mut self, parts: &ContextParts<'r>, message: &'r [u8]) {
        let context = self.context(parts, message);
        let (name, is_container) = match self.request.signal {
            Signal::Traces => ("scope_spans", false),
            Signal::Logs => ("scope_logs", false),
            Signal::Metrics => ("scope_metrics", true),
        };
        let level = Level { name, field: 2, is_container };
        self.each(level, message, &mut |walk, item| match walk.request.signal {
            Signal::Traces => walk.row(item, |walk| walk.span(context, item)),
            Signal::Logs => walk.row(item, |walk| walk.record(context, item)),
            Signal::Metrics => walk.metric(context, item),
        });
    }

    /// The context of the items in `message`. It holds a copy of the resource, so none is made
    /// where no item will refer to it.
    fn context(&mut self, parts: &ContextParts<'r>, message: &'r [u8]) -> u32 {
        if self.reached().is_some() || !has_field(message, 2) {
            return u32::MAX;
        }
        let Tables { contexts, keys, settings, .. } = &mut *self.tables;
        let context = contexts.find(parts, keys, settings.depth_max);
        if self.request.rejects < REJECTS_PER_REQUEST_MAX {
            for problem in contexts.get(context).problems.clone() {
                let raw = if problem.contains("the scope") { parts.scope } else { parts.resource };
                self.request.reject(self.tables, raw, 0, &problem);
            }
        }
        context
    }

    /// Calls `take` with every message in the field of `level`.
    pub(super) fn each(
        &mut self,
        level: Level,
        message: &'r [u8],
        take: &mut dyn FnMut(&mut Self, &'r [u8]),
    ) {
        let mut reader = Reader::new(message);
        loop {
            let here = reader.rest();
            let error = match reader.next() {
                Ok(None) => return,
                Ok(Some((field, WireValue::Bytes(child)))) if field == level.field => {
                    self.request.is_readable = true;
                    take(self, child);
                    continue;
                }
                Ok(Some((field, _))) if field == level.field => {
                    self.reject(here, level.name, &WireError::Mismatch { field });
                    continue;
                }
                Ok(Some(_)) => continue,
                Err(error) => error,
            };
            let before = (self.request.rejects, self.request.unlisted);
            let is_torn = matches!(error, WireError::Torn { field, .. } if field == level.field);
            if is_torn && level.is_container {
                take(self, reader.rest());
            }
            // What was torn is reported once, where it hurts.
            if before == (self.request.rejects, self.request.unlisted) {
                // Where nothing was read at all, the whole tells more than what is left.
                let raw = if self.request.is_readable { here } else { message };
                self.reject_at(here, raw, level.name, &error);
            }
            return;
        }
    }

    /// Makes a row of an item, or a reject.
    pub(super) fn row(
        &mut self,
        raw: &'r [u8],
        make: impl FnOnce(&mut Self) -> Result<(), ItemError>,
    ) {
        self.request.items += 1;
        if let Some(bound) = self.reached() {
            self.request.refused = (self.request.refused.0 + 1, bound);
            return;
        }
        match make(self) {
            Ok(()) => self.request.accepted += 1,
            Err(error) => {
                self.tables.undo(self.request.signal);
                let what = match self.request.signal {
                    Signal::Traces => "span",
                    Signal::Logs => "log record",
                    Signal::Metrics => "point",
                };
                let what = format!("{what} {}", self.request.items);
                self.reject(raw, &what, &error);
            }
        }
    }

    /// The bound that is reached, if one is.
    fn reached(&self) -> Option<&'static str> {
        let settings = &self.tables.settings;
        if self.request.items > settings.items_max as u64 {
            return Some("the number of items that one request may have");
        }
        if self.tables.held() > settings.builder_bytes_max {
            return Some("the memory that rows on their way may take");
        }
        None
    }

    fn reject(&mut self, raw: &[u8], what: &str, error: &dyn std::error::Error) {
        self.reject_at(raw, raw, what, error);
    }

    /// Rejects `raw` because of what stands at `here`.
    fn reject_at(&mut self, here: &[u8], raw: &[u8], what: &str, error: &dyn std::error::Error) {
        let reason = match (self.request.encoding, position(self.body, here)) {
            (Encoding::Protobuf, Some(position)) => format!("{what}, at byte {position}: {error}"),
            _ => format!("{what}: {error}"),
        };
        self.request.reject(self.tables, raw, 1, &reason);
    }
}

/// Where `part` begins in `whole`.
fn position(whole: &[u8], part: &[u8]) -> Option<usize> {
    let position = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (position <= whole.len()).then_some(position)
}

/// Resource or scope, and the schema URL behind the items. What is broken is reported by whoever
/// walks over the items.
fn head(message: &[u8]) -> (&[u8], &[u8]) {
    let (mut first, mut schema_url): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(message);
    while let Ok(Some((field, value))) = reader.next() {
        match (field, value) {
            (1, WireValue::Bytes(bytes)) => first = bytes,
            (3, WireValue::Bytes(bytes)) => schema_url = bytes,
            _ => {}
        }
    }
    (first, schema_url)
}

/// Whether a message has this field, whole or torn.
pub(super) fn has_field(message: &[u8], wanted: u32) -> bool {
    let mut reader = Reader::new(message);
    loop {
        match reader.next() {
            Ok(Some((field, _))) if field == wanted => return true,
            Ok(Some(_)) => {}
            Err(WireError::Torn { field, .. }) => return field == wanted,
            Ok(None) | Err(_) => return false,
        }
    }
}
