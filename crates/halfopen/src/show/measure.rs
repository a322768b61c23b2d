//! Where a metric comes from, on a few lines.

use halfopen_model::time::show_duration;
use halfopen_serve::wire::{MeasuredV1, MetricCauseV1, MetricPlaceV1, MetricV1, PartV1};

use super::text::{clean, clock, closing, count, date, of, padded, percent};
use crate::Failure;
use crate::terminal::{FAILED, FAINT, STRONG, Terminal};

/// Other places of a cause that are shown unless all are asked for.
const INSTEAD_SHOWN: usize = 2;

/// Writes the answer.
pub(crate) fn show(terminal: &mut Terminal, answer: &MetricV1, all: bool) -> Result<(), Failure> {
    headline(terminal, answer)?;
    for (position, cause) in answer.causes.iter().enumerate() {
        self::cause(terminal, position + 1, cause, all)?;
    }
    let (from, to) = (answer.window.from.0, answer.window.to.0);
    let against = match &answer.before {
        Some(before) => format!(" · against {}..{}", clock(before.from.0), clock(before.to.0)),
        None => String::new(),
    };
    let points = if answer.points == 1 { "point" } else { "points" };
    terminal.line(format_args!(
        "{FAINT}over: {} {points} · {} {}..{} UTC{against}{FAINT:#}",
        count(answer.points as f64),
        date(from),
        clock(from),
        clock(to),
    ))?;
    closing(terminal, &answer.gaps, &[])
}

fn headline(terminal: &mut Terminal, answer: &MetricV1) -> Result<(), Failure> {
    let metric = clean(&answer.metric).into_owned();
    let Some(now) = &answer.now else {
        return terminal.line(format_args!("{metric}: nothing was measured in this time"));
    };
    let what = match (&answer.total, &answer.service) {
        (Some(total), _) => format!("{metric} of {}", clean(total)),
        (None, Some(service)) => format!("{metric} of {}", clean(service)),
        (None, None) => metric,
    };
    let was = answer.was.as_ref().map_or(String::new(), |was| format!(", was {}", brief(was)));
    let during = answer.during.as_ref().map_or(String::new(), |during| {
        let length = during.to.0.since(during.from.0);
        format!(" from {} for {}", clock(during.from.0), show_duration(length))
    });
    terminal.line(format_args!(
        "{what}: {FAILED}{}{FAILED:#} ({}{was}){during}",
        long(now),
        brief(now)
    ))?;
    match answer.verdict.as_str() {
        "healthy" => terminal.line(" none failed"),
        "unexplained" => terminal.line(" nothing stands out from what the time before shows"),
        "not_enough_evidence" => terminal.line(" not enough evidence to say why"),
        _ => Ok(()),
    }
}

fn long(measured: &MeasuredV1) -> String {
    match measured {
        MeasuredV1::Count(share) => of(share),
        MeasuredV1::Level(level) => number(*level),
    }
}

fn brief(measured: &MeasuredV1) -> String {
    match measured {
        MeasuredV1::Count(share) => percent(share.ratio),
        MeasuredV1::Level(level) => number(*level),
    }
}

/// Four digits that say something.
fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1_000.0 => count(value.round()),
        _ if size >= 1.0 || size == 0.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn cause(
    terminal: &mut Terminal,
    position: usize,
    cause: &MetricCauseV1,
    all: bool,
) -> Result<(), Failure> {
    let strength = padded(&cause.strength, 6);
    let place = clean(&place_text(&cause.place)).into_owned();
    terminal.line(format_args!("{position:>2} {strength} {STRONG}{place}{STRONG:#}"))?;
    let share = match &cause.place {
        MetricPlaceV1::Attributes { explains, .. } => {
            format!(" · {} of what is more than before", percent(explains.ratio))
        }
        MetricPlaceV1::Service { path, .. } if path.len() > 1 => {
            format!(" · {}", clean(&path.join(" → ")))
        }
        MetricPlaceV1::Service { .. } => String::new(),
    };
    let now = &cause.now;
    let was = cause.was.as_ref().map_or(String::new(), |was| format!(", was {}", brief(was)));
    terminal.line(format_args!(
        "          {FAINT}{} ({}{was}){share}{FAINT:#}",
        long(now),
        brief(now),
    ))?;
    if let MetricPlaceV1::Attributes { same_as, .. } = &cause.place
        && !same_as.is_empty()
    {
        let same = clean(&parts_text(same_as)).into_owned();
        terminal.line(format_args!("          {FAINT}the same  {same}{FAINT:#}"))?;
    }
    let shown = if all { cause.instead.len() } else { INSTEAD_SHOWN };
    for place in cause.instead.iter().take(shown) {
        let text = clean(&place_text(place)).into_owned();
        terminal.line(format_args!("          {FAINT}rather than {text}{FAINT:#}"))?;
    }
    Ok(())
}

fn place_text(place: &MetricPlaceV1) -> String {
    match place {
        MetricPlaceV1::Attributes { parts, .. } => parts_text(parts),
        MetricPlaceV1::Service { service, metric, .. } => format!("{service}  {metric}"),
    }
}

fn parts_text(parts: &[PartV1]) -> String {
    let part = |part: &PartV1| {
        let name = part.attribute.strip_prefix("metric.").unwrap_or(&part.attribute);
        format!("{name} = {}", part.value)
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" and ")
}
