//! Why do these requests fail?

use arrow::array::RecordBatch;
use halfopen_model::answer::{BaselineKind, Scope, Share, Verdict, WhyAnswer};
use halfopen_model::{TimeRange, UnixNanos};

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct WhyQuestion {
    /// Which requests; what is left open is chosen: the requests that fail most.
    pub scope: Scope,
    /// The time to look at.
    pub window: TimeRange,
    /// Compare with this time in place of healthy requests of the window.
    pub baseline: Option<TimeRange>,
    /// Now: a window that ended less than the settle time ago may still miss spans.
    pub now: UnixNanos,
}

/// What the answer may rest on.
#[derive(Clone, Default, Debug)]
pub struct WhyEvidence {
    /// All spans of traces that have a span in the window. Columns may be missing.
    pub spans: Vec<RecordBatch>,
    /// The same for the baseline window; empty when none was asked for.
    pub baseline_spans: Vec<RecordBatch>,
    /// Changes in the window and in the hours before it.
    pub changes: Vec<RecordBatch>,
    /// Pieces of telemetry in the window that could not be read.
    pub rejects: u64,
    /// The bound that was reached when spans were read, where one was.
    pub truncated: Option<usize>,
}

/// Explains why requests fail.
pub fn why(question: &WhyQuestion, evidence: &WhyEvidence) -> WhyAnswer {
    let _ = evidence;
    WhyAnswer {
        scope: question.scope.clone(),
        window: question.window,
        baseline: BaselineKind::HealthyPeers,
        verdict: Verdict::NotEnoughEvidence,
        failing: Share::default(),
        before: None,
        onset: None,
        causes: Vec::new(),
        ruled_out: Vec::new(),
        gaps: Vec::new(),
        spans: 0,
        also_failing: Vec::new(),
        next: Vec::new(),
    }
}
