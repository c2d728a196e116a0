//! A hashed timing wheel: a ring of slots, each a doubly linked list of keys in the order of filing.
//!
//! ```text
//!            cursor: everything before it has been looked at
//!              │
//!   slot ──┬───▼──┬──────┬──────┬──────┬─ tick mod slots
//!          │  ·   │ ends │  ·   │ ends │   a bitmap finds the next slot that is not empty
//!          └──────┴──┼───┴──────┴──┼───┘
//!                    ▼             ▼
//!                  key 3 ⇄ key 7  key 9    links[key] = [next, prev]: 8 octets for each timer
//! ```
//!
//! An entry lies in the slot of the tick that its deadline had when it was filed; the deadline
//! itself belongs to the owner. So a deadline that moves later, which is what a retransmission
//! timer does with every acknowledgment, is only written down by the owner, and the entry is filed
//! again when its slot comes up. A deadline that moves earlier must be filed again at once
//! ([`Wheel::restart`]). A deadline more than one turn of the wheel away is looked at once a turn.
//!
//! Nothing fires early, and the tick is not the precision: an entry of the tick that is running is
//! asked for its exact deadline, and the wheel remembers the earliest of them.
//!
//! Keys that were filed one after the other and lie side by side are looked at in that order too, so
//! that the caches can run ahead.
//!
//! What is traded away: within one tick the order is that of filing, and across ticks it is arbitrary
//! when the clock leaps over more than a whole turn.

use core::mem;

use super::bitmap::Bitmap;
use crate::time::Instant;

/// What the owner says of an entry whose slot came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was due (or had nothing to wait for) and has been dealt with: it leaves the wheel.
    Fired,
    /// Its deadline is later by now: file it again.
    Later(Instant),
}

/// Is there more to look at?
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything that was due has been looked at.
    Done,
    /// The budget ran out before that: call again.
    MoreDue,
}

const NEXT: usize = 0;
const PREV: usize = 1;
const FIRST: usize = 0;
const LAST: usize = 1;
/// In a link: what follows is the index of a slot, whose list ends here, not a key.
const END: u32 = 1 << 31;
/// How many entries [`Wheel::next_deadline`] looks at before it settles for a lower bound.
const LOOK_AT_MOST: usize = 1024;

/// Timers for the keys `0..capacity`, at most one for each.
pub struct Wheel {
    /// First and last key of each slot, plus one; 0 = empty. The last pair is the list that is being
    /// looked at: a slot is moved there as a whole, so that what is filed into it meanwhile waits
    /// its turn.
    ends: Box<[[u32; 2]]>,
    /// `next` and `prev`: a key plus one, or `END` and the index of a slot; both 0 if the key is not
    /// filed. All zero at first, so that the system gives the pages as they are used.
    links: Box<[[u32; 2]]>,
    /// The slots that are not empty.
    occupied: Bitmap,
    tick_shift: u32,
    len: usize,
    /// The tick whose slot was looked at last. Behind `tick(latest)` only if a budget ran out.
    cursor: u64,
    /// The latest time that `advance` was told.
    latest: Instant,
    /// No entry of the tick `cursor` that lies in its slot is due before this; `FAR` if there is none
    /// (what else lies in the slot belongs to a later turn).
    soonest: Instant,
}

impl Wheel {
    /// Octets that are kept for each key.
    pub const LINK_BYTES: usize = size_of::<[u32; 2]>();

    /// An empty wheel for the keys `0..capacity`, with a tick of `2^tick_shift` nanoseconds and
    /// `slots` slots. It starts at `now`.
    ///
    /// # Panics
    /// If `slots` is not a power of two below 2^31, `capacity` is 2^31 or more, or the tick is
    /// longer than 2^40 ns (18 minutes).
    pub fn new(capacity: u32, tick_shift: u32, slots: u32, now: Instant) -> Self {
        assert!(slots.is_power_of_two() && slots < END, "slots must be a power of two, is {slots}");
        assert!(capacity < END, "a wheel holds less than 2^31 timers, not {capacity}");
        assert!(tick_shift <= 40, "a tick of 2^{tick_shift} ns is too long");
        Wheel {
            ends: vec![[0; 2]; slots as usize + 1].into_boxed_slice(),
            links: vec![[0; 2]; capacity as usize].into_boxed_slice(),
            occupied: Bitmap::new(slots),
            tick_shift,
            len: 0,
            cursor: now.nanos() >> tick_shift,
            latest: now,
            soonest: Instant::FAR,
        }
    }

    /// Files `key` for `deadline`. One that has passed fires with the next
    /// [`advance`](Self::advance).
    ///
    /// # Panics
    /// If `key` is filed already, or not below the capacity.
    #[inline]
    pub fn start(&mut self, key: u32, deadline: Instant) {
        assert!(!self.is_filed(key), "timer {key} is running");
        self.file(key, deadline);
    }

