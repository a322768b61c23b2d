//! Names under which facts are sent, for queries.

use super::{FACTS, Fact, PEER_BACKING};

/// The names of a peer, the one that goes before all others first.
pub(crate) fn peer_names() -> impl Iterator<Item = &'static str> {
    let of_rank = |wanted| {
        let is_wanted = move |fact: &Fact| matches!(fact, Fact::Peer(rank) if *rank == wanted);
        FACTS.iter().filter(move |(_, fact)| is_wanted(fact)).map(|(name, _)| *name)
    };
    (0..=PEER_BACKING).flat_map(of_rank)
}

/// The names of what a release is told by, by its place in [`super::Spans::state`]: version,
/// commit, image, configuration.
pub(crate) fn release_names(place: usize) -> Vec<&'static str> {
    let facts = [Fact::Version, Fact::Commit, Fact::Image, Fact::Config];
    let named = FACTS.iter().filter(|(_, fact)| facts.get(place) == Some(fact));
    named.map(|(name, _)| *name).collect()
}

/// The names of the hash of a configuration.
pub(crate) fn config_names() -> impl Iterator<Item = &'static str> {
    FACTS.iter().filter(|(_, fact)| *fact == Fact::Config).map(|(name, _)| *name)
}
