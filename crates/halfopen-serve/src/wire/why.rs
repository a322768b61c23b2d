//! The answer of `why`.

use halfopen_model::answer::{
    AfterChange, BaselineKind, Call, Cause, Condition, ConditionPart, Contrast, Evidence,
    EvidenceRef, Novelty, NoveltyKind, Onset, Scope, Share, Slow, Verdict, VersionSplit,
    VersionsBeside, WhyAnswer,
};
use serde::{Deserialize, Serialize};

use super::{
    ChainV1, ChangeVerdictV1, GapV1, ShareV1, SpanIdV1, SuspectsV1, TimeRangeV1, TimeV1, TraceIdV1,
    Version,
};

/// The answer of `why`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WhyV1 {
    /// Version.
    pub v: Version,
    /// Which requests the answer is about.
    pub scope: ScopeV1,
    /// The time it looked at.
    pub window: TimeRangeV1,
    /// What failing requests were compared with.
    pub baseline: BaselineV1,
    /// explained, unexplained, not_enough_evidence or healthy.
    pub verdict: String,
    /// Where slow requests were asked about, "failing" means slow: from when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<SlowV1>,
    /// Failing requests of all.
    pub failing: ShareV1,
    /// Failing requests before.
    pub before: Option<ShareV1>,
    /// When it began.
    pub onset: Option<OnsetV1>,
    /// Causes, the strongest first.
    pub causes: Vec<CauseV1>,
    /// What stands out against another time; null where there is none to compare with.
    #[serde(default)]
    pub suspects: Option<SuspectsV1>,
    /// What was excluded, each with its reason.
    pub ruled_out: Vec<String>,
    /// Which change did it, by what it can do; left out where nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeVerdictV1>,
    /// What could not be known.
    pub gaps: Vec<GapV1>,
    /// Spans that the answer was computed over.
    pub spans: u64,
    /// Other kinds of requests that fail too.
    pub also_failing: Vec<AlsoFailingV1>,
    /// Commands to go on with.
    pub next: Vec<String>,
    /// How many requests fail and how many did before; left out where none fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<EvidenceV1>,
    /// The strongest cause, else the first suspect, as a chain from symptom to change.
    #[serde(default)]
    pub chain: ChainV1,
}

/// A set of requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScopeV1 {
    /// The service; null for all.
    pub service: Option<String>,
    /// The operation; null for all.
    pub operation: Option<String>,
}

/// What failing requests were compared with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BaselineV1 {
    /// healthy_peers, window or version.
    pub kind: String,
    /// The other window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<TimeRangeV1>,
    /// The versions that served in one window: failing requests met the new one, healthy ones the
    /// old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionsBesideV1>,
}

/// Two versions of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VersionsBesideV1 {
    /// The service.
    pub service: String,
    /// What tells them apart: service.version, container.image, ...
    pub attribute: String,
    /// The one that came last.
    pub new: String,
    /// The one before it.
    pub old: String,
}

/// When it began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OnsetV1 {
    /// The most probable moment.
    pub at: TimeV1,
    /// It lies within so many nanoseconds of it, with 95 % confidence.
    pub within_ns: i64,
    /// When it ended; null while it lasts.
    #[serde(default)]
    pub until: Option<TimeV1>,
}

/// From when on requests are slow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlowV1 {
    /// unusual, or the limit that was given.
    pub rule: String,
    /// The limit of the operation that most of them ask for; null where too few came to say.
    pub limit_ns: Option<i64>,
    /// The median of what it usually takes.
    pub usual_ns: Option<i64>,
}

/// Other requests that fail too.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlsoFailingV1 {
    /// Which.
    pub scope: ScopeV1,
    /// How many of them.
    pub failing: ShareV1,
}

