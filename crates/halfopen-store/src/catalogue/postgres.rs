//! The catalogue in PostgreSQL: one schema for each data folder, so that every statement is the
//! one of SQLite and no folder can reach the rows of another.
//!
//! **Invariant:** there is no statement without the advisory lock of the folder, and the lock is
//! had only when the session before it is over. So whoever asks after a lost answer whether a
//! change was made gets the final answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use xxhash_rust::xxh3::xxh3_64;

use super::fault::{Fault, bare, refusal};
use super::statement::{Row, Statement, Value};
use crate::counters::count;
use crate::error::StoreError;

/// A server in reach answers in milliseconds; a dead one should not hold a start for long.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// For one statement, measured here: the network may swallow what the server has to say.
const STATEMENT_MAX: Duration = Duration::from_secs(15);
/// For the last words to a server.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// `gen_random_uuid` and what we set below are there from this version on.
const VERSION_MIN: u32 = 130_000;

/// Of each session. A commit that was answered must survive a crash of the server, whatever its
/// default: the log is cut after it. The server ends a statement, a forgotten transaction and the
/// session of a machine that is gone by itself.
const SETTINGS: &str = "
SET synchronous_commit = on;
SET statement_timeout = '10s';
SET lock_timeout = '3s';
SET idle_in_transaction_session_timeout = '30s';
SET tcp_keepalives_idle = 20;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET client_min_messages = warning;
";

/// Whether the database was in reach when it was asked last; for metrics.
#[derive(Debug)]
pub(crate) struct Reach {
    up: AtomicBool,
    losses: AtomicU64,
}

impl Default for Reach {
    fn default() -> Reach {
        Reach { up: AtomicBool::new(true), losses: AtomicU64::new(0) }
    }
}

impl Reach {
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How often the connection was lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }
}

/// A server, and the session with it where there is one.
pub(super) struct Server {
    options: PgConnectOptions,
    /// Of the folder; empty before one is made.
    schema: String,
    read_only: bool,
    session: Option<PgConnection>,
    pub(super) reach: Arc<Reach>,
}

