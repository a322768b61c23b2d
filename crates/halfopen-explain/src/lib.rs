//! halfopen-explain
