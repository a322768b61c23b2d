//! What happens, by what systems say of themselves: lines of their logs, and metrics that moved.
//!
//! A line that only tells of a failing neighbour is a consequence and says nothing about the cause.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use halfopen_model::batch::Cells;
use halfopen_model::{TimeRange, UnixNanos};

use crate::diff::words;
use crate::known::{KNOWN, Mechanism, Mechanism as M};

/// One sign of a way of failing.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    pub(crate) mechanism: Mechanism,
    pub(crate) service: String,
    /// The first such line, or the name of the metric.
    pub(crate) text: String,
    pub(crate) since: UnixNanos,
    pub(crate) count: u64,
    /// Words of it, by which the place in a change is found.
    pub(crate) words: BTreeSet<String>,
    /// Hosts that it names.
    pub(crate) hosts: BTreeSet<String>,
}

/// Severities from here on are warnings and errors (OpenTelemetry's numbers).
const SEVERITY_WARN: u32 = 13;

/// A sign that was there before is one only where it comes so many times as often now.
const MORE_OFTEN_MIN: f64 = 3.0;

/// Bytes of a line that are read.
const LINE_BYTES_MAX: usize = 600;

/// Different signs that are kept.
const SIGNS_MAX: usize = 500;

/// Signs of the window, the first one first: in the logs, and of the metrics that moved.
pub(crate) fn signs(logs: &[RecordBatch], points: &[RecordBatch], window: TimeRange) -> Vec<Sign> {
    let services = services(logs, points);
    let mut counted: BTreeMap<(Mechanism, String, String), (Sign, u64)> = BTreeMap::new();
    for rows in logs {
        let cells = Cells::new(rows);
        for row in 0..cells.len() {
            let severity = cells.small("severity_number", row).unwrap_or(0);
            let (Some(time), Some(line)) = (cells.time("time", row), cells.text("body", row))
            else {
                continue;
            };
            if severity < SEVERITY_WARN || time >= window.to {
                continue;
            }
            let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
            let service = cells.text("service", row).unwrap_or_default();
            let Some(mechanism) = read(line, service, &services) else { continue };
            count(&mut counted, mechanism, service, line, time, window);
        }
    }
    let ratio = |(sign, before): &(Sign, u64)| sign.count as f64 / (*before).max(1) as f64;
    let mut signs: Vec<Sign> = counted
        .into_values()
        .filter(|found| found.0.count > 0 && (found.1 == 0 || ratio(found) >= MORE_OFTEN_MIN))
        .map(|(sign, _)| sign)
        .collect();
    signs.extend(crate::moved::signs(points, window));
    signs.sort_by(|a, b| {
        (a.since, a.mechanism, &a.service).cmp(&(b.since, b.mechanism, &b.service))
    });
    signs
}

fn count(
    counted: &mut BTreeMap<(Mechanism, String, String), (Sign, u64)>,
    mechanism: Mechanism,
    service: &str,
    line: &str,
    time: UnixNanos,
    window: TimeRange,
) {
    // Lines that differ in their numbers only are one.
    let form: String = line.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    let key = (mechanism, service.to_owned(), form);
    if counted.len() >= SIGNS_MAX && !counted.contains_key(&key) {
        return;
    }
    let entry = counted.entry(key).or_insert_with(|| {
        let (words, hosts) = (words(line).into_iter().collect(), hosts(line));
        let (service, text) = (service.to_owned(), line.to_owned());
        (Sign { mechanism, service, text, since: UnixNanos::MAX, count: 0, words, hosts }, 0)
    });
    if time < window.from {
        entry.1 += 1;
        return;
    }
    entry.0.count += 1;
    if time < entry.0.since {
        entry.0.since = time;
        entry.0.text = line.to_owned();
    }
}

/// What a line says; `None` where it says nothing known, or tells of a neighbour only.
fn read(line: &str, service: &str, services: &BTreeSet<String>) -> Option<Mechanism> {
    let lower = line.to_ascii_lowercase();
    let says = |group: &&[&str]| group.iter().all(|word| lower.contains(word));
    let found = KNOWN.iter().find(|known| known.lines.iter().any(says));
    let ours = |name: &String| name != service && name.len() > 2 && lower.contains(name.as_str());
    let generic = [M::TimeoutShort, M::Unreachable, M::Unauthorised];
    let is_generic = found.is_none_or(|known| generic.contains(&known.mechanism));
    if is_generic && services.iter().any(ours) {
        return None;
    }
    let is_outside = hosts(line).iter().any(|host| !is_inside(host, services));
    let fails = ["returned 5", "status 5", "status=5", " 502", " 503", " 504", "unavailable"];
    let fails = fails.iter().any(|word| lower.contains(word));
    if is_outside
        && is_generic
        && (fails || found.is_some_and(|known| known.mechanism == M::TimeoutShort))
    {
        return Some(M::RemoteFails);
    }
    found.map(|known| known.mechanism)
}

/// Names of hosts in a line.
fn hosts(line: &str) -> BTreeSet<String> {
    let parts =
        line.split(|letter: char| !(letter.is_ascii_alphanumeric() || "-._".contains(letter)));
    let is_host = |part: &&str| {
        let labels: Vec<&str> = part.split('.').collect();
        let last = labels.last().copied().unwrap_or_default();
        labels.len() >= 3
            && last.len() >= 2
            && last.chars().all(|letter| letter.is_ascii_lowercase())
            && labels.iter().all(|label| !label.is_empty())
    };
    parts.map(|part| part.trim_matches('.')).filter(is_host).map(str::to_owned).collect()
}

/// Whether a host belongs to the system: a name of the cluster, or of a service.
fn is_inside(host: &str, services: &BTreeSet<String>) -> bool {
    let first = host.split('.').next().unwrap_or(host);
    let inner = [".local", ".internal", ".svc", ".cluster", ".consul", ".lan"];
    services.contains(first) || inner.iter().any(|end| host.ends_with(end))
}

fn services(logs: &[RecordBatch], points: &[RecordBatch]) -> BTreeSet<String> {
    let mut services = BTreeSet::new();
    for rows in logs.iter().chain(points) {
        let cells = Cells::new(rows);
        for row in 0..cells.len() {
            if let Some(name) = cells.text("service", row)
                && !services.contains(name)
            {
                services.insert(name.to_owned());
            }
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_a_neighbour_says_nothing_of_the_cause() {
        let services = ["cart", "stock"].map(str::to_owned).into();
        let says = |line| read(line, "cart", &services).map(Mechanism::name);
        assert_eq!(says("upstream stock timeout after 500 ms"), None);
        assert_eq!(
            says("context deadline exceeded acquiring connection (pool exhausted)"),
            Some("pool_exhausted")
        );
        assert_eq!(says("POST https://api.bank.example/v1/pay returned 503"), Some("remote_fails"));
        assert_eq!(says("POST http://stock.shop.svc.cluster.local/ returned 503"), None);
        assert_eq!(says("lookup api.bank.example: no such host"), Some("name_unresolved"));
        assert_eq!(says("slow request"), None);
    }
}
