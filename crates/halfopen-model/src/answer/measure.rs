//! The answer of `why --metric`: where a metric that went wrong went wrong.

use crate::answer::chain::Chain;
use crate::answer::finding::{Gap, Share, Strength};
use crate::answer::why::{ConditionPart, Verdict};
use crate::time::TimeRange;

/// The answer to: where does this metric come from?
#[derive(Clone, PartialEq, Debug)]
pub struct MetricAnswer {
    /// The metric: failing ones, or a level.
    pub metric: String,
    /// The metric that counts all of them; `None` for a level.
    pub total: Option<String>,
    /// Only series of this service, or the service at which the walk begins.
    pub service: Option<String>,
    /// The time that was asked about.
    pub window: TimeRange,
    /// The time that is explained: the stretch that stands out most in the window and its edges.
    pub during: Option<TimeRange>,
    /// The time that it is compared with.
    pub before: Option<TimeRange>,
    /// The overall outcome.
    pub verdict: Verdict,
    /// What was measured in `during`.
    pub now: Option<Measured>,
    /// What it would be, were all as before.
    pub was: Option<Measured>,
    /// Causes, the most probable first.
    pub causes: Vec<MetricCause>,
    /// The first cause as a chain from the metric to where the evidence ends.
    pub chain: Chain,
    /// What could not be known.
    pub gaps: Vec<Gap>,
    /// Points that the answer was computed over.
    pub points: u64,
}

/// Something measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Measured {
    /// Failing ones of all.
    Count(Share),
    /// A level, in the unit of the metric.
    Level(f64),
}

/// One cause.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricCause {
    /// By which the chain of whys names it.
    pub id: String,
    /// How much weight it bears.
    pub strength: Strength,
    /// Where the metric went wrong.
    pub place: MetricPlace,
    /// What was measured there.
    pub now: Measured,
    /// What it would be there, were all as before; `None` where nothing was measured before.
    pub was: Option<Measured>,
    /// How far it stands out, in spreads of what the time before shows by itself.
    pub spreads: f64,
    /// Other places that fit less well, the best first.
    pub instead: Vec<MetricPlace>,
    /// SQL that gives what was measured again.
    pub query: Option<String>,
}

/// Where a metric went wrong.
#[derive(Clone, PartialEq, Debug)]
pub enum MetricPlace {
    /// Where these attributes have these values, all of them.
    Attributes {
        /// The attributes.
        parts: Vec<ConditionPart>,
        /// Others that say the same.
        same_as: Vec<ConditionPart>,
        /// How many of the failing ones beyond what was before lie here, of all of those.
        explains: Share,
    },
    /// At a service.
    Service {
        /// The service.
        service: String,
        /// Its metric that stands out most.
        metric: String,
        /// Who calls whom from the service that was asked about to here, both included.
        path: Vec<String>,
    },
}
