//! What a filter is asked for: ids and their beginnings, as hashes, with the bounds between which
//! they lie.

use halfopen_model::port::Match;
use halfopen_model::{Table, schema};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// More keys than this are hardly ever excluded all at once.
const PROBE_KEYS_MAX: usize = 256;

/// Beginnings of trace ids that are filed, in bytes: 4, 6 and 8 hex digits.
pub(super) const TRACE_PREFIX_BYTES: [usize; 3] = [2, 3, 4];
/// Beginnings of other ids that are filed, in bytes. The shortest is the shortest that `find`
/// takes for a beginning; the others follow what ids look like: `req_` and six digits, a UUID.
pub(super) const ID_PREFIX_BYTES: [usize; 6] = [4, 6, 8, 10, 16, 24];

/// Which of them is filed in any case: ids that count up differ in their last digits only.
const ID_PREFIX_KEPT: usize = 3;
/// Which beginning of a trace id is filed in any case. Four digits tell the traces of one row group
/// apart and yet exclude little: each sixth row group of 12,500 traces has any four digits.
const TRACE_PREFIX_KEPT: usize = 2;
/// Set in what is left out of a filter when whole ids are.
pub(super) const WHOLE_LEFT_OUT: u8 = 1 << ID_PREFIX_BYTES.len();
/// Each length and the whole have a bit, beside the one that says that there is a filter.
const _: () = assert!(ID_PREFIX_BYTES.len() + 2 <= 8 && ID_PREFIX_KEPT < ID_PREFIX_BYTES.len());
const _: () = assert!(TRACE_PREFIX_KEPT < TRACE_PREFIX_BYTES.len());

/// The first bytes of a key, filled up with zeros: keys are compared with bounds by them.
pub(super) type Bound = [u8; 16];

/// What is filed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Column `trace_id`.
    Trace = 0,
    /// Column `id` of the table `ids`.
    Id = 1,
    /// Column `request_id`.
    Request = 2,
    /// Column `span_id`: the largest, read last.
    Span = 3,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Trace, Kind::Id, Kind::Request, Kind::Span];

    pub(super) fn column(self) -> &'static str {
        match self {
            Kind::Trace => "trace_id",
            Kind::Id => "id",
            Kind::Request => "request_id",
            Kind::Span => "span_id",
        }
    }

    /// The kinds that segments of a table have.
    pub(super) fn of_table(table: Table) -> impl Iterator<Item = Kind> {
        let has = move |column: &str| schema::schema(table).column_with_name(column).is_some();
        Kind::ALL.into_iter().filter(move |kind| match (kind, table) {
            // Span ids of ids are found through their traces.
            (Kind::Span, Table::Ids) => false,
            (Kind::Id, _) => table == Table::Ids,
            (kind, _) => has(kind.column()),
        })
    }

    pub(super) fn of_column(table: Table, column: &str) -> Option<Kind> {
        Kind::of_table(table).find(|kind| kind.column() == column)
    }

    /// Lengths of the beginnings that are filed beside the whole.
    pub(super) fn prefixes(self) -> &'static [usize] {
        match self {
            Kind::Trace => &TRACE_PREFIX_BYTES,
            Kind::Id => &ID_PREFIX_BYTES,
            Kind::Request | Kind::Span => &[],
        }
    }

    /// The place among them of the one that is filed in any case.
    pub(super) fn prefix_kept(self) -> Option<usize> {
        match self {
            Kind::Trace => Some(TRACE_PREFIX_KEPT),
            Kind::Id => Some(ID_PREFIX_KEPT),
            Kind::Request | Kind::Span => None,
        }
    }

    pub(super) fn hash(self, whole: &[u8]) -> u64 {
        xxh3_64_with_seed(whole, self as u64)
    }

    /// Of all lengths that the value has.
    fn hash_beginnings(self, value: &[u8]) -> Vec<u64> {
        let lengths = self.prefixes().iter().take_while(|length| **length <= value.len());
        lengths.map(|length| self.hash_prefix(&value[..*length])).collect()
    }

    pub(super) fn hash_prefix(self, prefix: &[u8]) -> u64 {
        xxh3_64_with_seed(prefix, self as u64 + Kind::ALL.len() as u64)
    }
}

/// The first bytes of `key`, and behind its end `filler`.
pub(super) fn bound(key: &[u8], filler: u8) -> Bound {
    let mut bound = [filler; 16];
    let length = key.len().min(bound.len());
    bound[..length].copy_from_slice(&key[..length]);
    bound
}

/// One id, or all that begin with something.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Of the whole key, when it is one.
    pub(super) whole: Option<u64>,
    /// Of its beginnings, the shortest first.
    pub(super) beginnings: Vec<u64>,
    pub(super) first: Bound,
    pub(super) last: Bound,
}

impl Wanted {
    /// What to ask a filter that lacks what `left_out` says; `None` when only the bounds can tell.
    pub(super) fn key(&self, left_out: u8) -> Option<u64> {
        if let Some(whole) = self.whole.filter(|_| left_out & WHOLE_LEFT_OUT == 0) {
            return Some(whole);
        }
        let filed = |place: &usize| left_out & (1 << place) == 0;
        let longest = (0..self.beginnings.len()).rev().find(filed);
        longest.map(|place| self.beginnings[place])
    }
}

/// Rows wanted: those that have any of these keys.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(super) kind: Kind,
    pub(super) wanted: Vec<Wanted>,
}

impl Probe {
    /// What a scan looks for, if filters know it.
    pub(crate) fn of_match(table: Table, matching: &Match) -> Option<Probe> {
        match matching {
            Match::All => None,
            Match::Traces(ids) => {
                Probe::of_values(table, "trace_id", ids.iter().map(|id| id.0.as_slice()))
            }
            Match::TraceRange(first, last) => {
                let kind = Kind::of_column(table, "trace_id")?;
                let alike = first.0.iter().zip(&last.0).take_while(|(a, b)| a == b).count();
                let wanted = beginning(kind, &first.0[..alike], first.0, last.0);
                Some(Probe { kind, wanted: vec![wanted] })
            }
            Match::Span(id) => Probe::of_values(table, "span_id", [id.0.as_slice()].into_iter()),
            Match::Text { column, value } => {
                Probe::of_values(table, column, [value.as_bytes()].into_iter())
            }
            Match::TextPrefix { column, prefix } => {
                let kind = Kind::of_column(table, column)?;
                let prefix = prefix.as_bytes();
                let wanted = beginning(kind, prefix, bound(prefix, 0), bound(prefix, 0xff));
                Some(Probe { kind, wanted: vec![wanted] })
            }
        }
    }

    /// Rows with this id of one kind.
    pub(super) fn of_id(kind: Kind, id: &[u8]) -> Probe {
        Probe { kind, wanted: vec![whole(kind, id)] }
    }

    /// Rows whose `column` is one of `values`.
    pub(crate) fn of_values<'a>(
        table: Table,
        column: &str,
        values: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Probe> {
        let kind = Kind::of_column(table, column)?;
        let wanted: Vec<Wanted> = values.map(|value| whole(kind, value)).collect();
        (wanted.len() <= PROBE_KEYS_MAX).then_some(Probe { kind, wanted })
    }
}

fn whole(kind: Kind, value: &[u8]) -> Wanted {
    let first = bound(value, 0);
    let whole = Some(kind.hash(value));
    Wanted { whole, beginnings: kind.hash_beginnings(value), first, last: first }
}

fn beginning(kind: Kind, prefix: &[u8], first: Bound, last: Bound) -> Wanted {
    Wanted { whole: None, beginnings: kind.hash_beginnings(prefix), first, last }
}
