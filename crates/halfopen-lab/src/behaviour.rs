//! What tells one version of a service from another. Services are code with parameters: a new
//! version that fails is the same code on another path, so its telemetry is as real as the rest.

use std::time::Duration;

use crate::gift_card::Reader;
use crate::order::Flow;
use crate::patience::Patience;
use crate::pool::Counting;

/// The parameters of one version of one service.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Behaviour {
    /// How the service reads gift cards in the ordinary checkout.
    pub(crate) gift_cards: Reader,
    /// How it reads them in the express checkout.
    pub(crate) gift_cards_express: Reader,
    /// All work takes this many times as long.
    pub(crate) pace: f64,
    /// How long it waits for others.
    pub(crate) patience: Patience,
    /// How the stock is counted.
    pub(crate) counting: Counting,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            gift_cards: Reader::First,
            gift_cards_express: Reader::First,
            pace: 1.0,
            patience: Patience::default(),
            counting: Counting::default(),
        }
    }
}

impl Behaviour {
    /// The longest it takes to connect to anybody.
    pub(crate) fn connect(&self) -> Duration {
        let counts = self.counting.patience().map(Patience::connect);
        counts.unwrap_or(Duration::MAX).min(self.patience.connect())
    }

    /// How gift cards are read in this flow.
    pub(crate) fn reader(&self, flow: Flow) -> Reader {
        match flow {
            Flow::Standard => self.gift_cards,
            Flow::Express => self.gift_cards_express,
        }
    }

    /// The same with another reader in this flow.
    pub(crate) fn with_reader(mut self, flow: Flow, reader: Reader) -> Behaviour {
        match flow {
            Flow::Standard => self.gift_cards = reader,
            Flow::Express => self.gift_cards_express = reader,
        }
        self
    }
}
