//! What stands out against another time, whether or not a request said that it failed.

use crate::answer::finding::{EvidenceRef, Strength};
use crate::answer::why::AfterChange;
use crate::time::TimeRange;

/// The kind of a [`Deviation`] of one instance beside its siblings.
pub const INSTANCE_OUTLIER: &str = "instance_outlier";

/// The kind of a [`Deviation`] of one version beside the others of its service.
pub const VERSION_SPLIT: &str = "version_split";

/// Everything that stands out, and what it was compared with.
#[derive(Clone, PartialEq, Debug)]
pub struct Suspects {
    /// The time that was looked at.
    pub now: TimeRange,
    /// The time it was compared with.
    pub before: TimeRange,
    /// Services that stand out, the most first. Those below likely are possible, not suspected.
    pub list: Vec<Suspect>,
    /// Services that were compared.
    pub compared: usize,
    /// Lines of logs that were not compared: there were more statements than are told apart.
    pub unread_lines: u64,
    /// Requests that take longer than before, where any do.
    pub symptom: Option<Deviation>,
}

/// A service that behaves otherwise than before, and more so than the other services.
#[derive(Clone, PartialEq, Debug)]
pub struct Suspect {
    /// How much weight it bears, judged against the other services.
    pub strength: Strength,
    /// The service, by its name or, where it sends nothing, by the name its callers use.
    pub service: String,
    /// The one instance that it is about, where the others of the service are as before.
    pub instance: Option<String>,
    /// The change that brought the one version that it is about, where the others are otherwise.
    pub after: Option<AfterChange>,
    /// How far it stands out: 0 to 1, a little more where several kinds agree.
    pub score: f64,
    /// What it rests on, the strongest first.
    pub evidence: Vec<Deviation>,
    /// How long the calls take that lead from the requests to it, from the top.
    pub path: Vec<Deviation>,
    /// Services that call it, directly or not, and whose own change it explains.
    pub explains: Vec<String>,
}

/// One observation: a number that is not what it was.
#[derive(Clone, PartialEq, Debug)]
pub struct Deviation {
    /// By which the chain of whys names it; the same evidence has the same id in every answer.
    pub id: String,
    /// `self_time`, `edge_gap`, `call_shape`, `log_statement`, `error_origin`, `resource`,
    /// `instance_outlier`, `version_split`, ...
    pub kind: &'static str,
    /// What was measured: an operation, a pair of services, a statement, a metric.
    pub subject: String,
    /// The number before, in `unit`; where [`Deviation::is_beside`], that of the others now.
    pub before: f64,
    /// The number now, in `unit`.
    pub now: f64,
    /// The unit: `ns`, `ratio` of requests, or that of the metric.
    pub unit: String,
    /// Requests (for metrics: points) that the number now rests on.
    pub samples: u64,
    /// The same for the number before.
    pub samples_before: u64,
    /// How far it stands out: 0 to 1.
    pub score: f64,
    /// Rows to look at.
    pub refs: Vec<EvidenceRef>,
    /// SQL that gives the two numbers again, where SQL can.
    pub query: Option<String>,
}

impl Deviation {
    /// Whether it compares with others at the same time, and not with the time before.
    pub fn is_beside(&self) -> bool {
        [INSTANCE_OUTLIER, VERSION_SPLIT].contains(&self.kind)
    }
}
