//! Metrics of Prometheus.

use halfopen_model::Table;

use super::rows;

const PROMETHEUS: &str = "# HELP http_requests_total The \\\\ total.\n\
    # TYPE http_requests_total counter\n\
    http_requests_total{method=\"post\",path=\"a\\\"b\",job=\"cart\"} 1027 1795185000000\n\
    http_requests_total 3\n\
    # TYPE rpc_seconds histogram\n\
    rpc_seconds_bucket{le=\"0.5\"} 2\nrpc_seconds_bucket{le=\"1\"} 5\n\
    rpc_seconds_bucket{le=\"+Inf\"} 6\nrpc_seconds_sum 4.5\nrpc_seconds_count 6\n\
    # TYPE wait_seconds summary\n\
    wait_seconds{quantile=\"0.5\"} 0.2\nwait_seconds{quantile=\"0.99\"} NaN\n\
    wait_seconds_sum 17\nwait_seconds_count 9\n\
    free_bytes -Inf\nbroken{ 1\n1abc 2\nnothing\n# EOF\n";

#[test]
fn metrics_of_prometheus_keep_type_labels_and_time() {
    let found = rows(PROMETHEUS);
    let cells = found.cells(Table::Metrics);
    let shown: Vec<String> = (0..cells.len())
        .map(|row| {
            let time = cells.time("time", row).map(|time| time.0).unwrap_or_default();
            let text = |name| cells.text(name, row).unwrap_or("-");
            let value = cells.double("value_double", row).or(cells.double("sum", row));
            let (name, kind, temporality) = (text("name"), text("kind"), text("temporality"));
            format!("{name} {kind} {temporality} {value:?} {time}")
        })
        .collect();
    let expected = [
        "http_requests_total sum cumulative Some(1027.0) 1795185000000000000",
        "http_requests_total sum cumulative Some(3.0) 0",
        "rpc_seconds histogram cumulative Some(4.5) 0",
        "wait_seconds summary - Some(17.0) 0",
        "free_bytes gauge - Some(-inf) 0",
    ];
    assert_eq!(shown, expected);
    assert_eq!((cells.text("service", 0), cells.text("service", 1)), (Some("cart"), None));
    assert_eq!(cells.text("description", 0), Some("The \\ total."));
    let attributes = found.attributes(Table::Metrics, 0);
    assert_eq!(attributes, ["metric.job=cart", "metric.method=post", "metric.path=a\"b"]);
    assert_eq!(cells.count("count", 2), Some(6));
    let batch = found.0.iter().find(|batch| batch.table == Table::Metrics).expect("metrics");
    let column = |name: &str| {
        let column = batch.rows.column_by_name(name).expect("a column");
        arrow::util::display::array_value_to_string(column, 2).expect("it can be shown")
    };
    assert_eq!((column("buckets"), column("bounds")), ("[2, 3, 1]".into(), "[0.5, 1.0]".into()));
    assert_eq!(found.reasons().len(), 3, "{:?}", found.reasons());
}
