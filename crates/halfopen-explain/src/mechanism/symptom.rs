//! What happens, by what systems say of themselves: lines of their logs, and metrics that moved.
//!
//! The words are those of common runtimes, drivers, brokers and clouds. A line that only tells of
//! a failing neighbour is a consequence and says nothing about the cause.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use halfopen_model::batch::Cells;
use halfopen_model::{TimeRange, UnixNanos};

use super::diff::words;
use super::effect::{Effect, Kind, Knob};

/// A way of failing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Mechanism {
    NullDereference,
    OutOfBounds,
    Incompatible,
    PoolExhausted,
    Leak,
    CacheMisses,
    Throttled,
    MoreCalls,
    TimeoutShort,
    Unauthorised,
    OutOfMemory,
    Schema,
    LockWait,
    NotRegistered,
    Unreachable,
    NameUnresolved,
    RemoteFails,
    CertificateExpired,
    DiskFull,
    NodeLost,
    TrafficUp,
}

/// Everything about one way of failing.
struct Known {
    mechanism: Mechanism,
    name: &'static str,
    says: &'static str,
    /// Any of these groups of words in a line, all words of the group.
    lines: &'static [&'static [&'static str]],
    /// What a change must do to bring it about; empty where no change of ours does.
    by: &'static [Kind],
}

use Mechanism as M;

/// The first that fits is what a line says.
const KNOWN: [Known; 21] = [
    Known {
        mechanism: M::NameUnresolved,
        name: "name_unresolved",
        says: "names of hosts are not resolved",
        lines: &[
            &["no such host"],
            &["enotfound"],
            &["servfail"],
            &["name resolution"],
            &["name or service not known"],
            &["lookup ", "server misbehaving"],
            &["lookup ", "i/o timeout"],
            &["unknownhostexception"],
            &["name resolver"],
            &["eai_again"],
        ],
        by: &[Kind::Address],
    },
    Known {
        mechanism: M::CertificateExpired,
        name: "certificate_expired",
        says: "a certificate is not accepted",
        lines: &[
            &["certificate", "expired"],
            &["x509"],
            &["certificate_verify_failed"],
            &["tls handshake", "certificate"],
            &["pkix path"],
        ],
        by: &[Kind::Credential],
    },
    Known {
        mechanism: M::DiskFull,
        name: "disk_full",
        says: "a disk is full",
        lines: &[&["no space left"], &["disk full"], &["enospc"], &["disk pressure"]],
        by: &[],
    },
    Known {
        mechanism: M::NodeLost,
        name: "node_lost",
        says: "a machine is gone",
        lines: &[
            &["node", "not ready"],
            &["node", "notready"],
            &["evicted"],
            &["preempt"],
            &["node", "unreachable"],
            &["spot", "interruption"],
        ],
        by: &[],
    },
    Known {
        mechanism: M::NullDereference,
        name: "null_dereference",
        says: "code uses a value that is not there",
        lines: &[
            &["nil pointer"],
            &["nullpointerexception"],
            &["null reference"],
            &["nonetype"],
            &["of undefined"],
            &["of null"],
            &["undefined is not"],
            &["undefined method", "nil"],
            &["called `option::unwrap()` on a `none`"],
        ],
        by: &[Kind::GuardGone],
    },
    Known {
        mechanism: M::OutOfBounds,
        name: "out_of_bounds",
        says: "code reaches beyond the end of a list",
        lines: &[
            &["index out of range"],
            &["indexoutofbounds"],
            &["list index out of"],
            &["out of bounds"],
            &["division by zero"],
            &["divide by zero"],
        ],
        by: &[Kind::GuardGone],
    },
    Known {
        mechanism: M::Incompatible,
        name: "incompatible",
        says: "two versions of a library do not fit",
        lines: &[
            &["duplicate registration"],
            &["incompatible", "version"],
            &["version conflict"],
            &["version mismatch"],
            &["nosuchmethoderror"],
            &["nosuchfielderror"],
            &["classnotfound"],
            &["noclassdeffound"],
            &["undefined symbol"],
            &["importerror"],
            &["modulenotfound"],
            &["cannot find module"],
            &["unresolved import"],
            &["peer dependency"],
        ],
        by: &[Kind::Dependency],
    },
    Known {
        mechanism: M::PoolExhausted,
        name: "pool_exhausted",
        says: "a pool runs out",
        lines: &[
            &["pool exhausted"],
            &["pool", "acquir"],
            &["acquir", "connection"],
            &["pool", "timed out"],
            &["pool", "timeout"],
            &["pool is full"],
            &["too many clients"],
            &["too many connections"],
            &["remaining connection slots"],
            &["unable to obtain", "connection"],
            &["rejectedexecution"],
            &["thread pool"],
        ],
        by: &[Kind::Less(Knob::Pool), Kind::ReleaseGone],
    },
    Known {
        mechanism: M::Leak,
        name: "leak",
        says: "something that was taken is not given back",
        lines: &[&["too many open files"], &["emfile"], &["goroutine", "leak"], &["leak detected"]],
        by: &[Kind::ReleaseGone],
    },
    Known {
        mechanism: M::OutOfMemory,
        name: "out_of_memory",
        says: "memory runs out",
        lines: &[
            &["oomkilled"],
            &["oom-kill"],
            &["out of memory"],
            &["outofmemory"],
            &["heap space"],
            &["heap out of"],
            &["cannot allocate memory"],
            &["memory limit"],
        ],
        by: &[
            Kind::Less(Knob::Capacity),
            Kind::More(Knob::Pool),
            Kind::More(Knob::Batch),
            Kind::More(Knob::Lifetime),
            Kind::ReleaseGone,
        ],
    },
    Known {
        mechanism: M::Throttled,
        name: "throttled",
        says: "more is asked than is granted",
        lines: &[
            &["throughputexceeded"],
            &["throttl"],
            &["rate limit"],
            &["ratelimit"],
            &["too many requests"],
            &["status 429"],
            &["returned 429"],
            &["quota", "exceeded"],
            &["slowdown"],
            &["resource_exhausted"],
        ],
        by: &[
            Kind::BatchGone,
            Kind::CallInLoop,
            Kind::More(Knob::Retries),
            Kind::Less(Knob::Capacity),
            Kind::Less(Knob::Rate),
            Kind::Less(Knob::Batch),
            Kind::Less(Knob::Lifetime),
        ],
    },
    Known {
        mechanism: M::CacheMisses,
        name: "cache_misses",
        says: "a cache does not hold what is asked of it",
        lines: &[
            &["cache miss"],
            &["cache", "stampede"],
            &["not in cache"],
            &["cache", "expired"],
            &["read-through"],
            &["cache", "evict"],
        ],
        by: &[Kind::Less(Knob::Lifetime), Kind::CacheKey],
    },
    Known {
        mechanism: M::LockWait,
        name: "lock_wait",
        says: "transactions wait for a lock",
        lines: &[
            &["lock wait"],
            &["lock timeout"],
            &["deadlock"],
            &["waiting for", "lock"],
            &["could not obtain lock"],
            &["accessexclusivelock"],
        ],
        by: &[Kind::Migration, Kind::ReleaseGone],
    },
    Known {
        mechanism: M::Schema,
        name: "schema_mismatch",
        says: "two sides disagree about the form of data",
        lines: &[
            &["column", "does not exist"],
            &["unknown column"],
            &["no such column"],
            &["relation", "does not exist"],
            &["unknown field"],
            &["missing field"],
            &["cannot unmarshal"],
            &["unmarshal"],
            &["deserializ"],
            &["failed to parse field"],
            &["mapper_parsing"],
            &["invalid wire type"],
            &["schema", "mismatch"],
        ],
        by: &[Kind::Migration, Kind::Query, Kind::RegistrationGone, Kind::Dependency],
    },
    Known {
        mechanism: M::NotRegistered,
        name: "not_registered",
        says: "something is asked for that is no longer known",
        lines: &[
            &["not registered"],
            &["unimplemented"],
            &["no handler"],
            &["no route"],
            &["unknown method"],
            &["unknown service"],
            &["no provider"],
            &["unsupported media"],
            &["no subscriber"],
        ],
        by: &[Kind::RegistrationGone],
    },
    Known {
        mechanism: M::Unauthorised,
        name: "unauthorised",
        says: "a caller is not let in",
        lines: &[
            &["unauthorized"],
            &["unauthenticated"],
            &["permission denied"],
            &["access denied"],
            &["invalid token"],
            &["invalid signature"],
            &["signature", "mismatch"],
            &["authentication failed"],
            &["returned 401"],
            &["returned 403"],
            &["invalid api key"],
        ],
        by: &[Kind::Credential],
    },
    Known {
        mechanism: M::RemoteFails,
        name: "remote_fails",
        says: "a host outside of the system fails",
        lines: &[],
        by: &[],
    },
    Known {
        mechanism: M::Unreachable,
        name: "unreachable",
        says: "nobody answers at an address",
        lines: &[&["connection refused"], &["econnrefused"], &["no route to host"]],
        by: &[Kind::Address],
    },
    Known {
        mechanism: M::TimeoutShort,
        name: "timeout",
        says: "work does not end in its time",
        lines: &[
            &["deadline exceeded"],
            &["timed out"],
            &["timeout"],
            &["context canceled"],
            &["exceeded deadline"],
        ],
        by: &[Kind::Less(Knob::Timeout)],
    },
    Known {
        mechanism: M::MoreCalls,
        name: "more_calls",
        says: "one request makes many more calls",
        lines: &[&["n+1"]],
        by: &[Kind::CallInLoop, Kind::BatchGone],
    },
    Known {
        mechanism: M::TrafficUp,
        name: "traffic_up",
        says: "more requests come from outside",
        lines: &[],
        by: &[],
    },
];

impl Mechanism {
    fn known(self) -> &'static Known {
        let found = KNOWN.iter().find(|known| known.mechanism == self);
        found.expect("the table holds every mechanism: a test reads it")
    }

