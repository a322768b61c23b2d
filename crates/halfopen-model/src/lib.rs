//! What halfopen knows: the types of evidence, their Arrow schemas, ids, time, the form of every
//! answer, and the two ports through which rooms write and read evidence.
//!
//! | module | holds |
//! |---|---|
//! | [`id`] | trace and span ids, fingerprints of rows |
//! | [`time`] | nanoseconds since the epoch, ranges, clocks, how times are read and written |
//! | [`attribute`] | typed attribute values and their stored form |
//! | [`known`] | the attributes that have a column of their own |
//! | [`table`], [`schema`] | the nine tables and their columns |
//! | [`batch`] | rows on their way: making a batch fit a schema, reading cells |
//! | [`identity`] | what a row says, as one number |
//! | [`request`], [`shell`], [`figure`] | when a span failed; commands and numbers in answers |
//! | [`answer`] | findings, evidence, gaps, and the answers of `why`, `trace`, `find` |
//! | [`port`], [`memory`] | writing and reading evidence; an implementation in memory for tests |
//!
//! **Invariant:** no IO and no async runtime. The ports return futures; who drives them is
//! somebody else's business.
//!
//! **Invariant:** nothing here is serialised. Wire forms are types of `halfopen-serve`.

pub mod answer;
pub mod attribute;
pub mod batch;
pub mod figure;
pub mod id;
pub mod identity;
pub mod known;
pub mod memory;
pub mod names;
pub mod port;
pub mod request;
pub mod schema;
pub mod shell;
pub mod table;
pub mod time;

pub use attribute::{AttributeValue, ValueType};
pub use batch::Batch;
pub use id::{Fingerprint, SpanId, TraceId};
pub use port::{ReadEvidence, WriteEvidence};
pub use table::Table;
pub use time::{Clock, TimeRange, UnixNanos};
