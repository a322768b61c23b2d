//! The catalogue: which segments there are, and up to where the WAL is in them.
//!
//! Plain SQL in one module. A database is a file of the data folder (SQLite) or a schema of its
//! own in PostgreSQL; both take the same statements.
//!
//! **Invariant:** segments and the WAL position change in one transaction.
//!
//! **Invariant:** the number of the snapshot only grows. A change that would not make it grow is
//! refused: somebody else has changed the catalogue.

use std::path::Path;
use std::sync::Arc;

use halfopen_model::{Table, UnixNanos};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::error::StoreError;
use crate::retain::Cut;
use crate::segment::SegmentInfo;
use crate::shared::PerTable;

mod fault;
mod place;
mod postgres;
mod rows;
mod sqlite;
mod statement;

use fault::Fault;
pub(crate) use place::{Making, open};
pub(crate) use postgres::Reach;
use postgres::Server;
use statement::{Row, Statement};

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

/// The open catalogue.
pub(crate) struct Catalogue {
    database: Database,
}

enum Database {
    File(Box<SqliteConnection>),
    Server(Box<Server>),
}

impl Database {
    async fn rows(&mut self, ask: Statement) -> Result<Vec<Row>, Fault> {
        match self {
            Database::File(file) => sqlite::rows(file, ask).await,
            Database::Server(server) => server.rows(ask).await,
        }
    }

    /// All of the statements or none.
    async fn change(&mut self, statements: Vec<Statement>) -> Result<(), Fault> {
        match self {
            Database::File(file) => sqlite::change(file, statements).await,
            Database::Server(server) => server.change(statements).await,
        }
    }

    async fn script(&mut self, sql: &str) -> Result<(), Fault> {
        match self {
            Database::File(file) => sqlite::script(file, sql).await,
            Database::Server(server) => server.script(sql).await,
        }
    }
}

impl Catalogue {
    /// Opens the catalogue in a file, and makes it where it is not there.
    pub(crate) async fn open(path: &Path) -> Result<Catalogue, StoreError> {
        let file = sqlite::open(path).await.map_err(failed("open"))?;
        let mut catalogue = Catalogue { database: Database::File(Box::new(file)) };
        catalogue.database.script(TABLES).await.map_err(trying("set up"))?;
        catalogue.upgraded().await?;
        Ok(catalogue)
    }

    /// Opens a catalogue in a file that is there, for reading.
    pub(crate) async fn open_read_only(path: &Path) -> Result<Catalogue, StoreError> {
        let file = sqlite::open_read_only(path).await.map_err(failed("open"))?;
        Ok(Catalogue { database: Database::File(Box::new(file)) })
    }

    /// Makes sure of the version of the tables.
    async fn upgraded(&mut self) -> Result<(), StoreError> {
        match self.number("version").await? {
            None => {
                let set = Statement::new(SET_NUMBER).text("version").int(CATALOGUE_VERSION);
                self.change("write", vec![set]).await
            }
            Some(CATALOGUE_VERSION) => Ok(()),
            Some(1) => self.database.script(UPGRADE_TO_2).await.map_err(trying("upgrade")),
            Some(other) => {
                let reason = format!("it has version {other}, {CATALOGUE_VERSION} is known");
                Err(StoreError::Catalogue { what: "read", source: reason.into() })
            }
        }
    }

    async fn change(
        &mut self,
        what: &'static str,
        statements: Vec<Statement>,
    ) -> Result<(), StoreError> {
        self.database.change(statements).await.map_err(trying(what))
    }

    async fn number(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let ask = Statement::new("SELECT value FROM numbers WHERE name = $1").text(name);
        let rows = self.database.rows(ask).await.map_err(trying("read"))?;
        rows.first().map(|row| row.int("value")).transpose().map_err(failed("read"))
    }

    /// Everything.
    pub(crate) async fn content(&mut self) -> Result<Content, StoreError> {
        let ask = Statement::new("SELECT * FROM segments ORDER BY id");
        let listed = self.database.rows(ask).await.map_err(trying("read"))?;
        let mut segments = Vec::new();
        let mut leftovers = Vec::new();
        for row in &listed {
            match rows::segment(row).map_err(failed("read"))? {
                (info, State::Leftover) => leftovers.push((info.id, info.file)),
                served => segments.push(served),
            }
        }
        let cuts = self.cuts().await?;
        let wal_sealed = self.wal_sealed().await?;
        let snapshot = self.number("snapshot").await?.unwrap_or_default() as u64;
        Ok(Content { segments, leftovers, cuts, wal_sealed, snapshot })
    }

    async fn cuts(&mut self) -> Result<PerTable<Option<Cut>>, StoreError> {
        let mut cuts = PerTable::default();
        // A folder of version 1 that is open for reading has none.
        let listed = self.database.rows(Statement::new("SELECT * FROM cuts")).await;
        for row in listed.unwrap_or_default() {
            let (table, cut) = rows::cut(&row).map_err(failed("read"))?;
            cuts[table as usize] = Some(cut);
        }
        Ok(cuts)
    }

    /// The last frame of the WAL that is in segments.
    pub(crate) async fn wal_sealed(&mut self) -> Result<u64, StoreError> {
        Ok(self.number("wal_sealed").await?.unwrap_or_default() as u64)
    }