/// One cause.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CauseV1 {
    /// weak, likely or strong.
    pub strength: String,
    /// The deepest failing call.
    pub call: Option<CallV1>,
    /// How many requests show it.
    pub contrast: ContrastV1,
    /// Attributes that only these requests have.
    pub conditions: Vec<ConditionV1>,
    /// Whether it was there before the onset, where that is known.
    #[serde(default)]
    pub novelty: Option<NoveltyV1>,
    /// Changes near the onset that fit.
    pub after: Vec<AfterV1>,
    /// A failing request.
    pub example: Option<TraceIdV1>,
    /// A healthy one of the same kind.
    pub healthy_twin: Option<TraceIdV1>,
    /// What it rests on.
    pub evidence: Vec<EvidenceV1>,
    /// The failing calls that lead from the request to `call`, from the top, without it.
    #[serde(default)]
    pub path: Vec<EvidenceV1>,
}

/// Whether the requests of a cause failed before the onset (in the baseline) too.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NoveltyV1 {
    /// `new`, `worse` or `more_of_the_same`.
    pub kind: String,
    /// Of the requests that meet the condition, or make the call: those that failed before.
    pub before: ShareV1,
    /// Those that failed since.
    pub since: ShareV1,
}

/// A call that fails.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallV1 {
    /// The service in which the failing span ran.
    pub service: String,
    /// The service that it called.
    pub peer: Option<String>,
    /// The operation of the failing span.
    pub operation: String,
    /// What it says of its failure.
    pub reason: String,
    /// Median time from begin to end.
    pub duration_ns: Option<i64>,
    /// Trace of one such span.
    pub trace_id: Option<TraceIdV1>,
    /// One such span.
    pub span_id: Option<SpanIdV1>,
}

/// A number among failing and among healthy requests.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ContrastV1 {
    /// Among failing ones.
    pub failing: ShareV1,
    /// Among healthy ones.
    pub healthy: ShareV1,
    /// How many times larger the share among failing ones is; null when no healthy one shows it.
    pub lift: Option<f64>,
}

/// Attributes that hold together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConditionV1 {
    /// Each of them.
    pub parts: Vec<PartV1>,
    /// Others that say the same.
    pub same_as: Vec<PartV1>,
    /// Among failing and healthy requests.
    pub contrast: ContrastV1,
    /// Chance to see this by accident, corrected for all that was tried.
    pub p_value: f64,
    /// Every request that makes the failing call has it: it tells which requests make the call,
    /// not which of those fail.
    #[serde(default)]
    pub implied_by_call: bool,
}

/// One attribute with its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartV1 {
    /// The service whose spans carry it.
    pub service: String,
    /// The attribute, with its prefix.
    pub attribute: String,
    /// The value.
    pub value: String,
}

/// A change near the onset.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AfterV1 {
    /// Id of the row in `changes`; null when it was seen in the spans alone.
    pub change_id: Option<String>,
    /// Its kind.
    pub kind: String,
    /// What was changed.
    pub service: Option<String>,
    /// The version after it.
    pub version: Option<String>,
    /// One line.
    pub title: String,
    /// When.
    pub at: TimeV1,
    /// From the change to the onset; negative when it came later.
    pub before_onset_ns: i64,
    /// Requests by version since the change.
    pub split: Vec<SplitV1>,
}

/// Requests of one version or instance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SplitV1 {
    /// The version or the instance.
    pub value: String,
    /// Failing requests of all with it.
    pub failing: ShareV1,
}

/// One observation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EvidenceV1 {
    /// By which the chain names it; the same evidence has the same id in every answer.
    #[serde(default)]
    pub id: String,
    /// Kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// How large.
    pub effect: Option<f64>,
    /// The unit of `effect`.
    pub unit: Option<String>,
    /// Among failing requests.
    pub failing: ShareV1,
    /// Among those they are compared with.
    pub healthy: ShareV1,
    /// weak, likely or strong.
    pub strength: String,
    /// Rows to look at: `trace:ID`, `span:TRACE/SPAN`, `change:ID`, `series:NUMBER`.
    pub refs: Vec<String>,
    /// SQL that gives the number again.
    pub query: Option<String>,
}

