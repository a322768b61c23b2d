//! Deadline, attempt and retry budget as text: `d=950;a=2;b=3`.

use crate::telemetry::Value;

/// Three keys and three numbers of ten digits.
pub const TRIPLE_BYTES_MAX: usize = 3 * (2 + 10) + 2;

/// Deadline, attempt and retry budget of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triple {
    /// Milliseconds until the asker stops waiting; zero when it already has.
    pub remaining_ms: Option<u32>,
    /// The first is 1.
    pub attempt: u32,
    /// Retries the receiver may make, itself and below.
    pub budget: Option<u32>,
}

impl Default for Triple {
    fn default() -> Triple {
        Triple { remaining_ms: None, attempt: 1, budget: None }
    }
}

impl Triple {
    /// Hands each of the three that is known to `each`, under its full name: for spans of a tracer
    /// other than `tracing`.
    pub fn attributes(&self, each: &mut dyn FnMut(&'static str, Value<'_>)) {
        let count = |number: u32| Value::Count(u64::from(number));
        each("halfopen.retry.attempt", count(self.attempt));
        if let Some(budget) = self.budget {
            each("halfopen.retry.budget_remaining", count(budget));
        }
        if let Some(remaining_ms) = self.remaining_ms {
            each("halfopen.deadline.remaining_ms", count(remaining_ms));
        }
    }

    /// Writes into `buffer`; the text is what is returned.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; TRIPLE_BYTES_MAX]) -> &'a [u8] {
        let mut at = 0;
        if let Some(remaining_ms) = self.remaining_ms {
            at = put(buffer, at, b'd', remaining_ms);
        }
        at = put(buffer, at, b'a', self.attempt);
        if let Some(budget) = self.budget {
            at = put(buffer, at, b'b', budget);
        }
        &buffer[..at]
    }

    /// Reads what [`Triple::encode`] wrote. Unknown keys and malformed parts are skipped: a later
    /// version may send more.
    pub fn decode(text: &[u8]) -> Triple {
        let mut triple = Triple::default();
        let mut rest = text;
        while let [key, b'=', after @ ..] = rest {
            let (value, length) = digits(after);
            let ends = after.get(length).is_none_or(|byte| *byte == b';');
            if let Some(value) = value.filter(|_| ends) {
                match key {
                    b'd' => triple.remaining_ms = Some(value),
                    b'a' => triple.attempt = value.max(1),
                    b'b' => triple.budget = Some(value),
                    _ => {}
                }
            }
            rest = next_part(&after[length..]);
        }
        triple
    }
}

/// What follows the next semicolon, skipping parts that are not `key=`.
fn next_part(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = rest.iter().position(|byte| *byte == b';') {
        rest = &rest[at + 1..];
        while let [b' ', after @ ..] = rest {
            rest = after;
        }
        if rest.get(1) == Some(&b'=') {
            return rest;
        }
    }
    &[]
}

/// The whole of `bytes` as a number; a larger one than fits is the largest.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    let (value, length) = digits(bytes);
    value.filter(|_| length == bytes.len())
}

/// The number that `bytes` begins with, and its length.
fn digits(bytes: &[u8]) -> (Option<u32>, usize) {
    let mut value = 0u64;
    let mut length = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(length) {
        value = (value * 10 + u64::from(digit - b'0')).min(u64::from(u32::MAX));
        length += 1;
    }
    ((length > 0).then_some(value as u32), length)
}

fn put(buffer: &mut [u8; TRIPLE_BYTES_MAX], mut at: usize, key: u8, number: u32) -> usize {
    if at > 0 {
        buffer[at] = b';';
        at += 1;
    }
    buffer[at] = key;
    buffer[at + 1] = b'=';
    at += 2;
    let length = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut rest = number;
    for place in (at..at + length).rev() {
        buffer[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    at + length
}