    /// Whether a segment was let go.
    pub(crate) async fn has_let_go(&mut self, id: i64) -> Result<bool, StoreError> {
        let ask = "SELECT id FROM segments WHERE id = $1 AND removed_at IS NULL";
        let rows = self.database.rows(Statement::new(ask).int(id)).await;
        Ok(rows.map_err(trying("read"))?.is_empty())
    }

    /// Reserves names of segments that are about to be written.
    pub(crate) async fn reserve(
        &mut self,
        reserved: &[Reserved],
        node: &str,
    ) -> Result<(), StoreError> {
        let reserve = reserved.iter().map(|Reserved { id, table, file }| {
            let reserve = Statement::new(RESERVE).int(*id).text(table.name()).text(file);
            reserve.text(node).bytes(Some(Vec::new()))
        });
        self.change("reserve a segment in", reserve.collect()).await
    }

    /// Lets segments go and takes others in.
    pub(crate) async fn exchange(&mut self, exchange: &Exchange<'_>) -> Result<(), StoreError> {
        let Exchange { gone, come, unused, node, now, snapshot, cuts } = exchange;
        let forget = unused.iter().map(|id| Statement::new(FORGET).int(*id));
        let remove = gone.iter().map(|id| Statement::new(REMOVE).int(*id).int(now.0));
        let insert = come.iter().map(|segment| rows::insert(segment, node, *snapshot));
        let cut = cuts.iter().map(|(table, cut)| rows::set_cut(*table, cut));
        let turn = [turn_to(*snapshot)];
        let all = turn.into_iter().chain(forget).chain(remove).chain(insert).chain(cut);
        self.change("exchange segments in", all.collect()).await
    }

    /// Forgets segments whose files are gone.
    pub(crate) async fn forget(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let forget = ids.iter().map(|id| Statement::new(FORGET).int(*id));
        self.change("remove a segment from", forget.collect()).await
    }

    /// Takes in segments together with the WAL position that they bring about.
    pub(crate) async fn commit(
        &mut self,
        segments: &[SegmentInfo],
        node: &str,
        wal_sealed: u64,
        snapshot: u64,
    ) -> Result<(), StoreError> {
        let insert = segments.iter().map(|segment| rows::insert(segment, node, snapshot));
        let sealed = Statement::new(SET_NUMBER).text("wal_sealed").int(wal_sealed as i64);
        let all = [turn_to(snapshot), sealed].into_iter().chain(insert);
        self.change("add a segment to", all.collect()).await
    }

    /// Takes note that a segment is not served any more.
    pub(crate) async fn set_damaged(&mut self, id: i64, reason: &str) -> Result<(), StoreError> {
        let set = Statement::new(SET_DAMAGED).int(id).text(reason);
        self.change("mark a segment in", vec![set]).await
    }

    /// What the database finds wrong with itself, where it can look.
    pub(crate) async fn problem(&mut self) -> Result<Option<String>, StoreError> {
        if let Database::Server(_) = self.database {
            return Ok(None);
        }
        let ask = Statement::new("PRAGMA integrity_check(1)");
        let rows = self.database.rows(ask).await.map_err(trying("read"))?;
        let found = rows.first().map(|row| row.text("integrity_check")).transpose();
        Ok(found.map_err(failed("read"))?.filter(|found| found != "ok"))
    }

    /// Asks the server whether it is there; one that was lost is connected again.
    pub(crate) async fn look_after(&mut self) {
        if let Database::Server(server) = &mut self.database
            && let Err(fault) = server.ping().await
        {
            tracing::debug!(?fault, "catalogue is out of reach");
        }
    }

    /// Whether the database is in reach.
    pub(crate) fn reach(&self) -> Arc<Reach> {
        match &self.database {
            Database::File(_) => Arc::default(),
            Database::Server(server) => Arc::clone(&server.reach),
        }
    }

    /// Closes it; what is in a file is in one file then.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        match self.database {
            Database::File(file) => file.close().await.map_err(failed("close")),
            Database::Server(server) => server.close().await.map_err(trying("close")),
        }
    }
}

fn failed(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| Fault::Sql(error).while_trying(what)
}

fn trying(what: &'static str) -> impl FnOnce(Fault) -> StoreError {
    move |fault| fault.while_trying(what)
}

fn turn_to(snapshot: u64) -> Statement {
    Statement::new(TURN).int(snapshot as i64).must_change()
}

const SET_NUMBER: &str = "INSERT INTO numbers (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const TURN: &str = "INSERT INTO numbers (name, value) VALUES ('snapshot', $1) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE numbers.value < excluded.value";

const RESERVE: &str = "INSERT INTO segments (id, table_name, file, state, row_count, byte_count, \
    time_from, time_to, schema_version, columns, node, sealed_at, snapshot, sums) \
    VALUES ($1, $2, $3, 'reserved', 0, 0, 0, 0, 0, '', $4, 0, 0, $5)";

const REMOVE: &str = "UPDATE segments SET state = 'removed', removed_at = $2 WHERE id = $1";

const FORGET: &str = "DELETE FROM segments WHERE id = $1";

const SET_DAMAGED: &str = "UPDATE segments SET state = 'damaged', reason = $2 \
    WHERE id = $1 AND state = 'served'";

#[cfg(test)]
mod tests;
