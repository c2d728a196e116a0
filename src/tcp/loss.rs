//! What is missing, and what is done about it: SACK blocks (RFC 2018), DSACK (RFC 2883), RACK and
//! tail loss probes (RFC 8985), fast recovery by PRR (RFC 6937) with SACK or by duplicate ACKs
//! (RFC 5681 §3.2, RFC 6582), and the undo of what was no loss (RFC 3522, RFC 4015).
//!
//! All of it is off the way of a connection that has lost nothing.

use super::congestion::{Ack, Control};
use super::connection::{Connection, Context, Flag};
use super::handshake::micros;
use super::recovery::Phase;
use super::scoreboard::Delivered;
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

/// Segments delivered behind a hole that make it a loss where nothing was ever reordered (RFC 5681
/// §3.2, RFC 8985 §6.2).
const DUPLICATE_THRESHOLD: u32 = 3;
/// Recoveries for which a reordering window that was too small stays wide (RFC 8985 §6.2 step 4).
const WIDE_RECOVERIES: u8 = 16;

/// What an ACK has brought, beside its SACK blocks.
#[derive(Clone, Copy)]
pub(super) struct AckNews {
    /// Octets by which SND.UNA moved.
    pub acked: u32,
    /// It repeats the last ACK (RFC 5681 §2).
    pub duplicate: bool,
    /// What was in flight before.
    pub flight: u32,
    /// The round trip that it measured, in microseconds.
    pub rtt_us: Option<u32>,
    /// It is the first ACK of another round trip.
    pub round: bool,
}

impl Connection {
    /// Octets sent and not acknowledged.
    #[inline]
    pub(super) fn flight(&self) -> u32 {
        self.snd_una.steps_to(self.snd_max) as u32
    }

    /// Octets on their way, as far as we know (RFC 6675 §4: pipe), of `sent` from SND.UNA on.
    #[inline]
    pub(super) fn pipe(&self, cx: &Context<'_>, sent: u32) -> u32 {
        if self.recovery == 0 { sent } else { cx.recovery.at(self.recovery).pipe(sent) }
    }

    /// The recovery of this connection, a new one if it had none. `None` if all are in use: then
    /// losses are found by the retransmission timer alone.
    pub(super) fn recovery_link(&mut self, cx: &mut Context<'_>) -> Option<u32> {
        if self.recovery == 0 {
            match cx.recovery.take(self.snd_una) {
                Some(link) => {
                    self.recovery = link;
                    cx.recovery.at_mut(link).round_end = self.snd_max;
                }
                None => {
                    cx.counters.recovery_full.bump();
                    return None;
                }
            }
        }
        Some(self.recovery)
    }

    /// Forgets what was lost.
    pub(super) fn clear_recovery(&mut self, cx: &mut Context<'_>) {
        if self.recovery != 0 {
            cx.recovery.give(self.recovery);
            self.recovery = 0;
        }
        self.take(Flag::Lost);
        self.take(Flag::ProbeTail);
    }

    /// An ACK outside of any recovery: the window grows.
    #[inline]
    pub(super) fn grow(&mut self, cx: &Context<'_>, news: &AckNews) {
        let (window, mss) = (self.congestion.window(), u32::from(self.mss));
        // RFC 7661 §4.2, §4.3, RFC 9438 §5.8: a window that was not used says nothing of the path.
        // What is in flight at the first ACK of a round trip is what its ACKs will have acknowledged
        // at the end, pipeACK: so that ACK speaks for the others, whatever is left in flight at them.
        let fills = if window < self.congestion.threshold() {
            news.flight.saturating_mul(2) >= window
        } else {
            news.flight.saturating_add(2 * mss) >= window
        };
        self.fills_window = fills || (self.fills_window && !news.round);
        if !self.fills_window {
            return;
        }
        self.congestion.on_ack(&Ack {
            acked: news.acked,
            flight: news.flight,
            mss,
            now_us: micros(cx.now),
            rtt_us: news.rtt_us,
            srtt_us: self.rtt.srtt_us,
            limited: true,
            una: self.snd_una,
            nxt: self.snd_nxt,
        });
    }

