//! The question of the demo: asked as anybody would ask it, over the server's port.

use halfopen_model::TimeRange;
use halfopen_model::answer::Scope;
use halfopen_serve::desk::WhyAsk;
use halfopen_serve::wire::WhyV1;

use crate::cli::SourceArgs;
use crate::source::Source;
use crate::{Failure, Session};

/// A call of `halfopen why`.
pub(super) struct Question {
    url: String,
    window: TimeRange,
}

impl Question {
    pub(super) fn new(url: String, window: TimeRange) -> Question {
        Question { url, window }
    }

    /// The command that asks the same, to be copied.
    pub(super) fn command(&self) -> String {
        let TimeRange { from, to } = self.window;
        format!("halfopen why --from {from} --to {to} --url {}", self.url)
    }

    /// Asks, the way the verb `why` does.
    pub(super) async fn ask(&self, session: &mut Session) -> Result<WhyV1, Failure> {
        let from = SourceArgs { url: Some(self.url.clone()), ..SourceArgs::default() };
        let source = Source::open(&from, session).await?;
        let ask = WhyAsk {
            scope: Scope::default(),
            window: Some(self.window),
            baseline: None,
            slow: None,
        };
        source.why(ask).await
    }
}
