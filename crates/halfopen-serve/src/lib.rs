//! halfopen-serve
