//! Every number of `why` comes with the SQL that gives it again: asked of a real store, it does.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, MapArray, RecordBatch, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use halfopen_model::answer::{
    BaselineKind, ChainOf, Evidence, HopKind, Scope, Share, SlowRule, Verdict, WhyAnswer,
};
use halfopen_model::batch::conform;
use halfopen_model::request::failed_sql;
use halfopen_model::schema::{ATTRIBUTES, schema};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Batch, Fingerprint, Table, TimeRange, WriteEvidence as _};
use halfopen_serve::desk::{Desk, DeskSettings, WhyAsk, WhyBaseline};
use halfopen_store::{Store, StoreConfig};
use tempfile::TempDir;

use crate::fixture::StillClock;
use crate::shop::cascade;
use crate::shop::plans::{self, vouchers};
use crate::shop::rows::{Span, Value, batches};
use crate::shop::{BEGIN_NS, Fault, Shop, WINDOW_S};

/// Rows of one batch.
const BATCH_ROWS: usize = 2_000;

/// A store that holds spans, and a desk over it.
pub(crate) struct Office {
    pub(crate) desk: Desk<Store>,
    store: Store,
    _folder: TempDir,
}

impl Office {
    pub(crate) async fn over(spans: &[Span]) -> Office {
        let folder = tempfile::tempdir().expect("a folder");
        let config = StoreConfig::in_folder(folder.path().join("data"));
        let (store, _) = Store::open(config, Arc::new(StillClock)).await.expect("a new folder");
        let mut next: Fingerprint = 0;
        for rows in batches(spans, BATCH_ROWS) {
            let fingerprints = (next..).take(rows.num_rows()).collect();
            next += rows.num_rows() as Fingerprint;
            let batch = Batch { table: Table::Spans, rows, fingerprints };
            store.write(vec![batch]).await.expect("the rows fit");
        }
        let desk = Desk::new(store.clone(), Arc::new(StillClock), DeskSettings::default());
        Office { desk, store, _folder: folder }
    }

    /// Writes rows of another table; columns that are not given are empty.
    pub(crate) async fn write(&self, table: Table, rows: &RecordBatch) {
        let schema = schema(table);
        let field = schema.field_with_name(ATTRIBUTES).expect("every table of telemetry has it");
        let DataType::Map(entries, _) = field.data_type() else { panic!("attributes are a map") };
        let lengths = std::iter::repeat_n(0, rows.num_rows());
        let none = new_empty_array(entries.data_type()).as_struct().clone();
        let offsets = OffsetBuffer::from_lengths(lengths);
        let map = MapArray::new(Arc::clone(entries), offsets, none, None, false);
        let names = rows.schema();
        let given = names.fields().iter().map(|field| field.name().as_str());
        let given = given.zip(rows.columns().iter().cloned());
        let columns = given.chain([(ATTRIBUTES, Arc::new(map) as Arc<dyn Array>)]);
        let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let rows = conform(&rows, &schema).expect("rows that fit");
        let fingerprints = (1_000_000..).take(rows.num_rows()).collect();
        let batch = Batch { table, rows, fingerprints };
        self.store.write(vec![batch]).await.expect("the rows fit");
    }

    pub(crate) async fn close(self) {
        self.store.close(Duration::from_secs(20)).await;
    }

    /// The numbers of the only row.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<f64> {
        let answer = self.desk.query(sql, None).await.unwrap_or_else(|e| panic!("{e:?}\n{sql}"));
        let rows: usize = answer.batches.iter().map(|batch| batch.num_rows()).sum();
        assert_eq!(rows, 1, "{sql}");
        let rows = answer.batches.iter().find(|batch| batch.num_rows() == 1).expect("a row");
        let number = |column: &Arc<dyn Array>| match column.as_primitive_opt::<Int64Type>() {
            Some(whole) => whole.value(0) as f64,
            None => column.as_primitive::<Float64Type>().value(0),
        };
        rows.columns().iter().map(number).collect()
    }
}

/// Asks why, then asks SQL for every number; tells how many there were.
async fn check(spans: &[Span], ask: WhyAsk, kinds: &[&str]) {
    let office = Office::over(spans).await;
    let answer = office.desk.why(ask).await.expect("an answer");
    assert_eq!(answer.verdict, Verdict::Explained, "{answer:#?}");
    let of_causes = answer.causes.iter().flat_map(|cause| cause.path.iter().chain(&cause.evidence));
    let evidence: Vec<_> = answer.symptom.iter().chain(of_causes).collect();
    assert!(evidence.iter().any(|one| one.kind == "symptom"), "{evidence:#?}");
    follow(&answer, &evidence);
    for kind in kinds {
        assert!(evidence.iter().any(|one| one.kind == *kind), "no {kind} in {evidence:#?}");
    }
    for one in evidence {
        let sql = one.query.as_deref().expect("evidence with SQL");
        let Share { count: failing, total: failing_of } = one.failing;
        let Share { count: healthy, total: healthy_of } = one.healthy;
        let found = office.numbers(sql).await;
        let told = [failing, failing_of, healthy, healthy_of];
        assert_eq!(found, told, "{} {}\n{sql}", one.kind, one.subject);
        assert!(failing_of > 0.0 && failing > 0.0, "{one:?}");
    }
    office.close().await;
}

