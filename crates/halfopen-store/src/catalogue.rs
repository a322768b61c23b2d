//! The catalogue: which segments there are, and up to where the WAL is in them.
//!
//! Plain SQL in one module, so that another database can take the place of SQLite.
//!
//! **Invariant:** segments and the WAL position change in one transaction.

use std::path::Path;

use halfopen_model::{Table, TimeRange, TraceId, UnixNanos};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};

use crate::error::StoreError;
use crate::retain::Cut;
use crate::segment::SegmentInfo;
use crate::shared::PerTable;

/// The version of the tables below.
const CATALOGUE_VERSION: i64 = 2;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS numbers (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS segments (
    id BIGINT PRIMARY KEY,
    table_name TEXT NOT NULL,
    file TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    reason TEXT,
    row_count BIGINT NOT NULL,
    byte_count BIGINT NOT NULL,
    time_from BIGINT NOT NULL,
    time_to BIGINT NOT NULL,
    trace_first BLOB,
    trace_last BLOB,
    sums BLOB NOT NULL,
    schema_version BIGINT NOT NULL,
    columns TEXT NOT NULL,
    node TEXT NOT NULL,
    sealed_at BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    level BIGINT NOT NULL DEFAULT 0,
    removed_at BIGINT
);
CREATE TABLE IF NOT EXISTS cuts (
    table_name TEXT PRIMARY KEY,
    time_from BIGINT NOT NULL,
    time_to BIGINT NOT NULL,
    row_count BIGINT NOT NULL
);
";

/// From version 1, which knew neither merged segments nor retention.
const UPGRADE_TO_2: &str = "
ALTER TABLE segments ADD COLUMN level BIGINT NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN removed_at BIGINT;
UPDATE numbers SET value = 2 WHERE name = 'version';
";

/// The open catalogue.
pub(crate) struct Catalogue {
    connection: SqliteConnection,
}

/// Whether a segment is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is.
    Served,
    /// It is damaged or missing; why.
    Damaged(String),
    /// It is not: its name is reserved for a merge, or it was let go.
    Leftover,
}

/// A name for a segment that is about to be written.
pub(crate) struct Reserved {
    pub(crate) id: i64,
    pub(crate) table: Table,
    pub(crate) file: String,
}

/// Segments that take the place of others, all at once.
pub(crate) struct Exchange<'a> {
    pub(crate) gone: &'a [i64],
    pub(crate) come: &'a [SegmentInfo],
    /// Names that were reserved, whether they were used or not.
    pub(crate) unused: Vec<i64>,
    pub(crate) node: &'a str,
    pub(crate) now: UnixNanos,
    pub(crate) snapshot: u64,
    /// What retention has let go so far, where that changes.
    pub(crate) cuts: &'a [(Table, Cut)],
}

/// What the catalogue holds.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) segments: Vec<(SegmentInfo, State)>,
    /// Ids and files of segments that were let go, or reserved and perhaps written.
    pub(crate) leftovers: Vec<(i64, String)>,
    pub(crate) cuts: PerTable<Option<Cut>>,
    /// The last frame of the WAL that is in segments.
    pub(crate) wal_sealed: u64,
    pub(crate) snapshot: u64,
}

fn failed<E>(what: &'static str) -> impl FnOnce(E) -> StoreError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| StoreError::Catalogue { what, source: source.into() }
}

