//! Ways of failing: how systems tell of them, and what a change must do to bring them about.
//!
//! The words are those of common runtimes, drivers, brokers and clouds.

use crate::effect::{Effect, Kind, Knob};

/// A way of failing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mechanism {
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
pub(crate) struct Known {
    pub(crate) mechanism: Mechanism,
    name: &'static str,
    says: &'static str,
    /// Any of these groups of words in a line, all words of the group.
    pub(crate) lines: &'static [&'static [&'static str]],
    /// What a change must do to bring it about; empty where no change of ours does.
    by: &'static [Kind],
}

use Mechanism as M;

/// The first that fits is what a line says.
pub(crate) const KNOWN: [Known; 21] = [
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

    pub(crate) fn name(self) -> &'static str {
        self.known().name
    }

    pub(crate) fn says(self) -> &'static str {
        self.known().says
    }

    /// Whether this effect brings it about.
    pub(crate) fn comes_from(self, effect: &Effect) -> bool {
        self.known().by.contains(&effect.kind)
    }

    /// Whether it comes from outside of everything that is deployed, mostly.
    pub(crate) fn is_outside(self) -> bool {
        use Mechanism::{CertificateExpired, DiskFull, NameUnresolved, NodeLost};
        let outside = [NameUnresolved, CertificateExpired, DiskFull, NodeLost];
        outside.contains(&self) || self.known().by.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_holds_every_mechanism_once() {
        let names: BTreeSet<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), KNOWN.len());
        for known in &KNOWN {
            assert_eq!(known.mechanism.name(), known.name);
        }
    }
}
