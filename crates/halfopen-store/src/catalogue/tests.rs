use halfopen_model::{TimeRange, TraceId};

use super::*;

fn segment(id: i64) -> SegmentInfo {
    SegmentInfo {
        id,
        table: Table::Logs,
        file: format!("segments/logs/{id}.parquet"),
        rows: 7,
        bytes: u64::MAX >> 1,
        range: TimeRange { from: UnixNanos(-5), to: UnixNanos(9) },
        traces: (id == 1).then_some((TraceId([0; 16]), TraceId([255; 16]))),
        sums: vec![1, u64::MAX],
        schema_version: 1,
        columns: vec!["time".to_owned(), "span.http.route".to_owned()],
        sealed_at: UnixNanos(3),
        level: 1,
    }
}

#[tokio::test]
async fn what_is_committed_comes_back_and_damage_is_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalogue.sqlite");
    let mut catalogue = Catalogue::open(&path).await.expect("a new catalogue");
    let empty = catalogue.content().await.expect("tables");
    assert_eq!((empty.segments.len(), empty.wal_sealed, empty.snapshot), (0, 0, 0));
    let both = [segment(1), segment(2)];
    catalogue.commit(&both, "node-1", 44, 1).await.expect("room on the disk");
    catalogue.set_damaged(2, "torn").await.expect("room on the disk");
    // The same names again: nothing of the transaction is kept.
    assert!(catalogue.commit(&[segment(3), segment(1)], "node-1", 99, 2).await.is_err());
    catalogue.close().await.expect("a catalogue that closes");
    let mut catalogue = Catalogue::open(&path).await.expect("a catalogue that is there");
    let content = catalogue.content().await.expect("tables");
    assert_eq!((content.wal_sealed, content.snapshot), (44, 1));
    let [one, other] = both;
    let expected = vec![(one, State::Served), (other, State::Damaged("torn".to_owned()))];
    assert_eq!(content.segments, expected);
}