impl Catalogue {
    /// Opens the catalogue, and makes it where it is not there.
    pub(crate) async fn open(path: &Path) -> Result<Catalogue, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await.map_err(failed("open"))?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await.map_err(failed("set up"))?;
        let mut catalogue = Catalogue { connection };
        match catalogue.number("version").await? {
            None => catalogue.set_number("version", CATALOGUE_VERSION).await?,
            Some(CATALOGUE_VERSION) => {}
            Some(1) => catalogue.upgrade(UPGRADE_TO_2).await?,
            Some(other) => {
                let reason = format!("it has version {other}, {CATALOGUE_VERSION} is known");
                return Err(failed("read")(reason));
            }
        }
        Ok(catalogue)
    }

    /// One step from a version to the next: all of it or nothing.
    async fn upgrade(&mut self, step: &'static str) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await.map_err(failed("begin a change of"))?;
        sqlx::raw_sql(step).execute(&mut *transaction).await.map_err(failed("upgrade"))?;
        transaction.commit().await.map_err(failed("commit to"))
    }

    /// Opens a catalogue that is there, for reading.
    pub(crate) async fn open_read_only(path: &Path) -> Result<Catalogue, StoreError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let opened = match options.connect().await {
            // Where nobody can write SQLite wants to be told that nobody does. After a crash its
            // own log holds changes that it could not take in then.
            Err(error) if !has_log(path) => {
                let unchanging = options.immutable(true);
                unchanging.connect().await.map_err(|_| error)
            }
            opened => opened,
        };
        Ok(Catalogue { connection: opened.map_err(failed("open"))? })
    }

    async fn number(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar("SELECT value FROM numbers WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed("read"))
    }

    async fn set_number(&mut self, name: &str, value: i64) -> Result<(), StoreError> {
        sqlx::query(SET_NUMBER)
            .bind(name)
            .bind(value)
            .execute(&mut self.connection)
            .await
            .map_err(failed("write"))?;
        Ok(())
    }

    /// Everything.
    pub(crate) async fn content(&mut self) -> Result<Content, StoreError> {
        let rows = sqlx::query("SELECT * FROM segments ORDER BY id")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed("read"))?;
        let mut segments = Vec::new();
        let mut leftovers = Vec::new();
        for row in &rows {
            match segment(row).map_err(failed("read"))? {
                (info, State::Leftover) => leftovers.push((info.id, info.file)),
                served => segments.push(served),
            }
        }
        let cuts = self.cuts().await?;
        let wal_sealed = self.number("wal_sealed").await?.unwrap_or_default() as u64;
        let snapshot = self.number("snapshot").await?.unwrap_or_default() as u64;
        Ok(Content { segments, leftovers, cuts, wal_sealed, snapshot })
    }

    async fn cuts(&mut self) -> Result<PerTable<Option<Cut>>, StoreError> {
        let mut cuts = PerTable::default();
        // A folder of version 1 that is open for reading has none.
        let rows = sqlx::query("SELECT * FROM cuts").fetch_all(&mut self.connection).await;
        for row in rows.unwrap_or_default() {
            let (table, cut) = cut(&row).map_err(failed("read"))?;
            cuts[table as usize] = Some(cut);
        }
        Ok(cuts)
    }

    /// Whether this snapshot, or a later one, was committed.
    pub(crate) async fn has_snapshot(&mut self, snapshot: u64) -> bool {
        self.number("snapshot").await.is_ok_and(|n| n.unwrap_or_default() as u64 >= snapshot)
    }

    /// Reserves names of segments that are about to be written.
    pub(crate) async fn reserve(
        &mut self,
        reserved: &[Reserved],
        node: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await.map_err(failed("begin a change of"))?;
        for Reserved { id, table, file } in reserved {
            sqlx::query(RESERVE)
                .bind(*id)
                .bind(table.name())
                .bind(file)
                .bind(node)
                .execute(&mut *transaction)
                .await
                .map_err(failed("reserve a segment in"))?;
        }
        transaction.commit().await.map_err(failed("commit to"))
    }

    /// Lets segments go and takes others in.
    pub(crate) async fn exchange(&mut self, exchange: Exchange<'_>) -> Result<(), StoreError> {
        let Exchange { gone, come, unused, node, now, snapshot, cuts } = exchange;
        let mut transaction = self.connection.begin().await.map_err(failed("begin a change of"))?;
        for id in unused {
            let forget = sqlx::query(FORGET).bind(id).execute(&mut *transaction);
            forget.await.map_err(failed("remove a segment from"))?;
        }
        for id in gone {
            let remove = sqlx::query(REMOVE).bind(*id).bind(now.0).execute(&mut *transaction);
            remove.await.map_err(failed("remove a segment from"))?;
        }
        for segment in come {
            let insert = insert(segment, node, snapshot).execute(&mut *transaction);
            insert.await.map_err(failed("add a segment to"))?;
        }
        for (table, cut) in cuts {
            let set = sqlx::query(SET_CUT)
                .bind(table.name())
                .bind(cut.range.from.0)
                .bind(cut.range.to.0)
                .bind(cut.rows as i64);
            set.execute(&mut *transaction).await.map_err(failed("write"))?;
        }
        let set = sqlx::query(SET_NUMBER).bind("snapshot").bind(snapshot as i64);
        set.execute(&mut *transaction).await.map_err(failed("write"))?;
        transaction.commit().await.map_err(failed("commit to"))
    }

    /// Forgets segments whose files are gone.
    pub(crate) async fn forget(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await.map_err(failed("begin a change of"))?;
        for id in ids {
            let forget = sqlx::query(FORGET).bind(*id).execute(&mut *transaction);
            forget.await.map_err(failed("remove a segment from"))?;
        }
        transaction.commit().await.map_err(failed("commit to"))
    }

    /// Takes in segments together with the WAL position that they bring about.
    pub(crate) async fn commit(
        &mut self,
        segments: &[SegmentInfo],
        node: &str,
        wal_sealed: u64,
        snapshot: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await.map_err(failed("begin a change of"))?;
        for segment in segments {
            insert(segment, node, snapshot)
                .execute(&mut *transaction)
                .await
                .map_err(failed("add a segment to"))?;
        }
        for (name, value) in [("wal_sealed", wal_sealed), ("snapshot", snapshot)] {
            sqlx::query(SET_NUMBER)
                .bind(name)
                .bind(value as i64)
                .execute(&mut *transaction)
                .await
                .map_err(failed("write"))?;
        }
        transaction.commit().await.map_err(failed("commit to"))
    }

    /// Takes note that a segment is not served any more.
    pub(crate) async fn set_damaged(&mut self, id: i64, reason: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE segments SET state = 'damaged', reason = $2 WHERE id = $1")
            .bind(id)
            .bind(reason)
            .execute(&mut self.connection)
            .await
            .map_err(failed("mark a segment in"))?;
        Ok(())
    }

    /// What the database finds wrong with itself.
    pub(crate) async fn problem(&mut self) -> Result<Option<String>, StoreError> {
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed("read"))?;
        Ok(Some(found).filter(|found| found != "ok"))
    }

    /// Closes it, so that everything is in one file.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        self.connection.close().await.map_err(failed("close"))
    }
}

