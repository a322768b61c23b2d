//! SQL that gives the numbers of what stands out again: one row of `now`, `before`, `samples`,
//! `samples_before`.
//!
//! A trace belongs to the time in which its first span began, as in `eras`. SQL takes repeated
//! spans, circles of parents and clocks as they come; where there are any a gap says so.

use halfopen_model::TimeRange;

use super::eras::{Eras, SLICE_NS};
use super::resources::{Form, Loaded, OddSeries};
use super::siblings::Measure;
use crate::spans::peer_names;
use crate::sql::{Frame, attribute_of, equals, text, within};

/// What the queries of one comparison have in common.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    /// Which spans are looked at, and which requests the question names.
    pub(crate) frame: Frame,
    /// Whether the question names requests: then only traces with such a request count.
    pub(crate) is_scoped: bool,
    pub(super) eras: Eras,
}

/// One instance (or version) of a service in the place of now, the others of the same time in the
/// place of before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside<'s> {
    /// The attributes that tell them apart; the first that is there counts.
    pub(super) names: &'s [&'static str],
    pub(super) value: &'s str,
}

/// Which side a span counts for, and of which spans that is known; without `beside` the two times.
fn side(alias: &str, beside: Option<Beside<'_>>) -> (String, String) {
    let Some(Beside { names, value }) = beside else {
        return (format!("{alias}.is_now"), String::new());
    };
    let names: Vec<String> = names.iter().map(|name| attribute_of(alias, name)).collect();
    let told = match names.as_slice() {
        [name] => format!("nullif({name}, '')"),
        names => format!("nullif(coalesce({}), '')", names.join(", ")),
    };
    let is_it = format!("case when {told} = {} then 1 else 0 end", text(value));
    (is_it, format!(" and {alias}.is_now = 1 and {told} is not null"))
}

/// How many of how many, by era: `hits` of `chances` in each trace.
const SHARES: &str = "select \
    sum(case when is_now = 1 then share end) / count(case when is_now = 1 then 1 end) as now, \
    sum(case when is_now = 0 then share end) / count(case when is_now = 0 then 1 end) as before, \
    count(case when is_now = 1 then 1 end) as samples, \
    count(case when is_now = 0 then 1 end) as samples_before from shares";

/// The middle of the times of each era. What is an even number has the upper of its two in the
/// middle.
const MEDIANS: &str = "select \
    max(case when is_now = 1 and place = whole / 2 + 1 then nanos end) as now, \
    max(case when is_now = 0 and place = whole / 2 + 1 then nanos end) as before, \
    max(samples) as samples, max(samples_before) as samples_before from ordered cross join \
    (select count(distinct case when is_now = 1 then trace_id end) as samples, \
    count(distinct case when is_now = 0 then trace_id end) as samples_before from times)";

fn peer(alias: &str) -> String {
    let names: Vec<String> = peer_names().map(|name| attribute_of(alias, name)).collect();
    format!("coalesce({})", names.join(", "))
}

/// A service of telemetry by its name, the empty name for one without.
fn is(alias: &str, service: &str) -> String {
    equals(&format!("{alias}.service"), service)
}

impl Sql {
    /// `told`: spans of both times, with the time they belong to, whether they are calls to
    /// others, and what is known of their children.
    fn told(&self) -> String {
        let (now, before) = (within("began", &self.eras.now), within("began", &self.eras.before));
        let (tables, of_requests) = match self.is_scoped {
            true => (self.frame.tables(), " where trace_id in (select trace_id from requests)"),
            false => (format!("with {}", self.frame.seen()), ""),
        };
        format!(
            "{tables}, units as (select trace_id, case when {now} then 1 else 0 end as is_now \
             from (select trace_id, min(start_time) as began from seen{of_requests} \
             group by trace_id) where ({now}) or ({before})), \
             mine as (select s.*, u.is_now from seen s join units u on u.trace_id = s.trace_id), \
             kin as (select p.trace_id, p.span_id, count(*) as children, \
             max(case when c.service is not distinct from p.service then 1 else 0 end) as stays, \
             max(case when c.failed then 1 else 0 end) as passed_on \
             from mine p join mine c on c.trace_id = p.trace_id and c.parent_span_id = p.span_id \
             group by p.trace_id, p.span_id), \
             told as (select m.*, coalesce(k.children, 0) as children, \
             coalesce(k.passed_on, 0) as passed_on, case \
             when m.kind in ('client', 'producer') then true \
             when m.kind in ('server', 'consumer') then false \
             else coalesce(k.children, 0) > 0 and coalesce(k.stays, 0) = 0 end as goes_out \
             from mine m left join kin k on k.trace_id = m.trace_id and k.span_id = m.span_id)"
        )
    }

