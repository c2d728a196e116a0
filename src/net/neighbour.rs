//! Neighbours: which station has which address (RFC 826, RFC 4861 §7.2 and §7.3).
//!
//! The cache is bounded and its memory is made at the start. It says what is to be sent
//! ([`Neighbours::poll`]) and when it wants to be asked again ([`Neighbours::next_deadline`]), and
//! does nothing by itself.
//!
//! ```text
//!            resolve              answer                time          use           5 s
//! (unknown) ────────▶ incomplete ────────▶ reachable ────────▶ stale ─────▶ delay ─────▶ probing
//!                      ▲  │ 3 tries            ▲  │              ▲            │ doubt ▲    │ │
//!                      │  ▼                    │  └─ doubt ──────┼────────────┴───────┘    │ │
//!                      │ unreachable           └─────────────────┴──── answer, confirm ────┘ │
//!                      └──────────────────────────── 3 tries ────────────────────────────────┘
//! ```
//! Frames go to stale, delayed and probed neighbours too. Only a neighbour that does not answer is
//! given up. Progress of TCP confirms a neighbour, time-outs of TCP doubt it: see `reachability.rs`.

mod list;
mod reachability;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::HashMap;

use self::list::List;
use crate::time::Instant;
use crate::wire::MacAddr;

/// Questions to a neighbour before it is given up (RFC 4861 §10: MAX_MULTICAST_SOLICIT and
/// MAX_UNICAST_SOLICIT).
pub const MAX_TRIES: u8 = 3;

/// How finely "least recently used" is known: a use this soon after the last one is not noted, so
/// that a busy neighbour costs a comparison and no list operation.
const USE_GRAIN_NANOS: u64 = 100_000_000;

/// Limits and times of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// Entries, permanent ones included: 1 to 65,536.
    pub limit: usize,
    /// How long an answer is believed (RFC 4861 §10: REACHABLE_TIME).
    pub reachable: Duration,
    /// From the use of a stale neighbour to the first question: progress of TCP in this time saves
    /// the question (RFC 4861 §10: DELAY_FIRST_PROBE_TIME).
    pub delay: Duration,
    /// Between two questions to a neighbour (RFC 4861 §10: RETRANS_TIMER; RFC 1122 §2.3.2.1: at
    /// most one a second).
    pub retry: Duration,
    /// How long a neighbour that did not answer is not asked again.
    pub hold_down: Duration,
    /// An entry that was used within this time gives its place to no other.
    pub in_use: Duration,
}

impl Default for NeighbourConfig {
    fn default() -> Self {
        NeighbourConfig {
            limit: 1024,
            reachable: Duration::from_secs(30),
            delay: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            hold_down: Duration::from_secs(3),
            in_use: Duration::from_secs(1),
        }
    }
}

/// A handle on an entry, good for the entry's life: where the entry has gone it finds nothing, even
/// if another has taken the place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NeighbourId(NonZeroU32); // generation (16 bits, never 0), slot (16 bits)

impl NeighbourId {
    fn new(slot: usize, generation: u16) -> Self {
        let bits = u32::from(generation) << 16 | slot as u32;
        NeighbourId(NonZeroU32::new(bits).expect("a generation is never 0"))
    }

    #[inline]
    fn slot(self) -> usize {
        usize::from(self.0.get() as u16)
    }

    #[inline]
    fn generation(self) -> u16 {
        (self.0.get() >> 16) as u16
    }
}

impl fmt::Debug for NeighbourId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot(), self.generation())
    }
}

const _: () = assert!(size_of::<Option<NeighbourId>>() == 4);

/// What the cache knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Send to this station.
    Resolved(MacAddr, NeighbourId),
    /// Being asked for: [`Learned::Resolved`] or [`Event::Unreachable`] follows.
    Pending(NeighbourId),
    /// It did not answer, and is not asked again before the hold-down ends.
    Unreachable(NeighbourId),
    /// The cache is full of entries in use. Counted.
    Full,
}

