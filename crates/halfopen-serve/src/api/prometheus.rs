//! `/metrics`: what the server counts about itself, in the text format of Prometheus.

use std::fmt::{Display, Write};

use halfopen_ingest::Signal;
use halfopen_store::StoreStats;

use crate::guard::Guard;
use crate::guard::audit::{Port, Reason};
use crate::meter::{BUCKETS_SECONDS, Meter, Protocol, Question, Timing};

/// Numbers that are read at the moment of asking.
pub(super) struct Now {
    pub(super) store: StoreStats,
    pub(super) waiting_bytes: usize,
    pub(super) bodies_bytes: usize,
    pub(super) answers_bytes: usize,
    pub(super) memory_bytes: Option<u64>,
    pub(super) ready: bool,
}

/// The whole page.
pub(super) fn page(meter: &Meter, guard: &Guard, now: &Now) -> String {
    let mut page = Page::default();
    process(&mut page, meter, now);
    refusals(&mut page, guard);
    exports(&mut page, meter);
    commits(&mut page, meter, now);
    store(&mut page, &now.store);
    tables(&mut page, &now.store);
    questions(&mut page, meter, &now.store);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Writing to a string cannot fail.
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP halfopen_{name} {help}"));
        self.line(format_args!("# TYPE halfopen_{name} {kind}"));
    }

    fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("halfopen_{name} {value}"));
        } else {
            self.line(format_args!("halfopen_{name}{{{labels}}} {value}"));
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.value(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.value(name, "", value);
    }

    fn timing(&mut self, name: &str, labels: &str, timing: &Timing) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, bucket) in BUCKETS_SECONDS.iter().zip(&timing.buckets) {
            below += bucket.get();
            self.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), below);
        }
        let count = timing.count.get();
        self.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), count);
        self.value(&format!("{name}_sum"), labels, timing.sum_seconds());
        self.value(&format!("{name}_count"), labels, count);
    }
}