impl From<&WhyAnswer> for WhyV1 {
    fn from(answer: &WhyAnswer) -> WhyV1 {
        let also = |(scope, share): &(Scope, Share)| AlsoFailingV1 {
            scope: ScopeV1::from(scope),
            failing: ShareV1::from(*share),
        };
        WhyV1 {
            v: Version::THIS,
            scope: ScopeV1::from(&answer.scope),
            window: TimeRangeV1::from(answer.window),
            baseline: BaselineV1::from(&answer.baseline),
            verdict: verdict_name(answer.verdict).to_owned(),
            slow: answer.slow.map(SlowV1::from),
            failing: ShareV1::from(answer.failing),
            before: answer.before.map(ShareV1::from),
            onset: answer.onset.map(OnsetV1::from),
            causes: answer.causes.iter().map(CauseV1::from).collect(),
            suspects: answer.suspects.as_ref().map(SuspectsV1::from),
            ruled_out: answer.ruled_out.clone(),
            change: answer.change.as_ref().map(ChangeVerdictV1::from),
            gaps: answer.gaps.iter().map(GapV1::from).collect(),
            spans: answer.spans,
            also_failing: answer.also_failing.iter().map(also).collect(),
            next: answer.next.clone(),
            symptom: answer.symptom.as_ref().map(EvidenceV1::from),
            chain: ChainV1::from(&answer.chain),
        }
    }
}

pub(super) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Explained => "explained",
        Verdict::Unexplained => "unexplained",
        Verdict::NotEnoughEvidence => "not_enough_evidence",
        Verdict::Healthy => "healthy",
    }
}

impl From<&Scope> for ScopeV1 {
    fn from(scope: &Scope) -> ScopeV1 {
        ScopeV1 { service: scope.service.clone(), operation: scope.operation.clone() }
    }
}

impl From<&BaselineKind> for BaselineV1 {
    fn from(kind: &BaselineKind) -> BaselineV1 {
        let (kind, window, versions) = match kind {
            BaselineKind::HealthyPeers => ("healthy_peers", None, None),
            BaselineKind::Window(range) => ("window", Some((*range).into()), None),
            BaselineKind::Version(versions) => ("version", None, Some(versions.into())),
        };
        BaselineV1 { kind: kind.to_owned(), window, versions }
    }
}

impl From<&VersionsBeside> for VersionsBesideV1 {
    fn from(versions: &VersionsBeside) -> VersionsBesideV1 {
        let VersionsBeside { service, attribute, new, old } = versions.clone();
        VersionsBesideV1 { service, attribute, new, old }
    }
}

impl From<Onset> for OnsetV1 {
    fn from(onset: Onset) -> OnsetV1 {
        OnsetV1 { at: TimeV1(onset.at), within_ns: onset.within_ns, until: onset.until.map(TimeV1) }
    }
}

impl From<Slow> for SlowV1 {
    fn from(slow: Slow) -> SlowV1 {
        let Slow { rule, limit_ns, usual_ns } = slow;
        SlowV1 { rule: rule.to_text(), limit_ns, usual_ns }
    }
}

impl From<&Cause> for CauseV1 {
    fn from(cause: &Cause) -> CauseV1 {
        CauseV1 {
            strength: cause.strength.to_string(),
            call: cause.call.as_ref().map(CallV1::from),
            contrast: ContrastV1::from(cause.contrast),
            conditions: cause.conditions.iter().map(ConditionV1::from).collect(),
            novelty: cause.novelty.as_ref().map(NoveltyV1::from),
            after: cause.after.iter().map(AfterV1::from).collect(),
            example: cause.example.map(TraceIdV1),
            healthy_twin: cause.healthy_twin.map(TraceIdV1),
            evidence: cause.evidence.iter().map(EvidenceV1::from).collect(),
            path: cause.path.iter().map(EvidenceV1::from).collect(),
        }
    }
}

