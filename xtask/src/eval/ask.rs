//! A question at the desk, and its answer as a ranking of candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use halfopen_model::answer::{
    ChangeChoice, MetricAnswer, MetricPlace, Scope, Strength, Verdict, WhyAnswer,
};
use halfopen_model::batch::Cells;
use halfopen_model::{Table, TimeRange};
use halfopen_serve::desk::{MetricAsk, WhyAsk, WhyBaseline};

use super::evidence::Stored;
use super::forms::combination;
use super::labels::{Kind, Question};
use super::naming;

/// The candidate that means: none of the changes.
pub(super) const NONE: &str = "none";

/// What came back.
pub(super) struct Asked {
    /// Candidates, the first one first.
    pub(super) ranking: Vec<String>,
    /// Who else could have been named.
    pub(super) candidates: BTreeSet<String>,
    /// Whether a cause was named for sure.
    pub(super) is_verdict: bool,
    /// From question to answer.
    pub(super) took: Duration,
}

/// Asks. True causes count as candidates, so that random choice could hit them.
///
/// # Errors
/// When evidence cannot be read.
pub(super) async fn ask(
    stored: &Stored,
    kind: Kind,
    question: &Question,
    truth: &[String],
) -> Result<Asked, String> {
    let window = question.window.range();
    let began = Instant::now();
    let (ranking, is_verdict) = match &question.metric {
        Some(metric) => of_metric(stored, metric, question).await?,
        None => of_requests(stored, kind, question).await?,
    };
    let took = began.elapsed();
    let mut candidates = candidates(stored, kind, window).await?;
    candidates.extend(truth.iter().cloned());
    Ok(Asked { ranking, candidates, is_verdict, took })
}

fn baseline(question: &Question) -> Option<WhyBaseline> {
    question.baseline.as_ref().map(|when| WhyBaseline::Range(when.range()))
}

/// `halfopen why --metric`
async fn of_metric(
    stored: &Stored,
    metric: &str,
    question: &Question,
) -> Result<(Vec<String>, bool), String> {
    let ask = MetricAsk {
        metric: metric.to_owned(),
        total: question.total.clone(),
        service: question.service.clone(),
        window: Some(question.window.range()),
        baseline: baseline(question),
    };
    let answer = stored.desk.why_metric(ask).await.map_err(|error| error.to_string())?;
    Ok((places(&answer), answer.verdict == Verdict::Explained))
}

/// `halfopen why`
async fn of_requests(
    stored: &Stored,
    kind: Kind,
    question: &Question,
) -> Result<(Vec<String>, bool), String> {
    let ask = WhyAsk {
        scope: Scope { service: question.service.clone(), operation: None },
        window: Some(question.window.range()),
        baseline: baseline(question),
        slow: None,
    };
    let answer = stored.desk.why(ask).await.map_err(|error| error.to_string())?;
    let is_verdict = answer.verdict == Verdict::Explained || is_somebody_suspect(&answer);
    let ranking = match kind {
        Kind::Commit => commits(stored, &answer).await?,
        Kind::Change => {
            question.naming.as_ref().map_or_else(Vec::new, |naming| naming.ranking(&answer))
        }
        Kind::Service | Kind::Node | Kind::Attributes => services(&answer),
    };
    Ok((ranking, is_verdict))
}

fn is_somebody_suspect(answer: &WhyAnswer) -> bool {
    let mut suspects = answer.suspects.iter().flat_map(|suspects| &suspects.list);
    suspects.any(|suspect| suspect.strength >= Strength::Likely)
}

/// Services in the order in which the answer blames them: causes that explain the failures go
/// before what stands out, and behind it where they do not.
fn services(answer: &WhyAnswer) -> Vec<String> {
    let mut ranking = Vec::new();
    for cause in &answer.causes {
        let call = cause.call.iter().map(|call| call.service.clone());
        let peer = cause.call.iter().filter_map(|call| call.peer.clone());
        let parts = cause.conditions.iter().flat_map(|condition| &condition.parts);
        let parts = parts.map(|part| part.service.clone());
        ranking.extend(call.chain(parts).chain(peer).filter(|name| !name.is_empty()));
    }
    let suspects = answer.suspects.iter().flat_map(|suspects| &suspects.list);
    let suspects = suspects.map(|suspect| suspect.service.clone());
    if answer.verdict == Verdict::Explained {
        return first_of_each(ranking.into_iter().chain(suspects).collect());
    }
    first_of_each(suspects.chain(ranking).collect())
}