    /// An ACK while something is, or may be, missing.
    #[cold]
    pub(super) fn ack_with_loss(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        news: &AckNews,
    ) {
        let Some(link) = self.recovery_link(cx) else {
            return self.grow(cx, news);
        };
        let round = cx.recovery.at_mut(link).begin_round(self.snd_una, self.snd_max);
        let news = &AckNews { round: news.round || round, ..*news };
        let sack = self.is(Flag::Sack);
        let mut delivered = Delivered::default();
        if news.acked > 0 {
            delivered = cx.recovery.at_mut(link).board.advance(self.snd_una);
        }
        let superfluous = if sack { self.take_blocks(cx, segment, &mut delivered) } else { None };
        if !sack {
            self.count_duplicates(cx, news, &mut delivered);
        }
        let now_us = micros(cx.now);
        let (srtt, min_rtt) = (self.rtt.srtt_us, self.rtt.min_us);
        let rtt = news.rtt_us.unwrap_or(srtt);
        if cx.recovery.at_mut(link).note_delivered(&delivered, now_us, rtt, min_rtt) && sack {
            cx.counters.sack_reorder.bump();
            self.set(Flag::Reordered);
        }
        if let Some((start, end)) = superfluous {
            self.dsack_arrives(cx, start, end);
        }
        let was = cx.recovery.at(link).phase;
        if news.acked > 0 {
            self.undo_if_early(cx, segment);
            self.leave_recovery(cx);
        }
        let lost_before = cx.recovery.at(link).board.lost();
        self.find_losses(cx, news);
        let recovery = cx.recovery.at_mut(link);
        let further_loss = recovery.board.lost() > lost_before;
        if recovery.phase == Phase::Open && recovery.board.lost() > 0 {
            self.enter_recovery(cx);
        }
        let recovery = cx.recovery.at_mut(link);
        match recovery.phase {
            Phase::Fast => {
                let (threshold, mss) = (self.congestion.threshold(), u32::from(self.mss));
                let safe = news.acked > 0 && !further_loss;
                let pipe = recovery.pipe(self.snd_una.steps_to(self.snd_max) as u32);
                let window = recovery.window(delivered.octets, pipe, threshold, mss, safe);
                self.congestion.set_window(window);
            }
            // the ACK that ends fast recovery has set the window
            Phase::Open | Phase::Timeout if news.acked > 0 && was != Phase::Fast => {
                self.grow(cx, news);
            }
            Phase::Open | Phase::Timeout => {}
        }
        self.judge_tail(cx, segment, news, superfluous);
        self.settle_recovery(cx);
    }

    /// Takes the SACK blocks of a segment. Returns a block that reports what had arrived before
    /// (RFC 2883 §4).
    fn take_blocks(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        delivered: &mut Delivered,
    ) -> Option<(SeqNumber, SeqNumber)> {
        let blocks = segment.options.sack.as_slice();
        let flight = self.flight() as i32;
        let board = &mut cx.recovery.at_mut(self.recovery).board;
        let mut superfluous = None;
        for (index, &(start, end)) in blocks.iter().enumerate() {
            // distances, since "before" on a circle is not transitive
            let (from, to) = (self.snd_una.steps_to(start), self.snd_una.steps_to(end));
            if from >= to || to > flight {
                continue; // nothing that we sent
            }
            let within =
                |&(s, e): &(SeqNumber, SeqNumber)| s.at_or_before(start) && end.at_or_before(e);
            if start.before(segment.ack) || (index == 0 && blocks[1..].iter().any(within)) {
                if index == 0 && to >= -(self.max_snd_wnd.min(1 << 30) as i32) {
                    superfluous = Some((start, end));
                }
                continue;
            }
            if from < 0 {
                continue; // an old ACK
            }
            let news = board.sack(start, end);
            delivered.octets += news.octets;
            delivered.reordered |= news.reordered;
            delivered.newest.once = match (delivered.newest.once, news.newest.once) {
                (Some(a), Some(b)) => Some(a.later(b)),
                (a, b) => a.or(b),
            };
            delivered.newest.again = match (delivered.newest.again, news.newest.again) {
                (Some(a), Some(b)) => Some(if b.left_after(a.at_us, a.end) { b } else { a }),
                (a, b) => a.or(b),
            };
        }
        superfluous
    }

