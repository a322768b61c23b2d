//! Correlation ids.

use crate::Chance;
use http::HeaderValue;
use std::fmt;

/// Longer ids are replaced by one of our own: an id is repeated in every log line.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// A correlation id: whatever the caller sent, or one made here.
///
/// It need not be a trace id, and is never turned into one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Form);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// Kept as a number until somebody writes it down, so that making one costs no allocation.
    Made(u128),
    /// As it came: shared bytes, so that passing it on costs no copy.
    Given(HeaderValue),
}

impl RequestId {
    /// A new id of 128 bits of chance.
    pub fn new(chance: &Chance) -> RequestId {
        RequestId(Form::Made(u128::from(chance.bits()) << 64 | u128::from(chance.bits())))
    }

    /// The id a caller sent; `None` when it is empty, too long or holds anything but visible
    /// ASCII (such a value would break header and log lines further on).
    pub fn parse(bytes: &[u8]) -> Option<RequestId> {
        if !is_usable(bytes) {
            return None;
        }
        HeaderValue::from_bytes(bytes).ok().map(|value| RequestId(Form::Given(value)))
    }

    /// As [`RequestId::parse`], without a copy.
    pub fn from_header(value: &HeaderValue) -> Option<RequestId> {
        is_usable(value.as_bytes()).then(|| RequestId(Form::Given(value.clone())))
    }

    /// The id of part `part` of a fan-out: the parent's with a suffix, so that whoever searches
    /// for the parent finds the children.
    pub fn child(&self, part: u32) -> RequestId {
        let text = format!("{self}.{part}");
        RequestId::parse(text.as_bytes()).unwrap_or_else(|| self.clone())
    }

    /// The id as a header carries it.
    pub fn to_header(&self) -> HeaderValue {
        match &self.0 {
            Form::Given(value) => value.clone(),
            Form::Made(_) => HeaderValue::try_from(self.to_string())
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
        }
    }
}

fn is_usable(bytes: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Made(number) => write!(f, "req_{number:032x}"),
            // Only visible ASCII came in.
            Form::Given(value) => f.write_str(value.to_str().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_break_lines_is_refused() {
        let long = [b'x'; REQUEST_ID_BYTES_MAX + 1];
        for bad in [&b""[..], b"two words", b"line\nbreak", "\u{fc}".as_bytes(), &long[..]] {
            assert_eq!(RequestId::parse(bad), None, "{bad:?}");
        }
        assert_eq!(RequestId::parse(b"abc123").unwrap().to_string(), "abc123");
    }

    #[test]
    fn a_made_id_survives_the_wire() {
        let id = RequestId::new(&Chance::seeded(1));
        let read = RequestId::from_header(&id.to_header()).unwrap();
        assert_eq!(read.to_string(), id.to_string());
    }

    #[test]
    fn a_child_of_a_full_id_is_called_like_its_parent() {
        let full = RequestId::parse(&[b'x'; REQUEST_ID_BYTES_MAX]).unwrap();
        assert_eq!(full.child(7), full);
    }
}
