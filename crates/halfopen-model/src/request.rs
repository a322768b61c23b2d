//! When a span failed, and when it was slow.
//!
//! **Invariant:** this is the one place that knows the two rules; every other room asks here.

use crate::batch::Cells;

/// From this HTTP status on an answer is the fault of the server (RFC 9110, section 15.6).
pub const HTTP_FAILED_MIN: i64 = 500;

/// Attributes that carry the HTTP status of the answer, the current name first.
pub const HTTP_STATUS: [&str; 2] = ["span.http.response.status_code", "span.http.status_code"];

/// Attributes that carry the gRPC status, the current names first.
pub const GRPC_STATUS: [&str; 3] =
    ["span.rpc.status_code", "span.rpc.response.status_code", "span.rpc.grpc.status_code"];

/// gRPC codes that are answers and no failures, by number and by name without its marks: the
/// caller asked for something that is not there, is there already or makes no sense, or no longer
/// wants the answer.
const GRPC_ANSWERS: [&str; 12] = [
    "",
    "0",
    "ok",
    "1",
    "cancelled",
    "canceled",
    "3",
    "invalidargument",
    "5",
    "notfound",
    "6",
    "alreadyexists",
];

/// Whether a span failed: status error, an HTTP status of 500 or more, a gRPC code that is no
/// answer, or no end. Old attribute names count too. [`failed_sql`] says the same.
pub fn failed(cells: &Cells<'_>, row: usize) -> bool {
    let value = |name: &&str| cells.attribute(name, row);
    cells.text("status", row) == Some("error")
        || cells.int("duration_ns", row).is_none()
        || HTTP_STATUS.iter().filter_map(value).any(|value| http_text_failed(&value.to_text()))
        || GRPC_STATUS.iter().filter_map(value).any(|value| grpc_text_failed(&value.to_text()))
}

/// The rule for an HTTP status, whatever its type was.
pub fn http_text_failed(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok_and(|code| code >= HTTP_FAILED_MIN as f64)
}

/// The rule for a gRPC code that was sent as number.
pub fn grpc_code_failed(code: i64) -> bool {
    grpc_text_failed(&code.to_string())
}

/// The rule for a gRPC code that was sent as text: a number, or a name in any spelling
/// (`NOT_FOUND`, `not_found` and `NotFound` are one code).
pub fn grpc_text_failed(text: &str) -> bool {
    let mut letters = text.to_ascii_lowercase();
    letters.retain(|letter| !matches!(letter, '_' | '-' | ' '));
    !GRPC_ANSWERS.contains(&letters.as_str())
}

/// The same rule in SQL, over rows of `spans`: true or false, never null.
pub fn failed_sql() -> String {
    let http = HTTP_STATUS
        .iter()
        .map(|name| format!("try_cast(trim(attr('{name}')) as double) >= {HTTP_FAILED_MIN}"));
    let answers = GRPC_ANSWERS.map(|answer| format!("'{answer}'")).join(", ");
    let grpc = GRPC_STATUS.iter().map(|name| {
        format!("lower(regexp_replace(attr('{name}'), '[-_ ]', '', 'g')) not in ({answers})")
    });
    let rules: Vec<String> = http.chain(grpc).collect();
    format!("coalesce(status = 'error' or duration_ns is null or {}, false)", rules.join(" or "))
}

/// With fewer durations than this it is not known what is usual.
pub const USUAL_MIN: usize = 8;

/// Durations spread by ratios, so the limit lies as many times above the median as the lower
/// quartile lies below it, to this power: one in 290 of a lognormal is beyond. The lower half
/// does not move when a third of all is slow.
const QUARTILES: i32 = 4;

/// Up to twice the median nothing is slow, and from ten times the median on everything is: where
/// the lower quartile is answered by a cache, the ratio says nothing.
const FACTOR_MIN: f64 = 2.0;
const FACTOR_MAX: f64 = 10.0;

/// Less than this is noise of schedulers and clocks.
const TINY_NS: i64 = 1_000_000;

/// How long something usually takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usual {
    /// Half of them take no longer, in nanoseconds.
    pub median_ns: i64,
    /// What takes longer than this is slow.
    pub limit_ns: i64,
}

/// What is usual, by durations in ascending order; `None` for fewer than [`USUAL_MIN`].
pub fn usual(sorted: &[i64]) -> Option<Usual> {
    if sorted.len() < USUAL_MIN {
        return None;
    }
    let (median_ns, quartile) = (sorted[sorted.len() / 2], sorted[sorted.len() / 4]);
    let ratio = median_ns as f64 / (quartile as f64).max(1.0);
    let factor = ratio.powi(QUARTILES).clamp(FACTOR_MIN, FACTOR_MAX);
    let limit_ns = ((median_ns as f64 * factor) as i64).max(median_ns.saturating_add(TINY_NS));
    Some(Usual { median_ns, limit_ns })
}
