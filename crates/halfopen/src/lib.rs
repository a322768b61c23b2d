//! halfopen
