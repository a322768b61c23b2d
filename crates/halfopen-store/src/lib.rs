//! halfopen-store
