//! Statements and rows in the one form that both databases take.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// A value of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// One statement; its values are named `$1` onwards.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
    /// Where it changes no row, the whole change is undone.
    pub(super) must_change: bool,
}

impl Statement {
    pub(super) fn new(sql: &'static str) -> Statement {
        Statement { sql, values: Vec::new(), must_change: false }
    }

    pub(super) fn int(self, value: i64) -> Statement {
        self.with(Value::Int(Some(value)))
    }

    pub(super) fn text(self, value: &str) -> Statement {
        self.with(Value::Text(Some(value.to_owned())))
    }

    pub(super) fn bytes(self, value: Option<Vec<u8>>) -> Statement {
        self.with(Value::Bytes(value))
    }

    pub(super) fn with(mut self, value: Value) -> Statement {
        self.values.push(value);
        self
    }

    pub(super) fn must_change(mut self) -> Statement {
        self.must_change = true;
        self
    }
}

/// A row of either database.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(super) fn int_or_null(&self, name: &str) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(name),
            Row::Postgres(row) => row.try_get(name),
        }
    }

    pub(super) fn text_or_null(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(name),
            Row::Postgres(row) => row.try_get(name),
        }
    }

    pub(super) fn bytes_or_null(&self, name: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(name),
            Row::Postgres(row) => row.try_get(name),
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<i64, sqlx::Error> {
        self.int_or_null(name)?.ok_or_else(|| missing(name))
    }

    pub(super) fn text(&self, name: &str) -> Result<String, sqlx::Error> {
        self.text_or_null(name)?.ok_or_else(|| missing(name))
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, sqlx::Error> {
        self.bytes_or_null(name)?.ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {name} is empty").into())
}
