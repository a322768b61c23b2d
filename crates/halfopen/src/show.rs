//! How answers look on a terminal. Everything is made from the wire types, and readable without
//! colour.
//!
//! **Invariant:** no byte of telemetry reaches the terminal as it came: control characters are
//! shown as escapes, so that a log line cannot move the cursor or change the title.

pub(crate) mod causes;
pub(crate) mod chain;
pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod compare;
pub(crate) mod fold;
pub(crate) mod graph;
pub(crate) mod measure;
pub(crate) mod suspects;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod timeline;
pub(crate) mod waterfall;
