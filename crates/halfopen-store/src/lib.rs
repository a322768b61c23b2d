//! Keeps evidence: a write-ahead log, hot rows in memory, columnar segments, a catalogue, and SQL
//! over all of them.
//!
//! **Invariant:** an acknowledged row is never lost. The order is: WAL on disk, then the
//! acknowledgement; segment on disk, its folder on disk, one transaction of the catalogue, and
//! only then the WAL is cut.
//!
//! **Invariant:** this is the only room that links DataFusion. Arrow arrays and schemas cross the
//! ports, nothing else of the engine does.
//!
//! **Invariant:** damage is found by checksum, set aside, counted and named in every answer that
//! lacks its rows. It never stops the rest from being served.

mod background;
mod catalogue;
pub mod config;
mod counters;
pub mod crew;
mod error;
mod folder;
mod gather;
mod hot;
mod intake;
mod matcher;
mod open;
mod read;
mod recent;
mod report;
mod seal;
mod seen;
mod segment;
mod shared;
mod sql;
mod stats;
mod store;
mod wal;

pub use config::{QueryLimits, StoreConfig};
pub use error::{QueryError, StoreError};
pub use report::{CloseReport, OpenReport, SealReport, StoreStats, TableStats};
pub use store::{QueryAnswer, Store};