    /// The medians of `times (trace_id, is_now, nanos)`. `beyond_ns`: of now only what is longer.
    fn medians(&self, times: &str, beyond_ns: Option<impl std::fmt::Display>) -> String {
        let kept = beyond_ns
            .map_or(String::new(), |limit| format!(" where is_now = 0 or nanos > {limit}"));
        format!(
            "{}, {times}, ordered as (select is_now, nanos, \
             row_number() over (partition by is_now order by nanos) as place, \
             count(*) over (partition by is_now) as whole from times{kept}) {MEDIANS}",
            self.told()
        )
    }

    /// How long requests of a kind take.
    pub(super) fn request_time(
        &self,
        service: &str,
        operation: &str,
        beyond_ns: Option<i64>,
    ) -> String {
        let requests = self.frame.topmost(&self.frame.window_and_baseline());
        let requests = format!(
            "topmost as ({requests}), times as (select t.trace_id, u.is_now, t.duration_ns as \
             nanos from topmost t join units u on u.trace_id = t.trace_id where {} and \
             t.operation = {} and t.duration_ns >= 0)",
            is("t", service),
            text(operation),
        );
        self.medians(&requests, beyond_ns)
    }

    /// How long calls between two services take.
    pub(super) fn call_time(&self, caller: &str, callee: &str, beyond_ns: Option<i64>) -> String {
        let times = format!(
            "times as (select * from (select c.trace_id, c.is_now, \
             case when p.goes_out then p.duration_ns else c.duration_ns end as nanos \
             from told c join told p on p.trace_id = c.trace_id and p.span_id = c.parent_span_id \
             where {} and {} union all select t.trace_id, t.is_now, t.duration_ns as nanos \
             from told t where t.goes_out and t.children = 0 and {} and {} = {}) \
             where nanos >= 0)",
            is("c", callee),
            is("p", caller),
            is("t", caller),
            peer("t"),
            text(callee),
        );
        self.medians(&times, beyond_ns)
    }

