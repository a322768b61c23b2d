//! SQL that gives a number of an answer again.
//!
//! Each query gives one row of four numbers, those of the evidence that carries it: `failing` of
//! `failing_of`, `healthy` of `healthy_of`. A request is recognised as the answer does it: the
//! topmost entry span of its trace. SQL takes the earliest one for the topmost, which is another
//! span only where clocks differ or spans are missing.

use halfopen_model::TimeRange;
use halfopen_model::answer::ConditionPart;

use crate::carriers::Limit;
use crate::changes::SplitBy;
use crate::difference::items::{CALLS, NAME};
use crate::difference::names;
use crate::slow::SlowCall;
use crate::spans::{config_names, peer_names};
use crate::why::EDGE_NS;
use halfopen_model::request::failed_sql;

/// Values by which the requests of an instance are told, the first that is there.
const INSTANCE: &str = "coalesce(attr('resource.service.instance.id'), \
                        attr('resource.k8s.pod.name'), attr('resource.host.name'))";

/// Queries name so many slow calls; where there are more, numbers have no query.
const SLOW_CALLS_MAX: usize = 200;

const VERSION: &str = "attr('resource.service.version')";

/// Requests of an answer: all that its queries have in common.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) window: TimeRange,
    pub(crate) baseline: Option<TimeRange>,
    /// Failing requests began in here.
    pub(crate) failing: TimeRange,
    /// The service that was asked for: then its topmost span is the request.
    pub(crate) asked: Option<String>,
    /// The service of the requests, where they have one.
    pub(crate) service: Option<String>,
    /// Whether requests of any service are meant.
    pub(crate) any_service: bool,
    /// What they ask for; empty for everything.
    pub(crate) operations: Vec<String>,
    /// Whether requests stand for several.
    pub(crate) weighted: bool,
    /// Whether there are spans without a trace.
    pub(crate) loose: bool,
    /// Where slow requests were asked about, the calls that were slow.
    pub(crate) slow: Option<Vec<SlowCall>>,
    /// Where two versions are compared: failing requests met the new one, healthy ones the old.
    pub(crate) served: Option<Served>,
}

/// Two versions of a service, each by the values that spans carry for it.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) service: String,
    /// The attributes that tell them, the first that is there counts.
    pub(crate) names: Vec<&'static str>,
    pub(crate) new: Vec<String>,
    pub(crate) old: Vec<String>,
}

impl Served {
    /// `served`: traces that met one of the two alone.
    fn table(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| attribute(name)).collect();
        let value = match names.as_slice() {
            [name] => name.clone(),
            names => format!("coalesce({})", names.join(", ")),
        };
        let list =
            |texts: &[String]| texts.iter().map(|value| text(value)).collect::<Vec<_>>().join(", ");
        let (new, old) = (list(&self.new), list(&self.old));
        format!(
            "served as (select trace_id, min(side) as is_new from (select trace_id, \
             case when {value} in ({new}) then 1 else 0 end as side from seen where {} and \
             {value} in ({new}, {old})) group by trace_id having min(side) = max(side))",
            equals("service", &self.service)
        )
    }
}

/// A call: the service that makes it, the one it goes to where that is known, its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CallName {
    pub(crate) service: String,
    pub(crate) peer: Option<String>,
    pub(crate) name: String,
}

/// Failing requests that a cause is about.
#[derive(Clone, Default, Debug)]
pub(crate) struct Group {
    /// They fail in one of these calls, or anywhere.
    pub(crate) places: Vec<Place>,
    /// And carry all of these.
    pub(crate) parts: Vec<ConditionPart>,
}

/// Failing requests of one call, or of all calls but some.
#[derive(Clone, Default, Debug)]
pub(crate) struct Place {
    pub(crate) call: Option<CallName>,
    pub(crate) not_calls: Vec<CallName>,
    /// Requests that another cause explains: those that carry all of one of these.
    pub(crate) without: Vec<Vec<ConditionPart>>,
}

// ===== pieces =====

/// A text in SQL.
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn attribute(name: &str) -> String {
    format!("attr({})", text(name))
}

pub(crate) fn attribute_of(alias: &str, name: &str) -> String {
    format!("attr({alias}.attributes, {})", text(name))
}

pub(crate) fn equals(column: &str, value: &str) -> String {
    match value {
        "" => format!("{column} is null"),
        value => format!("{column} = {}", text(value)),
    }
}