    /// Without SACK each duplicate ACK says that one segment has left the network, so that another
    /// may be sent (RFC 3042).
    fn count_duplicates(
        &mut self,
        cx: &mut Context<'_>,
        news: &AckNews,
        delivered: &mut Delivered,
    ) {
        let mss = u32::from(self.mss);
        let flight = self.flight();
        let recovery = cx.recovery.at_mut(self.recovery);
        if news.duplicate {
            let most = flight.saturating_sub(recovery.board.lost());
            let before = recovery.duplicates;
            recovery.duplicates = before.saturating_add(mss).min(most);
            delivered.octets += recovery.duplicates.saturating_sub(before);
        } else if news.acked > 0 {
            // what lies behind the hole that was filled had been counted
            let known = recovery.duplicates.min(news.acked.saturating_sub(mss));
            recovery.duplicates -= known;
            delivered.octets = delivered.octets.saturating_sub(known);
            if recovery.phase != Phase::Fast || self.snd_una.at_or_after(self.recover) {
                recovery.duplicates = 0;
            }
        }
    }

    /// Marks what must be taken for lost.
    fn find_losses(&mut self, cx: &mut Context<'_>, news: &AckNews) {
        let mss = u32::from(self.mss);
        if self.is(Flag::Sack) {
            return self.detect(cx);
        }
        let first = self.snd_una..(self.snd_una + mss).earlier(self.snd_max);
        let recovery = cx.recovery.at_mut(self.recovery);
        let lost = match recovery.phase {
            Phase::Open => {
                news.duplicate
                    && recovery.duplicates >= DUPLICATE_THRESHOLD * mss
                    && self.snd_una.after(self.recover) // RFC 6582 §3.2 step 2
            }
            Phase::Fast => news.acked > 0, // a partial ACK: RFC 6582 §3.2 step 3
            Phase::Timeout => false,
        };
        if lost {
            recovery.board.lose(first.start, first.end);
        }
    }

    /// RFC 8985 §6.2 steps 4 and 5.
    fn detect(&mut self, cx: &mut Context<'_>) {
        let window = self.reordering_window(cx);
        let recovery = cx.recovery.at_mut(self.recovery);
        let newest = recovery.newest;
        let now_us = micros(cx.now);
        let (_, wait) = recovery.board.detect(&newest, now_us, recovery.rack_rtt_us, window);
        if let Some(us) = wait {
            let at = cx.now.plus_nanos(u64::from(us) * 1_000);
            if at < self.retransmit_at {
                self.take(Flag::EarlyTimer);
                self.set(Flag::ReorderTimer);
                self.retransmit_at = at;
            }
        }
    }

    /// How long what was overtaken may still take to arrive, in microseconds.
    fn reordering_window(&self, cx: &Context<'_>) -> u32 {
        let recovery = cx.recovery.at(self.recovery);
        let enough = recovery.board.sacked() > (DUPLICATE_THRESHOLD - 1) * u32::from(self.mss);
        if !self.is(Flag::Reordered) && (enough || recovery.phase != Phase::Open) {
            return 0;
        }
        let step = self.rtt.min_us / 4;
        step.saturating_mul(1 + u32::from(self.reorder_steps)).min(self.rtt.srtt_us)
    }

