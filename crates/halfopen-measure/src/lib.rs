//! Where does a metric come from? The symptom is a metric and no request. Failing ones counted
//! against all of them, by attribute ([`counts`]); or a level of a service, along the calls
//! between services ([`levels()`]).
//!
//! The order of the answer for counts: which time (`onset`), which combinations (`rank`), how
//! much weight that bears (against what the time before shows by itself).
//!
//! **Invariant:** nothing here reads a clock, a socket or a file. The same points always yield the
//! same answer, whatever their order and whatever things are called.
//!
//! **Invariant:** an analysis never fails. What is missing becomes a
//! [`Gap`] of the answer.

mod causes;
mod combos;
mod levels;
mod onset;
mod rank;
mod sql;
mod table;
#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use halfopen_model::answer::{
    Chain, ConditionPart, Gap, Measured, MetricAnswer, MetricCause, MetricPlace, Share, Strength,
    Verdict,
};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Table as EvidenceTable, TimeRange};

use causes::Draft;
pub use levels::{EDGES_METRIC, LevelEvidence, levels};
use onset::{Depth, Periods};
use rank::Ranked;
use table::Table;

/// A time that is asked about may be wrong by so much: points of so much time before and after
/// are looked at too.
pub const EDGE_NS: i64 = 60 * SECOND_NS;

/// Without a baseline, points of so much time before the window are needed.
pub const BEFORE_NS: i64 = 30 * 60 * SECOND_NS;

/// Attributes that are combined; of more those that tell most by themselves.
const ATTRIBUTES_MAX: usize = 12;

/// A cause is named from this many spreads of the time before on...
const LIKELY_SPREADS_MIN: f64 = 4.0;

/// ...and without doubt from this many.
const STRONG_SPREADS_MIN: f64 = 8.0;

/// With fewer failing ones nothing is said.
const FAILED_MIN: f64 = 5.0;

/// Other places that a cause is told with.
const INSTEAD_MAX: usize = 5;

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricQuestion {
    /// The metric that counts failing ones, or the level.
    pub metric: String,
    /// The metric that counts all of them; for a level, how much is asked for.
    pub total: Option<String>,
    /// Only series of this service; for a level, the service that shows it.
    pub service: Option<String>,
    /// The time to look at.
    pub window: TimeRange,
    /// Compare with this time in place of the time before.
    pub baseline: Option<TimeRange>,
}

/// What the answer may rest on.
#[derive(Clone, Default, Debug)]
pub struct MetricEvidence {
    /// Points of the metrics in the window, its edges and the time before. Columns may be missing.
    pub points: Vec<RecordBatch>,
    /// The bound that was reached when points were read, where one was.
    pub truncated: Option<usize>,
}

/// Explains where failing ones come from.
pub fn counts(question: &MetricQuestion, evidence: &MetricEvidence) -> MetricAnswer {
    let total = question.total.clone().unwrap_or_default();
    let table = Table::read(question, &total, &evidence.points);
    let mut answer = empty(question, table.points);
    if let Some(rows_max) = evidence.truncated {
        answer.gaps.push(Gap::Truncated { table: EvidenceTable::Metrics, rows_max });
    }
    if !table.has_failed() {
        // Silence is no success.
        let text =
            format!("no point of {} was read: whether any failed is not known", answer.metric);
        answer.gaps.push(Gap::Other(text));
        return answer;
    }
    let attributes = tell_most(&table, &mut answer.gaps);
    let depth = Depth { attributes: &attributes, order_max: combos::ORDER_MAX };
    let Some(periods) = onset::choose(question, &table, depth) else {
        let text = format!("no point of {total} was counted in this window");
        answer.gaps.push(Gap::Other(text));
        return answer;
    };
    let kept = vec![true; table.rows];
    let rows = combos::rows(&table, &periods.now, &periods.before, &kept);
    let ranked = Ranked::new(&table, &rows, depth.attributes, depth.order_max);
    tell_times(&mut answer, &table, &periods, &ranked);
    if ranked.total.failed < FAILED_MIN {
        answer.verdict = match ranked.total.failed > 0.0 {
            true => Verdict::NotEnoughEvidence,
            false => Verdict::Healthy,
        };
        return answer;
    }
    let drafts = causes::causes(&table, &periods, &ranked, depth);
    answer.verdict = Verdict::Unexplained;
    for draft in &drafts {
        answer.causes.push(told(question, &table, &periods, &ranked, draft));
    }
    if let Some(first) = answer.causes.first_mut() {
        let named: Vec<usize> = drafts.iter().map(|draft| draft.place).collect();
        let others = ranked.order.iter().filter(|place| !named.contains(place));
        let worth = others.filter(|place| ranked.score(**place) > 0.0).take(INSTEAD_MAX);
        first.instead = worth.map(|place| place_of(&table, &ranked, *place)).collect();
        if first.strength >= Strength::Likely {
            answer.verdict = Verdict::Explained;
        }
    }
    answer
}