/// What a message that tells an address counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It answers a question of ours: the neighbour is reachable. `replace` is the override flag of
    /// RFC 4861 §7.2.5; ARP always replaces.
    Answer {
        /// May another station than the known one be believed?
        replace: bool,
    },
    /// It asks for an address of ours: who asks will want an answer, so it is worth an entry
    /// (RFC 826; RFC 4861 §7.2.3).
    Question,
    /// It was for others too: what is known is updated, nothing is added.
    Overheard {
        /// May another station than the known one be believed?
        replace: bool,
    },
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The neighbour had been asked for: packets to it can go now.
    Resolved(NeighbourId),
    /// A new or changed entry.
    Updated(NeighbourId),
    /// As it was known.
    Known(NeighbourId),
    /// Not believed, not of interest, or no room.
    Nothing,
}

/// What the cache wants done or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A question is to be sent.
    Ask {
        /// For this address.
        ip: IpAddr,
        /// To this station, or to all.
        to: Option<MacAddr>,
    },
    /// The neighbour did not answer: what waits for it fails.
    Unreachable {
        /// Its entry.
        id: NeighbourId,
        /// Its address.
        ip: IpAddr,
    },
}

/// The state of an entry, to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Configured.
    Permanent,
    /// Has answered not long ago.
    Reachable,
    /// Has not answered for a while, or never.
    Stale,
    /// Stale and used: asked again unless TCP confirms it first.
    Delay,
    /// Asked again, the station itself.
    Probing,
    /// Asked for the first time.
    Incomplete,
    /// Did not answer.
    Unreachable,
}

/// Running totals of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourCounters {
    /// Questions sent.
    pub asked: u64,
    /// Neighbours that did not answer.
    pub unreachable: u64,
    /// Entries that gave their place to another.
    pub evicted: u64,
    /// Entries not made because all others were in use.
    pub full: u64,
    /// Entries whose station changed.
    pub changed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Permanent(MacAddr),
    /// Believed until the instant, stale from then on.
    Known(MacAddr, Instant),
    /// Probed from the instant on.
    Delay(MacAddr, Instant),
    Probing(MacAddr, u8),
    Incomplete(u8),
    /// Until the hold-down ends.
    Unreachable(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    ip: IpAddr,
    phase: Phase,
    last_used: Instant,
    /// When the next question is due, in the phases that ask.
    due: Instant,
    generation: u16,
    live: bool,
}

/// The cache.
#[derive(Debug)]
pub struct Neighbours {
    config: NeighbourConfig,
    entries: Vec<Entry>,
    free: Vec<u16>,
    by_ip: HashMap<IpAddr, u16>,
    /// Entries with a station, but for permanent ones; most recently used first.
    resolved: List,
    /// Entries without one; most recently used first.
    unresolved: List,
    /// Entries that ask or have just asked, soonest first: each waits as long as every other, so the
    /// back is the place for one that has just asked.
    asking: List,
    /// Entries in [`Phase::Delay`], soonest first: each waits as long as every other.
    delayed: List,
    /// Entries in [`Phase::Delay`] and [`Phase::Probing`].
    unsure: usize,
    counters: NeighbourCounters,
}

impl Neighbours {
    /// An empty cache. A limit out of range is taken as the nearest that is in it.
    pub fn new(config: NeighbourConfig) -> Self {
        let limit = config.limit.clamp(1, usize::from(u16::MAX) + 1);
        let vacant = Entry {
            ip: IpAddr::from([0, 0, 0, 0]),
            phase: Phase::Incomplete(0),
            last_used: Instant::ZERO,
            due: Instant::ZERO,
            generation: 1,
            live: false,
        };
        Neighbours {
            config: NeighbourConfig { limit, ..config },
            entries: vec![vacant; limit],
            free: (0..=u16::MAX).take(limit).rev().collect(),
            // Twice the limit: a table at most half full sweeps up its tombstones in place.
            by_ip: HashMap::with_capacity(2 * limit),
            resolved: List::new(limit),
            unresolved: List::new(limit),
            asking: List::new(limit),
            delayed: List::new(limit),
            unsure: 0,
            counters: NeighbourCounters::default(),
        }
    }

