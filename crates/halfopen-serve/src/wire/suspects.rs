//! What stands out against another time.

use halfopen_model::answer::{Deviation, Suspect, Suspects};
use serde::{Deserialize, Serialize};

use super::scalar::rounded;
use super::why::row_of;
use super::{AfterV1, TimeRangeV1};

/// Everything that stands out, and what it was compared with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SuspectsV1 {
    /// The time that was looked at.
    pub now: TimeRangeV1,
    /// The time it was compared with.
    pub before: TimeRangeV1,
    /// Services that were compared.
    pub compared: usize,
    /// Services that stand out, the most first. Weak ones are possible, not suspected.
    pub list: Vec<SuspectV1>,
    /// Requests that take longer than before; left out where none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<DeviationV1>,
}

/// A service that behaves otherwise than before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SuspectV1 {
    /// weak, likely or strong.
    pub strength: String,
    /// The service.
    pub service: String,
    /// The one instance that it is about.
    pub instance: Option<String>,
    /// The change that brought the one version that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AfterV1>,
    /// How far it stands out: 0 to 1, a little more where several kinds agree.
    pub score: f64,
    /// What it rests on, the strongest first.
    pub evidence: Vec<DeviationV1>,
    /// How long the calls take that lead from the requests to it, from the top.
    #[serde(default)]
    pub path: Vec<DeviationV1>,
    /// Services that call it and whose own change it explains.
    pub explains: Vec<String>,
}

/// A number that is not what it was.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeviationV1 {
    /// By which the chain names it; the same evidence has the same id in every answer.
    #[serde(default)]
    pub id: String,
    /// self_time, edge_gap, call_shape, call_count, log_statement, error_origin, resource,
    /// instance_outlier, version_split; request_time and call_time on the way.
    pub kind: String,
    /// What was measured: an operation, a pair of services, a statement, a metric.
    pub subject: String,
    /// The number before, in `unit`; for instance_outlier and version_split that of the others at
    /// the same time.
    pub before: f64,
    /// The number now, in `unit`.
    pub now: f64,
    /// ns, ratio (of requests), or the unit of the metric.
    pub unit: String,
    /// Requests (for metrics: points) that the number now rests on.
    pub samples: u64,
    /// The same for the other number.
    pub samples_before: u64,
    /// How far it stands out: 0 to 1.
    pub score: f64,
    /// Rows to look at: `trace:ID`, `span:TRACE/SPAN`, `series:NUMBER`.
    pub refs: Vec<String>,
    /// SQL that gives the two numbers again, where SQL can.
    pub query: Option<String>,
}

impl From<&Suspects> for SuspectsV1 {
    fn from(suspects: &Suspects) -> SuspectsV1 {
        SuspectsV1 {
            now: suspects.now.into(),
            before: suspects.before.into(),
            compared: suspects.compared,
            list: suspects.list.iter().map(SuspectV1::from).collect(),
            symptom: suspects.symptom.as_ref().map(DeviationV1::from),
        }
    }
}

impl From<&Suspect> for SuspectV1 {
    fn from(suspect: &Suspect) -> SuspectV1 {
        SuspectV1 {
            strength: suspect.strength.to_string(),
            service: suspect.service.clone(),
            instance: suspect.instance.clone(),
            after: suspect.after.as_ref().map(AfterV1::from),
            score: score(suspect.score),
            evidence: suspect.evidence.iter().map(DeviationV1::from).collect(),
            path: suspect.path.iter().map(DeviationV1::from).collect(),
            explains: suspect.explains.clone(),
        }
    }
}

impl From<&Deviation> for DeviationV1 {
    fn from(deviation: &Deviation) -> DeviationV1 {
        DeviationV1 {
            id: deviation.id.clone(),
            kind: deviation.kind.to_owned(),
            subject: deviation.subject.clone(),
            before: rounded(deviation.before),
            now: rounded(deviation.now),
            unit: deviation.unit.clone(),
            samples: deviation.samples,
            samples_before: deviation.samples_before,
            score: score(deviation.score),
            refs: deviation.refs.iter().map(row_of).collect(),
            query: deviation.query.clone(),
        }
    }
}

/// Sums of floats differ in their last digits with the order of the rows; a score does not mean
/// them.
fn score(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}
