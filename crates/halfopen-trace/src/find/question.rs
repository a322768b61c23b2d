//! What a text that somebody pasted may mean.

use halfopen_model::id::{SPAN_ID_BYTES, TRACE_ID_BYTES};
use halfopen_model::{SpanId, TraceId};

/// What stands between an id and the part that makes it a child.
pub const SEPARATORS: [char; 5] = ['_', '-', '.', '/', ':'];

/// Fewer characters fit too many ids to be a beginning.
pub const PREFIX_CHARS_MIN: usize = 4;

/// The text, and everything that it may mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The text, without space around it.
    pub text: String,
    /// It may be this trace.
    pub trace: Option<TraceId>,
    /// It may be this span.
    pub span: Option<SpanId>,
    /// It may be the beginning of a trace id between these two.
    pub trace_range: Option<(TraceId, TraceId)>,
}

/// One look into the table `ids`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Rows with exactly this id.
    Exact(String),
    /// Rows whose id begins with this.
    Prefix(String),
}

impl Question {
    /// Reads a text. Hex may have capitals; a whole `traceparent` and a UUID are understood.
    pub fn read(text: &str) -> Question {
        let text = text.trim();
        let hex = hex_of(text);
        let whole = |length: usize| hex.as_deref().filter(|hex| hex.len() == length);
        Question {
            trace: whole(TRACE_ID_BYTES * 2).and_then(|hex| hex.parse().ok()),
            span: whole(SPAN_ID_BYTES * 2).and_then(|hex| hex.parse().ok()),
            trace_range: hex.as_deref().and_then(trace_range),
            text: text.to_owned(),
        }
    }

    /// Where to look in `ids` first: the id itself, and what begins with it.
    pub fn lookups(&self) -> Vec<Lookup> {
        let mut lookups = vec![Lookup::Exact(self.text.clone())];
        if self.may_be_prefix() {
            lookups.push(Lookup::Prefix(self.text.clone()));
        } else {
            lookups.extend(self.child_lookups());
        }
        lookups
    }

    /// Where to look for children when too much begins with the text to be read as a whole.
    pub fn child_lookups(&self) -> Vec<Lookup> {
        let child = |separator: &char| Lookup::Prefix(format!("{}{separator}", self.text));
        SEPARATORS.iter().map(child).collect()
    }

    /// Whether the text is long enough to be taken for a beginning.
    pub fn may_be_prefix(&self) -> bool {
        self.text.chars().count() >= PREFIX_CHARS_MIN
    }
}

/// The hex digits of a text that is an id in hex, in small letters.
fn hex_of(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let hex = match lengths.as_slice() {
        // version-trace-span-flags (W3C Trace Context, section 3.2)
        [2, 32, 16, 2] => parts[1].to_owned(),
        [8, 4, 4, 4, 12] => parts.concat(),
        [_] => text.to_owned(),
        _ => return None,
    };
    let is_hex = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| hex.to_ascii_lowercase())
}

/// The first and the last trace id that begin with these digits.
fn trace_range(hex: &str) -> Option<(TraceId, TraceId)> {
    let digits = TRACE_ID_BYTES * 2;
    if !(PREFIX_CHARS_MIN..digits).contains(&hex.len()) {
        return None;
    }
    let filled = |digit: char| format!("{hex}{}", digit.to_string().repeat(digits - hex.len()));
    Some((filled('0').parse().ok()?, filled('f').parse().ok()?))
}

/// The parts of an id from which it may be made: `a_b_c` comes from `a_b`, or from `a`.
pub(super) fn ancestors(id: &str) -> impl Iterator<Item = &str> {
    let cuts = id.char_indices().rev().filter(|(_, c)| SEPARATORS.contains(c));
    cuts.map(|(at, _)| &id[..at]).filter(|ancestor| !ancestor.is_empty())
}

/// Whether `id` was made from `parent`.
pub(super) fn is_child(id: &str, parent: &str) -> bool {
    let rest = id.strip_prefix(parent);
    !parent.is_empty() && rest.is_some_and(|rest| rest.starts_with(SEPARATORS))
}