    pub(super) fn name(self) -> &'static str {
        self.known().name
    }

    pub(super) fn says(self) -> &'static str {
        self.known().says
    }

    /// Whether this effect brings it about.
    pub(super) fn comes_from(self, effect: &Effect) -> bool {
        self.known().by.contains(&effect.kind)
    }

    /// Whether it comes from outside of everything that is deployed, mostly.
    pub(super) fn is_outside(self) -> bool {
        use Mechanism::{CertificateExpired, DiskFull, NameUnresolved, NodeLost};
        let outside = [NameUnresolved, CertificateExpired, DiskFull, NodeLost];
        outside.contains(&self) || self.known().by.is_empty()
    }
}

/// One sign of a way of failing.
#[derive(Clone, Debug)]
pub(super) struct Sign {
    pub(super) mechanism: Mechanism,
    pub(super) service: String,
    /// The first such line, or the name of the metric.
    pub(super) text: String,
    pub(super) since: UnixNanos,
    pub(super) count: u64,
    /// Words of it, by which the place in a change is found.
    pub(super) words: BTreeSet<String>,
    /// Hosts that it names.
    pub(super) hosts: BTreeSet<String>,
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
pub(super) fn signs(logs: &[RecordBatch], points: &[RecordBatch], window: TimeRange) -> Vec<Sign> {
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
    signs.extend(super::moved::signs(points, window));
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
    let found = KNOWN.iter().find(|known| known.lines.iter().any(|group| says(group)));
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
    fn the_table_holds_every_mechanism_once() {
        let names: BTreeSet<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), KNOWN.len());
        for known in &KNOWN {
            assert_eq!(known.mechanism.name(), known.name);
        }
    }

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
