//! What the fields of OTLP mean. Field numbers are those of opentelemetry-proto 1, which
//! promises never to change them.

mod any_value;
mod context;
mod keys;
mod logs;
mod metrics;
mod points;
mod row;
mod traces;
mod walk;

pub(crate) use any_value::{AnyValue, base64_text, write_json_text};
pub(crate) use context::Contexts;
pub(crate) use keys::{KeyInfo, Keys, Place};
pub(crate) use walk::{Request, Walk};

/// A field that OTLP does not have. The JSON reader uses it in spans and log records for key and
/// value of an original that a fixed column could not hold; on the network it means nothing.
pub(crate) const NOTE_FIELD: u32 = 1_001;