/// Whether SQLite has changes beside the file that are not in it yet.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

const SET_NUMBER: &str = "INSERT INTO numbers (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const INSERT: &str = "INSERT INTO segments (id, table_name, file, state, row_count, byte_count, \
    time_from, time_to, trace_first, trace_last, sums, schema_version, columns, node, sealed_at, \
    snapshot, level) \
    VALUES ($1, $2, $3, 'served', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

const RESERVE: &str = "INSERT INTO segments (id, table_name, file, state, row_count, byte_count, \
    time_from, time_to, sums, schema_version, columns, node, sealed_at, snapshot) \
    VALUES ($1, $2, $3, 'reserved', 0, 0, 0, 0, X'', 0, '', $4, 0, 0)";

const REMOVE: &str = "UPDATE segments SET state = 'removed', removed_at = $2 WHERE id = $1";

const FORGET: &str = "DELETE FROM segments WHERE id = $1";

const SET_CUT: &str = "INSERT INTO cuts (table_name, time_from, time_to, row_count) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (table_name) DO UPDATE SET \
    time_from = excluded.time_from, time_to = excluded.time_to, row_count = excluded.row_count";

type Insert = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn insert(segment: &SegmentInfo, node: &str, snapshot: u64) -> Insert {
    let sums: Vec<u8> = segment.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    sqlx::query(INSERT)
        .bind(segment.id)
        .bind(segment.table.name())
        .bind(segment.file.clone())
        .bind(segment.rows as i64)
        .bind(segment.bytes as i64)
        .bind(segment.range.from.0)
        .bind(segment.range.to.0)
        .bind(segment.traces.map(|(first, _)| first.0.to_vec()))
        .bind(segment.traces.map(|(_, last)| last.0.to_vec()))
        .bind(sums)
        .bind(i64::from(segment.schema_version))
        .bind(segment.columns.join("\n"))
        .bind(node.to_owned())
        .bind(segment.sealed_at.0)
        .bind(snapshot as i64)
        .bind(i64::from(segment.level))
}

fn segment(row: &SqliteRow) -> Result<(SegmentInfo, State), sqlx::Error> {
    let time = |name: &str| row.try_get(name).map(UnixNanos);
    let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
    let trace = |name: &str| -> Result<Option<TraceId>, sqlx::Error> {
        let bytes: Option<Vec<u8>> = row.try_get(name)?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(TraceId))
    };
    let table: String = row.try_get("table_name")?;
    let table: Table = table.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let sums: Vec<u8> = row.try_get("sums")?;
    let columns: String = row.try_get("columns")?;
    let state: String = row.try_get("state")?;
    let reason: Option<String> = row.try_get("reason")?;
    let info = SegmentInfo {
        id: row.try_get("id")?,
        table,
        file: row.try_get("file")?,
        rows: count("row_count")?,
        bytes: count("byte_count")?,
        range: TimeRange { from: time("time_from")?, to: time("time_to")? },
        traces: trace("trace_first")?.zip(trace("trace_last")?),
        sums: sums.as_chunks::<8>().0.iter().map(|sum| u64::from_le_bytes(*sum)).collect(),
        schema_version: count("schema_version")? as u32,
        columns: columns.lines().map(str::to_owned).collect(),
        sealed_at: time("sealed_at")?,
        // A catalogue of version 1 that is open for reading has no such column.
        level: row.try_get::<i64, _>("level").unwrap_or_default() as u32,
    };
    let state = match state.as_str() {
        "served" => State::Served,
        "reserved" | "removed" => State::Leftover,
        _ => State::Damaged(reason.unwrap_or_default()),
    };
    Ok((info, state))
}

fn cut(row: &SqliteRow) -> Result<(Table, Cut), sqlx::Error> {
    let table: String = row.try_get("table_name")?;
    let table: Table = table.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let time = |name: &str| row.try_get(name).map(UnixNanos);
    let range = TimeRange { from: time("time_from")?, to: time("time_to")? };
    Ok((table, Cut { range, rows: row.try_get::<i64, _>("row_count")? as u64 }))
}

#[cfg(test)]
mod tests;