    /// The time for what was overtaken is over.
    pub(super) fn mark_overtaken_lost(&mut self, cx: &mut Context<'_>) {
        if self.recovery == 0 {
            return;
        }
        self.detect(cx);
        let recovery = cx.recovery.at(self.recovery);
        if recovery.phase == Phase::Open && recovery.board.lost() > 0 {
            self.enter_recovery(cx);
            let recovery = cx.recovery.at_mut(self.recovery);
            let (threshold, mss) = (self.congestion.threshold(), u32::from(self.mss));
            let pipe = recovery.pipe(self.snd_una.steps_to(self.snd_max) as u32);
            self.congestion.set_window(recovery.window(0, pipe, threshold, mss, false));
        }
        self.note_lost(cx);
    }

    /// Fast recovery begins: RFC 5681 §3.2, RFC 6675 §5, RFC 6937.
    fn enter_recovery(&mut self, cx: &mut Context<'_>) {
        let flight = self.flight();
        cx.counters.fast_retrans.bump();
        let kind = if self.is(Flag::Sack) {
            &cx.counters.sack_recovery
        } else {
            &cx.counters.reno_recovery
        };
        kind.bump();
        let recovery = cx.recovery.at_mut(self.recovery);
        recovery.remember_for_undo(self.congestion);
        recovery.enter_fast(flight);
        self.recover = self.snd_max;
        self.reduce(cx, flight);
        if self.reorder_lasts > 0 {
            self.reorder_lasts -= 1;
            if self.reorder_lasts == 0 {
                self.reorder_steps = 0;
            }
        }
    }

    /// Congestion: the window is reduced, once for all that is in flight now.
    pub(super) fn reduce(&mut self, cx: &Context<'_>, flight: u32) {
        if self.snd_una.before(self.reduced_at) {
            return;
        }
        self.reduced_at = self.snd_max;
        self.congestion.on_congestion(flight, self.mss.into(), micros(cx.now));
        if self.is(Flag::Ecn) {
            self.set(Flag::OweCwr); // RFC 3168 §6.1.2
        }
    }

    /// All that was sent before the loss is acknowledged: recovery is over.
    fn leave_recovery(&mut self, cx: &mut Context<'_>) {
        let recovery = cx.recovery.at_mut(self.recovery);
        if recovery.phase != Phase::Open && self.snd_una.at_or_after(self.recover) {
            if recovery.phase == Phase::Fast {
                self.congestion.set_window(self.congestion.threshold());
            }
            recovery.phase = Phase::Open;
            recovery.first_again_at = None;
            // a DSACK may still tell within a round trip
            recovery.keep_until = self.snd_max;
        }
        if recovery.phase == Phase::Open && self.snd_una.at_or_after(recovery.keep_until) {
            recovery.forget_undo();
        }
    }

    /// Eifel (RFC 3522 §3.2): the ACK echoes a timestamp from before the first retransmission, so
    /// what was missing had only been late.
    fn undo_if_early(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) {
        let recovery = cx.recovery.at(self.recovery);
        let (Some(first), Some(ts)) = (recovery.first_again_at, segment.options.timestamps) else {
            return;
        };
        if self.is(Flag::Timestamps) && self.is_echo_from_before(cx.now, ts.echo, first) {
            let counter = match recovery.phase {
                Phase::Open => return,
                Phase::Fast => &cx.counters.full_undo,
                Phase::Timeout => &cx.counters.spurious_rtos,
            };
            counter.bump();
            self.undo(cx);
        }
    }

    /// The loss was none: as if nothing had happened (RFC 4015 §3.2).
    fn undo(&mut self, cx: &mut Context<'_>) {
        let recovery = cx.recovery.at_mut(self.recovery);
        if let Some(before) = recovery.before {
            self.congestion.undo(&before);
        }
        recovery.forget_undo();
        recovery.board.unlose();
        recovery.phase = Phase::Open;
        recovery.duplicates = 0;
        self.recover = self.snd_una - 1;
        self.reduced_at = self.snd_una;
    }

