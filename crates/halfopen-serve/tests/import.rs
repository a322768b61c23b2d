//! Imports: each format with what becomes of its fields, and hostile sources.

mod import {
    pub(crate) mod run;

    mod hostile;
    mod otlp;
}
