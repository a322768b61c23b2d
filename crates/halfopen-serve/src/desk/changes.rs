//! `changes`: what was told, and what the spans of the window and of some time before it show.

use halfopen_explain::changes::{
    CHANGES_COLUMNS, ChangesEvidence, ChangesQuestion, FLAG_EVENT, list,
};
use halfopen_model::answer::ChangesAnswer;
use halfopen_model::port::Match;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{ReadEvidence, Table, TimeRange};

use super::find::kept;
use super::{Desk, DeskError};

/// What is looked at when nothing is said.
const WINDOW_NS_DEFAULT: i64 = 6 * 3_600 * SECOND_NS;
/// Spans from before the window tell what is new inside.
const LEAD_NS: i64 = 15 * 60 * SECOND_NS;
/// Rows of `changes` that are listed.
const TOLD_MAX: usize = 10_000;
/// Evaluations of flags that are looked at.
const EVALUATIONS_MAX: usize = 200_000;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangesAsk {
    /// The time; `None` for the last six hours.
    pub window: Option<TimeRange>,
    /// Only changes of this service.
    pub service: Option<String>,
    /// Only changes of this kind.
    pub kind: Option<String>,
}

impl<S: ReadEvidence> Desk<S> {
    /// What changed?
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn changes(&self, ask: ChangesAsk) -> Result<ChangesAnswer, DeskError> {
        let now = self.clock.now();
        let recent = TimeRange { from: now.shifted(-WINDOW_NS_DEFAULT), to: now };
        let window = ask.window.unwrap_or(recent);
        let mut gaps = Vec::new();
        let told = self.rows(Table::Changes, Match::All, Some(window), TOLD_MAX).await?;
        let told = kept(Table::Changes, TOLD_MAX, told, &mut gaps);
        let lead = TimeRange { from: window.from.shifted(-LEAD_NS), to: window.to };
        let columns: Vec<String> = CHANGES_COLUMNS.iter().map(|name| (*name).to_owned()).collect();
        let (spans, truncated) = self.columns_in(lead, &columns, &mut gaps).await?;
        let evaluations = Match::Text { column: "event_name".into(), value: FLAG_EVENT.into() };
        let logs = self.rows(Table::Logs, evaluations, Some(lead), EVALUATIONS_MAX).await?;
        let logs = kept(Table::Logs, EVALUATIONS_MAX, logs, &mut gaps);
        let question = ChangesQuestion { window, service: ask.service, kind: ask.kind };
        let mut answer = list(&question, &ChangesEvidence { told, spans, logs, truncated });
        answer.gaps.extend(gaps);
        Ok(answer)
    }
}
