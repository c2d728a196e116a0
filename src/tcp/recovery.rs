//! What a connection keeps while something is missing: the scoreboard, RACK (RFC 8985), PRR
//! (RFC 6937) and what an undo needs. A connection that has lost nothing has none of it.

use super::congestion::Controller;
use super::scoreboard::{Delivered, Newest, Scoreboard};
use crate::time::Instant;
use crate::wire::seq::SeqNumber;

/// What kind of recovery is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// None: something is out of order, or was sent in doubt.
    #[default]
    Open,
    /// Fast recovery: the window was reduced, the rate is PRR's.
    Fast,
    /// After a retransmission time-out: slow start from one segment.
    Timeout,
}

/// A tail loss probe that is on its way (RFC 8985 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The point after the last octet of the probe.
    pub end: SeqNumber,
    /// It repeats what was sent before; otherwise it is new data.
    pub again: bool,
    /// When it was sent, in milliseconds.
    pub at_ms: u32,
}

/// Proportional rate reduction (RFC 6937 §3.1, with the safe ACKs of its revision). Octets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prr {
    delivered: u64,
    out: u64,
    /// What was in flight when recovery began: RecoverFS.
    flight: u64,
}

impl Prr {
    fn begin(flight: u32) -> Self {
        Prr { delivered: 0, out: 0, flight: u64::from(flight.max(1)) }
    }

    /// The window after an ACK that delivered `delivered` octets, with `flight` still out; `safe` if
    /// it moved SND.UNA and showed no further loss.
    fn window(&mut self, delivered: u32, flight: u32, threshold: u32, mss: u32, safe: bool) -> u32 {
        self.delivered += u64::from(delivered);
        let (flight, threshold, mss) = (u64::from(flight), u64::from(threshold), u64::from(mss));
        let mut more = if flight > threshold {
            (self.delivered * threshold).div_ceil(self.flight).saturating_sub(self.out)
        } else {
            let due = self.delivered.saturating_sub(self.out).max(delivered.into());
            (due + if safe { mss } else { 0 }).min(threshold - flight)
        };
        if self.out == 0 {
            more = more.max(mss); // the first retransmission leaves in any case
        }
        u32::try_from(flight + more).unwrap_or(u32::MAX)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Recovery {
    /// What is known of the octets on their way.
    pub board: Scoreboard,
    /// What is going on.
    pub phase: Phase,
    /// The probe that is out.
    pub tail: Option<Tail>,
    /// Congestion control as it was before the loss that may have been none.
    pub before: Option<Controller>,
    /// When the first retransmission since `before` left.
    pub first_again_at: Option<Instant>,
    /// Octets sent again since `before` that no DSACK has reported as superfluous.
    pub unexplained: u32,
    /// Where SND.UNA must get to before nothing can be undone any more.
    pub keep_until: SeqNumber,
    /// The round trip is over when an ACK goes beyond this; nothing is timed meanwhile.
    pub round_end: SeqNumber,
    /// Octets that duplicate ACKs without SACK say have left the network (RFC 5681 §3.2).
    pub duplicates: u32,
    /// What was delivered that left last.
    pub newest: Newest,
    /// RACK.rtt in microseconds.
    pub rack_rtt_us: u32,
    prr: Prr,
    /// Index plus one of the next free one; 0 = none.
    next: u32,
}

impl Recovery {
    fn new() -> Self {
        Recovery {
            board: Scoreboard::new(SeqNumber::default()),
            phase: Phase::Open,
            tail: None,
            before: None,
            first_again_at: None,
            unexplained: 0,
            keep_until: SeqNumber::default(),
            round_end: SeqNumber::default(),
            duplicates: 0,
            newest: Newest::default(),
            rack_rtt_us: 0,
            prr: Prr::default(),
            next: 0,
        }
    }

    fn begin(&mut self, una: SeqNumber) {
        self.board.reset(una);
        self.phase = Phase::Open;
        self.tail = None;
        self.newest = Newest::default();
        self.rack_rtt_us = 0;
        self.duplicates = 0;
        self.keep_until = una;
        self.round_end = una;
        self.forget_undo();
    }

    /// Octets on their way, of `flight` between SND.UNA and SND.NXT (RFC 6675 §4: pipe).
    #[inline]
    pub fn pipe(&self, flight: u32) -> u32 {
        flight.saturating_sub(self.board.sacked() + self.board.lost() + self.duplicates)
    }

    /// Begins another round trip if the ACK that moved SND.UNA to `una` ends the last one, and says
    /// whether it does.
    pub fn begin_round(&mut self, una: SeqNumber, snd_max: SeqNumber) -> bool {
        let over = una.after(self.round_end);
        if over {
            self.round_end = snd_max;
        }
        over
    }

    /// A loss was found while congestion control was as `before`: an undo goes back to that.
    pub fn remember_for_undo(&mut self, before: Controller) {
        self.before = Some(before);
        self.first_again_at = None;
        self.unexplained = 0;
    }

    /// There is nothing to undo any more.
    pub fn forget_undo(&mut self) {
        self.before = None;
        self.first_again_at = None;
        self.unexplained = 0;
    }

    /// Fast recovery begins with `flight` octets out.
    pub fn enter_fast(&mut self, flight: u32) {
        self.phase = Phase::Fast;
        self.prr = Prr::begin(flight);
    }

    /// The window that PRR allows after an ACK that delivered `delivered` octets, with `pipe` still out;
    /// `safe` if it moved SND.UNA and showed no further loss.
    pub fn window(
        &mut self,
        delivered: u32,
        pipe: u32,
        threshold: u32,
        mss: u32,
        safe: bool,
    ) -> u32 {
        self.prr.window(delivered, pipe, threshold, mss, safe)
    }

    /// `octets` were sent.
    #[inline]
    pub fn note_sent(&mut self, octets: u32) {
        self.prr.out += u64::from(octets);
    }

    /// RFC 8985 §6.2 steps 2 and 3: takes in what an ACK delivered. `rtt_us` is the latest
    /// measurement, `min_rtt_us` the least. True if reordering was seen.
    pub fn note_delivered(
        &mut self,
        delivered: &Delivered,
        now_us: u32,
        rtt_us: u32,
        min_rtt_us: u32,
    ) -> bool {
        if let Some(end) = delivered.newest.once {
            self.newest.once = Some(self.newest.once.map_or(end, |point| point.later(end)));
            self.rack_rtt_us = rtt_us;
        }
        if let Some(again) = delivered.newest.again {
            let took = now_us.wrapping_sub(again.at_us);
            // sooner than any round trip: it is the first transmission that was delivered
            if took >= min_rtt_us {
                let newer = |best: super::scoreboard::Again| {
                    again.at_us.wrapping_sub(best.at_us) as i32 >= 0
                };
                if self.newest.again.is_none_or(newer) {
                    self.newest.again = Some(again);
                }
                self.rack_rtt_us = took;
            }
        }
        delivered.reordered
    }

    /// Is nothing kept that could still matter?
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Open
            && self.tail.is_none()
            && self.board.is_empty()
            && self.unexplained == 0
            && self.duplicates == 0
    }
}

/// The recoveries of all connections of an engine, reserved at first and touched as they are used.
pub struct RecoveryPool {
    blocks: Vec<Recovery>,
    limit: u32,
    /// Index plus one of the block that was freed last; 0 = none.
    free: u32,
    in_use: u32,
}

impl RecoveryPool {
    /// A pool for `limit` connections at a time.
    pub fn new(limit: u32) -> Self {
        RecoveryPool { blocks: Vec::with_capacity(limit as usize), limit, free: 0, in_use: 0 }
    }

