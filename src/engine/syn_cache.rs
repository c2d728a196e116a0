//! The SYN cache of an engine (RFC 4987 §3.3): a store of half-open connections for each address family.

use super::store::{Store, Timed};
use crate::tcp::Tuple;
use crate::tcp::half_open::HalfOpen;
use crate::tcp::time_wait::{PairV4, PairV6};
use crate::time::Instant;

/// Slots of a wheel: a SYN-ACK is sent again within 17 s in most cases.
const SLOTS: u32 = 1 << 14;

impl<A> Timed for HalfOpen<A> {
    #[inline]
    fn deadline(&self) -> u32 {
        self.deadline
    }

    #[inline]
    fn set_deadline(&mut self, tick: u32) {
        self.deadline = tick;
    }
}

/// One place of so many is kept for SYNs that can have no cookie.
const KEPT: u32 = 32;

/// All half-open connections. One index serves both families: its lowest bit says which.
pub(super) struct SynCache {
    pub v4: Store<HalfOpen<PairV4>>,
    pub v6: Store<HalfOpen<PairV6>>,
    limit: u32,
}

/// Does an index belong to the IPv6 store?
pub(super) fn is_v6(index: u32) -> bool {
    index & 1 == 1
}

/// The index of an entry among all.
pub(super) fn pack(key: u32, v6: bool) -> u32 {
    key << 1 | u32::from(v6)
}

/// Does `$body` with the entry behind an index of the cache, of whichever family.
macro_rules! with_entry {
    ($cache:expr, $index:expr, |$entry:ident| $body:expr) => {{
        let (key, cache) = ($index >> 1, &mut $cache);
        if super::syn_cache::is_v6($index) {
            let $entry = &mut cache.v6[key];
            $body
        } else {
            let $entry = &mut cache.v4[key];
            $body
        }
    }};
}
pub(super) use with_entry;

impl SynCache {
    pub fn new(limit: u32, now: Instant) -> Self {
        SynCache {
            v4: Store::with_slots(limit, SLOTS, now),
            v6: Store::with_slots(limit, SLOTS, now),
            limit,
        }
    }

    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Is it full for SYNs that can have a cookie?
    pub fn is_full(&self) -> bool {
        self.len() >= (self.limit - self.limit / KEPT) as usize
    }

    /// Is there no place at all?
    pub fn is_exhausted(&self) -> bool {
        self.len() >= self.limit as usize
    }

    /// Is no more than half of it in use?
    pub fn is_relieved(&self) -> bool {
        self.len() <= self.limit as usize / 2
    }

    /// How often a SYN-ACK may be sent again as full as the cache is now, if it could be `most` times in
    /// an empty one: all of that below a quarter, half below a half, once below three quarters, and
    /// not at all above. So an entry lives for 63 s, 7 s, 3 s or 1 s by default.
    pub fn retries(&self, most: u8) -> u8 {
        match self.len() * 4 / (self.limit as usize).max(1) {
            0 => most,
            1 => most / 2,
            2 => most.min(1),
            _ => 0,
        }
    }

    #[inline]
    pub fn is_for(&self, index: u32, tuple: &Tuple) -> bool {
        let key = index >> 1;
        match (is_v6(index), tuple.is_v4()) {
            (false, true) => self.v4.contains(key) && self.v4[key].is_for(tuple),
            (true, false) => self.v6.contains(key) && self.v6[key].is_for(tuple),
            _ => false,
        }
    }

    /// Gives an entry another deadline.
    pub fn restart(&mut self, index: u32, now: Instant, until: Instant) {
        if is_v6(index) {
            self.v6.restart(index >> 1, now, until);
        } else {
            self.v4.restart(index >> 1, now, until);
        }
    }

    pub fn remove(&mut self, index: u32) {
        if is_v6(index) {
            self.v6.remove(index >> 1)
        } else {
            self.v4.remove(index >> 1)
        };
    }

    /// Octets of an entry with its link in the wheel, over IPv4 and over IPv6.
    pub const fn entry_bytes() -> (usize, usize) {
        (Store::<HalfOpen<PairV4>>::entry_bytes(), Store::<HalfOpen<PairV6>>::entry_bytes())
    }
}