impl NoveltyV1 {
    /// What `kind` says; more of the same for a word that is not known.
    pub fn kind(&self) -> NoveltyKind {
        match self.kind.as_str() {
            "new" => NoveltyKind::New,
            "worse" => NoveltyKind::Worse,
            _ => NoveltyKind::MoreOfTheSame,
        }
    }
}

impl From<&Novelty> for NoveltyV1 {
    fn from(novelty: &Novelty) -> NoveltyV1 {
        let kind = match novelty.kind {
            NoveltyKind::New => "new",
            NoveltyKind::Worse => "worse",
            NoveltyKind::MoreOfTheSame => "more_of_the_same",
        };
        let (before, since) = (novelty.before.into(), novelty.since.into());
        NoveltyV1 { kind: kind.to_owned(), before, since }
    }
}

impl From<&Call> for CallV1 {
    fn from(call: &Call) -> CallV1 {
        CallV1 {
            service: call.service.clone(),
            peer: call.peer.clone(),
            operation: call.operation.clone(),
            reason: call.reason.clone(),
            duration_ns: call.duration_ns,
            trace_id: call.example.map(|(trace_id, _)| TraceIdV1(trace_id)),
            span_id: call.example.map(|(_, span_id)| SpanIdV1(span_id)),
        }
    }
}

impl From<Contrast> for ContrastV1 {
    fn from(contrast: Contrast) -> ContrastV1 {
        let lift = contrast.lift();
        ContrastV1 {
            failing: contrast.failing.into(),
            healthy: contrast.healthy.into(),
            lift: lift.is_finite().then_some(lift),
        }
    }
}

impl From<&Condition> for ConditionV1 {
    fn from(condition: &Condition) -> ConditionV1 {
        ConditionV1 {
            parts: condition.parts.iter().map(PartV1::from).collect(),
            same_as: condition.same_as.iter().map(PartV1::from).collect(),
            contrast: ContrastV1::from(condition.contrast),
            p_value: condition.p_value,
            implied_by_call: condition.implied_by_call,
        }
    }
}

impl From<&ConditionPart> for PartV1 {
    fn from(part: &ConditionPart) -> PartV1 {
        PartV1 {
            service: part.service.clone(),
            attribute: part.attribute.clone(),
            value: part.value.clone(),
        }
    }
}

impl From<&AfterChange> for AfterV1 {
    fn from(after: &AfterChange) -> AfterV1 {
        AfterV1 {
            change_id: after.change_id.clone(),
            kind: after.kind.clone(),
            service: after.service.clone(),
            version: after.version.clone(),
            title: after.title.clone(),
            at: TimeV1(after.at),
            before_onset_ns: after.before_onset_ns,
            split: after.split.iter().map(SplitV1::from).collect(),
        }
    }
}

impl From<&VersionSplit> for SplitV1 {
    fn from(split: &VersionSplit) -> SplitV1 {
        SplitV1 { value: split.value.clone(), failing: split.failing.into() }
    }
}

impl From<&Evidence> for EvidenceV1 {
    fn from(evidence: &Evidence) -> EvidenceV1 {
        EvidenceV1 {
            id: evidence.id.clone(),
            kind: evidence.kind.to_owned(),
            subject: evidence.subject.clone(),
            effect: evidence.effect.as_ref().map(|effect| effect.value),
            unit: evidence.effect.as_ref().map(|effect| effect.unit.to_owned()),
            failing: evidence.failing.into(),
            healthy: evidence.healthy.into(),
            strength: evidence.strength.to_string(),
            refs: evidence.refs.iter().map(row_of).collect(),
            query: evidence.query.clone(),
        }
    }
}

/// A row that evidence points to, as text.
pub(super) fn row_of(row: &EvidenceRef) -> String {
    match row {
        EvidenceRef::Trace(trace_id) => format!("trace:{trace_id}"),
        EvidenceRef::Span(trace_id, span_id) => format!("span:{trace_id}/{span_id}"),
        EvidenceRef::Change(id) => format!("change:{id}"),
        EvidenceRef::Series(series) => format!("series:{series}"),
    }
}