/// Places of a metric: every cause, then what was less probable.
fn places(answer: &MetricAnswer) -> Vec<String> {
    let causes = answer.causes.iter().map(|cause| &cause.place);
    let instead = answer.causes.iter().flat_map(|cause| &cause.instead);
    first_of_each(causes.chain(instead).map(place_text).collect())
}

fn place_text(place: &MetricPlace) -> String {
    let part = |part: &halfopen_model::answer::ConditionPart| {
        let name = part.attribute.split_once('.').map_or(part.attribute.as_str(), |(_, name)| name);
        (name.to_owned(), part.value.clone())
    };
    match place {
        MetricPlace::Attributes { parts, .. } => combination(parts.iter().map(part).collect()),
        MetricPlace::Service { service, .. } => service.clone(),
    }
}

/// Commits of the changes that the answer names; [`NONE`] where it names none.
async fn commits(stored: &Stored, answer: &WhyAnswer) -> Result<Vec<String>, String> {
    let by_change = commits_by_change(stored).await?;
    let commit = |id: &String| by_change.get(id).cloned();
    let judged = answer.change.iter().filter_map(|verdict| match &verdict.choice {
        ChangeChoice::Named(named) => commit(&named.change_id),
        ChangeChoice::NoneOfThese(_) | ChangeChoice::NotEnough(_) => Some(NONE.to_owned()),
    });
    let after = answer.causes.iter().flat_map(|cause| &cause.after);
    let after = after.filter_map(|after| after.change_id.as_ref().and_then(commit));
    let mut ranking = first_of_each(judged.chain(after).collect());
    if ranking.is_empty() {
        ranking.push(NONE.to_owned());
    }
    Ok(ranking)
}

async fn commits_by_change(stored: &Stored) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for rows in stored.rows(Table::Changes, TimeRange::ALL, None).await? {
        let cells = Cells::new(&rows);
        for row in 0..cells.len() {
            let texts = (cells.text("change_id", row), cells.text("commit", row));
            if let (Some(id), Some(commit)) = texts {
                found.insert(id.to_owned(), commit.to_owned());
            }
        }
    }
    Ok(found)
}

fn first_of_each(ranking: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ranking.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

/// Who could be named: what random choice would choose from.
async fn candidates(
    stored: &Stored,
    kind: Kind,
    window: TimeRange,
) -> Result<BTreeSet<String>, String> {
    match kind {
        Kind::Service => stored.texts(Table::Spans, "service", window).await,
        Kind::Node => stored.texts(Table::Metrics, "service", window).await,
        Kind::Commit => {
            let commits = commits_by_change(stored).await?.into_values();
            Ok(commits.chain([NONE.to_owned()]).collect())
        }
        Kind::Attributes => combinations(stored, window).await,
        Kind::Change => naming::candidates(stored, window).await,
    }
}

/// All combinations of up to three attributes of the points of a time.
async fn combinations(stored: &Stored, window: TimeRange) -> Result<BTreeSet<String>, String> {
    let mut points = BTreeSet::new();
    for rows in stored.rows(Table::Metrics, window, None).await? {
        let cells = Cells::new(&rows);
        for row in 0..cells.len() {
            let attributes = cells.attributes(row).into_iter();
            let of_point = attributes.filter_map(|(name, value)| {
                Some((name.strip_prefix("metric.")?.to_owned(), value.to_text()))
            });
            points.insert(of_point.collect::<BTreeSet<_>>());
        }
    }
    let mut found = BTreeSet::new();
    for point in &points {
        let parts: Vec<&(String, String)> = point.iter().collect();
        for (at, one) in parts.iter().enumerate() {
            found.insert(combination(vec![(*one).clone()]));
            for (next, two) in parts.iter().enumerate().skip(at + 1) {
                found.insert(combination(vec![(*one).clone(), (*two).clone()]));
                for three in &parts[next + 1..] {
                    let whole = vec![(*one).clone(), (*two).clone(), (*three).clone()];
                    found.insert(combination(whole));
                }
            }
        }
    }
    Ok(found)
}