/// An answer that says nothing yet.
fn empty(question: &MetricQuestion, points: u64) -> MetricAnswer {
    MetricAnswer {
        metric: question.metric.clone(),
        total: question.total.clone(),
        service: question.service.clone(),
        window: question.window,
        during: None,
        before: None,
        verdict: Verdict::NotEnoughEvidence,
        now: None,
        was: None,
        causes: Vec::new(),
        chain: Chain::default(),
        gaps: Vec::new(),
        points,
    }
}

/// The attributes that are combined: all of them, or those whose best value tells most.
fn tell_most(table: &Table, gaps: &mut Vec<Gap>) -> Vec<usize> {
    let all: Vec<usize> = (0..table.attributes.len()).collect();
    if all.len() <= ATTRIBUTES_MAX {
        return all;
    }
    let steps = table.steps();
    let rows = combos::rows(table, &steps, &[], &vec![true; table.rows]);
    let ranked = Ranked::new(table, &rows, &all, 1);
    let mut chosen: Vec<usize> = Vec::new();
    for place in &ranked.order {
        let attribute = ranked.combos[*place].parts[0].0 as usize;
        if !chosen.contains(&attribute) && chosen.len() < ATTRIBUTES_MAX {
            chosen.push(attribute);
        }
    }
    chosen.sort_unstable();
    let left = all.len() - chosen.len();
    let text = format!("{left} attributes that tell less by themselves were not combined");
    gaps.push(Gap::Other(text));
    chosen
}

fn tell_times(answer: &mut MetricAnswer, table: &Table, periods: &Periods, ranked: &Ranked) {
    let range = |steps: &[i64]| {
        let (first, last) = (steps.first()?, steps.last()?);
        Some(table.range(*first, last + 1))
    };
    (answer.during, answer.before) = (range(&periods.now), range(&periods.before));
    let total = ranked.total;
    answer.now = Some(Measured::Count(Share::new(total.failed, total.all)));
    if total.all_before > 0.0 {
        answer.was = Some(Measured::Count(Share::new(ranked.expected_total(), total.all)));
    } else {
        let text = "nothing was counted before: failing ones are compared with the others alone";
        answer.gaps.push(Gap::Other(text.to_owned()));
    }
    if periods.scale.is_none() {
        let text = "the time before is too short to tell what is usual";
        answer.gaps.push(Gap::Other(text.to_owned()));
    }
}

/// A cause as it is told.
fn told(
    question: &MetricQuestion,
    table: &Table,
    periods: &Periods,
    ranked: &Ranked,
    draft: &Draft,
) -> MetricCause {
    let sums = ranked.combos[draft.place].sums;
    let spreads = ranked.spreads(draft.place) / periods.scale.unwrap_or(1.0);
    let strength = match periods.scale {
        Some(_) if spreads >= STRONG_SPREADS_MIN => Strength::Strong,
        Some(_) if spreads >= LIKELY_SPREADS_MIN => Strength::Likely,
        _ => Strength::Weak,
    };
    let place = place_of(table, ranked, draft.place);
    let during = (periods.now.first(), periods.now.last());
    let query = match (during, &place) {
        ((Some(first), Some(last)), MetricPlace::Attributes { parts, .. }) => {
            Some(sql::counts(question, table.range(*first, last + 1), parts))
        }
        _ => None,
    };
    MetricCause {
        id: String::new(),
        strength,
        place,
        now: Measured::Count(Share::new(sums.failed, sums.all)),
        was: (ranked.total.all_before > 0.0)
            .then(|| Measured::Count(Share::new(ranked.expected(draft.place), sums.all))),
        spreads,
        instead: Vec::new(),
        query,
    }
}

/// A combination with its names.
fn place_of(table: &Table, ranked: &Ranked, place: usize) -> MetricPlace {
    let (mut parts, mut same_as) = (Vec::new(), Vec::new());
    for (attribute, value) in rank::used(&ranked.combos[place].parts) {
        let attribute = &table.attributes[attribute];
        parts.push(part(&attribute.name, &attribute.values[value]));
        same_as.extend(attribute.same.iter().map(|(name, values)| part(name, &values[value])));
    }
    let gain = ranked.gain(place).max(0.0).min(ranked.excess);
    MetricPlace::Attributes { parts, same_as, explains: Share::new(gain, ranked.excess) }
}

fn part(attribute: &str, value: &str) -> ConditionPart {
    ConditionPart {
        service: String::new(),
        attribute: attribute.to_owned(),
        value: value.to_owned(),
    }
}
