//! The answer of `why`.

use crate::answer::chain::Chain;
use crate::answer::finding::{Evidence, Gap, Share, Strength};
use crate::answer::mechanism::ChangeVerdict;
use crate::answer::suspect::Suspects;
use crate::id::{SpanId, TraceId};
use crate::time::{TimeError, TimeRange, UnixNanos, parse_duration_ns};

/// The answer to: why do these requests fail?
#[derive(Clone, PartialEq, Debug)]
pub struct WhyAnswer {
    /// Which requests the answer is about.
    pub scope: Scope,
    /// The time it looked at.
    pub window: TimeRange,
    /// What failing requests were compared with.
    pub baseline: BaselineKind,
    /// The overall outcome.
    pub verdict: Verdict,
    /// Where slow requests were asked about, "failing" means slow: from when on.
    pub slow: Option<Slow>,
    /// Failing requests of all, since the onset where there is one, else in the window.
    pub failing: Share,
    /// Failing requests before the onset or in the baseline window.
    pub before: Option<Share>,
    /// When it began.
    pub onset: Option<Onset>,
    /// Causes, the strongest first.
    pub causes: Vec<Cause>,
    /// Services that stand out against another time; `None` where there is none to compare with.
    pub suspects: Option<Suspects>,
    /// What was looked at and excluded, each with its reason.
    pub ruled_out: Vec<String>,
    /// Which change did it, judged by what it can do; `None` where nothing was changed.
    pub change: Option<ChangeVerdict>,
    /// What could not be known.
    pub gaps: Vec<Gap>,
    /// Spans that the answer was computed over.
    pub spans: u64,
    /// Other kinds of requests that fail too, with their share; ask about them one by one.
    pub also_failing: Vec<(Scope, Share)>,
    /// Commands to go on with, the best one first.
    pub next: Vec<String>,
    /// How many requests fail and how many did before, with its query; `None` where none fails.
    pub symptom: Option<Evidence>,
    /// The strongest cause, else the first suspect, as a chain from symptom to change.
    pub chain: Chain,
}

/// What a set of requests has in common: the service that took them and what was asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Scope {
    /// The service; `None` for all.
    pub service: Option<String>,
    /// The operation, `POST /checkout` or a span name; `None` for all.
    pub operation: Option<String>,
}

/// Which requests are slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlowRule {
    /// Those that take longer than their operation usually does.
    Unusual,
    /// Those that take longer than so many nanoseconds.
    Beyond(i64),
}

impl SlowRule {
    /// Reads `unusual`, or a duration such as `800ms`.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn read(text: &str) -> Result<SlowRule, TimeError> {
        match text {
            "unusual" => Ok(SlowRule::Unusual),
            duration => parse_duration_ns(duration).map(SlowRule::Beyond),
        }
    }

    /// The text that reads as this.
    pub fn to_text(self) -> String {
        match self {
            SlowRule::Unusual => "unusual".to_owned(),
            SlowRule::Beyond(limit_ns) => format!("{limit_ns}ns"),
        }
    }
}

/// From when on the requests of an answer are slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slow {
    /// The rule that was asked for.
    pub rule: SlowRule,
    /// The limit of the operation that most of them ask for; `None` where too few came to say.
    pub limit_ns: Option<i64>,
    /// The median of what it usually takes.
    pub usual_ns: Option<i64>,
}

/// The overall outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Something stands out: see the causes.
    Explained,
    /// Requests fail, but nothing tells them from the healthy ones.
    Unexplained,
    /// Too little to say anything.
    NotEnoughEvidence,
    /// No request fails.
    Healthy,
}

/// What failing requests are compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BaselineKind {
    /// Healthy requests of the same window.
    HealthyPeers,
    /// Requests of another window.
    Window(TimeRange),
    /// Failing are requests that the new version of a service served, healthy those that the one
    /// before it served in the same window.
    Version(VersionsBeside),
}

/// Two versions of a service that served in one window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionsBeside {
    /// The service.
    pub service: String,
    /// What tells them apart: `service.version`, `container.image`, ...
    pub attribute: String,
    /// The one that came last.
    pub new: String,
    /// The one before it.
    pub old: String,
}

/// When it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Onset {
    /// The most probable moment.
    pub at: UnixNanos,
    /// It lies within this many nanoseconds of that moment, with 95 % confidence.
    pub within_ns: i64,
    /// When it ended, where requests went back to what they were before.
    pub until: Option<UnixNanos>,
}

