//! The answer of `why --metric`.

use halfopen_model::answer::{Measured, MetricAnswer, MetricCause, MetricPlace};
use serde::{Deserialize, Serialize};

use super::scalar::rounded;
use super::why::verdict_name;
use super::{ChainV1, GapV1, PartV1, ShareV1, TimeRangeV1, Version};

/// The answer of `why --metric`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MetricV1 {
    /// Version.
    pub v: Version,
    /// The metric.
    pub metric: String,
    /// The metric that counts all of them; null for a level.
    pub total: Option<String>,
    /// The service that was asked about.
    pub service: Option<String>,
    /// The time that was asked about.
    pub window: TimeRangeV1,
    /// The time that is explained.
    pub during: Option<TimeRangeV1>,
    /// The time that it is compared with.
    pub before: Option<TimeRangeV1>,
    /// explained, unexplained, not_enough_evidence or healthy.
    pub verdict: String,
    /// What was measured.
    pub now: Option<MeasuredV1>,
    /// What it would be, were all as before.
    pub was: Option<MeasuredV1>,
    /// Causes, the most probable first.
    pub causes: Vec<MetricCauseV1>,
    /// The first cause as a chain from the metric to where the evidence ends.
    #[serde(default)]
    pub chain: ChainV1,
    /// What could not be known.
    pub gaps: Vec<GapV1>,
    /// Points that the answer was computed over.
    pub points: u64,
}

/// Something measured: one of the two.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredV1 {
    /// Failing ones of all.
    Count(ShareV1),
    /// A level, in the unit of the metric.
    Level(f64),
}

/// One cause.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MetricCauseV1 {
    /// By which the chain names it.
    #[serde(default)]
    pub id: String,
    /// weak, likely or strong.
    pub strength: String,
    /// Where the metric went wrong.
    pub place: MetricPlaceV1,
    /// What was measured there.
    pub now: MeasuredV1,
    /// What it would be there, were all as before; null where nothing was measured before.
    pub was: Option<MeasuredV1>,
    /// How far it stands out, in spreads of the time before.
    pub spreads: f64,
    /// Other places that fit less well, the best first.
    pub instead: Vec<MetricPlaceV1>,
    /// SQL that gives `now` again.
    pub query: Option<String>,
}

/// Where a metric went wrong: one of the two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricPlaceV1 {
    /// Where attributes have these values.
    Attributes {
        /// All of them.
        parts: Vec<PartV1>,
        /// Others that say the same.
        same_as: Vec<PartV1>,
        /// How many of the failing ones beyond what was before lie here.
        explains: ShareV1,
    },
    /// At a service.
    Service {
        /// The service.
        service: String,
        /// Its metric that stands out most.
        metric: String,
        /// From the service that was asked about to here.
        path: Vec<String>,
    },
}

impl From<&MetricAnswer> for MetricV1 {
    fn from(answer: &MetricAnswer) -> MetricV1 {
        MetricV1 {
            v: Version::THIS,
            metric: answer.metric.clone(),
            total: answer.total.clone(),
            service: answer.service.clone(),
            window: answer.window.into(),
            during: answer.during.map(TimeRangeV1::from),
            before: answer.before.map(TimeRangeV1::from),
            verdict: verdict_name(answer.verdict).to_owned(),
            now: answer.now.map(MeasuredV1::from),
            was: answer.was.map(MeasuredV1::from),
            causes: answer.causes.iter().map(MetricCauseV1::from).collect(),
            chain: ChainV1::from(&answer.chain),
            gaps: answer.gaps.iter().map(GapV1::from).collect(),
            points: answer.points,
        }
    }
}

impl From<Measured> for MeasuredV1 {
    fn from(measured: Measured) -> MeasuredV1 {
        match measured {
            Measured::Count(share) => MeasuredV1::Count(share.into()),
            Measured::Level(level) => MeasuredV1::Level(level),
        }
    }
}

impl From<&MetricCause> for MetricCauseV1 {
    fn from(cause: &MetricCause) -> MetricCauseV1 {
        MetricCauseV1 {
            id: cause.id.clone(),
            strength: cause.strength.to_string(),
            place: (&cause.place).into(),
            now: cause.now.into(),
            was: cause.was.map(MeasuredV1::from),
            spreads: rounded(cause.spreads),
            instead: cause.instead.iter().map(MetricPlaceV1::from).collect(),
            query: cause.query.clone(),
        }
    }
}

impl From<&MetricPlace> for MetricPlaceV1 {
    fn from(place: &MetricPlace) -> MetricPlaceV1 {
        match place {
            MetricPlace::Attributes { parts, same_as, explains } => MetricPlaceV1::Attributes {
                parts: parts.iter().map(PartV1::from).collect(),
                same_as: same_as.iter().map(PartV1::from).collect(),
                explains: (*explains).into(),
            },
            MetricPlace::Service { service, metric, path } => MetricPlaceV1::Service {
                service: service.clone(),
                metric: metric.clone(),
                path: path.clone(),
            },
        }
    }
}