impl Server {
    /// The server of a `postgres://` address. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address does not read; it is not repeated, for it may hold a password.
    pub(super) fn new(url: &str, read_only: bool) -> Result<Server, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(|error| {
            let (reason, hint) = refusal(&error, "", "");
            let place = "the address in store.catalogue".to_owned();
            StoreError::Database { place, reason, hint, source: Some(bare(error)) }
        })?;
        let options = options.application_name("halfopen").disable_statement_logging();
        let reach = Arc::default();
        Ok(Server { options, schema: String::new(), read_only, session: None, reach })
    }

    /// Where it is, without a password.
    pub(super) fn place(&self) -> String {
        let host = match self.options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => self.options.get_host().to_owned(),
        };
        format!("{host}:{}/{}", self.options.get_port(), self.database())
    }

    fn database(&self) -> &str {
        self.options.get_database().unwrap_or(self.options.get_username())
    }

    fn unusable(&self, error: sqlx::Error) -> Fault {
        let (reason, hint) = refusal(&error, self.options.get_username(), self.database());
        Fault::Unusable(self.problem(reason, hint, Some(bare(error))))
    }

    pub(super) fn problem(
        &self,
        reason: String,
        hint: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::Database { place: self.place(), reason, hint, source }
    }

    /// From now on it speaks for the folder with this id, in the schema of that.
    pub(super) async fn take(&mut self, id: &str) -> Result<(), Fault> {
        self.schema = schema(id);
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        self.own(&mut session).await?;
        self.session = Some(session);
        Ok(())
    }

    /// A session that speaks for no folder yet.
    async fn connect(&self) -> Result<PgConnection, Fault> {
        let connecting = tokio::time::timeout(CONNECT_MAX, self.options.connect()).await;
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut).into();
        let connected = connecting.map_err(late).flatten();
        let mut session = connected.map_err(|error| self.unusable(error))?;
        if session.server_version_num().is_some_and(|version| version < VERSION_MIN) {
            let reason = "the server is older than version 13".to_owned();
            let hint = "name a server of PostgreSQL 13 or later".to_owned();
            return Err(Fault::Unusable(self.problem(reason, hint, None)));
        }
        within(sqlx::raw_sql(SETTINGS).execute(&mut session)).await?;
        if self.read_only {
            let set = sqlx::raw_sql("SET default_transaction_read_only = on");
            within(set.execute(&mut session)).await?;
        }
        Ok(session)
    }

    /// Takes the lock of the folder and turns to its schema.
    async fn own(&self, session: &mut PgConnection) -> Result<(), Fault> {
        let key = xxh3_64(self.schema.as_bytes()) as i64;
        let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(key);
        match within(lock.execute(&mut *session)).await {
            Err(Fault::Sql(sqlx::Error::Database(said)))
                if said.code().as_deref() == Some("55P03") =>
            {
                let reason = "another process holds the catalogue of this data folder".to_owned();
                let hint = "stop that process; when its machine is gone, PostgreSQL notices \
                    within a minute";
                return Err(Fault::Unusable(self.problem(reason, hint.to_owned(), None)));
            }
            locked => locked?,
        };
        let turn = format!("SET search_path = {}", self.schema);
        within(sqlx::raw_sql(AssertSqlSafe(turn)).execute(session)).await?;
        Ok(())
    }

    /// A session that lives, a new one where the last is gone.
    async fn session(&mut self) -> Result<&mut PgConnection, Fault> {
        if let Some(mut session) = self.session.take() {
            match within(session.ping()).await {
                Ok(()) => return Ok(self.session.insert(session)),
                Err(fault) => self.lost(&fault),
            }
        }
        let mut session = self.connect().await?;
        self.own(&mut session).await?;
        if !self.reach.up.swap(true, Ordering::Relaxed) {
            tracing::info!(place = self.place(), "catalogue is in reach again");
        }
        Ok(self.session.insert(session))
    }

    fn lost(&self, fault: &Fault) {
        count(&self.reach.losses);
        if self.reach.up.swap(false, Ordering::Relaxed) {
            let place = self.place();
            tracing::warn!(place, ?fault, "catalogue is out of reach: new rows stay in the log");
        }
    }

    /// Keeps the session unless what was done shows that it is of no more use.
    fn after<T>(&mut self, done: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &done
            && fault.ends_connection()
        {
            self.lost(fault);
            self.session = None;
        }
        done
    }

    /// Whether it answers; a session that was lost is made again.
    pub(super) async fn ping(&mut self) -> Result<(), Fault> {
        self.session().await.map(|_| ())
    }

    pub(super) async fn rows(&mut self, ask: Statement) -> Result<Vec<Row>, Fault> {
        let session = self.session().await?;
        let rows = within(query(ask).fetch_all(session)).await;
        let rows = self.after(rows)?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    pub(super) async fn change(&mut self, statements: Vec<Statement>) -> Result<(), Fault> {
        let session = self.session().await?;
        let changed = change(session, statements).await;
        self.after(changed)
    }

    pub(super) async fn script(&mut self, sql: &str) -> Result<(), Fault> {
        let session = self.session().await?;
        let done = script(session, sql).await;
        self.after(done)
    }

    /// An id that no folder has, made by the server.
    pub(super) async fn new_id(&mut self) -> Result<String, Fault> {
        let mut session = self.connect().await?;
        let ask = sqlx::query_scalar("SELECT replace(gen_random_uuid()::text, '-', '')");
        let id = within(ask.fetch_one(&mut session)).await?;
        self.session = Some(session);
        Ok(id)
    }

    /// Makes the schema of the folder, with `tables` in it.
    pub(super) async fn make(&mut self, node: &str, tables: &str) -> Result<(), Fault> {
        let Server { schema, .. } = self;
        // The name of a node holds letters, digits, - and _ only.
        let script = format!(
            "CREATE SCHEMA {schema}; {tables}
            COMMENT ON SCHEMA {schema} IS 'catalogue of a data folder of halfopen: {node}';"
        );
        let made = self.script(&script).await;
        made.map_err(|fault| match fault {
            Fault::Sql(error @ sqlx::Error::Database(_)) => self.unusable(error),
            fault => fault,
        })
    }

    /// Whether the schema of the folder is there.
    pub(super) async fn is_made(&mut self) -> Result<bool, Fault> {
        let ask = Statement::new("SELECT 1::bigint AS found FROM pg_namespace WHERE nspname = $1");
        let ask = ask.text(&self.schema);
        Ok(!self.rows(ask).await?.is_empty())
    }

    pub(super) async fn close(self) -> Result<(), Fault> {
        let Some(session) = self.session else { return Ok(()) };
        let closed = tokio::time::timeout(CLOSE_MAX, session.close()).await;
        Ok(closed.map_err(|_| Fault::Late(CLOSE_MAX))??)
    }
}

/// The schema of a folder with this id, which holds letters and digits only.
fn schema(id: &str) -> String {
    format!("halfopen_{id}")
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Fault> {
    let done = tokio::time::timeout(STATEMENT_MAX, work).await;
    Ok(done.map_err(|_| Fault::Late(STATEMENT_MAX))??)
}

fn query(statement: Statement) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    let query = sqlx::query(statement.sql);
    statement.values.into_iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    })
}

async fn change(session: &mut PgConnection, statements: Vec<Statement>) -> Result<(), Fault> {
    let mut transaction = within(session.begin()).await?;
    for statement in statements {
        let must_change = statement.must_change;
        let done = within(query(statement).execute(&mut *transaction)).await?;
        if must_change && done.rows_affected() == 0 {
            return Err(Fault::Stale);
        }
    }
    within(transaction.commit()).await
}

async fn script(session: &mut PgConnection, sql: &str) -> Result<(), Fault> {
    let mut transaction = within(session.begin()).await?;
    within(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction)).await?;
    within(transaction.commit()).await
}
