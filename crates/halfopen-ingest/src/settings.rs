//! What a request is, what bounds it, and what became of it.

use halfopen_model::{Table, UnixNanos};

/// Raw bytes that a row of `rejects` keeps: enough to see what was sent, too few to fill a disk.
pub(crate) const REJECT_RAW_BYTES_MAX_DEFAULT: usize = 4 * 1024;
/// Levels of lists and maps inside one attribute value. Real values have one or two.
pub(crate) const DEPTH_MAX_DEFAULT: usize = 32;
/// Whatever the settings say, never deeper: each level costs stack.
pub(crate) const DEPTH_HARD_MAX: usize = 96;
/// Spans, log records or points of one request. An exporter's batch has hundreds, a collector's
/// thousands.
pub(crate) const ITEMS_MAX_DEFAULT: usize = 500_000;
/// Memory that one builder may hold. Columns count their bytes in 32 bits, and a value may grow
/// sixfold on its way into JSON text, so this stays far below 2 GiB.
pub(crate) const BUILDER_BYTES_MAX_DEFAULT: usize = 256 * 1024 * 1024;
/// A body longer than this is refused whole, for the same reason.
pub const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How requests are read.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Names that the user adds to the known names of correlation ids, for example `order_id`;
    /// compared without regard to case and with `_` for `-`.
    pub id_names: Vec<String>,
    /// Raw bytes that a row of `rejects` keeps.
    pub reject_raw_bytes_max: usize,
    /// Levels of lists and maps inside one attribute value; deeper ones become text.
    pub depth_max: usize,
    /// Items of one request; what comes behind them is rejected, and counted.
    pub items_max: usize,
    /// Memory held before items are rejected: the caller should have called
    /// [`crate::EvidenceBuilder::finish`] long before.
    pub builder_bytes_max: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        IngestSettings {
            id_names: Vec::new(),
            reject_raw_bytes_max: REJECT_RAW_BYTES_MAX_DEFAULT,
            depth_max: DEPTH_MAX_DEFAULT,
            items_max: ITEMS_MAX_DEFAULT,
            builder_bytes_max: BUILDER_BYTES_MAX_DEFAULT,
        }
    }
}

/// The three signals of OpenTelemetry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Points of metrics.
    Metrics,
}

impl Signal {
    /// All signals.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

    /// The signal that OTLP/HTTP takes at `path`.
    pub fn from_path(path: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.path() == path)
    }

    /// The path at which OTLP/HTTP takes this signal.
    pub fn path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Logs => "/v1/logs",
            Signal::Metrics => "/v1/metrics",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }

    /// The table that takes its rows.
    pub fn table(self) -> Table {
        match self {
            Signal::Traces => Table::Spans,
            Signal::Logs => Table::Logs,
            Signal::Metrics => Table::Metrics,
        }
    }

    /// What one item is called, in the plural.
    pub fn items(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Logs => "log records",
            Signal::Metrics => "points",
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// Protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

impl Encoding {
    /// The encoding that a `content-type` names; parameters such as `charset` do not matter.
    pub fn from_content_type(content_type: &str) -> Option<Encoding> {
        let bare = content_type.split(';').next().unwrap_or_default().trim();
        [Encoding::Protobuf, Encoding::Json]
            .into_iter()
            .find(|encoding| bare.eq_ignore_ascii_case(encoding.content_type()))
    }

    /// Its `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Protobuf => "protobuf",
            Encoding::Json => "json",
        }
    }
}

/// Who sent a request, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Address of the sender.
    pub sender: &'a str,
    /// When the request arrived.
    pub at: UnixNanos,
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// Items that are rows now.
    pub accepted: u64,
    /// Items that were lost; a part that cannot be read counts as one.
    pub rejected: u64,
    /// What was wrong, for the sender; `None` when nothing was.
    pub problem: Option<String>,
    /// Whether nothing at all could be read of a body that was not empty.
    pub unreadable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_content_types_name_signal_and_encoding() {
        assert_eq!(Signal::from_path("/v1/logs"), Some(Signal::Logs));
        assert_eq!(Signal::from_path("/v1/profiles"), None);
        let json = Encoding::from_content_type("Application/JSON; charset=utf-8");
        assert_eq!(json, Some(Encoding::Json));
        assert_eq!(Encoding::from_content_type("text/plain"), None);
    }
}
