//! Whom a call was meant for.

use std::net::IpAddr;

use halfopen_model::answer::NodeKind;

use super::graph::{Graph, Key};
use super::read::Extras;
use crate::intern::{FoldMap, NONE};
use crate::spans::{Kind, Spans};

/// Knows services, and the addresses behind which they were met.
pub(super) struct Peers {
    /// Whether a code is the name of a service of which spans came.
    heard: Vec<bool>,
    /// The one service that answers at an address and port.
    aliases: FoldMap<[u32; 2], u32>,
    /// Whether a peer is an address that says nothing without its port.
    bare: FoldMap<u32, bool>,
}

impl Peers {
    /// Learns from calls that were answered. `answer` has the service that answered each row.
    pub(super) fn learn(spans: &Spans<'_>, extras: &Extras, answer: &[u32]) -> Peers {
        let mut heard = vec![false; spans.words.len()];
        spans.service.iter().filter(|code| **code != NONE).for_each(|c| heard[*c as usize] = true);
        let mut bare = FoldMap::default();
        for peer in spans.peer.iter().filter(|peer| **peer != NONE) {
            bare.entry(*peer).or_insert_with(|| is_bare(spans.words.text(*peer)));
        }
        let mut peers = Peers { heard, aliases: FoldMap::default(), bare };
        for (row, service) in answer.iter().enumerate().filter(|(_, service)| **service != NONE) {
            if spans.peer[row] != NONE && !spans.backing[row] {
                let place = peers.place(spans, extras, row);
                let known = peers.aliases.entry(place).or_insert(*service);
                // Behind a proxy there are many: its address stands for none of them.
                *known = if *known == *service { *service } else { NONE };
            }
        }
        peers.aliases.retain(|_, service| *service != NONE);
        peers
    }

    pub(super) fn is_heard(&self, service: u32) -> bool {
        self.heard.get(service as usize).copied().unwrap_or(false)
    }

    fn is_bare(&self, peer: u32) -> bool {
        self.bare.get(&peer).copied().unwrap_or(false)
    }

    /// The peer of a row; with its port where the name alone does not tell.
    fn place(&self, spans: &Spans<'_>, extras: &Extras, row: usize) -> [u32; 2] {
        let peer = spans.peer[row];
        [peer, if self.is_bare(peer) { extras.port[row] } else { NONE }]
    }

    /// The node that a call without an answer was meant for; `None` when the span does not say.
    pub(super) fn target(
        &self,
        spans: &Spans<'_>,
        extras: &Extras,
        row: usize,
        graph: &mut Graph,
    ) -> Option<u32> {
        if extras.database[row] != NONE {
            return Some(graph.node(self.database(spans, extras, row), extras.database[row]));
        }
        if spans.peer[row] == NONE {
            return None;
        }
        let place = self.place(spans, extras, row);
        if self.is_heard(place[0]) {
            return Some(graph.service(place[0]));
        }
        if let Some(service) = self.aliases.get(&place) {
            return Some(graph.service(*service));
        }
        let name = spans.words.text(place[0]);
        let ours = spans.peer_is_named(row) || (!self.is_bare(place[0]) && is_inside(name));
        let kind = if ours { NodeKind::Service } else { NodeKind::External };
        Some(graph.node((kind, place[0], place[1]), NONE))
    }

    /// A database: its name and the server that holds it. An address without a name (127.0.0.1)
    /// helps nobody where the name is known.
    fn database(&self, spans: &Spans<'_>, extras: &Extras, row: usize) -> Key {
        let (peer, namespace) = (spans.peer[row], extras.namespace[row]);
        // Where there is no address, the peer is the system itself.
        let address = if peer == extras.database[row] { NONE } else { peer };
        match (address, namespace) {
            (NONE, NONE) => (NodeKind::Database, extras.database[row], NONE),
            (NONE, namespace) => (NodeKind::Database, namespace, NONE),
            (address, NONE) if self.is_bare(address) => {
                (NodeKind::Database, extras.database[row], address)
            }
            (address, NONE) => (NodeKind::Database, address, NONE),
            (address, namespace) if self.is_bare(address) => (NodeKind::Database, namespace, NONE),
            (address, namespace) => (NodeKind::Database, address, namespace),
        }
    }
}

/// Names of every node.
pub(super) fn name(spans: &Spans<'_>, key: Key) -> String {
    let text = |code: u32| spans.words.text(code).to_owned();
    match key {
        (NodeKind::Outside, ..) => "outside".to_owned(),
        (_, name, NONE) => text(name),
        (NodeKind::Database, address, namespace) => {
            format!("{}/{}", text(address), text(namespace))
        }
        (_, address, port) => format!("{}:{port}", text(address)),
    }
}

fn is_bare(peer: &str) -> bool {
    peer == "localhost" || peer.parse::<IpAddr>().is_ok()
}

/// Whether an address looks like one of our own network: a name without a domain, or one that
/// only a cluster resolves.
fn is_inside(address: &str) -> bool {
    !address.contains('.')
        || [".svc", ".local", ".internal", ".consul"].iter().any(|end| address.ends_with(end))
}

/// Whether a span hands a request to its child: another service, or an entry below an exit.
pub(super) fn is_hop(spans: &Spans<'_>, parent: usize, child: usize) -> bool {
    spans.service[parent] != spans.service[child]
        || (spans.kind[child] == Kind::Entry && spans.kind[parent] == Kind::Exit)
}
