//! halfopen-ingest
