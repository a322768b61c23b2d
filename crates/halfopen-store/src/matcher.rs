//! Which rows a scan wants: tested on rows, and on bounds before any row is read.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Int32Type, TimestampNanosecondType};
use halfopen_model::batch::text_at;
use halfopen_model::port::{Match, Scan};
use halfopen_model::{TimeRange, TraceId, UnixNanos};

/// The test of a scan.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    time_column: &'static str,
    range: TimeRange,
    matching: Match,
}

impl Matcher {
    pub(crate) fn new(scan: &Scan) -> Matcher {
        let mut matching = scan.matching.clone();
        if let Match::Traces(ids) = &mut matching {
            ids.sort_unstable();
            ids.dedup();
        }
        Matcher { time_column: scan.table.time_column(), range: scan.range, matching }
    }

    /// The columns that the test looks at.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns = vec![self.time_column];
        columns.extend(self.key_column().filter(|key| *key != self.time_column));
        columns
    }

    /// The column beside the time.
    pub(crate) fn key_column(&self) -> Option<&str> {
        match &self.matching {
            Match::All => None,
            Match::Traces(_) | Match::TraceRange(_, _) => Some("trace_id"),
            Match::Span(_) => Some("span_id"),
            Match::Text { column, .. } | Match::TextPrefix { column, .. } => Some(column),
        }
    }

    /// Whether rows between these bounds may match.
    pub(crate) fn may_match(&self, range: &TimeRange, traces: Option<(TraceId, TraceId)>) -> bool {
        let by_trace = match (&self.matching, traces) {
            (Match::Traces(_) | Match::TraceRange(_, _), None) => false,
            (Match::Traces(ids), Some((first, last))) => {
                ids.iter().any(|id| first <= *id && *id <= last)
            }
            (Match::TraceRange(from, to), Some((first, last))) => *from <= last && first <= *to,
            _ => true,
        };
        by_trace && self.range.overlaps(range)
    }

    /// Whether rows whose key lies between the two at `place` may match. Bounds that are not
    /// known exclude nothing, except where all keys are null.
    pub(crate) fn may_match_key(&self, first: &ArrayRef, last: &ArrayRef, place: usize) -> bool {
        if first.is_null(place) || last.is_null(place) {
            return true;
        }
        let fixed = |bound: &ArrayRef| {
            bound.as_fixed_size_binary_opt().map(|ids| ids.value(place).to_vec())
        };
        let between = |key: &[u8]| match (fixed(first), fixed(last)) {
            (Some(first), Some(last)) => *first <= *key && *key <= *last,
            _ => true,
        };
        match &self.matching {
            Match::All => true,
            Match::Traces(ids) => ids.iter().any(|id| between(&id.0)),
            Match::Span(id) => between(&id.0),
            Match::TraceRange(from, to) => match (fixed(first), fixed(last)) {
                (Some(first), Some(last)) => from.0[..] <= *last && *first <= to.0[..],
                _ => true,
            },
            Match::Text { value, .. } => match (text_at(first, place), text_at(last, place)) {
                (Some(first), Some(last)) => first <= value.as_str() && value.as_str() <= last,
                _ => true,
            },
            Match::TextPrefix { prefix, .. } => match (text_at(first, place), text_at(last, place))
            {
                (Some(first), Some(last)) => {
                    prefix.as_str() <= last
                        && (first <= prefix.as_str() || first.starts_with(prefix.as_str()))
                }
                _ => true,
            },
        }
    }

    /// Whether rows between these times may match.
    pub(crate) fn may_match_time(&self, first: &ArrayRef, last: &ArrayRef, place: usize) -> bool {
        let time = |bound: &ArrayRef| {
            let times = bound.as_primitive_opt::<TimestampNanosecondType>()?;
            times.is_valid(place).then(|| UnixNanos(times.value(place)))
        };
        match (time(first), time(last)) {
            (Some(first), Some(last)) => self.range.from <= last && first < self.range.to,
            _ => true,
        }
    }

    /// The column of the time.
    pub(crate) fn time_column(&self) -> &'static str {
        self.time_column
    }

    /// Whether every row between these times matches.
    pub(crate) fn takes_all(&self, first: &ArrayRef, last: &ArrayRef, place: usize) -> bool {
        let inside = |bound: &ArrayRef| {
            let times = bound.as_primitive_opt::<TimestampNanosecondType>();
            times.is_some_and(|times| {
                times.is_valid(place) && self.range.contains(UnixNanos(times.value(place)))
            })
        };
        self.matching == Match::All && inside(first) && inside(last)
    }

    /// The exact keys that rows must have one of, as a bloom filter knows them.
    pub(crate) fn exact_keys(&self) -> Option<Vec<&[u8]>> {
        match &self.matching {
            Match::Traces(ids) => Some(ids.iter().map(|id| id.0.as_slice()).collect()),
            Match::Text { value, .. } => Some(vec![value.as_bytes()]),
            _ => None,
        }
    }

    /// Which rows match.
    pub(crate) fn mask(&self, rows: &RecordBatch) -> BooleanArray {
        let key = self.key_column().map(|name| rows.column_by_name(name));
        let times = rows.column_by_name(self.time_column);
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
        let (Some(times), None | Some(Some(_))) = (times, key) else {
            return BooleanArray::from(vec![false; rows.num_rows()]);
        };
        let times = times.values();
        let in_time = |row: usize| self.range.contains(UnixNanos(times[row]));
        let test = self.key_test(key.flatten());
        let matches = |row: usize| in_time(row) && test(row);
        BooleanArray::new(BooleanBuffer::collect_bool(rows.num_rows(), matches), None)
    }

    fn key_test<'a>(&'a self, key: Option<&'a ArrayRef>) -> Box<dyn Fn(usize) -> bool + 'a> {
        let Some(key) = key else { return Box::new(|_| true) };
        let ids = key.as_fixed_size_binary_opt();
        match (&self.matching, ids) {
            (Match::Traces(wanted), Some(ids)) => Box::new(move |row| {
                let id: Result<[u8; 16], _> = ids.value(row).try_into();
                ids.is_valid(row) && id.is_ok_and(|id| wanted.binary_search(&TraceId(id)).is_ok())
            }),
            (Match::TraceRange(from, to), Some(ids)) => Box::new(move |row| {
                let id = ids.value(row);
                ids.is_valid(row) && from.0.as_slice() <= id && id <= to.0.as_slice()
            }),
            (Match::Span(wanted), Some(ids)) => {
                Box::new(move |row| ids.is_valid(row) && ids.value(row) == wanted.0.as_slice())
            }
            (Match::Text { value, .. }, _) => text_test(key, move |text| text == value),
            (Match::TextPrefix { prefix, .. }, _) => {
                text_test(key, move |text| text.starts_with(prefix.as_str()))
            }
            _ => Box::new(|_| false),
        }
    }
}

/// A test of text, once for each word of a dictionary.
fn text_test<'a>(
    column: &'a ArrayRef,
    test: impl Fn(&str) -> bool + 'a,
) -> Box<dyn Fn(usize) -> bool + 'a> {
    let fits = |texts: &StringArray| -> Vec<bool> {
        texts.iter().map(|text| text.is_some_and(&test)).collect()
    };
    if let Some(words) = column.as_dictionary_opt::<Int32Type>() {
        let codes = words.values().as_string_opt::<i32>().map(fits).unwrap_or_default();
        return Box::new(move |row| words.key(row).is_some_and(|code| codes[code]));
    }
    match column.as_string_opt::<i32>() {
        Some(texts) => Box::new(move |row| texts.is_valid(row) && test(texts.value(row))),
        None => Box::new(|_| false),
    }
}