    /// Adds or replaces an entry that never ages and learns nothing. `None` if the cache is full.
    pub fn add_permanent(&mut self, ip: IpAddr, mac: MacAddr, now: Instant) -> Option<NeighbourId> {
        let slot = match self.by_ip.get(&ip) {
            Some(&slot) => usize::from(slot),
            None => self.insert(ip, Phase::Permanent(mac), now)?,
        };
        self.enter(slot, Phase::Permanent(mac), now);
        Some(self.id(slot))
    }

    /// Forgets an address, whatever its state. False if it was not known.
    pub fn remove(&mut self, ip: IpAddr) -> bool {
        let slot = self.by_ip.get(&ip).map(|&slot| usize::from(slot));
        slot.map(|slot| self.vacate(slot)).is_some()
    }

    /// The station of a neighbour. A neighbour not known is asked for, a stale one asked again.
    pub fn resolve(&mut self, ip: IpAddr, now: Instant) -> Resolution {
        let slot = match self.by_ip.get(&ip) {
            Some(&slot) => usize::from(slot),
            None => match self.insert(ip, Phase::Incomplete(0), now) {
                Some(slot) => slot,
                None => return Resolution::Full,
            },
        };
        let id = self.id(slot);
        if let Some(mac) = self.mac(id, now) {
            return Resolution::Resolved(mac, id);
        }
        match self.entries[slot].phase {
            Phase::Unreachable(until) if now < until => Resolution::Unreachable(id),
            Phase::Unreachable(_) => {
                self.enter(slot, Phase::Incomplete(0), now);
                Resolution::Pending(id)
            }
            _ => Resolution::Pending(id),
        }
    }

    /// The station of an entry that was resolved before, without a look-up: for each packet sent.
    /// Counts as a use; a stale neighbour is asked again. `None` if the entry has gone or has no
    /// station any more: [`resolve`](Self::resolve) the address then.
    #[inline]
    pub fn mac(&mut self, id: NeighbourId, now: Instant) -> Option<MacAddr> {
        let entry = self.entries.get_mut(id.slot())?;
        if entry.generation != id.generation() || !entry.live {
            return None;
        }
        let is_noted = now.nanos_since(entry.last_used) < USE_GRAIN_NANOS;
        match entry.phase {
            Phase::Permanent(mac) if is_noted => Some(mac),
            Phase::Known(mac, until) if is_noted && now < until => Some(mac),
            _ => self.use_rarely(id.slot(), now),
        }
    }

    /// The station of an entry that has not been used for a while, or is in doubt.
    #[inline(never)]
    fn use_rarely(&mut self, slot: usize, now: Instant) -> Option<MacAddr> {
        if now.nanos_since(self.entries[slot].last_used) >= USE_GRAIN_NANOS {
            self.note_use(slot, now);
        }
        match self.entries[slot].phase {
            Phase::Known(mac, until) if now < until => Some(mac),
            Phase::Known(mac, _) => {
                // RFC 4861 §7.3.3
                self.enter(slot, Phase::Delay(mac, now + self.config.delay), now);
                Some(mac)
            }
            Phase::Permanent(mac) | Phase::Delay(mac, _) | Phase::Probing(mac, _) => Some(mac),
            Phase::Incomplete(_) | Phase::Unreachable(_) => None,
        }
    }

