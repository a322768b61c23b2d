//! What one sender may take, so that a greedy one does not starve the others.
//!
//! A sender is the name of its token; without tokens it is the address it comes from. Senders of
//! this machine that bear no token have no bounds of their own: all of them share one address.
//!
//! Bytes are paid afterwards: a request is taken while the account is not overdrawn, and what its
//! body brought is then taken off. So any single body passes, and the account recovers at the
//! rate that is allowed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::audit::Reason;
use crate::config::ServeConfig;

/// Senders that have an account of their own; beyond them new ones share one.
const SENDERS_MAX: usize = 4_096;
/// An account that was not used for so long earns so many seconds of its rate, and no more.
const BURST_SECONDS: f64 = 2.0;
/// One sender may hold this part of what all bodies together may hold in memory.
const BODIES_PART: usize = 2;
/// A full table is searched for senders that went away at most so often.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// The network part of an address of IPv6: whoever has one address there has all of them.
const IPV6_NETWORK: u128 = !0 << 64;

/// The bounds of one sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    connections_max: usize,
    requests_max: usize,
    /// Bytes of bodies each second; 0: no bound.
    bytes_per_second_max: u64,
    held_bytes_max: usize,
}

impl Bounds {
    pub(crate) fn of(config: &ServeConfig) -> Bounds {
        // The largest message must still pass.
        let part = config.bodies_bytes_max / BODIES_PART;
        Bounds {
            connections_max: config.sender_connections_max,
            requests_max: config.sender_requests_max,
            bytes_per_second_max: config.sender_bytes_per_second_max,
            held_bytes_max: part.max(config.message_bytes_max),
        }
    }
}

/// Who a sender is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Token(Arc<str>),
    Address(IpAddr),
}

/// The address by which a peer is known; `None` for this machine.
fn network(peer: SocketAddr) -> Option<IpAddr> {
    let address = peer.ip().to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK)),
    })
}

/// Bytes that a sender may still send; below zero it is told to wait.
#[derive(Clone, Copy, Debug)]
struct Account {
    balance: f64,
    at: Instant,
}

/// One sender, and what it has under way.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The name of its token.
    token: Option<Arc<str>>,
    bounds: Bounds,
    connections: AtomicUsize,
    requests: AtomicUsize,
    held_bytes: AtomicUsize,
    account: Mutex<Account>,
}

/// Counts one up unless that would be more than `max`.
fn count_up(counter: &AtomicUsize, by: usize, max: usize) -> bool {
    let relaxed = Ordering::Relaxed;
    let next = |count: usize| count.checked_add(by).filter(|count| *count <= max);
    counter.fetch_update(relaxed, relaxed, next).is_ok()
}

impl Sender {
    fn new(token: Option<Arc<str>>, bounds: Bounds, now: Instant) -> Sender {
        let account = Account { balance: burst(&bounds), at: now };
        Sender {
            token,
            bounds,
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            account: Mutex::new(account),
        }
    }

    pub(crate) fn token(&self) -> Option<&Arc<str>> {
        self.token.as_ref()
    }

    /// A connection of this sender; `None` at the bound.
    pub(super) fn connect(self: &Arc<Sender>) -> Option<Counted> {
        count_up(&self.connections, 1, self.bounds.connections_max)
            .then(|| Counted { sender: Arc::clone(self), counter: |sender| &sender.connections })
    }

    /// A request of this sender, or why not and how long to wait.
    pub(super) fn begin(self: &Arc<Sender>, now: Instant) -> Result<Counted, (Reason, Duration)> {
        let overdrawn = -self.balance(now);
        if overdrawn > 0.0 {
            let seconds = overdrawn / self.bounds.bytes_per_second_max.max(1) as f64;
            return Err((Reason::Bytes, Duration::from_secs_f64(seconds)));
        }
        if !count_up(&self.requests, 1, self.bounds.requests_max) {
            return Err((Reason::Requests, Duration::ZERO));
        }
        Ok(Counted { sender: Arc::clone(self), counter: |sender| &sender.requests })
    }

