//! Reads what services send and makes rows of evidence of it: OTLP in protobuf and JSON, traces,
//! logs and metrics of every kind, straight into Arrow batches.
//!
//! | module | holds |
//! |---|---|
//! | `wire` | protobuf, read field by field without copying; and written, for JSON and samples |
//! | `otlp` | what the fields of OTLP mean |
//! | `json` | OTLP/JSON, rewritten as protobuf so that one decoder gives both their meaning |
//! | `columns` | columns that exist only where a row has a value |
//! | `ids` | which values are correlation ids |
//! | [`inflate`] | bodies that came compressed, with a hard bound |
//! | [`import`] | what other tools wrote: files in their formats |
//! | [`export`] | rows as OTLP/JSON, the way back |
//! | [`answer`] | what the sender is told |
//! | [`sample`] | realistic requests from a seed, for benchmarks and tests |
//!
//! **Invariant:** no IO, no clock, no async. The same bytes always yield the same rows.
//!
//! **Invariant:** no input panics, and none is lost in silence. What cannot be read becomes a row
//! of `rejects` with its first bytes, and what stands around it is kept.
//!
//! **Invariant:** no memory is taken on the word of a length that was not checked, and nothing
//! recurses without a bound.

mod builder;
mod columns;
mod ids;
mod json;
mod otlp;
mod settings;
mod weight;
mod wire;

pub mod answer;
pub mod export;
pub mod import;
pub mod inflate;
pub mod sample;

pub use builder::EvidenceBuilder;
pub use settings::{Arrival, BODY_BYTES_MAX, Encoding, IngestSettings, Outcome, Signal};
