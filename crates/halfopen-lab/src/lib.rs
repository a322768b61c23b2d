//! halfopen-lab