pub(crate) fn within(column: &str, range: &TimeRange) -> String {
    format!("{column} >= '{}' and {column} < '{}'", range.from, range.to)
}

/// Method and route where both are known, else the name of the span.
fn operation() -> String {
    let method = "coalesce(attr('span.http.request.method'), attr('span.http.method'))";
    format!("coalesce({method} || ' ' || attr('span.http.route'), name)")
}

/// Traces in which `service` calls a peer; without one, in which it does anything.
fn calls(service: &str, peer: Option<&str>) -> String {
    let Some(peer) = peer else {
        return format!("select s.trace_id from seen s where {}", equals("s.service", service));
    };
    let names: Vec<String> = peer_names().map(|name| attribute_of("s", name)).collect();
    format!(
        "select s.trace_id from seen s left join seen c on c.trace_id = s.trace_id and \
         c.parent_span_id = s.span_id and c.service <> s.service where {} and \
         coalesce(c.service, case when s.kind in ('client', 'producer') \
         then coalesce({}) end) = {}",
        equals("s.service", service),
        names.join(", "),
        text(peer)
    )
}

/// Traces in which a call fails.
fn fails_in(call: &CallName) -> String {
    let calls = calls(&call.service, call.peer.as_deref());
    format!("{calls} and {} and s.failed", equals("s.name", &call.name))
}

/// Traces with a span that carries a value.
fn carries(part: &ConditionPart) -> String {
    let (service, value) = (equals("service", &part.service), part.value.as_str());
    let spans = format!("select trace_id from seen where {service}");
    match part.attribute.as_str() {
        NAME => format!("{spans} and {}", equals("name", value)),
        CALLS => calls(&part.service, Some(value)),
        name => {
            // What a failed span says of its outcome is no reason of it.
            let fine = if names::is_outcome(name) { " and not failed" } else { "" };
            let found = attribute(name);
            match Limit::parse(value) {
                Some(limit) => {
                    let holds = limit.sql(&format!("try_cast({found} as double)"));
                    format!("{spans} and {holds}{fine}")
                }
                None => format!("{spans} and {found} = {}{fine}", text(value)),
            }
        }
    }
}

/// Traces that carry all of these.
fn carry_all(parts: &[ConditionPart]) -> String {
    let parts: Vec<String> = parts.iter().map(carries).collect();
    parts.join(" intersect ")
}

impl Place {
    fn traces(&self) -> String {
        let mut sql = match &self.call {
            Some(call) => fails_in(call),
            None => "select trace_id from requests where failed".to_owned(),
        };
        for call in &self.not_calls {
            sql += &format!(" except ({})", fails_in(call));
        }
        for parts in &self.without {
            sql += &format!(" except ({})", carry_all(parts));
        }
        sql
    }
}

impl Group {
    /// `grouped` holds the traces of its places, `carrying` those that carry all parts.
    fn tables(&self) -> String {
        let places: Vec<String> =
            self.places.iter().map(|place| format!("({})", place.traces())).collect();
        let grouped =
            format!("grouped as (select distinct trace_id from ({}))", places.join(" union all "));
        if self.parts.is_empty() {
            return grouped;
        }
        let carrying = carry_all(&self.parts);
        format!("{grouped}, carrying as (select distinct trace_id from ({carrying}))")
    }

    fn joins(&self) -> &'static str {
        if self.parts.is_empty() {
            "left join grouped g on g.trace_id = r.trace_id"
        } else {
            "left join grouped g on g.trace_id = r.trace_id \
             left join carrying c on c.trace_id = r.trace_id"
        }
    }

    fn is_in(&self) -> &'static str {
        if self.parts.is_empty() {
            "g.trace_id is not null"
        } else {
            "g.trace_id is not null and c.trace_id is not null"
        }
    }
}

// ===== queries =====

impl Frame {
    /// The times that are looked at.
    fn ranges(&self) -> impl Iterator<Item = &TimeRange> {
        [&self.window].into_iter().chain(&self.baseline)
    }

    /// Whether a time lies in what is looked at or its edges.
    pub(crate) fn within_edges(&self, column: &str) -> String {
        let edged = self.ranges().map(|range| TimeRange {
            from: range.from.shifted(-EDGE_NS),
            to: range.to.shifted(EDGE_NS),
        });
        let each: Vec<String> = edged.map(|range| within(column, &range)).collect();
        format!("({})", each.join(" or "))
    }

