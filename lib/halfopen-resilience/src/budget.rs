//! The retry budget of one client: retries may add only a share to the load of its peer.
//!
//! A bucket of tokens without a lock. Each first attempt puts in a share of a token, time puts
//! in a small floor (so that a client with little traffic may retry at all), each retry takes a
//! whole one. A full bucket takes no more, which bounds the burst after a quiet time.
//!
//! **Invariant:** the balance is never negative and never above its cap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A token in the unit the bucket counts in.
const TOKEN: u32 = 1_000;

/// What a client may add to its traffic by retries.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryBudget {
    /// Retries for each first attempt: 0.2 adds at most a fifth to the load.
    pub ratio: f64,
    /// Retries that time alone allows each second.
    pub floor_per_second: f64,
    /// Retries that can be saved up.
    pub burst_max: u32,
}

impl Default for RetryBudget {
    /// A fifth (as Finagle, linkerd and Envoy do), one each second, at most ten saved up.
    fn default() -> RetryBudget {
        RetryBudget { ratio: 0.2, floor_per_second: 1.0, burst_max: 10 }
    }
}

/// The running account of a [`RetryBudget`].
#[derive(Debug)]
pub struct BudgetAccount {
    /// High half: milliseconds since `origin` of the last refill (it wraps after 49 days, which
    /// costs one refill). Low half: the balance in thousandths of a retry.
    state: AtomicU64,
    origin: Instant,
    deposit: u32,
    per_second: f64,
    cap: u32,
}

impl BudgetAccount {
    /// Opens an account that holds its full burst.
    pub fn new(budget: &RetryBudget, now: Instant) -> BudgetAccount {
        let cap = budget.burst_max.min(u32::MAX / TOKEN - 1) * TOKEN;
        BudgetAccount {
            state: AtomicU64::new(u64::from(cap)),
            origin: now,
            deposit: (budget.ratio.clamp(0.0, 1.0) * f64::from(TOKEN)) as u32,
            per_second: budget.floor_per_second.max(0.0) * f64::from(TOKEN),
            cap,
        }
    }

    /// A first attempt was made.
    #[inline]
    pub fn deposit(&self) {
        if self.deposit == 0 {
            return;
        }
        let add = |state: u64| {
            let (at, balance) = unpack(state);
            (balance < self.cap)
                .then(|| pack(at, balance.saturating_add(self.deposit).min(self.cap)))
        };
        // A full bucket changes nothing, and says so by an error that nobody needs.
        let _full = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// Takes one retry out; false when the balance does not allow it.
    pub fn withdraw(&self, now: Instant) -> bool {
        let now_ms = now.saturating_duration_since(self.origin).as_millis() as u32;
        let take = |state: u64| {
            let (at, balance) = self.refilled(state, now_ms);
            balance.checked_sub(TOKEN).map(|rest| pack(at, rest))
        };
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Retries that could be made now.
    pub fn balance(&self, now: Instant) -> u32 {
        let now_ms = now.saturating_duration_since(self.origin).as_millis() as u32;
        self.refilled(self.state.load(Ordering::Acquire), now_ms).1 / TOKEN
    }

    fn refilled(&self, state: u64, now_ms: u32) -> (u32, u32) {
        let (at, balance) = unpack(state);
        // Another thread may have read a later time before us: then nothing was gained since.
        let quiet_ms = now_ms.wrapping_sub(at);
        let quiet_ms = if quiet_ms > u32::MAX / 2 { 0 } else { quiet_ms };
        let quiet = Duration::from_millis(u64::from(quiet_ms));
        let gained = (quiet.as_secs_f64() * self.per_second) as u32;
        if gained == 0 {
            return (at, balance);
        }
        (now_ms, balance.saturating_add(gained).min(self.cap))
    }
}

fn pack(at_ms: u32, balance: u32) -> u64 {
    u64::from(at_ms) << 32 | u64::from(balance)
}

fn unpack(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, state as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fifth_of_the_traffic_may_be_retried() {
        let now = Instant::now();
        let quiet = RetryBudget { floor_per_second: 0.0, ..RetryBudget::default() };
        let account = BudgetAccount::new(&quiet, now);
        let burst = (0..100).filter(|_| account.withdraw(now)).count();
        assert_eq!(burst, 10);
        let retried = (0..1_000)
            .filter(|_| {
                account.deposit();
                account.withdraw(now)
            })
            .count();
        assert_eq!(retried, 200);
    }

    #[test]
    fn little_traffic_still_gets_its_floor() {
        let now = Instant::now();
        let account =
            BudgetAccount::new(&RetryBudget { burst_max: 1, ..RetryBudget::default() }, now);
        assert!(account.withdraw(now));
        assert!(!account.withdraw(now + Duration::from_millis(500)));
        assert!(account.withdraw(now + Duration::from_millis(1_000)));
    }

    proptest! {
        #[test]
        fn the_balance_stays_between_zero_and_its_cap(
            ratio in 0.0f64..2.0,
            floor in 0.0f64..50.0,
            burst in 0u32..50,
            steps in prop::collection::vec((any::<bool>(), 0u64..3_000), 0..200),
        ) {
            let origin = Instant::now();
            let mut now = origin;
            let budget = RetryBudget { ratio, floor_per_second: floor, burst_max: burst };
            let account = BudgetAccount::new(&budget, now);
            let (mut deposits, mut taken) = (0u32, 0u32);
            for (is_deposit, wait_ms) in steps {
                now += Duration::from_millis(wait_ms);
                if is_deposit {
                    account.deposit();
                    deposits += 1;
                } else {
                    taken += u32::from(account.withdraw(now));
                }
                prop_assert!(account.balance(now) <= burst);
                let elapsed = now.duration_since(origin).as_secs_f64();
                let ceiling =
                    f64::from(burst) + f64::from(deposits) * ratio.min(1.0) + elapsed * floor;
                prop_assert!(f64::from(taken) <= ceiling + 1e-6, "{taken} of {ceiling}");
            }
        }
    }
}