/// Every hop names evidence that is there, and every query of a hop is that of its evidence.
fn follow(answer: &WhyAnswer, evidence: &[&Evidence]) {
    assert_eq!((answer.chain.of, answer.chain.hops[0].kind), (ChainOf::Cause, HopKind::Symptom));
    for hop in &answer.chain.hops {
        let known = |id: &&String| evidence.iter().any(|one| one.id == **id);
        assert!(hop.evidence.iter().all(|id| known(&id)), "{hop:#?}");
        let query = |one: &&&Evidence| hop.evidence.contains(&one.id);
        let queries: Vec<_> = evidence.iter().filter(query).map(|one| &one.query).collect();
        assert!(hop.query.is_none() || queries.contains(&&hop.query), "{hop:#?}");
        assert!(!hop.refuted_by.check.is_empty() && !hop.refuted_by.result.is_empty(), "{hop:?}");
    }
}

fn window(shop: &Shop) -> WhyAsk {
    WhyAsk { window: Some(shop.window()), ..WhyAsk::default() }
}

/// Fewer requests, so that the store is asked quickly.
fn short(mut shop: Shop) -> Shop {
    shop.requests = 1_500;
    shop
}

#[tokio::test]
async fn a_version_with_an_attribute_counts_as_sql_does() {
    let shop = short(plans::gift_card(1));
    let kinds = ["error_origin", "attribute", "version_split"];
    check(&shop.spans(), window(&shop), &kinds).await;
}

#[tokio::test]
async fn two_causes_at_once_count_as_sql_does() {
    let shop = short(plans::pod_and_tenant(2));
    check(&shop.spans(), window(&shop), &["error_origin", "attribute"]).await;
}

/// Two causes at one place: the second is counted among what the first leaves.
#[tokio::test]
async fn two_causes_at_one_place_count_as_sql_does() {
    let shop = short(Shop::new(3).failing(|visit| {
        let hit = visit.checkout && (visit.pod("pricing") == 0 || visit.tenant == 7);
        hit.then(|| Fault::inside("pricing", "no price")).flatten()
    }));
    check(&shop.spans(), window(&shop), &["attribute"]).await;
}

#[tokio::test]
async fn a_silent_dependency_and_a_limit_count_as_sql_does() {
    let shop = short(plans::timeout(4));
    check(&shop.spans(), window(&shop), &["error_origin"]).await;
    let shop = short(plans::large_cart(5));
    check(&shop.spans(), window(&shop), &["attribute"]).await;
}

#[tokio::test]
async fn slow_requests_count_as_sql_does() {
    let shop = short(Shop::new(9).failing(|visit| {
        let hit = visit.checkout && visit.pod("pricing") == 2;
        hit.then(|| Fault::delay("pricing", None, 300)).flatten()
    }));
    for slow in [SlowRule::Unusual, SlowRule::Beyond(200_000_000)] {
        let ask = WhyAsk { slow: Some(slow), ..window(&shop) };
        check(&shop.spans(), ask, &["error_origin", "attribute"]).await;
    }
}

/// Several calls to one service whose callers gave up are one cause.
#[tokio::test]
async fn callers_that_gave_up_count_as_sql_does() {
    let shop = short(cascade::locked(1));
    let kinds = ["error_origin", "attribute", "version_split"];
    check(&cascade::spans(&shop), window(&shop), &kinds).await;
}

#[tokio::test]
async fn what_implies_a_call_counts_as_sql_does() {
    let shop = short(vouchers(6, |visit| visit.luck < 0.5));
    check(&shop.spans(), window(&shop), &["attribute"]).await;
}

#[tokio::test]
async fn requests_that_stand_for_several_count_as_sql_does() {
    let mut shop = short(plans::gift_card(7));
    shop.weight = Some(2.5);
    check(&shop.spans(), window(&shop), &["version_split"]).await;
}

#[tokio::test]
async fn a_service_in_the_middle_and_a_baseline_count_as_sql_does() {
    let shop = short(plans::bad_pod(8));
    let mut spans = shop.spans();
    let mut earlier = short(Shop::new(9)).spans();
    for span in &mut earlier {
        span.start -= WINDOW_S * SECOND_NS;
    }
    spans.extend(earlier);
    let mut ask = window(&shop);
    ask.scope = Scope { service: Some("checkout".into()), operation: None };
    check(&spans, ask.clone(), &["attribute"]).await;
    let window = shop.window();
    ask.baseline = Some(WhyBaseline::Range(TimeRange {
        from: window.from.shifted(-window.length_ns()),
        to: window.from,
    }));
    ask.scope = Scope { service: None, operation: Some("POST /checkout".into()) };
    check(&spans, ask, &["attribute"]).await;
}