    /// Whether a request began in what is looked at.
    pub(crate) fn window_and_baseline(&self) -> String {
        let each: Vec<String> = self.ranges().map(|range| within("start_time", range)).collect();
        format!("({})", each.join(" or "))
    }

    /// `seen`: the spans that are looked at.
    pub(crate) fn seen(&self) -> String {
        let loose = format!(" and trace_id <> '{}'", "0".repeat(32));
        format!(
            "seen as (select *, {} as failed from spans where {}{})",
            self.failed(),
            self.within_edges("start_time"),
            if self.loose { loose.as_str() } else { "" },
        )
    }

    /// The topmost entry span of each trace (of the service that is asked for) of which `holds`.
    pub(crate) fn topmost(&self, holds: &str) -> String {
        let asked = self.asked.as_deref();
        let of = asked.map(|service| format!(" where {}", equals("service", service)));
        let of = of.unwrap_or_default();
        format!(
            "select * from (select *, {} as operation, \
             row_number() over (partition by trace_id order by \
             case when kind in ('server', 'consumer') then 0 else 1 end, \
             case when parent_span_id is null then 0 else 1 end, start_time) as place \
             from seen{of}) where place = 1 and {holds}",
            operation(),
        )
    }

    /// The spans of the question, and its requests.
    pub(crate) fn tables(&self) -> String {
        let operations: Vec<String> = self.operations.iter().map(|name| text(name)).collect();
        let operations = match operations.as_slice() {
            [] => String::new(),
            names => format!(" and operation in ({})", names.join(", ")),
        };
        let weight = match self.weighted {
            true => ", case when weight > 0 then weight else 1 end as weight",
            false => "",
        };
        let of_service = match self.any_service {
            true => String::new(),
            false => {
                let service = self.service.as_deref().unwrap_or_default();
                format!(" and {}", equals("service", service))
            }
        };
        let holds = format!("{}{of_service}{operations}", self.window_and_baseline());
        let (seen, topmost) = (self.seen(), self.topmost(&holds));
        match &self.served {
            None => format!(
                "with {seen}, requests as (select trace_id, start_time, failed{weight} from \
                 ({topmost}))"
            ),
            Some(served) => format!(
                "with {seen}, {}, requests as (select q.trace_id, start_time, failed{weight}, \
                 is_new from ({topmost}) q join served on served.trace_id = q.trace_id)",
                served.table()
            ),
        }
    }

    /// Whether a span failed, or was slow where that was asked.
    fn failed(&self) -> String {
        let Some(slow) = &self.slow else { return failed_sql() };
        let beyond = |call: &SlowCall| {
            format!(
                "({} and {} and {} and duration_ns > {})",
                equals("service", &call.service),
                equals("name", &call.name),
                equals(&attribute("span.http.route"), &call.route),
                call.limit_ns
            )
        };
        let rules: Vec<String> =
            ["duration_ns is null".to_owned()].into_iter().chain(slow.iter().map(beyond)).collect();
        format!("coalesce({}, false)", rules.join(" or "))
    }

    /// Whether its queries stay short enough to be read and planned.
    pub(crate) fn has_queries(&self) -> bool {
        self.slow.as_ref().is_none_or(|slow| slow.len() <= SLOW_CALLS_MAX)
    }

    /// How many requests this holds for.
    fn count(&self, holds: &str, name: &str) -> String {
        match self.weighted {
            true => format!("coalesce(sum(case when {holds} then r.weight end), 0) as {name}"),
            false => format!("count(case when {holds} then 1 end) as {name}"),
        }
    }

