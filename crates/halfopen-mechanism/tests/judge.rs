//! A change is named by what it can do; what is only near in time is not.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampNanosecondArray, UInt32Array,
};
use arrow::datatypes::Int32Type;
use halfopen_mechanism::{MechanismEvidence, judge};
use halfopen_model::answer::{ChangeChoice, ChangeVerdict};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};
use proptest::prelude::*;

const BEGIN_NS: i64 = 1_795_185_000_000_000_000;

/// Seconds after the begin of the window.
fn at(second: i64) -> i64 {
    BEGIN_NS + second * SECOND_NS
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    let times = TimestampNanosecondArray::from_iter_values(times);
    Arc::new(times.with_timezone("UTC"))
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(words.collect::<DictionaryArray<Int32Type>>())
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(texts.map(Some).collect::<StringArray>())
}

/// Second, service, line; all of them errors.
fn logs(lines: &[(i64, &str, &str)]) -> RecordBatch {
    RecordBatch::try_from_iter([
        ("time", times(lines.iter().map(|line| at(line.0)))),
        ("service", words(lines.iter().map(|line| line.1))),
        ("severity_number", Arc::new(UInt32Array::from(vec![17; lines.len()])) as ArrayRef),
        ("body", texts(lines.iter().map(|line| line.2))),
    ])
    .expect("columns of one length")
}

struct Change {
    second: i64,
    kind: &'static str,
    service: &'static str,
    commit: &'static str,
    title: &'static str,
    file: &'static str,
    diff: &'static str,
}

const COMMIT: Change =
    Change { second: -600, kind: "other", service: "", commit: "", title: "", file: "", diff: "" };

fn deploy(second: i64, service: &'static str, commit: &'static str) -> Change {
    Change { second, kind: "deploy", service, commit, title: "deploy", ..COMMIT }
}

fn changes(changes: &[Change]) -> RecordBatch {
    let mut files = ListBuilder::new(StringBuilder::new());
    for change in changes {
        if !change.file.is_empty() {
            files.values().append_value(change.file);
        }
        files.append(true);
    }
    let ids: Vec<String> = (0..changes.len()).map(|number| format!("c{number}")).collect();
    RecordBatch::try_from_iter([
        ("change_id", texts(ids.iter().map(String::as_str))),
        ("time", times(changes.iter().map(|change| at(change.second)))),
        ("kind", words(changes.iter().map(|change| change.kind))),
        ("service", words(changes.iter().map(|change| change.service))),
        ("title", texts(changes.iter().map(|change| change.title))),
        ("commit", texts(changes.iter().map(|change| change.commit))),
        ("diff", texts(changes.iter().map(|change| change.diff))),
        ("files", Arc::new(files.finish()) as ArrayRef),
    ])
    .expect("columns of one length")
}

fn ask(lines: &[(i64, &str, &str)], points: &[RecordBatch], list: &[Change]) -> ChangeVerdict {
    let window = TimeRange { from: UnixNanos(at(0)), to: UnixNanos(at(1_800)) };
    let (logs, changes) = ([logs(lines)], [changes(list)]);
    let evidence = MechanismEvidence { logs: &logs, points, changes: &changes };
    judge(window, evidence).expect("there are changes")
}

fn named(verdict: &ChangeVerdict) -> Option<(&str, &str)> {
    match &verdict.choice {
        ChangeChoice::Named(named) => Some((named.commit.as_deref()?, &named.does)),
        _ => None,
    }
}

const POOL: &str = "@@ pkg/db/pool.go @@\n-const defaultMaxConns = 50\n+const defaultMaxConns = 10";
const STYLE: &str = "-.a { color: #111; }\n+.a { color: #222; }";
const EXHAUSTED: (i64, &str, &str) =
    (900, "stock", "pool: deadline exceeded acquiring connection (pool exhausted)");

#[test]
fn a_smaller_pool_is_named_and_the_last_deploy_is_not() {
    let list = [
        Change { commit: "aa11", title: "simplify", file: "pkg/db/pool.go", diff: POOL, ..COMMIT },
        deploy(700, "stock", "aa11"),
        Change {
            second: 800,
            commit: "bb22",
            title: "idle",
            file: "services/stock/pool.go",
            diff: "-  max_conn_idle: 30s\n+  max_conn_idle: 5m",
            ..COMMIT
        },
        deploy(850, "stock", "bb22"),
        Change {
            second: 860,
            commit: "cc33",
            title: "restyle",
            file: "web/a.css",
            diff: STYLE,
            ..COMMIT
        },
        deploy(880, "web", "cc33"),
    ];
    let lines = [EXHAUSTED, (905, "cart", "upstream stock timeout after 500 ms"), EXHAUSTED];
    let verdict = ask(&lines, &[], &list);
    let does = "lowers defaultMaxConns from 50 to 10";
    assert_eq!(named(&verdict), Some(("aa11", does)), "{verdict:?}");
    assert_eq!(verdict.happens.len(), 1, "a neighbour's timeout is a consequence");
    assert!(verdict.ruled_out.iter().any(|line| line.starts_with("idle: raises")), "{verdict:?}");
}