/// The cases of `halfopen_model::request::failed`, one span each, asked of the store.
#[tokio::test]
async fn the_rule_of_failure_in_sql_is_the_rule() {
    let text = |text: &str| Value::Text(text.into());
    let cases: Vec<(bool, &'static str, Value)> = vec![
        (false, "span.http.response.status_code", Value::Int(499)),
        (true, "span.http.response.status_code", Value::Int(500)),
        (true, "span.http.response.status_code", text(" 503 ")),
        (false, "span.http.response.status_code", text("many")),
        (true, "span.http.status_code", Value::Int(503)),
        (false, "span.http.status_code", text("200")),
        (false, "span.rpc.grpc.status_code", Value::Int(0)),
        (false, "span.rpc.grpc.status_code", Value::Int(1)),
        (true, "span.rpc.grpc.status_code", Value::Int(2)),
        (false, "span.rpc.grpc.status_code", Value::Int(3)),
        (true, "span.rpc.grpc.status_code", Value::Int(4)),
        (false, "span.rpc.grpc.status_code", text("5")),
        (false, "span.rpc.grpc.status_code", Value::Int(6)),
        (true, "span.rpc.grpc.status_code", Value::Int(14)),
        (true, "span.rpc.grpc.status_code", Value::Int(99)),
        (false, "span.rpc.status_code", text("OK")),
        (false, "span.rpc.status_code", text("not_found")),
        (false, "span.rpc.status_code", text("Canceled")),
        (true, "span.rpc.status_code", text("DEADLINE_EXCEEDED")),
        (false, "span.rpc.response.status_code", text("INVALID_ARGUMENT")),
        (false, "span.rpc.response.status_code", text("AlreadyExists")),
        (true, "span.rpc.response.status_code", text("UNAVAILABLE")),
        (false, "span.rpc.response.status_code", text("")),
        (false, "span.app.status", text("error")),
    ];
    let model = Shop::new(1).spans().swap_remove(0);
    let span = |id: usize, attributes| Span { id: id as u64 + 1, attributes, ..model.clone() };
    let mut spans: Vec<Span> = cases
        .iter()
        .enumerate()
        .map(|(id, (_, name, value))| span(id, vec![(*name, value.clone())]))
        .collect();
    spans.push(Span { duration: None, ..span(cases.len(), Vec::new()) });
    spans.push(Span { status: "error", ..span(cases.len() + 1, Vec::new()) });
    let office = Office::over(&spans).await;
    let rule = failed_sql();
    for (id, span) in spans.iter().enumerate() {
        let fails = cases.get(id).is_none_or(|case| case.0);
        let sql =
            format!("select count(*) from spans where span_id = '{:016x}' and {rule}", span.id);
        let found = office.numbers(&sql).await;
        assert_eq!(found, [f64::from(u8::from(fails))], "{span:?}");
        let rows = batches(std::slice::from_ref(span), 1).swap_remove(0);
        let cells = halfopen_model::batch::Cells::new(&rows);
        assert_eq!(halfopen_model::request::failed(&cells, 0), fails, "{span:?}");
    }
    assert!(spans.iter().all(|span| span.start >= BEGIN_NS));
    office.close().await;
}

/// What the new version served, beside what the one before it served in the same window.
#[tokio::test]
async fn two_versions_count_as_sql_does() {
    let shop = short(plans::gift_card(11));
    let scope = Scope { service: Some("payment".into()), operation: None };
    let baseline = Some(WhyBaseline::VersionBefore);
    let ask = WhyAsk { scope, baseline, ..window(&shop) };
    check(&shop.spans(), ask.clone(), &["error_origin", "attribute", "version_split"]).await;
    let office = Office::over(&shop.spans()).await;
    let answer = office.desk.why(ask.clone()).await.expect("an answer");
    assert!(matches!(&answer.baseline, BaselineKind::Version(one) if one.new == "2.3.0"));
    let last = answer.chain.hops.last().expect("hops");
    assert!(last.statement.starts_with("after deploy payment 2.3.0 at "), "{last:#?}");
    assert_eq!(last.evidence.len(), 1, "{last:#?}");
    // Before the new version served the time before is compared with, and that is said.
    let mut early = ask;
    early.window =
        Some(TimeRange { to: shop.window().from.shifted(290 * SECOND_NS), ..shop.window() });
    let answer = office.desk.why(early).await.expect("an answer");
    assert!(!matches!(answer.baseline, BaselineKind::Version(_)), "{:?}", answer.baseline);
    office.close().await;
}