    /// The peer has received something twice (RFC 2883). If that explains all that was sent again,
    /// nothing had been lost; and the reordering window was too small (RFC 8985 §6.2 step 4).
    fn dsack_arrives(&mut self, cx: &mut Context<'_>, start: SeqNumber, end: SeqNumber) {
        cx.counters.dsack_received.bump();
        let recovery = cx.recovery.at_mut(self.recovery);
        if recovery.unexplained == 0 {
            return; // the network doubled it, or a probe did
        }
        recovery.unexplained = recovery.unexplained.saturating_sub(start.steps_to(end) as u32);
        self.reorder_steps = (self.reorder_steps + 1).min(u8::MAX - 1);
        self.reorder_lasts = WIDE_RECOVERIES;
        if recovery.unexplained == 0 && recovery.before.is_some() {
            cx.counters.dsack_undo.bump();
            self.undo(cx);
        }
    }

    /// Gives the recovery back if it is over, and notes what there is to send.
    fn settle_recovery(&mut self, cx: &mut Context<'_>) {
        if cx.recovery.at(self.recovery).is_over() {
            return self.clear_recovery(cx);
        }
        self.note_lost(cx);
    }

    fn note_lost(&mut self, cx: &Context<'_>) {
        if cx.recovery.at(self.recovery).board.lost() > 0 {
            self.set(Flag::Lost);
        } else {
            self.take(Flag::Lost);
        }
    }

    /// The retransmission timer ran out with data on its way (RFC 6298 §5.4; RFC 6675 §5.1): all
    /// that the peer is not known to have is sent again.
    pub(super) fn lose_all(&mut self, cx: &mut Context<'_>) {
        let Some(link) = self.recovery_link(cx) else {
            self.snd_nxt = self.snd_una; // from the beginning, knowing nothing
            return;
        };
        let before = self.congestion;
        let recovery = cx.recovery.at_mut(link);
        if recovery.phase != Phase::Timeout {
            recovery.remember_for_undo(before);
        }
        if recovery.board.is_reneged() {
            cx.counters.sack_reneging.bump();
            recovery.board.unsack();
        }
        recovery.board.lose(self.snd_una, self.snd_max);
        recovery.phase = Phase::Timeout;
        recovery.tail = None;
        recovery.duplicates = 0;
        recovery.newest = Default::default();
        self.set(Flag::Lost);
        self.take(Flag::ProbeTail);
    }

    /// What the recovery has sent again: `start` to `end`, and when.
    pub(super) fn note_sent_again(
        &mut self,
        cx: &mut Context<'_>,
        start: SeqNumber,
        end: SeqNumber,
    ) {
        let octets = start.steps_to(end) as u32;
        let recovery = cx.recovery.at_mut(self.recovery);
        recovery.board.sent_again(start, end, self.snd_max, micros(cx.now));
        recovery.note_sent(octets);
        if recovery.before.is_some() {
            recovery.unexplained += octets;
            recovery.first_again_at.get_or_insert(cx.now);
        }
        if recovery.board.lost() == 0 {
            self.take(Flag::Lost);
        }
    }

    /// Is the octet at `seq` on its way (RFC 5927 §4.1: what an ICMP error must quote)?
    pub fn is_in_flight(&self, seq: SeqNumber) -> bool {
        self.snd_una.at_or_before(seq) && seq.before(self.snd_max)
    }

    /// What kind of recovery is going on, and the octets that the peer has out of order.
    pub fn recovery_state(&self, pool: &super::recovery::RecoveryPool) -> (Phase, u32, u32) {
        if self.recovery == 0 {
            return (Phase::Open, 0, 0);
        }
        let recovery = pool.at(self.recovery);
        (recovery.phase, recovery.board.sacked(), recovery.board.lost())
    }

    /// No retransmission timer of any kind runs.
    pub(super) fn disarm_retransmit(&mut self) {
        self.retransmit_at = Instant::FAR;
        self.flags &= !(Flag::EarlyTimer as u32 | Flag::ReorderTimer as u32);
    }
}
