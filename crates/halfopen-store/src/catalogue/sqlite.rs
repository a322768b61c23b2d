//! The catalogue in a file of the data folder.

use std::path::Path;

use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::fault::Fault;
use super::statement::{Row, Statement, Value};

/// Opens the file, and makes it where it is not there.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    options.connect().await
}

/// Opens a file that is there, for reading.
pub(super) async fn open_read_only(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    match options.connect().await {
        // Where nobody can write SQLite wants to be told that nobody does. After a crash its
        // own log holds changes that it could not take in then.
        Err(error) if !has_log(path) => {
            let unchanging = options.immutable(true);
            unchanging.connect().await.map_err(|_| error)
        }
        opened => opened,
    }
}

/// Whether SQLite has changes beside the file that are not in it yet.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn query(statement: Statement) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    let query = sqlx::query(statement.sql);
    statement.values.into_iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    })
}

pub(super) async fn rows(
    connection: &mut SqliteConnection,
    ask: Statement,
) -> Result<Vec<Row>, Fault> {
    let rows = query(ask).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

pub(super) async fn change(
    connection: &mut SqliteConnection,
    statements: Vec<Statement>,
) -> Result<(), Fault> {
    let mut transaction = connection.begin().await?;
    for statement in statements {
        let must_change = statement.must_change;
        let done = query(statement).execute(&mut *transaction).await?;
        if must_change && done.rows_affected() == 0 {
            return Err(Fault::Stale);
        }
    }
    Ok(transaction.commit().await?)
}

pub(super) async fn script(connection: &mut SqliteConnection, sql: &str) -> Result<(), Fault> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
