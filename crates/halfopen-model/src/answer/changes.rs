//! The answer of `changes`: what was changed, told by somebody or seen in telemetry.

use crate::answer::finding::{Gap, Share};
use crate::time::{TimeRange, UnixNanos};

/// What changed in a time range.
#[derive(Clone, PartialEq, Debug)]
pub struct ChangesAnswer {
    /// The time it looked at.
    pub window: TimeRange,
    /// Changes by time.
    pub changes: Vec<KnownChange>,
    /// Spans that changes were looked for in.
    pub spans: u64,
    /// What could not be known.
    pub gaps: Vec<Gap>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// One change. Told and seen ones that speak of the same are one.
#[derive(Clone, PartialEq, Debug)]
pub struct KnownChange {
    /// Id of the row in `changes`; `None` when it was only seen.
    pub id: Option<String>,
    /// deploy, config, flag, scale, restart, ...
    pub kind: String,
    /// When, as it was told; else when it was first seen.
    pub at: UnixNanos,
    /// When it was complete, where that was told.
    pub until: Option<UnixNanos>,
    /// What was changed.
    pub service: Option<String>,
    /// The one instance that was changed, where it was one.
    pub instance: Option<String>,
    /// Environment.
    pub environment: Option<String>,
    /// What is told by `from` and `to`: `service.version`, `container.image`, the key of a flag.
    pub what: Option<String>,
    /// What it was before.
    pub from: Option<String>,
    /// What it is since.
    pub to: Option<String>,
    /// One line for people.
    pub title: String,
    /// Commit.
    pub commit: Option<String>,
    /// Team or tool.
    pub author: Option<String>,
    /// Paths that were touched.
    pub files: Vec<String>,
    /// The diff, bounded.
    pub diff: Option<String>,
    /// A page about it.
    pub url: Option<String>,
    /// Who told of it: `api`, `import`; `None` when it was only seen.
    pub told_by: Option<String>,
    /// What telemetry shows of it; `None` when it was only told.
    pub seen: Option<SeenChange>,
}

/// What telemetry shows of a change.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SeenChange {
    /// First sight.
    pub at: UnixNanos,
    /// Instances with the new value, of all that were seen since; 0 of 0 where instances have no
    /// names.
    pub instances: Share,
    /// Traces that met the new value on their visit to the service, of all since.
    pub visits: Share,
}
