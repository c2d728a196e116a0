//! Neighbour unreachability detection: what TCP knows of a neighbour (RFC 4861 §7.3, RFC 1122
//! §2.3.2.1), for ARP and neighbour discovery alike.
//!
//! A stale neighbour that is used waits in DELAY for TCP to confirm it, and is probed only then.
//! A packet that arrives costs a look at [`Neighbours::wants_proof`]: nothing is to be confirmed
//! while every neighbour in use is reachable. Time-outs do not wait for that time to end.

use super::{MAX_TRIES, NeighbourId, Neighbours, Phase};
use crate::time::Instant;

impl Neighbours {
    /// Would [`confirm`](Self::confirm) save a question? For each packet that arrives.
    #[inline]
    pub fn wants_proof(&self) -> bool {
        self.unsure > 0
    }

    /// TCP made progress: the peer acknowledged new data or sent new data, so our packets arrive at
    /// the neighbour (RFC 4861 §7.3.1). Saves the questions.
    pub fn confirm(&mut self, id: NeighbourId, now: Instant) {
        let Some(slot) = self.slot_of(id) else { return };
        if let Phase::Known(mac, _) | Phase::Delay(mac, _) | Phase::Probing(mac, _) =
            self.entries[slot].phase
        {
            self.enter(slot, Phase::Known(mac, now + self.config.reachable), now);
        }
    }

    /// TCP made no progress: so many time-outs in a row (RFC 1122 §2.3.2.1: advice of a higher
    /// layer). The first one doubts a stale neighbour, the second also a reachable one, unless its
    /// proof is no older than three questions take. The neighbour is probed at once; packets still
    /// go to its old station until it has not answered (RFC 4861 §7.3.3).
    pub fn doubt(&mut self, id: NeighbourId, timeouts: u8, now: Instant) {
        let Some(slot) = self.slot_of(id) else { return };
        let tries = self.config.retry * u32::from(MAX_TRIES);
        match self.entries[slot].phase {
            Phase::Known(_, until) if timeouts < 2 && now < until => {}
            Phase::Known(_, until) if now + self.config.reachable <= until + tries => {}
            Phase::Known(mac, _) | Phase::Delay(mac, _) => {
                self.enter(slot, Phase::Probing(mac, 0), now);
            }
            Phase::Permanent(_)
            | Phase::Probing(..)
            | Phase::Incomplete(_)
            | Phase::Unreachable(_) => {}
        }
    }

    /// The link was down: any neighbour may have changed meanwhile, so each is stale, and one that
    /// was given up is asked for again without waiting.
    pub fn doubt_all(&mut self, now: Instant) {
        for slot in 0..self.entries.len() {
            match self.entries[slot].phase {
                _ if !self.entries[slot].live => {}
                Phase::Known(mac, until) if now < until => {
                    self.enter(slot, Phase::Known(mac, now), now);
                }
                Phase::Unreachable(until) if now < until => {
                    self.enter(slot, Phase::Unreachable(now), now);
                }
                _ => {}
            }
        }
    }

    fn slot_of(&self, id: NeighbourId) -> Option<usize> {
        let entry = self.entries.get(id.slot())?;
        (entry.generation == id.generation() && entry.live).then_some(id.slot())
    }

    /// Nothing has confirmed these neighbours in time: they are probed.
    pub(super) fn end_delays(&mut self, now: Instant) {
        while let Some(slot) = self.delayed.first()
            && let Phase::Delay(mac, until) = self.entries[slot].phase
            && until <= now
        {
            self.enter(slot, Phase::Probing(mac, 0), now);
        }
    }

    pub(super) fn next_end_of_delay(&self) -> Option<Instant> {
        self.delayed.first().and_then(|slot| match self.entries[slot].phase {
            Phase::Delay(_, until) => Some(until),
            _ => None,
        })
    }

    /// Files an entry among those that wait for proof, or takes it out, before it changes to `phase`.
    pub(super) fn note_doubt(&mut self, slot: usize, phase: Phase) {
        let is_unsure = |phase| matches!(phase, Phase::Delay(..) | Phase::Probing(..));
        let (was, is) = (is_unsure(self.entries[slot].phase), is_unsure(phase));
        self.unsure += usize::from(is);
        self.unsure -= usize::from(was);
        if matches!(phase, Phase::Delay(..)) {
            self.delayed.move_to_back(slot);
        } else {
            self.delayed.remove(slot);
        }
    }
}