    /// Takes in that `ip` is at `mac`, or, with `None`, that the neighbour answered without saying
    /// where it is (RFC 4861 §7.2.5). The caller has checked that `ip` is a neighbour's.
    pub fn learn(
        &mut self,
        ip: IpAddr,
        mac: Option<MacAddr>,
        now: Instant,
        claim: Claim,
    ) -> Learned {
        if mac.is_some_and(|mac| mac.is_multicast() || mac == MacAddr::ZERO) {
            return Learned::Nothing;
        }
        let Some(&slot) = self.by_ip.get(&ip) else {
            let (Claim::Question, Some(mac)) = (claim, mac) else { return Learned::Nothing };
            return match self.insert(ip, Phase::Known(mac, now), now) {
                Some(slot) => Learned::Updated(self.id(slot)),
                None => Learned::Nothing,
            };
        };
        let slot = usize::from(slot);
        let id = self.id(slot);
        let (answers, replace) = match claim {
            Claim::Answer { replace } => (true, replace),
            Claim::Question => (false, true),
            Claim::Overheard { replace } => (false, replace),
        };
        let believed_until = if answers { now + self.config.reachable } else { now };
        match (self.entries[slot].phase, mac) {
            (Phase::Permanent(_), _) => Learned::Known(id),
            (Phase::Incomplete(_) | Phase::Unreachable(_), None) => Learned::Nothing,
            (Phase::Incomplete(_) | Phase::Unreachable(_), Some(mac)) => {
                self.enter(slot, Phase::Known(mac, believed_until), now);
                Learned::Resolved(id)
            }
            (Phase::Known(known, _) | Phase::Delay(known, _) | Phase::Probing(known, _), mac)
                if mac.is_none_or(|mac| mac == known) =>
            {
                // The same again proves something only if it is an answer.
                if answers {
                    self.enter(slot, Phase::Known(known, believed_until), now);
                }
                Learned::Known(id)
            }
            (_, Some(mac)) if replace => {
                self.counters.changed += 1;
                self.enter(slot, Phase::Known(mac, believed_until), now);
                Learned::Updated(id)
            }
            (Phase::Known(known, _), _) => {
                // RFC 4861 §7.2.5: without override, doubt what is known and keep it.
                self.enter(slot, Phase::Known(known, now), now);
                Learned::Known(id)
            }
            (Phase::Delay(..) | Phase::Probing(..), _) => Learned::Known(id),
        }
    }

    /// What is to be done by `now`; ask until it is `None`. At most one answer for each entry.
    pub fn poll(&mut self, now: Instant) -> Option<Event> {
        self.end_delays(now);
        while let Some(slot) = self.asking.first() {
            let Entry { ip, phase, due, .. } = self.entries[slot];
            if now < due {
                break;
            }
            match phase {
                Phase::Probing(mac, tries) if tries < MAX_TRIES => {
                    self.asked(slot, Phase::Probing(mac, tries + 1), now);
                    return Some(Event::Ask { ip, to: Some(mac) });
                }
                Phase::Incomplete(tries) if tries < MAX_TRIES => {
                    self.asked(slot, Phase::Incomplete(tries + 1), now);
                    return Some(Event::Ask { ip, to: None });
                }
                // The station is gone: perhaps another has the address now.
                Phase::Probing(..) => self.enter(slot, Phase::Incomplete(0), now),
                Phase::Incomplete(_) => {
                    self.counters.unreachable += 1;
                    self.enter(slot, Phase::Unreachable(now + self.config.hold_down), now);
                    return Some(Event::Unreachable { id: self.id(slot), ip });
                }
                // It needs to ask no more, and enough time has passed that it may again.
                Phase::Permanent(_)
                | Phase::Known(..)
                | Phase::Delay(..)
                | Phase::Unreachable(_) => self.asking.remove(slot),
            }
        }
        None
    }

    /// When [`poll`](Self::poll) next may have something to say, unless something happens before.
    #[inline]
    pub fn next_deadline(&self) -> Option<Instant> {
        let question = self.asking.first().map(|slot| self.entries[slot].due);
        question.into_iter().chain(self.next_end_of_delay()).min()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.by_ip.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.by_ip.is_empty()
    }

    /// Running totals.
    pub fn counters(&self) -> &NeighbourCounters {
        &self.counters
    }

