//! Everything about one id: what has to be looked up ([`Question`]), which ids and traces it
//! stands for ([`choose`]), and what happened to them, as one timeline ([`assemble`]).
//!
//! Order of preference: an id that is exactly this one, then its children (`req_7` is the parent
//! of `req_7_2` and `req_7/retry`), then ids that begin with it.
//!
//! **Invariant:** a beginning that fits several ids is never guessed at: they are listed.

mod choice;
mod link;
mod question;
#[cfg(test)]
mod tests;
mod timeline;

pub use choice::{Choice, IdRows, choose};
pub use link::{LINK_HOPS_MAX, linked_from, linked_to};
pub use question::{Lookup, PREFIX_CHARS_MIN, Question, SEPARATORS};
pub use timeline::{FindEvidence, assemble};

/// Rows of `ids` that one question may look at. An id of a session can be in millions of rows.
pub const FIND_ID_ROWS_MAX: usize = 100_000;
/// Ids that one answer names; beyond this nobody reads on.
pub const FIND_IDS_MAX: usize = 1_000;
/// Traces that one timeline is made of; the latest are shown.
pub const FIND_TRACES_MAX: usize = 50;
/// Entries of one timeline; the earliest are kept, because causes come first.
pub const FIND_ENTRIES_MAX: usize = 20_000;
/// How long before the first row a change of an involved service is still shown.
pub const FIND_CHANGES_BEFORE_NS: i64 = 10 * 60 * halfopen_model::time::SECOND_NS;
