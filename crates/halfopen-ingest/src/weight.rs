//! How many spans a sampled one stands for.

use crate::otlp::AnyValue;

/// Hex digits of a sampling threshold (OpenTelemetry, "TraceState: probability sampling"): fewer
/// are padded with zeros on the right.
const THRESHOLD_DIGITS: usize = 14;
/// One more than the largest threshold.
const THRESHOLDS: u64 = 1 << (4 * THRESHOLD_DIGITS);

/// What an attribute says about sampling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WeightKind {
    /// The chance with which the span was kept.
    Probability,
    /// The number of spans it stands for.
    Weight,
}

impl WeightKind {
    /// The kind of attribute that this key names.
    pub(crate) fn of(key: &str) -> Option<WeightKind> {
        match key {
            "sampling.probability" => Some(WeightKind::Probability),
            "sampling.weight" | "SampleRate" => Some(WeightKind::Weight),
            _ => None,
        }
    }

    /// The weight that a value gives; `None` when it is no number or makes no sense.
    pub(crate) fn weight(self, value: AnyValue<'_>) -> Option<f64> {
        let number = match value {
            AnyValue::Int(value) => value as f64,
            AnyValue::Double(value) => value,
            _ => return None,
        };
        let weight = match self {
            WeightKind::Probability => 1.0 / number,
            WeightKind::Weight => number,
        };
        (weight.is_finite() && weight >= 1.0).then_some(weight)
    }
}

/// The weight in a `tracestate`: `ot=th:c` means that one of four was kept.
pub(crate) fn from_trace_state(trace_state: &[u8]) -> Option<f64> {
    let text = str::from_utf8(trace_state).ok()?;
    let members = text.split(',');
    let ours = members.filter_map(|member| member.trim().strip_prefix("ot=")).next()?;
    let threshold = ours.split(';').find_map(|value| value.strip_prefix("th:"))?;
    let is_hex = threshold.bytes().all(|byte| byte.is_ascii_hexdigit());
    if threshold.is_empty() || threshold.len() > THRESHOLD_DIGITS || !is_hex {
        return None;
    }
    let digits = u64::from_str_radix(threshold, 16).ok()?;
    let rejected = digits << (4 * (THRESHOLD_DIGITS - threshold.len()));
    Some(THRESHOLDS as f64 / (THRESHOLDS - rejected) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_gives_the_number_of_spans_that_one_stands_for() {
        let weight = |text: &str| from_trace_state(text.as_bytes());
        assert_eq!(weight("ot=th:0"), Some(1.0));
        assert_eq!(weight("ot=th:8"), Some(2.0));
        assert_eq!(weight("vendor=a, ot=rv:abcdef01234567;th:c"), Some(4.0));
        assert_eq!(weight("ot=th:ffffffffffffff"), Some(THRESHOLDS as f64));
        for none in ["", "ot=rv:1", "ot=th:", "ot=th:xyz", "ot=th:123456789012345", "th:8"] {
            assert_eq!(weight(none), None, "{none}");
        }
    }

    #[test]
    fn attributes_give_a_weight_when_they_are_numbers_that_make_sense() {
        let probability = |value| WeightKind::Probability.weight(AnyValue::Double(value));
        assert_eq!(probability(0.25), Some(4.0));
        assert_eq!((probability(0.0), probability(2.0), probability(f64::NAN)), (None, None, None));
        assert_eq!(WeightKind::Weight.weight(AnyValue::Int(10)), Some(10.0));
        assert_eq!(WeightKind::Weight.weight(AnyValue::Text(b"10")), None);
    }
}