    /// Takes bytes that came off the account.
    pub(crate) fn charge(&self, bytes: usize, now: Instant) {
        if self.bounds.bytes_per_second_max == 0 {
            return;
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.earn(&self.bounds, now);
        account.balance -= bytes as f64;
    }

    /// Whether so many more bytes may lie in memory for this sender; they do until
    /// [`Sender::release`].
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        count_up(&self.held_bytes, bytes, self.bounds.held_bytes_max)
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn balance(&self, now: Instant) -> f64 {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.earn(&self.bounds, now);
        account.balance
    }

    /// Nothing would be different if this sender came for the first time.
    fn is_forgettable(&self, now: Instant) -> bool {
        self.balance(now) >= burst(&self.bounds)
    }
}

fn burst(bounds: &Bounds) -> f64 {
    bounds.bytes_per_second_max as f64 * BURST_SECONDS
}

impl Account {
    fn earn(&mut self, bounds: &Bounds, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        let earned = seconds * bounds.bytes_per_second_max as f64;
        self.balance = (self.balance + earned).min(burst(bounds));
        self.at = self.at.max(now);
    }
}

/// Something that counts against a sender until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    sender: Arc<Sender>,
    counter: fn(&Sender) -> &AtomicUsize,
}

impl Counted {
    pub(super) fn is_of(&self, sender: &Arc<Sender>) -> bool {
        Arc::ptr_eq(&self.sender, sender)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.counter)(&self.sender).fetch_sub(1, Ordering::Relaxed);
    }
}

/// All senders.
#[derive(Debug)]
pub(crate) struct Senders {
    bounds: Bounds,
    table: Mutex<Table>,
    /// Whoever finds the table full.
    others: Arc<Sender>,
}

#[derive(Debug)]
struct Table {
    senders: HashMap<Key, Arc<Sender>>,
    swept: Option<Instant>,
}

impl Senders {
    pub(crate) fn new(bounds: Bounds, now: Instant) -> Senders {
        let table = Table { senders: HashMap::new(), swept: None };
        let others = Arc::new(Sender::new(None, bounds, now));
        Senders { bounds, table: Mutex::new(table), others }
    }

    /// The sender at an address; `None` for this machine.
    pub(super) fn at(&self, peer: SocketAddr, now: Instant) -> Option<Arc<Sender>> {
        network(peer).map(|address| self.known(Key::Address(address), now))
    }

    /// The sender that bears a token of this name.
    pub(super) fn named(&self, name: &str, now: Instant) -> Arc<Sender> {
        self.known(Key::Token(name.into()), now)
    }

    fn known(&self, key: Key, now: Instant) -> Arc<Sender> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = table.senders.get(&key) {
            return Arc::clone(sender);
        }
        if table.senders.len() >= SENDERS_MAX {
            table.sweep(now);
        }
        if table.senders.len() >= SENDERS_MAX {
            return Arc::clone(&self.others);
        }
        let token = match &key {
            Key::Token(name) => Some(Arc::clone(name)),
            Key::Address(_) => None,
        };
        let sender = Arc::new(Sender::new(token, self.bounds, now));
        table.senders.insert(key, Arc::clone(&sender));
        sender
    }

    /// Senders with an account of their own.
    pub(crate) fn count(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).senders.len()
    }
}

impl Table {
    /// Forgets senders that have nothing under way and a full account.
    fn sweep(&mut self, now: Instant) {
        let lately = |at: Instant| now.saturating_duration_since(at) < SWEEP_PAUSE;
        if self.swept.is_some_and(lately) {
            return;
        }
        self.swept = Some(now);
        self.senders
            .retain(|_, sender| Arc::strong_count(sender) > 1 || !sender.is_forgettable(now));
    }
}

#[cfg(test)]
mod tests;
