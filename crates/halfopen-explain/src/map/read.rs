//! What a map needs to know of spans beyond what every analysis reads: messaging, databases,
//! ports, attempts, links.

use arrow::array::{Array, AsArray, MapArray, RecordBatch};
use arrow::datatypes::Int64Type;
use halfopen_model::schema::ATTRIBUTES;

use crate::intern::NONE;
use crate::spans::{KeyCache, MapEntries, Spans, by_text, words_of};

/// What a span does with messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// Hands one or several to the broker.
    Send,
    /// Makes one that is handed over by another span.
    Create,
    /// Asks the broker for some.
    Receive,
    /// Works on one or several.
    Process,
    /// Tells the broker that it is done.
    Settle,
}

#[derive(Clone, Copy)]
enum Fact {
    Destination,
    Operation,
    Messaging,
    Database,
    Namespace,
    Port,
    Attempt,
}

/// Every name under which a fact is sent, the current one first.
const FACTS: &[(&str, Fact)] = &[
    ("span.messaging.destination.name", Fact::Destination),
    ("span.messaging.destination", Fact::Destination),
    ("span.messaging.operation.type", Fact::Operation),
    ("span.messaging.operation", Fact::Operation),
    ("span.messaging.system", Fact::Messaging),
    ("span.db.system.name", Fact::Database),
    ("span.db.system", Fact::Database),
    ("span.db.namespace", Fact::Namespace),
    ("span.db.name", Fact::Namespace),
    ("span.server.port", Fact::Port),
    ("span.net.peer.port", Fact::Port),
    ("span.halfopen.retry.attempt", Fact::Attempt),
];

/// The link of a span that works on a message to the one that sent it.
pub(super) struct Link {
    pub(super) row: u32,
    pub(super) trace: u128,
    pub(super) span: u64,
}

/// Facts by row; texts as codes of `Spans::words`, [`NONE`] where there is none.
pub(super) struct Extras {
    pub(super) role: Vec<Role>,
    pub(super) destination: Vec<u32>,
    pub(super) messaging: Vec<u32>,
    pub(super) database: Vec<u32>,
    pub(super) namespace: Vec<u32>,
    pub(super) port: Vec<u32>,
    /// Whether the span says that it is a second attempt or a later one.
    pub(super) again: Vec<bool>,
    /// First link of each span that receives or works on messages.
    pub(super) links: Vec<Link>,
    operation: Vec<u32>,
}

impl Extras {
    pub(super) fn read(spans: &mut Spans<'_>) -> Extras {
        let len = spans.len();
        let none = || vec![NONE; len];
        let mut extras = Extras {
            role: vec![Role::None; len],
            destination: none(),
            messaging: none(),
            database: none(),
            namespace: none(),
            port: none(),
            again: vec![false; len],
            links: Vec::new(),
            operation: none(),
        };
        for part in 0..spans.parts.len() {
            let (rows, first) = (spans.parts[part].rows, spans.parts[part].first);
            extras.read_columns(spans, rows, first);
            if let Some(map) = rows.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt()) {
                extras.read_map(spans, map, first);
            }
            extras.read_roles(spans, rows, first);
            extras.read_links(rows, first);
        }
        extras
    }

    fn read_columns(&mut self, spans: &mut Spans<'_>, rows: &RecordBatch, first: usize) {
        for (name, fact) in FACTS {
            let Some(column) = rows.column_by_name(name) else { continue };
            if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
                for row in (0..ints.len()).filter(|row| ints.is_valid(*row)) {
                    self.take_number(*fact, first + row, ints.value(row));
                }
                continue;
            }
            let codes: Vec<u32> =
                words_of(Some(column), rows.num_rows(), &mut spans.words).collect();
            for (row, code) in codes.into_iter().enumerate().filter(|(_, code)| *code != NONE) {
                self.take_text(*fact, first + row, code);
            }
        }
    }

    fn read_map(&mut self, spans: &mut Spans<'_>, map: &MapArray, first: usize) {
        let Some(entries) = MapEntries::new(map) else { return };
        let mut keys: KeyCache<'_, Option<Fact>> = KeyCache::new();
        for row in 0..map.len() {
            for (ordinal, entry) in entries.of(row).enumerate() {
                let fact = |key: &str| FACTS.iter().find(|(name, _)| *name == key).map(|f| f.1);
                let Some(fact) = keys.get(ordinal, entries.key(entry), fact) else { continue };
                let (_, text) = entries.value(entry);
                match fact {
                    Fact::Port | Fact::Attempt => {
                        let number = text.trim().parse().unwrap_or(0);
                        self.take_number(fact, first + row, number);
                    }
                    _ => {
                        let code = spans.words.code(text);
                        self.take_text(fact, first + row, code);
                    }
                }
            }
        }
    }

    fn take_number(&mut self, fact: Fact, row: usize, number: i64) {
        match fact {
            Fact::Port if self.port[row] == NONE => {
                self.port[row] = u16::try_from(number).map_or(NONE, u32::from);
            }
            Fact::Attempt => self.again[row] |= number > 1,
            _ => {}
        }
    }

    fn take_text(&mut self, fact: Fact, row: usize, code: u32) {
        let column = match fact {
            Fact::Destination => &mut self.destination,
            Fact::Operation => &mut self.operation,
            Fact::Messaging => &mut self.messaging,
            Fact::Database => &mut self.database,
            Fact::Namespace => &mut self.namespace,
            Fact::Port | Fact::Attempt => return,
        };
        if column[row] == NONE {
            column[row] = code;
        }
    }

    /// Roles by `messaging.operation.type`; where it is missing, by the kind of the span.
    fn read_roles(&mut self, spans: &Spans<'_>, rows: &RecordBatch, first: usize) {
        let by_kind = by_text(rows.column_by_name("kind"), rows.num_rows(), (false, Role::None), {
            |kind| match kind {
                "producer" => (true, Role::Send),
                "consumer" => (true, Role::Process),
                "client" => (false, Role::Send),
                _ => (false, Role::None),
            }
        });
        for (row, (certain, by_kind)) in by_kind.enumerate().map(|(row, kind)| (first + row, kind))
        {
            self.role[row] = match spans.words.text(self.operation[row]) {
                "send" | "publish" => Role::Send,
                "create" => Role::Create,
                "receive" => Role::Receive,
                "process" | "deliver" => Role::Process,
                "settle" => Role::Settle,
                _ if certain || self.destination[row] != NONE => by_kind,
                _ => Role::None,
            };
        }
    }

    fn read_links(&mut self, rows: &RecordBatch, first: usize) {
        let Some(lists) = rows.column_by_name("links").and_then(|c| c.as_list_opt::<i32>()) else {
            return;
        };
        let Some(links) = lists.values().as_struct_opt() else { return };
        let ids = |name: &str| links.column_by_name(name)?.as_fixed_size_binary_opt();
        let (Some(traces), Some(spans)) = (ids("trace_id"), ids("span_id")) else { return };
        let offsets = lists.value_offsets();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let takes = matches!(self.role[first + row], Role::Process | Role::Receive);
            let link = offsets[row] as usize;
            if !takes || offsets[row] == offsets[row + 1] {
                continue;
            }
            let (Ok(trace), Ok(span)) =
                (traces.value(link).try_into(), spans.value(link).try_into())
            else {
                continue;
            };
            let (trace, span) = (u128::from_be_bytes(trace), u64::from_be_bytes(span));
            self.links.push(Link { row: (first + row) as u32, trace, span });
        }
    }
}