    /// Takes `key` out, if it is filed.
    ///
    /// # Panics
    /// If `key` is not below the capacity.
    #[inline]
    pub fn stop(&mut self, key: u32) {
        if self.is_filed(key) {
            self.unlink(key);
        }
    }

    /// Files `key` for `deadline` wherever it was before. Needed only when the deadline has become
    /// earlier: one that has become later need only be written down by the owner.
    #[inline]
    pub fn restart(&mut self, key: u32, deadline: Instant) {
        self.stop(key);
        self.file(key, deadline);
    }

    /// Is `key` in the wheel?
    #[inline]
    pub fn is_filed(&self, key: u32) -> bool {
        self.links[key as usize][PREV] != 0
    }

    /// How many keys are filed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is nothing filed?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of memory that the wheel reserves; the links are touched only as they are used.
    pub fn memory_bytes(&self) -> usize {
        size_of_val::<[[u32; 2]]>(&self.ends)
            + size_of_val::<[[u32; 2]]>(&self.links)
            + self.occupied.memory_bytes()
    }

    /// Looks at what is filed up to `now`, oldest tick first, at most `budget` entries. `judge` is
    /// asked about each of them, also about those whose deadline has moved or is not due yet.
    ///
    /// An entry fires with the first call whose `now` is its deadline or later, if the budget
    /// lasts; after [`Progress::MoreDue`] the next call goes on where this one stopped.
    pub fn advance(
        &mut self,
        now: Instant,
        mut budget: usize,
        mut judge: impl FnMut(u32) -> Fate,
    ) -> Progress {
        self.latest = self.latest.max(now);
        let now = self.latest;
        let until = self.tick_of(now);
        let turn = self.slots();
        if until == self.cursor && now < self.soonest && self.ends[self.looking_at()][FIRST] == 0 {
            return Progress::Done; // most calls: the tick has not changed, and nothing of it is due
        }
        // After a leap of more than a turn, one turn looks at every slot. Whole turns are left out,
        // so that a budget that runs out meanwhile does not begin from the same slot again.
        let behind = until - self.cursor;
        if behind >= 2 * turn {
            self.cursor += (behind / turn - 1) * turn;
        }
        let stop_at = until.min(self.cursor + turn);
        loop {
            let looking_at = self.looking_at();
            let mut link = self.ends[looking_at][FIRST];
            if link == 0 {
                if !self.next_list(now, stop_at) {
                    break;
                }
                continue;
            }
            // From the first on, without mending the list behind each: `file` never puts anything
            // into this one, so that it is enough to do so where the walk ends.
            let budget_before = budget;
            while link & END == 0 && budget > 0 {
                budget -= 1;
                let key = link - 1;
                [link, _] = mem::take(&mut self.links[key as usize]);
                if let Fate::Later(deadline) = judge(key) {
                    // One that is not later after all waits for the next call: this one must end.
                    self.file(key, deadline.max(now.plus_nanos(1)));
                }
            }
            self.len -= budget_before - budget;
            if link & END == 0 {
                self.ends[looking_at][FIRST] = link;
                self.links[link as usize - 1][PREV] = END | looking_at as u32;
                return Progress::MoreDue;
            }
            self.ends[looking_at] = [0; 2];
        }
        if self.cursor < until {
            self.cursor = until;
            // Nothing lies here that `next_list` would not have found, unless the clock leapt over a
            // turn: then what was filed again into this slot was looked at before the cursor came.
            let filed = self.occupied.contains(self.slot_of(until));
            self.soonest = if filed { now } else { Instant::FAR };
        }
        Progress::Done
    }

    /// The earliest time at which [`advance`](Self::advance) may have something to do; `None` if
    /// nothing is filed.
    ///
    /// `deadline_of` tells the true deadline of an entry. The answer is exact as long as it can be
    /// found by looking at about a thousand entries; beyond that it is the beginning of the first
    /// tick that was not looked at, so that waiting for it always gets further. It is the time of the
    /// last `advance` or before if there is something to do already.
    pub fn next_deadline(&self, deadline_of: impl Fn(u32) -> Instant) -> Option<Instant> {
        if self.len == 0 {
            return None;
        }
        if self.ends[self.looking_at()][FIRST] != 0 || self.cursor < self.tick_of(self.latest) {
            return Some(self.latest);
        }
        let mut earliest = Instant::FAR;
        let mut looks_left = LOOK_AT_MOST;
        // The slot of the cursor counts as the first one, or, if it holds nothing for this turn, as
        // the last one.
        let mut tick = self.cursor;
        let mut not_before = self.soonest;
        if self.soonest == Instant::FAR {
            (tick, not_before) = self.occupied_after(self.cursor)?;
        }
        loop {
            if earliest < not_before {
                return Some(earliest);
            }
            let mut link = self.ends[self.slot_of(tick) as usize][FIRST];
            while link != 0 && link & END == 0 {
                if looks_left == 0 {
                    return Some(earliest.min(not_before));
                }
                looks_left -= 1;
                earliest = earliest.min(deadline_of(link - 1));
                link = self.links[link as usize - 1][NEXT];
            }
            match self.occupied_after(tick) {
                Some((next, start)) if next <= self.cursor + self.slots() => {
                    (tick, not_before) = (next, start);
                }
                _ => return Some(earliest),
            }
        }
    }