    /// How long calls between two services are under way.
    pub(super) fn edge_gap(
        &self,
        [caller, callee]: [&str; 2],
        beyond_ns: Option<i64>,
        of: Option<(Measure, Beside<'_>)>,
    ) -> String {
        let of_callee = matches!(of, Some((Measure::To, _)));
        let beside = of.map(|of| of.1);
        let (is_now, known) = side(if of_callee { "c" } else { "p" }, beside);
        let (is_now_silent, known_silent) = match of_callee {
            true => ("0".to_owned(), " and false".to_owned()),
            false => side("t", beside),
        };
        let times = format!(
            "times as (select * from (select p.trace_id, {is_now} as is_now, \
             p.duration_ns - c.duration_ns as nanos \
             from told p join told c on c.trace_id = p.trace_id and c.parent_span_id = p.span_id \
             where p.goes_out and {} and {} and p.duration_ns >= 0 and c.duration_ns >= 0{known} \
             union all select t.trace_id, {is_now_silent} as is_now, t.duration_ns as nanos \
             from told t where t.goes_out and t.children = 0 and {} and {} = {}{known_silent}) \
             where nanos >= 0)",
            is("p", caller),
            is("c", callee),
            is("t", caller),
            peer("t"),
            text(callee),
        );
        self.medians(&times, beyond_ns)
    }

    /// How long an operation works by itself: its duration without the union of its children and
    /// of calls that run beside it.
    pub(super) fn self_time(
        &self,
        [service, name]: [&str; 2],
        beyond_ns: Option<i64>,
        beside: Option<Beside<'_>>,
    ) -> String {
        let (is_now, known) = side("t", beside);
        let times = format!(
            "work as (select trace_id, span_id, parent_span_id, {is_now} as is_now, duration_ns, \
             cast(start_time as bigint) as b, cast(start_time as bigint) + duration_ns as e \
             from told t where {} and t.name = {} and not t.goes_out and \
             t.duration_ns >= 0{known}), \
             others as (select w.trace_id, w.span_id, w.b, cast(o.start_time as bigint) as s, \
             least(cast(o.start_time as bigint) + coalesce(o.duration_ns, 0), w.e) as t \
             from work w join told o on o.trace_id = w.trace_id and (o.parent_span_id = w.span_id \
             or (o.goes_out and o.parent_span_id = w.parent_span_id and o.span_id <> w.span_id))), \
             covered as (select *, max(t) over (partition by trace_id, span_id order by s \
             rows between unbounded preceding and 1 preceding) as reached from others), \
             waits as (select trace_id, span_id, \
             sum(greatest(0, t - greatest(s, b, coalesce(reached, b)))) as nanos \
             from covered group by trace_id, span_id), \
             times as (select w.trace_id, w.is_now, w.duration_ns - coalesce(o.nanos, 0) as nanos \
             from work w left join waits o on o.trace_id = w.trace_id and o.span_id = w.span_id)",
            is("t", service),
            text(name),
        );
        self.medians(&times, beyond_ns)
    }

    /// How many spans of an operation have a certain child.
    pub(super) fn call_shape(&self, place: [&str; 2], child: [&str; 2]) -> String {
        format!(
            "{}, chances as (select trace_id, is_now, count(*) as chances from told t \
             where {} and t.name = {} group by trace_id, is_now), \
             hits as (select p.trace_id, count(distinct p.span_id) as hits from told p \
             join told c on c.trace_id = p.trace_id and c.parent_span_id = p.span_id \
             where {} and p.name = {} and {} and c.name = {} group by p.trace_id), \
             shares as (select c.is_now, coalesce(h.hits, 0) * 1.0 / c.chances as share \
             from chances c left join hits h on h.trace_id = c.trace_id) {SHARES}",
            self.told(),
            is("t", place[0]),
            text(place[1]),
            is("p", place[0]),
            text(place[1]),
            is("c", child[0]),
            text(child[1]),
        )
    }

    /// How many calls of one kind a span of an operation makes that makes any.
    pub(super) fn call_count(
        &self,
        place: [&str; 2],
        child: [&str; 2],
        beyond: Option<f64>,
    ) -> String {
        let times = format!(
            "times as (select p.trace_id, p.is_now, \
             count(*) * 1.0 / count(distinct p.span_id) as nanos from told p \
             join told c on c.trace_id = p.trace_id and c.parent_span_id = p.span_id \
             where {} and p.name = {} and {} and c.name = {} group by p.trace_id, p.is_now)",
            is("p", place[0]),
            text(place[1]),
            is("c", child[0]),
            text(child[1]),
        );
        self.medians(&times, beyond)
    }

    /// In how many requests that a service takes part in it holds a failing span below which
    /// nothing fails.
    pub(super) fn error_origin(&self, service: &str) -> String {
        format!(
            "{}, owned as (select trace_id, is_now, failed, passed_on, \
             case when kind in ('client', 'producer') and children = 0 \
             then coalesce({}, service) else service end as service from told t), \
             shares as (select is_now, max(case when failed and passed_on = 0 then 1.0 else 0.0 \
             end) as share from owned o where {} group by trace_id, is_now) {SHARES}",
            self.told(),
            peer("t"),
            is("o", service),
        )
    }

    /// In how many requests that one instance takes part in it holds a failing span below which
    /// nothing fails, and in how many of the others.
    pub(super) fn failures_beside(&self, service: &str, beside: Beside<'_>) -> String {
        let (is_now, known) = side("t", Some(beside));
        format!(
            "{}, shares as (select is_now, max(share) as share from (select trace_id, {is_now} as \
             is_now, case when failed and passed_on = 0 then 1.0 else 0.0 end as share \
             from told t where {}{known}) group by trace_id, is_now) {SHARES}",
            self.told(),
            is("t", service),
        )
    }

    /// How many spans of an operation have a statement in their log; without an operation, in how
    /// many slices of time the service writes it.
    pub(super) fn log_statement(
        &self,
        service: &str,
        name: Option<&str>,
        statement: &str,
    ) -> String {
        let form = text(&pattern(statement));
        let Some(name) = name else { return self.statement_in_time(service, &form) };
        format!(
            "{}, lines as (select distinct trace_id, span_id from logs where {} and \
             regexp_like(body, {form})), chances as (select trace_id, is_now, count(*) as chances \
             from told t where {} and t.name = {} group by trace_id, is_now), \
             hits as (select t.trace_id, count(distinct t.span_id) as hits from told t \
             join lines l on l.trace_id = t.trace_id and l.span_id = t.span_id \
             where {} and t.name = {} group by t.trace_id), \
             shares as (select c.is_now, coalesce(h.hits, 0) * 1.0 / c.chances as share \
             from chances c left join hits h on h.trace_id = c.trace_id) {SHARES}",
            self.told(),
            self.frame.within_edges("time"),
            is("t", service),
            text(name),
            is("t", service),
            text(name),
        )
    }

    /// Lines that name no span that is there, by slices of time.
    fn statement_in_time(&self, service: &str, form: &str) -> String {
        let slice = format!("cast(time as bigint) / {SLICE_NS}");
        let in_era = |era: &TimeRange| format!("began >= {} and began < {}", era.from.0, era.to.0);
        let (now, before) = (in_era(&self.eras.now), in_era(&self.eras.before));
        format!(
            "with {}, lines as (select {slice} as slice, \
             max(case when regexp_like(l.body, {form}) then 1.0 else 0.0 end) as share \
             from logs l left join seen s on s.trace_id = l.trace_id and s.span_id = l.span_id \
             where l.service = {} and {} and s.span_id is null group by 1), \
             slices as (select share, slice * {SLICE_NS} as began from lines), \
             shares as (select share, case when {now} then 1 else 0 end as is_now from slices \
             where ({now}) or ({before})) {SHARES}",
            self.frame.seen(),
            text(service),
            self.frame.within_edges("time"),
        )
    }

    /// The middle of a series now and before.
    pub(super) fn resource(&self, loaded: &Loaded) -> String {
        let number = "coalesce(value_double, value_int)";
        let (now, first) = (&self.eras.now, loaded.first);
        let points = format!(
            "select series, time, cast({number} as double) as value from metrics \
             where series = {} and \
             time >= '{first}' and time < '{}'",
            loaded.series, now.to
        );
        let points = rates(loaded.form, points);
        format!(
            "with points as ({points}), eras as (select value, \
             case when time >= '{}' then 1 else 0 end as is_now from points), \
             ordered as (select *, row_number() over (partition by is_now order by value) as \
             place, count(*) over (partition by is_now) as samples from eras) select \
             max(case when is_now = 1 and place = (samples - 1) / 2 + 1 then value end) as now, \
             max(case when is_now = 0 and place = samples / 2 + 1 then value end) as before, \
             max(case when is_now = 1 then samples end) as samples, \
             max(case when is_now = 0 then samples end) as samples_before from ordered",
            now.from
        )
    }

    /// The middle of a series, and the largest one of those of its siblings.
    pub(super) fn resource_beside(&self, odd: &OddSeries<'_>) -> String {
        let number = "coalesce(value_double, value_int)";
        let ids = std::iter::once(&odd.id).chain(&odd.others).map(u64::to_string);
        // The first point of a counter is only there for the next one.
        let edge = self.eras.now.from.min(odd.first);
        let points = format!(
            "select series, time, cast({number} as double) as value from metrics \
             where series in ({}) and time >= '{edge}' and time < '{}'",
            ids.collect::<Vec<_>>().join(", "),
            self.eras.now.to
        );
        format!(
            "with points as ({}), ordered as (select series, value, row_number() over \
             (partition by series order by value) as place, count(*) over (partition by series) \
             as samples from points where time >= '{}'), middles as (select series, samples, \
             max(case when place = (samples - 1) / 2 + 1 then value end) as value \
             from ordered group by series, samples) select \
             max(case when series = {} then value end) as now, \
             max(case when series <> {} then value end) as before, \
             max(case when series = {} then samples end) as samples, \
             sum(case when series <> {} then samples end) as samples_before from middles",
            rates(odd.series.form, points),
            self.eras.now.from,
            odd.id,
            odd.id,
            odd.id,
            odd.id,
        )
    }
}

/// Points of series as they are compared: counters by their growth for each second.
fn rates(form: Form, points: String) -> String {
    match form {
        Form::Level | Form::Delta => points,
        Form::Counter => format!(
            "select series, time, case when value < last then value else value - last end / \
             ((cast(time as bigint) - cast(last_time as bigint)) / 1e9) as value from (\
             select *, lag(value) over (partition by series order by time) as last, \
             lag(time) over (partition by series order by time) \
             as last_time from ({points})) where last is not null"
        ),
    }
}

/// A regular expression of the lines of a statement: what stands between its words was taken
/// out, `…` is anything.
fn pattern(statement: &str) -> String {
    let words: Vec<String> = statement.split(' ').map(word).collect();
    // `…` may stand for no word at all, and swallows what stands beside it.
    let mut form = String::from("(?s)^");
    for (place, word) in words.iter().enumerate() {
        let apart = place > 0 && word != ".*" && words[place - 1] != ".*";
        form.push_str(if apart || place == 0 && word != ".*" {
            "[\\s=,()\\[\\]{}：]*"
        } else {
            ""
        });
        form.push_str(word);
    }
    form
}

fn word(word: &str) -> String {
    if word == super::templates::VARIES {
        return ".*".to_owned();
    }
    let mut shown = String::new();
    for c in word.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_becomes_the_form_of_its_lines() {
        let gap = "[\\s=,()\\[\\]{}：]*";
        assert_eq!(pattern("… card.rs:9 no … left"), format!("(?s)^.*card\\.rs:9{gap}no.*left"));
        assert_eq!(pattern("it's new"), format!("(?s)^{gap}it's{gap}new"));
    }
}
