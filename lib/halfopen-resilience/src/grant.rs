//! The retry budget that travels with a request.
//!
//! The edge grants a number of retries to the whole tree of calls below it. Each hop keeps some
//! and lends the rest to the calls it makes; an answer brings back what was not spent; a call
//! without an answer has spent all it was lent. Three layers with three retries each thus make
//! at most as many extra calls as the edge granted, not twenty-six.
//!
//! **Invariant:** what is left, what is lent and what was spent add up to what was granted.
//! Nothing here can make more, whatever the other side answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Above this a grant protects nobody; a larger number on the wire is read as this one.
pub const GRANT_MAX: u32 = 1_000;

/// How many retries a request may still make, it and all the calls below it together.
/// Clones share one pool.
#[derive(Clone, Debug)]
pub struct Grant(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    left: AtomicU32,
    /// Gets back what a part of a fan-out did not spend.
    parent: Option<Grant>,
}

impl Grant {
    /// A grant of `retries`.
    pub fn new(retries: u32) -> Grant {
        Grant::below(retries.min(GRANT_MAX), None)
    }

    fn below(retries: u32, parent: Option<Grant>) -> Grant {
        Grant(Arc::new(Pool { left: AtomicU32::new(retries), parent }))
    }

    /// What is here now: neither spent nor lent.
    pub fn left(&self) -> u32 {
        self.0.left.load(Ordering::Acquire)
    }

    /// Takes one retry; false when none is left.
    pub fn take(&self) -> bool {
        let step = |left: u32| left.checked_sub(1);
        self.0.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).is_ok()
    }

    /// Takes out what a call may use below, by [`share`]. The caller gives back what returns.
    #[inline]
    pub fn lend(&self) -> u32 {
        let step = |left: u32| (share(left) > 0).then(|| left - share(left));
        let before = self.0.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
        before.map_or(0, share)
    }

    /// Puts back what an answer returned: never more than was lent, whatever the answer says.
    #[inline]
    pub fn give_back(&self, lent: u32, returned: u32) {
        let returned = returned.min(lent);
        if returned > 0 {
            self.0.left.fetch_add(returned, Ordering::AcqRel);
        }
    }

    /// Splits all that is left over `parts` calls that run side by side; the first parts get the
    /// remainder. What a part did not spend comes back when its last clone is dropped.
    pub fn split(&self, parts: u32) -> Vec<Grant> {
        let whole = self.0.left.swap(0, Ordering::AcqRel);
        let parts_or_one = parts.max(1);
        let (each, more) = (whole / parts_or_one, whole % parts_or_one);
        if parts == 0 {
            self.give_back(whole, whole);
        }
        (0..parts)
            .map(|part| Grant::below(each + u32::from(part < more), Some(self.clone())))
            .collect()
    }

    /// Takes all that is left, to return it with the answer. Later retries find nothing.
    pub fn close(&self) -> u32 {
        self.0.left.swap(0, Ordering::AcqRel)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let rest = *self.left.get_mut();
        if let Some(parent) = &self.parent {
            parent.give_back(rest, rest);
        }
    }
}

/// What of `left` a call is lent: the smaller half. The larger half stays here, because a hop
/// that does not know of the grant, or never answers, returns nothing of it.
#[inline]
pub fn share(left: u32) -> u32 {
    left / 2
}

#[cfg(test)]
mod tests;
