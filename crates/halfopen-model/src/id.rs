//! Trace and span ids: fixed-size binary inside, hex for people.

use std::fmt;
use std::str::FromStr;

/// Bytes of a trace id (W3C Trace Context, section 3.2.2.3).
pub const TRACE_ID_BYTES: usize = 16;
/// Bytes of a span id (W3C Trace Context, section 3.2.2.4).
pub const SPAN_ID_BYTES: usize = 8;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing to read.
    #[error("the id is empty")]
    Empty,
    /// More hex digits than the id has room for.
    #[error("the id has {found} hex digits, at most {max} fit")]
    Long {
        /// Digits found.
        found: usize,
        /// Digits that fit.
        max: usize,
    },
    /// A character that is no hex digit.
    #[error("the id holds {0:?}, which is no hex digit")]
    NotHex(char),
}

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; TRACE_ID_BYTES]);

/// The id of a span, unique inside its trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; SPAN_ID_BYTES]);

/// What tells one row from another: identical rows have identical fingerprints.
pub type Fingerprint = u128;

impl TraceId {
    /// An id of zeros means "no trace" on the wire.
    pub fn is_zero(self) -> bool {
        self.0 == [0; TRACE_ID_BYTES]
    }
}

impl SpanId {
    /// An id of zeros means "no span" on the wire.
    pub fn is_zero(self) -> bool {
        self.0 == [0; SPAN_ID_BYTES]
    }
}

impl FromStr for TraceId {
    type Err = IdError;
    /// Reads hex; short ids are padded with zeros on the left.
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_padded(text).map(TraceId)
    }
}

impl FromStr for SpanId {
    type Err = IdError;
    /// Reads hex; short ids are padded with zeros on the left.
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_padded(text).map(SpanId)
    }
}

fn parse_padded<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    let mut bytes = [0; N];
    let digits = text.chars().count();
    if digits > N * 2 {
        return Err(IdError::Long { found: digits, max: N * 2 });
    }
    for (position, character) in (N * 2 - digits..).zip(text.chars()) {
        let digit = character.to_digit(16).ok_or(IdError::NotHex(character))?;
        let shift = if position.is_multiple_of(2) { 4 } else { 0 };
        bytes[position / 2] |= (digit as u8) << shift;
    }
    Ok(bytes)
}

fn write_hex(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(formatter, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_hex_is_padded_on_the_left() {
        let id: TraceId = "7f3".parse().expect("hex");
        assert_eq!(id.to_string(), "000000000000000000000000000007f3");
        let id: SpanId = "AbCdEf0123456789".parse().expect("hex");
        assert_eq!(id.to_string(), "abcdef0123456789");
    }

    #[test]
    fn what_is_no_id_says_why() {
        assert_eq!("".parse::<TraceId>(), Err(IdError::Empty));
        assert_eq!("req_7".parse::<TraceId>(), Err(IdError::NotHex('r')));
        assert_eq!("0".repeat(17).parse::<SpanId>(), Err(IdError::Long { found: 17, max: 16 }));
    }
}
