//! halfopen-resilience
