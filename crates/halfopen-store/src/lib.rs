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
mod check;
mod compact;
pub mod config;
mod counters;
mod crash;
pub mod crew;
mod error;
mod exchange;
mod folder;
mod gather;
mod hot;
mod index;
#[doc(hidden)]
pub mod inspect;
mod intake;
mod matcher;
mod merges;
mod open;
mod read;
mod recent;
mod remove;
mod report;
mod retain;
mod seal;
mod seen;
mod segment;
mod shared;
mod sizes;
mod sql;
mod stats;
mod store;
mod wal;

pub use check::{CheckReport, Problem, RebuildReport, check, rebuild};
pub use config::{CatalogueUrl, QueryLimits, StoreConfig};
#[doc(hidden)]
pub use crash::CrashPoint;
pub use error::{QueryError, StoreError};
pub use report::{
    CloseReport, CompactReport, ExportReport, OpenReport, SealReport, StoreStats, TableStats,
};
pub use sizes::{PartSize, sizes};
pub use store::{QueryAnswer, Store};