/// One cause: where requests fail, under which condition, after which change.
#[derive(Clone, PartialEq, Debug)]
pub struct Cause {
    /// How much weight it bears.
    pub strength: Strength,
    /// The deepest failing call, where failing requests agree on one.
    pub call: Option<Call>,
    /// How many failing and healthy requests show that call failing.
    pub contrast: Contrast,
    /// Attributes that only these requests have, the best combination first.
    pub conditions: Vec<Condition>,
    /// Whether it was there before, where that is known.
    pub novelty: Option<Novelty>,
    /// Changes near the onset that fit, the best first.
    pub after: Vec<AfterChange>,
    /// A failing request to look at.
    pub example: Option<TraceId>,
    /// A healthy request of the same kind, near it in time.
    pub healthy_twin: Option<TraceId>,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// The failing calls that lead from the request to `call`, from the top, without it.
    pub path: Vec<Evidence>,
}

/// Whether the requests of a cause failed before the onset (in the baseline) too. Both shares are
/// of the requests that meet its condition; without one, of those that make its call.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Novelty {
    /// What the shares say.
    pub kind: NoveltyKind,
    /// How many of them failed before.
    pub before: Share,
    /// How many of them failed since.
    pub since: Share,
}

/// What there was of a cause before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoveltyKind {
    /// Nothing, though it would have shown.
    New,
    /// A smaller share of these requests failed.
    Worse,
    /// The same share of them failed: what is more is requests.
    MoreOfTheSame,
}

/// A call that fails.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// The service in which the failing span ran.
    pub service: String,
    /// The service that it called, when the failing span is a call to another one.
    pub peer: Option<String>,
    /// The operation of the failing span.
    pub operation: String,
    /// What it says of its failure: `error.type`, a status, a message.
    pub reason: String,
    /// Median time from its begin to its end among failing requests, in nanoseconds.
    pub duration_ns: Option<i64>,
    /// One such span.
    pub example: Option<(TraceId, SpanId)>,
}

/// A number among failing requests and among healthy ones.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Contrast {
    /// Among failing requests.
    pub failing: Share,
    /// Among healthy ones.
    pub healthy: Share,
}

impl Contrast {
    /// How many times larger the share among failing requests is; infinite when no healthy
    /// request shows it.
    pub fn lift(&self) -> f64 {
        let healthy = self.healthy.ratio();
        if healthy > 0.0 {
            self.failing.ratio() / healthy
        } else if self.failing.count > 0.0 {
            f64::INFINITY
        } else {
            1.0
        }
    }
}

/// One attribute with its value, or several that hold together.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    /// Service, attribute (prefixed by where it was set) and value, of each part.
    pub parts: Vec<ConditionPart>,
    /// Other attributes that say the same.
    pub same_as: Vec<ConditionPart>,
    /// Among failing and healthy requests.
    pub contrast: Contrast,
    /// Chance to see this difference by accident, corrected for all that was tried.
    pub p_value: f64,
    /// Every request that makes the failing call has it: it tells which requests make the call,
    /// not which of those fail.
    pub implied_by_call: bool,
}

/// One attribute with its value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConditionPart {
    /// The service whose spans carry it.
    pub service: String,
    /// The attribute, with prefix: `span.http.route`, `resource.service.version`.
    pub attribute: String,
    /// The value, as text.
    pub value: String,
}

/// A change that came before the onset.
#[derive(Clone, PartialEq, Debug)]
pub struct AfterChange {
    /// Id of the row in `changes`; `None` when the change was seen in the spans alone.
    pub change_id: Option<String>,
    /// Its kind: `deploy`, `config`, ...
    pub kind: String,
    /// What was changed.
    pub service: Option<String>,
    /// The version after it.
    pub version: Option<String>,
    /// One line.
    pub title: String,
    /// When.
    pub at: UnixNanos,
    /// From the change to the onset, in nanoseconds; negative when it came later.
    pub before_onset_ns: i64,
    /// Requests by version of the changed service since the change.
    pub split: Vec<VersionSplit>,
}

/// Requests that one version of a service, or one instance of it, took part in.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionSplit {
    /// The version or the instance.
    pub value: String,
    /// Failing requests of all with it.
    pub failing: Share,
}
