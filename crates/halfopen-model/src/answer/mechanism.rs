//! Which change did it, judged by what it can do.

use crate::time::UnixNanos;

/// What happens, and which of the changes before it can do that.
#[derive(Clone, PartialEq, Debug)]
pub struct ChangeVerdict {
    /// What happens, the first one first.
    pub happens: Vec<Happening>,
    /// Which change does that.
    pub choice: ChangeChoice,
    /// Changes that were looked at.
    pub changes: usize,
    /// Changes that came near, each with the reason why it is not the one.
    pub ruled_out: Vec<String>,
}

/// A way in which systems fail, seen in what they say of themselves.
#[derive(Clone, PartialEq, Debug)]
pub struct Happening {
    /// Its name: `pool_exhausted`, `null_dereference`, ...
    pub mechanism: &'static str,
    /// The same for people: `a pool runs out of connections`.
    pub says: &'static str,
    /// The service that says so.
    pub service: String,
    /// A line of its log or the name of a metric.
    pub sign: String,
    /// When it was first seen.
    pub since: UnixNanos,
    /// How often.
    pub count: u64,
}

/// The outcome.
#[derive(Clone, PartialEq, Debug)]
pub enum ChangeChoice {
    /// This one: what it does is what happens.
    Named(Box<NamedChange>),
    /// What happens comes from outside, or no change can do it; why.
    NoneOfThese(String),
    /// What happens is of no known kind, or several changes could do it; why.
    NotEnough(String),
}

/// A change that can do what happens.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedChange {
    /// Id of the row in `changes`.
    pub change_id: String,
    /// The commit, where there is one.
    pub commit: Option<String>,
    /// One line.
    pub title: String,
    /// The service that it was deployed to, where that is known.
    pub service: Option<String>,
    /// When it took effect: its deploy, else its own time.
    pub at: UnixNanos,
    /// What it does: `lowers default_ttl from 15m to 15s`.
    pub does: String,
    /// What happens because of it, the index into `happens`.
    pub happening: usize,
}