    /// Octets of a block.
    pub const BLOCK_BYTES: usize = size_of::<Recovery>();

    /// Connections that have one.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// A block for a connection at `una`, as a link; `None` if all are in use.
    pub fn take(&mut self, una: SeqNumber) -> Option<u32> {
        let link = if self.free != 0 {
            self.free
        } else if self.blocks.len() < self.limit as usize {
            self.blocks.push(Recovery::new());
            self.blocks.len() as u32
        } else {
            return None;
        };
        let block = self.at_mut(link);
        let next = core::mem::take(&mut block.next);
        block.begin(una);
        self.free = next;
        self.in_use += 1;
        Some(link)
    }

    /// Gives a block back.
    pub fn give(&mut self, link: u32) {
        let next = self.free;
        self.at_mut(link).next = next;
        self.free = link;
        self.in_use -= 1;
    }

    /// The block of a link that is not 0.
    #[inline]
    pub fn at(&self, link: u32) -> &Recovery {
        &self.blocks[link as usize - 1]
    }

    /// The block of a link that is not 0, to change it.
    #[inline]
    pub fn at_mut(&mut self, link: u32) -> &mut Recovery {
        &mut self.blocks[link as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// RFC 6937 §3.1: with the window halved, one segment leaves for two that are delivered.
    #[test]
    fn prr_reduces_in_proportion() {
        let mut prr = Prr::begin(100 * MSS);
        let mut flight = 99 * MSS;
        let mut sent = 0;
        for _ in 0..98 {
            flight -= MSS;
            let window = prr.window(MSS, flight, 50 * MSS, MSS, false);
            while flight + MSS <= window {
                flight += MSS;
                prr.out += u64::from(MSS);
                sent += 1;
            }
        }
        assert!((49..=51).contains(&sent), "{sent}");
        assert!(flight.abs_diff(50 * MSS) <= 2 * MSS, "{flight}");
    }

    /// When more was lost than the reduction asks for, what is delivered is replaced.
    #[test]
    fn prr_conserves_packets_after_heavy_loss() {
        let mut prr = Prr::begin(100 * MSS);
        let flight = 10 * MSS;
        assert_eq!(prr.window(MSS, flight, 50 * MSS, MSS, false), flight + MSS);
        prr.out += u64::from(MSS);
        assert_eq!(prr.window(MSS, flight, 50 * MSS, MSS, false), flight + MSS);
        assert_eq!(prr.window(MSS, flight, 50 * MSS, MSS, true), flight + 3 * MSS);
    }

    #[test]
    fn blocks_are_lent_and_come_back() {
        let mut pool = RecoveryPool::new(2);
        let a = pool.take(SeqNumber::new(7)).unwrap();
        let b = pool.take(SeqNumber::new(8)).unwrap();
        assert_eq!(pool.take(SeqNumber::new(9)), None);
        pool.at_mut(a).board.lose(SeqNumber::new(7), SeqNumber::new(9));
        pool.give(a);
        let c = pool.take(SeqNumber::new(9)).unwrap();
        assert!(pool.at(c).is_over(), "as new");
        pool.give(b);
        pool.give(c);
        assert_eq!(pool.in_use(), 0);
    }
}