#[test]
fn a_change_that_came_later_or_elsewhere_is_not_named() {
    let pool = |second, file| Change { second, commit: "aa11", file, diff: POOL, ..COMMIT };
    for list in [
        [pool(-600, "pkg/db/pool.go"), deploy(1_200, "stock", "aa11")],
        [pool(-600, "services/mail/db/pool.go"), deploy(700, "mail", "aa11")],
        // More is not less.
        [
            Change {
                commit: "aa11",
                file: "pkg/db/pool.go",
                diff: "-const defaultMaxConns = 10\n+const defaultMaxConns = 50",
                ..COMMIT
            },
            deploy(700, "stock", "aa11"),
        ],
    ] {
        let verdict = ask(&[EXHAUSTED, EXHAUSTED], &[], &list);
        assert!(matches!(verdict.choice, ChangeChoice::NotEnough(_)), "{verdict:?}");
    }
}

#[test]
fn each_way_of_failing_finds_its_change() {
    let cases = [
        (
            "panic: invalid memory address or nil pointer dereference",
            "services/stock/pay.go",
            "-\tif r.Extra == nil {\n-\t\treturn \"\"\n-\t}\n\
             -\treturn r.Extra.State\n+\treturn r.Extra.State",
            "takes a check away",
        ),
        (
            "cache miss; read-through to db",
            "pkg/cache/config.go",
            " return Config{\n-\t\tDefaultTTL: 15 * time.Minute,\n\
             +\t\tDefaultTTL: 15 * time.Second,",
            "lowers DefaultTTL from 15 * time.Minute to 15 * time.Second",
        ),
        (
            "ThroughputExceededException on table t",
            "pkg/store/writer.go",
            "-\tfor _, part := range chunks(items, 25) {\n\
             -\t\tw.db.BatchWriteItem(ctx, part)\n-\t}\n\
             +\tfor _, it := range items {\n+\t\tw.db.PutItem(ctx, it)\n+\t}",
            "makes a call for each item of a list: w.db.PutItem(ctx, it)",
        ),
        (
            "panic: proto: incompatible protobuf runtime version",
            "stock/go.mod",
            "-\tgoogle.golang.org/protobuf v1.31.0\n+\tgoogle.golang.org/protobuf v1.34.2",
            "takes another version of google.golang.org/protobuf: \
             google.golang.org/protobuf v1.31.0 → google.golang.org/protobuf v1.34.2",
        ),
        (
            "deadline exceeded while loading",
            "services/stock/client.yaml",
            "-  request_timeout: 5s\n+  request_timeout: 200ms",
            "lowers request_timeout from 5s to 200ms",
        ),
        (
            "ERROR: waiting for AccessExclusiveLock",
            "db/migrations/7.sql",
            "+ALTER TABLE items ADD COLUMN x int NOT NULL DEFAULT 0;",
            "changes a table while others use it",
        ),
    ];
    for (line, file, diff, does) in cases {
        let list = [
            Change { commit: "aa11", title: "t", file, diff, ..COMMIT },
            deploy(700, "stock", "aa11"),
        ];
        let verdict = ask(&[(900, "stock", line), (901, "stock", line)], &[], &list);
        assert_eq!(named(&verdict), Some(("aa11", does)), "{line}: {verdict:?}");
        // The same change in a test, a comment or another spacing does nothing.
        let list = [
            Change { commit: "aa11", title: "t", file: "pkg/db/pool_test.go", diff, ..COMMIT },
            deploy(700, "stock", "aa11"),
        ];
        let verdict = ask(&[(900, "stock", line), (901, "stock", line)], &[], &list);
        assert_eq!(named(&verdict), None, "{line}: {verdict:?}");
    }
}

