//! The `grpc-timeout` header: at most eight digits and a unit.

use http::HeaderValue;
use std::time::Duration;

/// Most digits the protocol allows.
const DIGITS_MAX: usize = 8;
/// The largest number of milliseconds that fits into eight digits (27 hours).
const MILLIS_MAX: u32 = 99_999_999;

/// Reads a `grpc-timeout`; `None` when it is malformed.
pub fn read_grpc_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    let value = u64::from(super::triple::number(digits)?);
    match unit {
        b'H' => Some(Duration::from_secs(value * 3600)),
        b'M' => Some(Duration::from_secs(value * 60)),
        b'S' => Some(Duration::from_secs(value)),
        b'm' => Some(Duration::from_millis(value)),
        b'u' => Some(Duration::from_micros(value)),
        b'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Writes a `grpc-timeout`.
pub fn grpc_timeout(remaining_ms: u32) -> HeaderValue {
    let text = format!("{}m", remaining_ms.min(MILLIS_MAX));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}
