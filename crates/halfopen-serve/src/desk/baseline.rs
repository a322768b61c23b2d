//! What requests are compared with: a time that was named, the same hour of an earlier day, or
//! the time of the version before.

use halfopen_explain::why::{SERVED_MIN, ServedBy};
use halfopen_model::answer::{Gap, KnownChange};
use halfopen_model::time::{SECOND_NS, TimeError, parse_duration_ns, parse_range};
use halfopen_model::{ReadEvidence, TimeRange, UnixNanos};

use super::{ChangesAsk, Desk, DeskError};

/// A version before is looked for so far back.
const VERSION_BEFORE_NS: i64 = 6 * 3_600 * SECOND_NS;
/// The same hour of the day before.
const DAY_NS: i64 = 24 * 3_600 * SECOND_NS;

/// What to compare with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyBaseline {
    /// This time.
    Range(TimeRange),
    /// As long a time, so many nanoseconds before the window.
    Earlier(i64),
    /// What the version before served in the window, else as long a time up to the last change of
    /// a version.
    VersionBefore,
}

impl WhyBaseline {
    /// Reads `14:02..14:20`, `-24h`, `yesterday` or `version`.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn read(text: &str, now: UnixNanos) -> Result<WhyBaseline, TimeError> {
        match (text, text.strip_prefix('-')) {
            ("version", _) => Ok(WhyBaseline::VersionBefore),
            ("yesterday", _) => Ok(WhyBaseline::Earlier(DAY_NS)),
            (_, Some(ago)) if !text.contains("..") => {
                parse_duration_ns(ago).map(WhyBaseline::Earlier)
            }
            _ => parse_range(text, now).map(WhyBaseline::Range),
        }
    }

    /// The text that reads as this.
    pub fn to_text(self) -> String {
        match self {
            WhyBaseline::Range(range) => format!("{}..{}", range.from, range.to),
            WhyBaseline::Earlier(ns) => format!("-{ns}ns"),
            WhyBaseline::VersionBefore => "version".to_owned(),
        }
    }
}

impl<S: ReadEvidence> Desk<S> {
    /// The time to compare a window with; `None` for healthy requests of the window itself.
    pub(super) async fn baseline(
        &self,
        asked: Option<WhyBaseline>,
        window: TimeRange,
        service: Option<&str>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<TimeRange>, DeskError> {
        match asked {
            None => Ok(None),
            Some(WhyBaseline::Range(range)) => Ok(Some(range)),
            Some(WhyBaseline::Earlier(ns)) => {
                let earlier = |at: UnixNanos| at.shifted(ns.saturating_neg());
                Ok(Some(TimeRange { from: earlier(window.from), to: earlier(window.to) }))
            }
            Some(WhyBaseline::VersionBefore) => {
                let change = self.version_change(window, service, gaps).await?;
                Ok(change.map(|change| before(&change, window)))
            }
        }
    }

    /// The last change of a version in a window or before it.
    pub(super) async fn version_change(
        &self,
        window: TimeRange,
        service: Option<&str>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<KnownChange>, DeskError> {
        let near = TimeRange { from: window.from.shifted(-VERSION_BEFORE_NS), to: window.to };
        let service = service.map(str::to_owned);
        let ask = ChangesAsk { window: Some(near), service, kind: None };
        let changes = self.changes(ask).await?.changes;
        let Some(change) = changes.into_iter().rev().find(is_of_version) else {
            let text = "no change of a version is known: compared with healthy requests instead";
            gaps.push(Gap::Other(text.to_owned()));
            return Ok(None);
        };
        Ok(Some(change))
    }
}

/// Why two versions were not compared in one window.
pub(super) fn not_beside(change: &KnownChange, served: ServedBy) -> Gap {
    let ServedBy { new, old } = served;
    let known = [&change.service, &change.to].map(|text| text.as_deref().unwrap_or("?"));
    let [service, version] = known;
    Gap::Other(format!(
        "{service} {version} served {new} of these requests in the window and the version before \
         it {old}, {SERVED_MIN} are needed of each: compared with the time before it came"
    ))
}

/// As long a time as a window, before a change and the window.
pub(super) fn before(change: &KnownChange, window: TimeRange) -> TimeRange {
    let to = change.at.min(window.from);
    TimeRange { from: to.shifted(-window.length_ns()), to }
}

/// Whether a change put another version in place.
fn is_of_version(change: &KnownChange) -> bool {
    change.kind == "deploy" || change.what.as_deref() == Some("service.version")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_795_185_000_000_000_000);

    #[test]
    fn baselines_are_read_and_written_in_each_of_their_forms() {
        let read = |text: &str| WhyBaseline::read(text, NOW).expect("a baseline");
        assert_eq!(read("version"), WhyBaseline::VersionBefore);
        assert_eq!(read("yesterday"), WhyBaseline::Earlier(DAY_NS));
        assert_eq!(read("-24h"), WhyBaseline::Earlier(DAY_NS));
        assert!(matches!(read("14:00..14:10"), WhyBaseline::Range(_)));
        for text in ["version", "-7d", "14:00..14:10"] {
            assert_eq!(read(&read(text).to_text()), read(text));
        }
        for refused in ["", "soon", "-soon", "14:10..14:00"] {
            assert!(WhyBaseline::read(refused, NOW).is_err(), "{refused}");
        }
    }
}