fn process(page: &mut Page, meter: &Meter, now: &Now) {
    page.head("build_info", "gauge", "The version that runs.");
    page.value("build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    page.gauge("ready", "1 while requests are taken.", u8::from(now.ready));
    let started = meter.started.0 as f64 / 1e9;
    page.gauge("process_start_time_seconds", "When the server started.", started);
    if let Some(bytes) = now.memory_bytes {
        page.gauge("process_resident_memory_bytes", "Memory of the process.", bytes);
    }
    page.gauge("connections_open", "Connections at the moment.", meter.connections_open());
    page.counter("connections_total", "Connections accepted.", meter.connections.get());
    let idle = meter.connections_idle.get();
    page.counter("connections_idle_closed_total", "Connections closed for being silent.", idle);
    page.gauge("requests_in_flight", "Requests at the moment.", meter.requests_in_flight());
}

fn refusals(page: &mut Page, guard: &Guard) {
    page.gauge("senders", "Senders that are told apart.", guard.senders());
    let name = "refusals_total";
    page.head(name, "counter", "Requests that were not let in, and connections that were cut.");
    for port in Port::ALL {
        for reason in Reason::ALL {
            let labels = format!("port=\"{}\",reason=\"{}\"", port.name(), reason.name());
            page.value(name, &labels, guard.audit.count(port, reason));
        }
    }
}

fn exports(page: &mut Page, meter: &Meter) {
    type Get = fn(&crate::meter::ExportMeter) -> u64;
    let counters: [(&str, &str, Get); 6] = [
        ("export_requests_total", "Exports that arrived.", |e| e.requests.get()),
        ("export_bytes_total", "Bytes of their bodies, as sent.", |e| e.bytes.get()),
        ("export_rows_accepted_total", "Spans, records and points that are durable.", |e| {
            e.rows_accepted.get()
        }),
        ("export_rows_rejected_total", "Spans, records and points that could not be read.", |e| {
            e.rows_rejected.get()
        }),
        ("export_refused_total", "Exports that were refused.", |e| e.refused.get()),
        ("export_unreadable_total", "Exports of which nothing could be read.", |e| {
            e.unreadable.get()
        }),
    ];
    for (name, help, get) in counters {
        page.head(name, "counter", help);
        each_export(meter, |labels, export| page.value(name, labels, get(export)));
    }
    let name = "export_seconds";
    page.head(name, "histogram", "From the whole body to rows that are durable.");
    each_export(meter, |labels, export| page.timing(name, labels, &export.took));
}

fn each_export(meter: &Meter, mut show: impl FnMut(&str, &crate::meter::ExportMeter)) {
    for protocol in Protocol::ALL {
        for signal in Signal::ALL {
            let labels = format!("protocol=\"{}\",signal=\"{}\"", protocol.name(), signal.name());
            show(&labels, meter.export(protocol, signal));
        }
    }
}

fn commits(page: &mut Page, meter: &Meter, now: &Now) {
    page.gauge("waiting_bytes", "Rows that wait to become durable.", now.waiting_bytes);
    page.gauge("bodies_bytes", "Bodies of requests in memory.", now.bodies_bytes);
    page.gauge("answers_bytes", "Answers that are not read yet.", now.answers_bytes);
    let name = "commit_group_seconds";
    page.head(name, "histogram", "Making one group of rows durable.");
    page.timing(name, "", &meter.groups);
    let refused = meter.groups_refused.get();
    page.counter("commit_groups_refused_total", "Groups that the store refused.", refused);
    page.counter("rows_written_total", "Rows made durable.", meter.rows_written.get());
    let collapsed = meter.rows_collapsed.get();
    page.counter("rows_collapsed_total", "Identical rows that were sent again.", collapsed);
}

fn store(page: &mut Page, stats: &StoreStats) {
    page.gauge("hot_bytes", "Memory of rows outside segments.", stats.hot_bytes);
    page.gauge("hot_bytes_max", "Its bound.", stats.hot_bytes_max);
    page.gauge("wal_bytes", "Size of the write-ahead log.", stats.wal_bytes);
    page.gauge("wal_bytes_max", "Its bound.", stats.wal_bytes_max);
    page.counter("wal_syncs_total", "Times the log was made durable.", stats.wal_syncs);
    let seconds = stats.wal_sync_ns as f64 / 1e9;
    page.counter("wal_sync_seconds_total", "Time spent on that.", seconds);
    page.counter("wal_failures_total", "Times the disk did not take it.", stats.wal_failures);
    page.counter("seals_total", "Times rows were moved into segments.", stats.seals);
    page.counter("seal_failures_total", "Times that failed.", stats.seal_failures);
    page.gauge("catalogue_up", "1 while the catalogue answers.", u64::from(stats.catalogue_up));
    let losses = stats.catalogue_losses;
    page.counter("catalogue_losses_total", "Times the connection to it was lost.", losses);
    page.counter("compactions_total", "Merges of segments.", stats.compactions);
    page.counter("compaction_failures_total", "Those that failed.", stats.compaction_failures);
    page.counter("compacted_rows_total", "Rows read for them.", stats.compacted_rows);
    page.counter("compacted_bytes_total", "Bytes they wrote.", stats.compacted_bytes);
    let collapsed = stats.compaction_collapsed;
    page.counter("compaction_collapsed_total", "Identical rows they left out.", collapsed);
    page.counter("expired_segments_total", "Retention let them go.", stats.expired_segments);
    page.counter("expired_rows_total", "Rows in them.", stats.expired_rows);
    page.counter("expired_bytes_total", "Their size.", stats.expired_bytes);
    page.gauge("retention_bytes_max", "Size of all segments at most.", stats.retention_bytes_max);
    page.gauge("leaving_bytes", "Files that wait for deletion.", stats.leaving_bytes);
    page.gauge("damaged_segments", "Segments set aside as damaged.", stats.damaged_segments);
    page.gauge("damaged_rows", "Rows in them.", stats.damaged_rows);
    page.gauge("damaged_frames", "Frames of the log set aside as damaged.", stats.damaged_frames);
    page.head("writes_refused_total", "counter", "Writes that the store refused.");
    for (reason, count) in [
        ("memory", stats.refused_memory),
        ("wal", stats.refused_wal),
        ("disk", stats.refused_disk),
        ("invalid", stats.refused_invalid),
    ] {
        page.value("writes_refused_total", &format!("reason=\"{reason}\""), count);
    }
}

fn tables(page: &mut Page, stats: &StoreStats) {
    type Get = fn(&halfopen_store::TableStats) -> u64;
    let gauges: [(&str, &str, Get); 4] = [
        ("table_hot_rows", "Rows outside segments.", |table| table.hot_rows),
        ("table_sealed_rows", "Rows in segments.", |table| table.sealed_rows),
        ("table_segments", "Segments.", |table| table.segments),
        ("table_segment_bytes", "Size of the segments.", |table| table.segment_bytes),
    ];
    for (name, help, get) in gauges {
        page.head(name, "gauge", help);
        for table in &stats.tables {
            page.value(name, &format!("table=\"{}\"", table.table), get(table));
        }
    }
}

fn questions(page: &mut Page, meter: &Meter, stats: &StoreStats) {
    let name = "question_seconds";
    page.head(name, "histogram", "Answering one question.");
    for question in Question::ALL {
        let labels = format!("question=\"{}\"", question.name());
        page.timing(name, &labels, &meter.question(question).took);
    }
    page.head("questions_failed_total", "counter", "Questions without an answer.");
    for question in Question::ALL {
        let labels = format!("question=\"{}\"", question.name());
        page.value("questions_failed_total", &labels, meter.question(question).failed.get());
    }
    page.counter("queries_total", "SQL queries that were answered.", stats.queries);
    page.counter("queries_failed_total", "SQL queries that were not.", stats.queries_failed);
    page.counter("lookups_total", "Lookups by an id: reads and queries.", stats.lookups);
    let help = "Segments that lookups asked filters about.";
    page.counter("lookup_segments_total", help, stats.lookup_segments);
    let help = "Segments that lookups had to open.";
    page.counter("lookup_segments_opened_total", help, stats.lookup_opened);
    page.gauge("filter_bytes", "Memory of the filters of ids.", stats.filter_bytes);
    page.gauge("filter_bytes_max", "The bound of it.", stats.filter_bytes_max);
}
