//! What `why` reads to judge changes: warnings and errors of a window and of the time before it.

use halfopen_mechanism::{MechanismEvidence, judge};
use halfopen_model::answer::{ChangeVerdict, Gap};
use halfopen_model::port::Scan;
use halfopen_model::{ReadEvidence, Table, TimeRange};

use arrow::array::RecordBatch;

use super::find::kept;
use super::{Desk, DeskError};

/// Log records that are read for signs of a way of failing.
const RECORDS_MAX: usize = 200_000;

/// Points of metrics that are read for the same.
const POINTS_MAX: usize = 200_000;

const LOG_COLUMNS: [&str; 4] = ["time", "service", "severity_number", "body"];

const POINT_COLUMNS: [&str; 6] =
    ["time", "service", "name", "temporality", "value_int", "value_double"];

impl<S: ReadEvidence> Desk<S> {
    /// Judges the changes before and in a window. Nothing is read where there are none.
    pub(super) async fn judged_changes(
        &self,
        window: TimeRange,
        changes: &[RecordBatch],
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<ChangeVerdict>, DeskError> {
        if changes.iter().all(|rows| rows.num_rows() == 0) {
            return Ok(None);
        }
        let with_before =
            TimeRange { from: window.from.shifted(-window.length_ns()), to: window.to };
        let mut scan = Scan::all(Table::Logs, with_before, RECORDS_MAX);
        scan.columns = Some(LOG_COLUMNS.map(str::to_owned).to_vec());
        let logs = kept(Table::Logs, RECORDS_MAX, self.evidence.read(scan).await?, gaps);
        let mut scan = Scan::all(Table::Metrics, with_before, POINTS_MAX);
        scan.columns = Some(POINT_COLUMNS.map(str::to_owned).to_vec());
        let points = kept(Table::Metrics, POINTS_MAX, self.evidence.read(scan).await?, gaps);
        Ok(judge(window, MechanismEvidence { logs: &logs, points: &points, changes }))
    }
}
