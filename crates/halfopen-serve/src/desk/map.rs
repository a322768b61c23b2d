//! `map`: the spans of a window, and who calls whom in them.

use halfopen_explain::map::{self, MAP_COLUMNS, MapEvidence, MapQuestion};
use halfopen_model::answer::MapAnswer;
use halfopen_model::{ReadEvidence, TimeRange};

use super::{Desk, DeskError};

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MapAsk {
    /// The time; `None` for the last 15 minutes that hold data.
    pub window: Option<TimeRange>,
}

impl<S: ReadEvidence> Desk<S> {
    /// Who calls whom?
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn map(&self, ask: MapAsk) -> Result<MapAnswer, DeskError> {
        let now = self.clock.now();
        let mut gaps = Vec::new();
        let window = match ask.window {
            Some(window) => window,
            None => self.latest_window(now, &mut gaps).await?,
        };
        let columns: Vec<String> = MAP_COLUMNS.iter().map(|name| (*name).to_owned()).collect();
        let (spans, truncated) = self.columns_in(window, &columns, &mut gaps).await?;
        if ask.window.is_some() && spans.is_empty() {
            gaps.push(self.nothing_in_window(now).await?);
        }
        let mut answer = map::map(&MapQuestion { window, now }, &MapEvidence { spans, truncated });
        answer.gaps.extend(gaps);
        Ok(answer)
    }

    /// The same as a picture (SVG).
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn map_svg(&self, ask: MapAsk) -> Result<String, DeskError> {
        Ok(halfopen_picture::draw(&self.map(ask).await?))
    }
}
