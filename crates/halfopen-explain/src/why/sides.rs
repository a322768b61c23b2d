//! The two sides of a question: failing requests, what they are compared with, and since when.

use halfopen_model::answer::{BaselineKind, Gap, Onset, Share, WhyAnswer};
use halfopen_model::{TimeRange, UnixNanos};

use super::{WhyQuestion, words};
use crate::anchor::Requests;
use crate::gaps;
use crate::onset::{self, Course};

/// Requests on both sides, and the course of failing.
pub(super) struct Sides {
    /// Requests of the window, by time.
    pub(super) window: Vec<u32>,
    pub(super) failing: Vec<u32>,
    pub(super) healthy: Vec<u32>,
    pub(super) course: Course,
    pub(super) onset: Option<Onset>,
    /// First moment after the failing stretch.
    pub(super) until: i64,
    /// From here on requests count: the onset, or the begin of the window.
    pub(super) from: i64,
    pub(super) baseline: Option<TimeRange>,
}

impl Sides {
    /// `compared`: the time of the baseline; the window itself where two versions are compared.
    pub(super) fn of(
        asked: TimeRange,
        compared: Option<TimeRange>,
        requests: &Requests,
        members: &[u32],
    ) -> Sides {
        let request = |number: &u32| &requests.all[*number as usize];
        let (baseline, window): (Vec<u32>, Vec<u32>) =
            members.iter().copied().partition(|number| request(number).baseline);
        let outcomes: Vec<(i64, bool)> =
            window.iter().map(|number| (request(number).start, request(number).failed)).collect();
        let course = onset::course(&outcomes, asked.length_ns());
        let onset = match &course {
            Course::Rose { rise, end } => {
                let (at, within_ns) = onset::moment(&outcomes, rise);
                let until = end.map(|end| UnixNanos(outcomes[end].0));
                Some(Onset { at: UnixNanos(at), within_ns, until })
            }
            Course::Steady | Course::Spike { .. } => None,
        };
        let until = onset.and_then(|onset| onset.until).unwrap_or(asked.to).0;
        let from = onset.map_or(asked.from, |onset| onset.at).0;
        let fails = |n: &u32| request(n).failed && (from..until).contains(&request(n).start);
        let failing = window.iter().copied().filter(fails).collect();
        let (peers, used) =
            if baseline.is_empty() { (&window, None) } else { (&baseline, compared) };
        let healthy = peers.iter().copied().filter(|number| !request(number).failed).collect();
        Sides { failing, healthy, course, onset, until, from, baseline: used, window }
    }

    /// Now, and the time to compare with for suspects, where one is known.
    pub(super) fn eras(&self, question: &WhyQuestion) -> Option<(TimeRange, TimeRange)> {
        let now = TimeRange { from: UnixNanos(self.from), to: UnixNanos(self.until) };
        let part = TimeRange { from: question.window.from, to: now.from };
        let before = question.baseline.or(self.onset.map(|_| part))?;
        Some((now, before))
    }

    /// Requests of the window, and whether some of the baseline are what they are compared with.
    pub(super) fn met(&self) -> gaps::Met {
        gaps::Met { in_window: !self.window.is_empty(), in_baseline: self.baseline.is_some() }
    }

    /// The numbers of the answer that need no cause.
    pub(super) fn fill(&self, answer: &mut WhyAnswer, requests: &Requests, members: &[u32]) {
        let share = |keep: &dyn Fn(i64) -> bool| {
            let mut share = Share::default();
            for request in self.window.iter().map(|number| &requests.all[*number as usize]) {
                if keep(request.start) {
                    share.total += f64::from(request.weight);
                    share.count += f64::from(request.weight) * f64::from(u8::from(request.failed));
                }
            }
            share
        };
        answer.failing = share(&|start| start >= self.from && start < self.until);
        answer.onset = self.onset;
        if let Some(range) = self.baseline {
            answer.baseline = BaselineKind::Window(range);
            answer.before = Some(before(requests, members));
        } else if self.onset.is_some() {
            answer.before = Some(share(&|start| start < self.from));
        } else if !self.failing.is_empty() && self.course == Course::Steady {
            answer.gaps.push(Gap::NoBaseline);
        }
        if let Course::Spike { first, end } = self.course {
            answer.ruled_out.push(words::spike(requests, &self.window, first, end));
        }
    }
}

/// The failing share of the baseline window.
fn before(requests: &Requests, members: &[u32]) -> Share {
    let mut share = Share::default();
    for request in members.iter().map(|number| &requests.all[*number as usize]) {
        if request.baseline {
            share.total += f64::from(request.weight);
            share.count += f64::from(request.weight) * f64::from(u8::from(request.failed));
        }
    }
    share
}
