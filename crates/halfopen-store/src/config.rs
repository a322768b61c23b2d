//! Settings of the store: where its folder is and where its bounds lie.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

const MIB: usize = 1024 * 1024;

/// Memory for rows that are not in a segment yet, together with what waits to be written and
/// what sealing needs. With it the process as a whole stays below 512 MiB while it takes what two
/// cores can send (`cargo xtask bench memory`): fingerprints of the recent past (36 MiB), bodies on
/// their way (64 MiB at most), Parquet's buffers and what the allocator keeps come on top.
pub const HOT_BYTES_MAX_DEFAULT: usize = 128 * MIB;
/// The WAL shrinks only when its rows are sealed; without a bound a disk fault would fill the disk.
pub const WAL_BYTES_MAX_DEFAULT: u64 = 2 * 1024 * 1024 * 1024;
/// Rows of a segment: large enough that a lookup opens few files, small enough to sort in memory.
pub const SEAL_ROWS_DEFAULT: usize = 1_000_000;
/// Rows with attribute maps weigh some 340 bytes in memory: rows alone would not bound a seal.
/// A quarter of the memory for hot rows: as much again arrives while it is sealed.
pub const SEAL_BYTES_DEFAULT: usize = HOT_BYTES_MAX_DEFAULT / 4;
/// A quiet system seals this often: few segments, and still a short replay after a crash.
pub const SEAL_AFTER_S_DEFAULT: u64 = 300;
/// Memory that one query may hold.
pub const QUERY_MEMORY_BYTES_MAX_DEFAULT: usize = 512 * MIB;
/// Time that one query may take.
pub const QUERY_SECONDS_MAX_DEFAULT: u64 = 30;
/// Rows that one query may return.
pub const QUERY_ROWS_MAX_DEFAULT: usize = 100_000;
/// Rows of a merged segment: one file for each hour up to some 2,000 spans a second.
pub const COMPACT_ROWS_DEFAULT: usize = 8_000_000;
/// Bytes of a merged segment, whatever its rows: it is written, checked and deleted as a whole.
pub const COMPACT_BYTES_DEFAULT: u64 = 512 * MIB as u64;
/// A quiet system merges its young segments this often.
pub const COMPACT_AFTER_S_DEFAULT: u64 = 600;
/// How long after its write a row that is sent again is still known for the same row, also
/// across a restart. Senders give up after some five minutes.
pub const RESEND_SECONDS_DEFAULT: u64 = 900;

/// Settings of the store. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The data folder. It is made when it is not there.
    pub folder: PathBuf,
    /// The name of this node; segments carry it.
    pub node: String,
    /// Where the catalogue is: a file of the folder, or a database of PostgreSQL.
    pub catalogue: CatalogueUrl,
    /// Memory for rows that are not in a segment yet.
    pub hot_bytes_max: usize,
    /// Size of the write-ahead log on disk.
    pub wal_bytes_max: u64,
    /// Rows of one table after which segments are written.
    pub seal_rows: usize,
    /// Bytes of hot rows after which segments are written.
    pub seal_bytes: usize,
    /// Age of the oldest hot row, in seconds, after which segments are written.
    pub seal_after_s: u64,
    /// Memory that one query may hold.
    pub query_memory_bytes_max: usize,
    /// Seconds that one query may take.
    pub query_seconds_max: u64,
    /// Rows that one query may return.
    pub query_rows_max: usize,
    /// Whether small segments are merged into large ones.
    pub compact: bool,
    /// Rows of a merged segment at most.
    pub compact_rows: usize,
    /// Bytes of a merged segment at most, roughly.
    pub compact_bytes: u64,
    /// Age of a young segment, in seconds, after which it is merged, however few there are.
    pub compact_after_s: u64,
    /// Days that rows are kept; 0 for ever.
    pub retention_days: u64,
    /// Days for single tables, as `metrics=90`; 0 for ever.
    pub retention_table_days: Vec<String>,
    /// Bytes that all segments together may take; the oldest go first. 0: half of the disk.
    pub retention_bytes_max: u64,
    /// Seconds during which a row that is sent again, identical, is kept once.
    pub resend_s: u64,
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            folder: PathBuf::from("halfopen-data"),
            node: "node-1".to_owned(),
            catalogue: CatalogueUrl::default(),
            hot_bytes_max: HOT_BYTES_MAX_DEFAULT,
            wal_bytes_max: WAL_BYTES_MAX_DEFAULT,
            seal_rows: SEAL_ROWS_DEFAULT,
            seal_bytes: SEAL_BYTES_DEFAULT,
            seal_after_s: SEAL_AFTER_S_DEFAULT,
            query_memory_bytes_max: QUERY_MEMORY_BYTES_MAX_DEFAULT,
            query_seconds_max: QUERY_SECONDS_MAX_DEFAULT,
            query_rows_max: QUERY_ROWS_MAX_DEFAULT,
            compact: true,
            compact_rows: COMPACT_ROWS_DEFAULT,
            compact_bytes: COMPACT_BYTES_DEFAULT,
            compact_after_s: COMPACT_AFTER_S_DEFAULT,
            retention_days: 0,
            retention_table_days: Vec::new(),
            retention_bytes_max: 0,
            resend_s: RESEND_SECONDS_DEFAULT,
        }
    }
}

impl StoreConfig {
    /// Settings for a folder, everything else as it is by default.
    pub fn in_folder(folder: impl Into<PathBuf>) -> StoreConfig {
        StoreConfig { folder: folder.into(), ..StoreConfig::default() }
    }

    /// The bounds of a query that names none of its own.
    pub fn query_limits(&self) -> QueryLimits {
        QueryLimits {
            rows_max: self.query_rows_max,
            memory_bytes_max: self.query_memory_bytes_max,
            time_max: Duration::from_secs(self.query_seconds_max),
        }
    }
}

/// Where the catalogue is: empty for a file of the data folder, else
/// `postgres://USER@HOST:PORT/DATABASE`. It may hold a password and is never shown.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct CatalogueUrl(String);

impl CatalogueUrl {
    /// From the text of a setting.
    pub fn new(url: impl Into<String>) -> CatalogueUrl {
        CatalogueUrl(url.into())
    }

    /// The address of a server, where one is set.
    pub(crate) fn url(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|url| !url.is_empty())
    }

    /// Whether it is one that is known here.
    pub(crate) fn is_known(&self) -> bool {
        self.url()
            .is_none_or(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"))
    }
}

impl fmt::Debug for CatalogueUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.0.is_empty() { "file" } else { "server" };
        formatter.debug_tuple("CatalogueUrl").field(&place).finish()
    }
}

/// The bounds of one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// No more rows than this are returned; the answer says when there would have been more.
    pub rows_max: usize,
    /// Memory that it may hold.
    pub memory_bytes_max: usize,
    /// Time that it may take.
    pub time_max: Duration,
}

impl Default for QueryLimits {
    fn default() -> QueryLimits {
        StoreConfig::default().query_limits()
    }
}