    /// A key of the first slot that is not empty, from where the wheel stands: the one that is filed
    /// to be looked at first, or one of its tick.
    pub fn first(&self) -> Option<u32> {
        let from = self.slot_of(self.cursor);
        let slot = self.occupied.first_from(from).or_else(|| self.occupied.first_from(0));
        let waiting = slot.map(|slot| self.ends[slot as usize][FIRST]);
        match self.ends[self.looking_at()][FIRST] {
            0 => waiting?.checked_sub(1),
            looked_at => Some(looked_at - 1),
        }
    }

    /// The next tick after `tick`, within one turn, whose slot is not empty, and its beginning.
    fn occupied_after(&self, tick: u64) -> Option<(u64, Instant)> {
        let from = self.slot_of(tick + 1);
        let distance = match self.occupied.first_from(from) {
            Some(slot) => slot - from,
            None => self.occupied.first_from(0)? + self.slots() as u32 - from,
        };
        let found = tick + 1 + u64::from(distance);
        Some((found, Instant::from_nanos(found << self.tick_shift)))
    }

    /// Makes the next slot that has to be looked at, up to the tick `stop_at`, the list that is
    /// being looked at.
    fn next_list(&mut self, now: Instant, stop_at: u64) -> bool {
        debug_assert_eq!(self.ends[self.looking_at()], [0; 2]);
        if now < self.soonest || self.soonest == Instant::FAR {
            match self.occupied_after(self.cursor) {
                Some((tick, _)) if tick <= stop_at => self.cursor = tick,
                _ => return false,
            }
        }
        self.soonest = Instant::FAR;
        let slot = self.slot_of(self.cursor);
        let ends = mem::take(&mut self.ends[slot as usize]);
        if let [first, last] = ends
            && first != 0
        {
            self.occupied.clear(slot);
            let looking_at = self.looking_at();
            self.ends[looking_at] = ends;
            self.links[first as usize - 1][PREV] = END | looking_at as u32;
            self.links[last as usize - 1][NEXT] = END | looking_at as u32;
        }
        true
    }

    #[inline]
    fn file(&mut self, key: u32, deadline: Instant) {
        let tick = self.tick_of(deadline);
        if tick <= self.cursor {
            self.soonest = self.soonest.min(deadline);
        }
        let slot = self.slot_of(tick.max(self.cursor));
        let ends = &mut self.ends[slot as usize];
        let last = mem::replace(&mut ends[LAST], key + 1);
        if last == 0 {
            ends[FIRST] = key + 1;
            self.links[key as usize] = [END | slot; 2];
            self.occupied.set(slot);
        } else {
            self.links[key as usize] = [END | slot, last];
            self.links[last as usize - 1][NEXT] = key + 1;
        }
        self.len += 1;
    }

    #[inline]
    fn unlink(&mut self, key: u32) {
        let [next, prev] = mem::take(&mut self.links[key as usize]);
        match (next & END == 0, prev & END == 0) {
            (true, true) => {
                self.links[next as usize - 1][PREV] = prev;
                self.links[prev as usize - 1][NEXT] = next;
            }
            (true, false) => {
                self.links[next as usize - 1][PREV] = prev;
                self.ends[(prev & !END) as usize][FIRST] = next;
            }
            (false, true) => {
                self.links[prev as usize - 1][NEXT] = next;
                self.ends[(next & !END) as usize][LAST] = prev;
            }
            (false, false) => {
                let slot = prev & !END;
                self.ends[slot as usize] = [0; 2];
                if slot as usize != self.looking_at() {
                    self.occupied.clear(slot);
                }
            }
        }
        self.len -= 1;
    }

    #[inline]
    fn tick_of(&self, at: Instant) -> u64 {
        at.nanos() >> self.tick_shift
    }

    #[inline]
    fn slot_of(&self, tick: u64) -> u32 {
        (tick & (self.slots() - 1)) as u32
    }

    #[inline]
    fn slots(&self) -> u64 {
        self.ends.len() as u64 - 1
    }

    /// Index of the list that is being looked at.
    #[inline]
    fn looking_at(&self) -> usize {
        self.ends.len() - 1
    }
}
