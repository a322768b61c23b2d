use super::*;
use halfopen_model::{Table, TimeRange};

const MINUTE_NS: i64 = 60 * SECOND_NS;
/// 2026-11-20T14:00:00Z
const NOW: i64 = 1_795_183_200_000_000_000;

fn aim(now: i64) -> Aim {
    Aim {
        rows_max: 1_000_000,
        bytes_max: 100_000_000,
        after_ns: 10 * MINUTE_NS,
        now: UnixNanos(now),
        all: false,
    }
}

/// Rows of the minutes from `from` to `to`, counted from NOW.
fn segment(id: i64, level: u32, rows: u64, minutes: std::ops::Range<i64>) -> SegmentInfo {
    let at = |minute: i64| UnixNanos(NOW + minute * MINUTE_NS);
    SegmentInfo {
        id,
        table: Table::Spans,
        file: String::new(),
        rows,
        bytes: rows * 50,
        range: TimeRange { from: at(minutes.start), to: at(minutes.end) },
        traces: None,
        sums: Vec::new(),
        schema_version: 1,
        columns: Vec::new(),
        sealed_at: at(minutes.end),
        level,
    }
}

fn planned(segments: &[SegmentInfo], aim: &Aim) -> Option<(Vec<i64>, Option<Slice>)> {
    next(segments.iter(), aim).map(|job| (job.inputs, job.slice))
}

#[test]
fn fresh_segments_wait_for_company_or_for_their_age() {
    let fresh: Vec<_> = (0..8).map(|id| segment(id, 0, 1_000, 0..1)).collect();
    assert_eq!(planned(&fresh[..7], &aim(NOW + 2 * MINUTE_NS)), None);
    let all = Some(((0..8).collect(), None));
    assert_eq!(planned(&fresh, &aim(NOW + 2 * MINUTE_NS)), all);
    assert_eq!(planned(&fresh[..1], &aim(NOW + 11 * MINUTE_NS)), Some((vec![0], None)));
    let large = [segment(1, 0, 600_000, 0..1), segment(2, 0, 600_000, 0..1)];
    assert_eq!(planned(&large, &aim(NOW)), Some((vec![1, 2], None)));
}

#[test]
fn an_hour_is_merged_when_it_is_over_and_a_late_row_moves_nothing_large() {
    let parts: Vec<_> = (0..4).map(|id| segment(id, 1, 100_000, 0..59)).collect();
    let hour = Slice::Hour(NOW / HOUR_NS);
    assert_eq!(planned(&parts, &aim(NOW + 70 * MINUTE_NS)), None, "late rows may come");
    let over = aim(NOW + 75 * MINUTE_NS);
    assert_eq!(planned(&parts, &over), Some((vec![0, 1, 2, 3], Some(hour))));
    let late = [segment(9, 2, 400_000, 0..60), segment(10, 1, 5, 0..1)];
    assert_eq!(planned(&late, &over), None);
    let later = [late[0].clone(), late[1].clone(), segment(11, 1, 7, 0..1)];
    assert_eq!(planned(&later, &over), Some((vec![10, 11], Some(hour))));
    let full = [segment(1, 2, 500_000, 0..60), segment(2, 2, 900_000, 0..60)];
    assert_eq!(planned(&full, &over), None);
}

/// Each row is written again only a few times, however many segments come.
#[test]
fn rows_are_rewritten_a_logarithmic_number_of_times() {
    let mut segments: Vec<SegmentInfo> = Vec::new();
    let (mut sealed, mut rewritten) = (0, 0);
    let aim = Aim { rows_max: 100_000_000, bytes_max: u64::MAX, ..aim(NOW + 75 * MINUTE_NS) };
    for id in 0..500 {
        segments.push(segment(id, 1, 1_000, 0..1));
        sealed += 1_000;
        while let Some(job) = next(segments.iter(), &aim) {
            let inputs = segments.iter().filter(|s| job.inputs.contains(&s.id));
            let rows: u64 = inputs.map(|segment| segment.rows).sum();
            segments.retain(|segment| !job.inputs.contains(&segment.id));
            segments.push(segment(1_000_000 + rewritten as i64, 2, rows, 0..1));
            rewritten += rows;
        }
        assert!(segments.len() <= 12, "{} segments", segments.len());
    }
    // log(500) to the base 1.5 is 15.
    assert!(rewritten <= 15 * sealed, "{rewritten} rows were rewritten for {sealed}");
}

#[test]
fn sparse_hours_of_a_day_that_is_over_become_a_day() {
    let hours: Vec<_> = (0..5).map(|h| segment(h, 1, 100, 60 * h..60 * h + 1)).collect();
    assert_eq!(planned(&hours, &aim(NOW + 10 * HOUR_NS)), None, "the day is not over");
    let day = Slice::Day(NOW / DAY_NS);
    let merged = planned(&hours, &aim(NOW + 16 * HOUR_NS));
    assert_eq!(merged, Some((vec![0, 1, 2, 3, 4], Some(day))));
    assert_eq!(
        (day.name(), Slice::Hour(NOW / HOUR_NS).name()),
        ("d20261120".into(), "h2026112014".into())
    );
    assert!(day.holds(UnixNanos(NOW)) && !day.holds(UnixNanos(NOW + DAY_NS)));
}
