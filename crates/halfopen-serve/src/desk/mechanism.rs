//! What `why` reads to judge changes: warnings and errors of a window and of the time before it.

use halfopen_mechanism::{MechanismEvidence, judge};
use halfopen_model::answer::{ChangeVerdict, Gap};
use halfopen_model::{ReadEvidence, TimeRange};

use arrow::array::RecordBatch;

use super::suspects::Beside;
use super::{Desk, DeskError};

impl<S: ReadEvidence> Desk<S> {
    /// Judges the changes before and in a window. Nothing is read where there are none.
    pub(super) async fn judged_changes(
        &self,
        window: TimeRange,
        changes: &[RecordBatch],
        beside: &mut Beside,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<ChangeVerdict>, DeskError> {
        if changes.iter().all(|rows| rows.num_rows() == 0) {
            return Ok(None);
        }
        let with_before =
            TimeRange { from: window.from.shifted(-window.length_ns()), to: window.to };
        let logs = self.up_to_its_end(&mut beside.logs, with_before, gaps).await?;
        let points = self.up_to_its_end(&mut beside.points, with_before, gaps).await?;
        Ok(judge(window, MechanismEvidence { logs: &logs, points: &points, changes }))
    }
}