    /// The entries, to be shown: address, station, state at `now`.
    pub fn iter(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (IpAddr, Option<MacAddr>, State)> + '_ {
        self.entries.iter().filter(|entry| entry.live).map(move |entry| {
            let (mac, state) = match entry.phase {
                Phase::Permanent(mac) => (Some(mac), State::Permanent),
                Phase::Known(mac, until) if now < until => (Some(mac), State::Reachable),
                Phase::Known(mac, _) => (Some(mac), State::Stale),
                Phase::Delay(mac, _) => (Some(mac), State::Delay),
                Phase::Probing(mac, _) => (Some(mac), State::Probing),
                Phase::Incomplete(_) => (None, State::Incomplete),
                Phase::Unreachable(_) => (None, State::Unreachable),
            };
            (entry.ip, mac, state)
        })
    }

    fn id(&self, slot: usize) -> NeighbourId {
        NeighbourId::new(slot, self.entries[slot].generation)
    }

    /// Files an entry under its new phase.
    fn enter(&mut self, slot: usize, phase: Phase, now: Instant) {
        let (resolved, unresolved, asks) = match phase {
            Phase::Permanent(_) => (false, false, false),
            Phase::Known(..) | Phase::Delay(..) => (true, false, false),
            Phase::Probing(..) => (true, false, true),
            Phase::Incomplete(_) => (false, true, true),
            Phase::Unreachable(_) => (false, true, false),
        };
        for (list, belongs) in [(&mut self.resolved, resolved), (&mut self.unresolved, unresolved)]
        {
            if !belongs {
                list.remove(slot);
            } else if !list.contains(slot) {
                list.move_to_front(slot);
            }
        }
        self.note_doubt(slot, phase);
        let entry = &mut self.entries[slot];
        entry.phase = phase;
        // One that has asked not long ago is still on the list and keeps its place, so that no turn
        // of events makes it ask sooner. Otherwise it is due at once, before all that wait.
        if asks && !self.asking.contains(slot) {
            entry.due = now;
            self.asking.move_to_front(slot);
        }
    }

    /// A question goes out; the next one waits.
    fn asked(&mut self, slot: usize, phase: Phase, now: Instant) {
        self.counters.asked += 1;
        self.entries[slot].phase = phase;
        self.entries[slot].due = now + self.config.retry;
        self.asking.move_to_back(slot);
    }

    fn note_use(&mut self, slot: usize, now: Instant) {
        self.entries[slot].last_used = now;
        for list in [&mut self.resolved, &mut self.unresolved] {
            if list.contains(slot) {
                list.move_to_front(slot);
            }
        }
    }

    /// Makes an entry, in the place of another if need be.
    fn insert(&mut self, ip: IpAddr, phase: Phase, now: Instant) -> Option<usize> {
        if self.free.is_empty() && !self.evict(now) {
            self.counters.full += 1;
            return None;
        }
        let slot = self.free.pop()?;
        self.by_ip.insert(ip, slot);
        let slot = usize::from(slot);
        let entry = &mut self.entries[slot];
        entry.ip = ip;
        entry.last_used = now;
        entry.live = true;
        self.enter(slot, phase, now);
        debug_assert_eq!(self.by_ip.len() + self.free.len(), self.config.limit);
        Some(slot)
    }

    /// Drops the least recently used entry that is not in use: one without a station before one
    /// with, so that asking for addresses that nobody has does not push out the neighbours.
    fn evict(&mut self, now: Instant) -> bool {
        let candidates = [self.unresolved.last(), self.resolved.last()];
        let unused = |slot: &usize| now.since(self.entries[*slot].last_used) >= self.config.in_use;
        let Some(slot) = candidates.into_iter().flatten().find(unused) else { return false };
        self.counters.evicted += 1;
        self.vacate(slot);
        true
    }

    fn vacate(&mut self, slot: usize) {
        self.note_doubt(slot, Phase::Incomplete(0));
        for list in [&mut self.resolved, &mut self.unresolved, &mut self.asking] {
            list.remove(slot);
        }
        let entry = &mut self.entries[slot];
        self.by_ip.remove(&entry.ip);
        entry.phase = Phase::Incomplete(0);
        entry.live = false;
        entry.generation = entry.generation.checked_add(1).unwrap_or(1);
        self.free.push(slot as u16);
    }
}