#[test]
fn what_comes_from_outside_is_no_changes_doing() {
    let list = [
        Change {
            commit: "aa11",
            title: "retry",
            file: "services/pay/retry.go",
            diff: "-\tMaxAttempts:    2,\n+\tMaxAttempts:    3,",
            ..COMMIT
        },
        deploy(700, "pay", "aa11"),
        Change {
            commit: "bb22",
            title: "endpoints",
            file: "deploy/config/endpoints.yaml",
            diff: "-mail: smtp.mail.example:587\n+mail:   smtp.mail.example:587\n\
                +extra: e.mail.example:9",
            ..COMMIT
        },
        deploy(710, "pay", "bb22"),
    ];
    for line in [
        "POST https://api.bank.example/v1/charges returned 503",
        "dial tcp: lookup api.bank.example on 10.0.0.1:53: no such host",
        "tls: failed to verify certificate: x509: certificate has expired",
        "write /var/lib/x: no space left on device",
    ] {
        let verdict = ask(&[(900, "pay", line), (905, "pay", line)], &[], &list);
        assert!(matches!(verdict.choice, ChangeChoice::NoneOfThese(_)), "{line}: {verdict:?}");
    }
    let quiet = ask(&[(900, "pay", "something odd"), (905, "pay", "else")], &[], &list);
    assert!(matches!(quiet.choice, ChangeChoice::NotEnough(_)), "{quiet:?}");
    // What was so before is no sign.
    let always: Vec<(i64, &str, &str)> =
        (-1_700..1_700).step_by(100).map(|second| (second, "stock", EXHAUSTED.2)).collect();
    assert!(ask(&always, &[], &list).happens.is_empty());
}

#[test]
fn more_calls_per_request_are_seen_in_a_metric() {
    let seconds: Vec<i64> = (-1_200..1_800).step_by(60).collect();
    let level = |second: &i64| if *second < 900 { 3.0 } else { 45.0 };
    let points = RecordBatch::try_from_iter([
        ("time", times(seconds.iter().map(|second| at(*second)))),
        ("service", words(seconds.iter().map(|_| "checkout"))),
        ("name", words(seconds.iter().map(|_| "db_query_count_per_request"))),
        ("value_double", Arc::new(seconds.iter().map(level).collect::<Float64Array>()) as ArrayRef),
    ])
    .expect("columns of one length");
    let list = [
        Change {
            commit: "aa11",
            title: "view models",
            file: "services/checkout/order.go",
            diff: "-\tfor _, li := range cart.Items {\n\
             -\t\tlines = append(lines, Line{li.Name})\n-\t}\n\
             +\tfor _, li := range cart.Items {\n+\t\titem, err := a.catalog.GetItem(ctx, li.SKU)\n\
             +\t\tif err != nil {\n+\t\t\treturn nil, err\n+\t\t}\n+\t}",
            ..COMMIT
        },
        deploy(840, "checkout", "aa11"),
        Change {
            second: 850,
            commit: "bb22",
            title: "tidy",
            file: "services/checkout/handler.go",
            diff: "-\tif err != nil { return err }\n+\tif err != nil {\n\
                +\t\treturn wrap(err)\n+\t}",
            ..COMMIT
        },
        deploy(870, "checkout", "bb22"),
    ];
    let verdict = ask(&[(1_000, "checkout", "slow request")], &[points], &list);
    assert_eq!(named(&verdict).map(|(commit, _)| commit), Some("aa11"), "{verdict:?}");
    assert_eq!(verdict.happens[0].sign, "db_query_count_per_request: 3.0 → 45.0");
}

/// Lines of diffs and logs in which brackets, loops, names and letters of many bytes meet.
fn odd_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+ @]?[ \t]{0,3}(for |if err |const |)[a-zÄ€𝄞_.]{0,8}[(=:]?[0-9a-zß.*' ]{0,9}[){;]?",
        "[-+@ ]{0,4}\\PC{0,40}",
        "(upstream|lookup|POST https://)? ?[a-zé.-]{0,12} (timeout|no such host|returned 503)?",
    ]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_diff_and_any_line_gets_a_verdict(
        diff in proptest::collection::vec(odd_line(), 0..12),
        lines in proptest::collection::vec(odd_line(), 1..6),
        file in "[a-zé/._-]{0,20}",
        commit in "[0-9a-fé]{0,12}",
    ) {
        let leaked = |text: String| -> &'static str { text.leak() };
        let change = Change {
            commit: leaked(commit), title: "t", file: leaked(file),
            diff: leaked(diff.join("\n")), ..COMMIT
        };
        let list = [deploy(700, "stock", change.commit), change];
        let lines: Vec<(i64, &str, &str)> =
            lines.iter().map(|line| (900, "stock", line.as_str())).collect();
        if !list[1].diff.is_empty() || !list[1].file.is_empty() {
            let verdict = ask(&lines, &[], &list);
            prop_assert!(verdict.changes > 0);
        }
    }
}