    /// Of the new version, where two are compared.
    fn of_new(&self) -> &'static str {
        self.served.as_ref().map_or("", |_| " and r.is_new = 1")
    }

    fn is_failing(&self) -> String {
        format!("r.failed and {}{}", within("r.start_time", &self.failing), self.of_new())
    }

    fn is_healthy(&self) -> String {
        if self.served.is_some() {
            return "not r.failed and r.is_new = 0".to_owned();
        }
        let within = |range| within("r.start_time", range);
        self.baseline.as_ref().map_or_else(
            || "not r.failed".to_owned(),
            |baseline| {
                format!("not r.failed and {} and not ({})", within(baseline), within(&self.window))
            },
        )
    }

    /// Failing requests of all since they fail; the same of the time before, in the place of
    /// healthy ones.
    pub(crate) fn symptom(&self, has_before: bool) -> String {
        let since = format!("{}{}", within("r.start_time", &self.failing), self.of_new());
        let window = within("r.start_time", &self.window);
        let before = match &self.baseline {
            _ if self.served.is_some() => "r.is_new = 0".to_owned(),
            Some(baseline) => format!("{} and not ({window})", within("r.start_time", baseline)),
            None => {
                let before = TimeRange { from: self.window.from, to: self.failing.from };
                within("r.start_time", &before)
            }
        };
        let before = if has_before { before } else { "false".to_owned() };
        format!(
            "{} select {}, {}, {}, {} from requests r",
            self.tables(),
            self.count(&format!("r.failed and {since}"), "failing"),
            self.count(&since, "failing_of"),
            self.count(&format!("r.failed and {before}"), "healthy"),
            self.count(&before, "healthy_of"),
        )
    }

    /// Failing requests of a group among all failing ones; healthy ones in which one of the calls
    /// fails, among all healthy ones.
    pub(crate) fn failing_in(&self, group: &Group, calls: &[CallName]) -> String {
        let (failing, healthy) = (self.is_failing(), self.is_healthy());
        let calls: Vec<String> = calls.iter().map(fails_in).collect();
        format!(
            "{}, {}, call as (select distinct trace_id from ({})) select {}, {}, {}, {} from \
             requests r {} left join call f on f.trace_id = r.trace_id",
            self.tables(),
            group.tables(),
            calls.join(" union all "),
            self.count(&format!("{failing} and {}", group.is_in()), "failing"),
            self.count(&failing, "failing_of"),
            self.count(&format!("{healthy} and f.trace_id is not null"), "healthy"),
            self.count(&healthy, "healthy_of"),
            group.joins(),
        )
    }

    /// Failing requests of a group that carry its parts, among all of its places; healthy ones
    /// that carry them, among all healthy ones.
    pub(crate) fn carrying(&self, group: &Group) -> String {
        let (failing, healthy) = (self.is_failing(), self.is_healthy());
        format!(
            "{}, {} select {}, {}, {}, {} from requests r {}",
            self.tables(),
            group.tables(),
            self.count(&format!("{failing} and {}", group.is_in()), "failing"),
            self.count(&format!("{failing} and g.trace_id is not null"), "failing_of"),
            self.count(&format!("{healthy} and c.trace_id is not null"), "healthy"),
            self.count(&healthy, "healthy_of"),
            group.joins(),
        )
    }

    /// Failing requests of a group among those that met one value of what a service is split by
    /// inside a time, and the same for those that met another one. Requests that fail otherwise
    /// are left out.
    pub(crate) fn split(&self, group: &Group, split: &Split<'_>) -> String {
        let value = match split.by {
            SplitBy::Version => VERSION.to_owned(),
            SplitBy::Instance => INSTANCE.to_owned(),
            SplitBy::Config => {
                let names: Vec<String> = config_names().map(attribute).collect();
                format!("coalesce({})", names.join(", "))
            }
        };
        let is_new = format!("v.value = {}", text(split.value));
        let failing = format!("{} and {}", self.is_failing(), group.is_in());
        let since = format!("{}{}", within("r.start_time", &split.range), self.of_new());
        format!(
            "{}, {}, met as (select distinct trace_id, {value} as value from seen where {}) \
             select {}, {}, {}, {} from requests r join met v on v.trace_id = r.trace_id and \
             v.value is not null {} where {since} and (not r.failed or {failing})",
            self.tables(),
            group.tables(),
            equals("service", split.service),
            self.count(&format!("{is_new} and r.failed"), "failing"),
            self.count(&is_new, "failing_of"),
            self.count(&format!("not ({is_new}) and r.failed"), "healthy"),
            self.count(&format!("not ({is_new})"), "healthy_of"),
            group.joins(),
        )
    }
}

/// A version, a configuration or an instance of a service, and the others.
pub(crate) struct Split<'s> {
    pub(crate) service: &'s str,
    pub(crate) value: &'s str,
    pub(crate) by: SplitBy,
    pub(crate) range: TimeRange,
}
