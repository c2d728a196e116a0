//! What to send next: RFC 9293 §3.8.6 (windows, silly windows, probes), §3.7.4 (Nagle), and the
//! retransmissions that `acknowledge` and `timers` asked for.

use super::congestion::Control;
use super::connection::{Connection, Context, Flag, Outgoing};
use super::handshake::micros;
use super::state::State;
use crate::time::Instant;
use crate::wire::options::{Options, SackBlocks};
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Flags;

impl Connection {
    /// The next segment, or `None` if there is nothing to send now. A segment that is returned
    /// counts as sent.
    pub fn next_segment(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        let segment = match self.state {
            State::SynSent if self.snd_nxt == self.snd_una => Some(self.syn(cx, Flags::SYN)),
            State::SynReceived if self.snd_nxt == self.snd_una => {
                Some(self.syn(cx, Flags::SYN.with(Flags::ACK)))
            }
            State::SynSent | State::Closed | State::Listen | State::TimeWait => None,
            State::SynReceived => self.bare_ack(cx),
            _ => self.data(cx).or_else(|| self.bare_ack(cx)),
        };
        self.assert_invariants();
        segment
    }

    fn syn(&mut self, cx: &mut Context<'_>, mut flags: Flags) -> Outgoing {
        let seq = self.snd_una;
        let first = self.snd_max == seq;
        self.snd_nxt = seq + 1;
        self.snd_max = self.snd_max.later(self.snd_nxt);
        if first {
            self.set_stalled(cx.now);
            self.time_round_trip(cx, seq);
        } else {
            cx.counters.retrans_segs.bump();
            self.take(Flag::Timing); // Karn
        }
        self.arm_retransmit(cx);
        let answers = flags.ack();
        if !answers && self.retries == 0 && cx.config.ecn {
            flags = flags.with(Flags::ECE | Flags::CWR); // RFC 3168 §6.1.1: once, some drop it
        } else if answers && self.is(Flag::Ecn) {
            flags = flags.with(Flags::ECE);
        }
        // RFC 7323 §2.2: the window of a SYN is never scaled
        let window = if answers { self.receive_window() } else { self.receive_limit(cx.config) };
        Outgoing {
            seq,
            ack: if answers { self.rcv_nxt } else { SeqNumber::default() },
            flags,
            window: window.min(0xffff) as u16,
            options: self.syn_options(cx.config, cx.now),
            offset: 0,
            len: 0,
            more: false,
            urgent: 0,
            ect: false,
        }
    }

    /// New data, a retransmission, a FIN or a probe.
    fn data(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        let queued = self.send.len();
        let mss = self.room_for_data(cx);
        if self.flags & (Flag::Lost as u32 | Flag::ProbeTail as u32) != 0
            && let Some(segment) = self.repair(cx, mss)
        {
            return Some(segment);
        }
        let offset = self.snd_una.steps_to(self.snd_nxt) as u32;
        let fin_is_out = offset > queued;
        let unsent = queued.saturating_sub(offset);
        let fin_is_due = self.owes_fin() && !fin_is_out;
        if unsent == 0 && !fin_is_due {
            return None;
        }
        if self.take(Flag::Probe) && offset == 0 {
            return Some(self.probe(cx, unsent));
        }
        self.restart_after_idle(cx);
        if cx.config.pacing && self.wait_for_pace(cx) {
            return None;
        }
        let by_peer = self.snd_wnd.saturating_sub(offset);
        let usable = by_peer.min(self.congestion.window().saturating_sub(self.pipe(cx, offset)));
        let len = unsent.min(usable).min(mss);
        let all = len == unsent;
        let fin = fin_is_due && all && offset + len < self.snd_wnd;
        let sent_before = self.snd_nxt.before(self.snd_max);
        // RFC 9293 §3.8.6.2.1: a full segment, or all there is (unless Nagle wants company for it),
        // or half of the largest window that the peer has ever offered
        let idle = offset == 0;
        let worth_it = fin
            || len == mss
            || (len > 0
                && (sent_before
                    || (all && self.may_send_small(idle))
                    || len >= self.max_snd_wnd / 2));
        if !worth_it {
            if all && len > 0 && self.is(Flag::Cork) {
                if self.wait_for_cork(cx) {
                    return None;
                }
            } else {
                if idle && self.retransmit_at == Instant::FAR {
                    self.enter_persist(cx);
                }
                return None;
            }
        }
        if self.is(Flag::Cork) {
            self.leave_cork();
        }
        Some(self.carry(cx, Carried { offset, len, fin, sent_before }))
    }

    /// May the last octets that are queued leave in a segment that they do not fill? `idle`: nothing is
    /// on its way (Nagle, RFC 9293 §3.7.4).
    #[inline]
    fn may_send_small(&self, idle: bool) -> bool {
        let small = Flag::Cork as u32 | Flag::Urgent as u32 | Flag::FinQueued as u32;
        if self.flags & small == 0 {
            return idle || self.is(Flag::NoDelay);
        }
        self.may_send_small_rarely(idle)
    }

    #[cold]
    fn may_send_small_rarely(&self, idle: bool) -> bool {
        // nothing can follow that would fill the segment
        self.is(Flag::FinQueued)
            // urgent data does not wait for company (RFC 9293 §3.8.5)
            || (self.is(Flag::Urgent) && self.snd_nxt.before(self.snd_up))
            || (!self.is(Flag::Cork) && (idle || self.is(Flag::NoDelay)))
    }

    /// Octets of payload that a segment has room for beside its options.
    #[inline]
    fn room_for_data(&self, cx: &Context<'_>) -> u32 {
        let mss = u32::from(self.mss);
        if !self.has_blocks() {
            return mss;
        }
        let blocks = self.count_blocks(cx).min(if self.is(Flag::Timestamps) { 3 } else { 4 });
        mss - (4 + 8 * blocks as u32) // RFC 6691 §3
    }

    /// What was lost comes first, then a probe that is due.
    #[cold]
    fn repair(&mut self, cx: &mut Context<'_>, mss: u32) -> Option<Outgoing> {
        if self.is(Flag::Lost)
            && let Some(again) = self.lost_segment(cx, mss)
        {
            return Some(again);
        }
        if self.take(Flag::ProbeTail) { self.tail_probe(cx, mss) } else { None }
    }

    /// What was lost, and what the window has room for of it.
    fn lost_segment(&mut self, cx: &mut Context<'_>, mss: u32) -> Option<Outgoing> {
        let (start, end) = cx.recovery.at(self.recovery).board.next_lost()?;
        let offset = self.snd_una.steps_to(start) as u32;
        let lost = start.steps_to(end) as u32;
        let left = self.send.len().saturating_sub(offset);
        let len = lost.min(mss).min(left);
        let fin = self.is(Flag::FinSent) && len == left && lost > len;
        let pipe = self.pipe(cx, self.flight());
        if pipe > 0 && pipe + len > self.congestion.window() {
            return None;
        }
        if offset == 0 {
            self.arm_retransmit(cx);
        }
        let segment = self.carry_rarely(cx, Carried { offset, len, fin, sent_before: true });
        self.note_sent_again(cx, start, start + len + u32::from(fin));
        Some(Outgoing { more: true, ..segment })
    }

    /// RFC 8985 §7.3: new data if there is some that the peer has room for, else the last segment
    /// again.
    fn tail_probe(&mut self, cx: &mut Context<'_>, mss: u32) -> Option<Outgoing> {
        let queued = self.send.len();
        let flight = self.flight();
        if flight == 0 || self.snd_nxt != self.snd_max {
            return None;
        }
        let unsent = queued.saturating_sub(flight);
        let len = unsent.min(mss).min(self.snd_wnd.saturating_sub(flight));
        let (carried, again) = if len > 0 {
            (Carried { offset: flight, len, fin: false, sent_before: false }, false)
        } else {
            let fin = flight > queued;
            let sent = flight.min(queued);
            let len = sent.min(mss);
            (Carried { offset: sent - len, len, fin, sent_before: true }, true)
        };
        let end = self.snd_una + carried.offset + carried.len + u32::from(carried.fin);
        let segment = self.carry_rarely(cx, carried);
        self.note_tail(cx, end, again);
        Some(segment)
    }

    /// RFC 5681 §4.1: after more than a time-out of silence the path is not known any more.
    #[inline]
    fn restart_after_idle(&mut self, cx: &Context<'_>) {
        if self.snd_una != self.snd_max {
            return;
        }
        let idle_ms = self.stalled_for_ms(cx.now);
        if idle_ms < 2 {
            return; // no time-out is shorter
        }
        if idle_ms.saturating_mul(1_000_000) > self.rtt.rto_nanos(cx.config) {
            let mss = u32::from(self.mss);
            let initial = u32::from(cx.config.initial_window) * mss;
            let idle_us = idle_ms.wrapping_mul(1_000) as u32; // their clock comes round likewise
            self.congestion.after_idle(initial, mss, idle_us, micros(cx.now));
        }
    }

    /// Must the next segment wait for its turn? Then the timer brings it.
    fn wait_for_pace(&mut self, cx: &Context<'_>) -> bool {
        self.take(Flag::Paced);
        let held = self.pace_at > cx.now && !self.held_by_cork;
        if held {
            self.set(Flag::Paced);
            self.ack_at = self.ack_at.min(self.pace_at);
        }
        held
    }

    /// Must the last octets wait for more? At most for 200 ms, as with TCP_CORK of Linux: then the
    /// timer brings them. What was written first counts, since full segments take the oldest octets.
    #[cold]
    fn wait_for_cork(&mut self, cx: &Context<'_>) -> bool {
        const MOST_NS: u64 = 200_000_000;
        if !self.held_by_cork {
            self.held_by_cork = true;
            self.pace_at = cx.now.plus_nanos(MOST_NS);
        }
        let held = self.pace_at > cx.now;
        if held {
            self.set(Flag::Paced);
            self.ack_at = self.ack_at.min(self.pace_at);
        }
        held
    }

    /// The cork holds nothing back: a segment leaves with it, or the cork is out.
    #[cold]
    fn leave_cork(&mut self) {
        if core::mem::take(&mut self.held_by_cork) {
            self.pace_at = Instant::ZERO;
        }
    }

    /// Holds back all but full segments (TCP_CORK), or lets go what was held back.
    pub fn set_cork(&mut self, on: bool) {
        if on {
            self.set(Flag::Cork);
        } else {
            self.take(Flag::Cork);
            self.leave_cork();
        }
    }

    /// A segment of `len` octets leaves: the next one waits its share of the round trip. The pace is
    /// twice the window a round trip in slow start, so that it can double, and 5/4 of it afterwards.
    fn pace(&mut self, cx: &Context<'_>, len: u32) {
        let window = u64::from(self.congestion.window().max(1));
        let slow_start = self.congestion.window() < self.congestion.threshold();
        let (up, down) = if slow_start { (1, 2) } else { (4, 5) };
        let round_ns = u64::from(self.rtt.srtt_us) * 1_000;
        let share = u64::from(len) * round_ns * up / (window * down);
        self.pace_at = self.pace_at.max(cx.now).plus_nanos(share);
    }

    /// RFC 9293 §3.8.6.1: the peer is asked again until its window has opened.
    #[cold]
    fn enter_persist(&mut self, cx: &Context<'_>) {
        self.set(Flag::Persist);
        if self.snd_una == self.snd_max {
            // RFC 9293 §3.8.3, RFC 5482 §2: the user timeout counts from when this data waits
            self.set_stalled(cx.now);
        }
        self.arm_retransmit(cx);
    }

    /// A zero-window probe: what fits, at least one octet, or the FIN if nothing else is left.
    /// SND.NXT stays where it is: the octet is not expected to get in.
    fn probe(&mut self, cx: &mut Context<'_>, unsent: u32) -> Outgoing {
        cx.counters.window_probes.bump();
        let len = unsent.min(self.snd_wnd.max(1)).min(self.mss.into());
        let fin = unsent == 0;
        let (snd_nxt, retransmit_at) = (self.snd_nxt, self.retransmit_at);
        let stalled = (self.stalled_ms, self.stalled_high); // the data waits since before the probe
        let probe = self.carry_rarely(cx, Carried { offset: 0, len, fin, sent_before: false });
        self.snd_nxt = snd_nxt;
        (self.stalled_ms, self.stalled_high) = stalled;
        self.take(Flag::EarlyTimer);
        self.retransmit_at = retransmit_at;
        self.take(Flag::Timing);
        // RFC 3168 §6.1.6: a probe is not ECT
        Outgoing { more: false, ect: false, ..probe }
    }

    /// As `carry`, off the usual way.
    #[cold]
    fn carry_rarely(&mut self, cx: &mut Context<'_>, carried: Carried) -> Outgoing {
        self.carry(cx, carried)
    }

    /// A segment with payload or FIN, and all the book-keeping that its departure means.
    #[inline(always)]
    fn carry(&mut self, cx: &mut Context<'_>, carried: Carried) -> Outgoing {
        let Carried { offset, len, fin, sent_before } = carried;
        let seq = self.snd_una + offset;
        let end = seq + len + u32::from(fin);
        if sent_before {
            cx.counters.retrans_segs.bump();
            self.take(Flag::Timing); // Karn
        } else if !self.is(Flag::Timing) && self.recovery == 0 {
            self.time_round_trip(cx, seq);
        }
        if self.snd_una == self.snd_max {
            self.set_stalled(cx.now);
        }
        self.snd_nxt = self.snd_nxt.later(end);
        self.snd_max = self.snd_max.later(end);
        if self.recovery != 0 && !sent_before {
            cx.recovery.at_mut(self.recovery).note_sent(len);
        }
        // RFC 6298 §5.1; RFC 8985 §7.2: a probe is due some time after the last segment, sooner if
        // there is more than one
        let second = !sent_before && offset > 0 && offset <= self.mss.into();
        if self.retransmit_at == Instant::FAR || self.is(Flag::EarlyTimer) || second {
            self.arm_retransmit(cx);
        }
        let mut flags = Flags::ACK;
        let last = offset + len == self.send.len();
        if last && len > 0 {
            flags = flags.with(Flags::PSH); // RFC 9293 §3.9.1.2: the end of what was written
        }
        if fin {
            flags = flags.with(Flags::FIN);
            self.fin_leaves();
        }
        let more = !last || (self.is(Flag::FinQueued) && !fin);
        if cx.config.pacing {
            self.pace(cx, len);
        }
        let (mut urgent, mut ect) = (0, false);
        if self.flags & (Flag::Urgent as u32 | Flag::Ecn as u32) != 0 {
            let new_data = !sent_before && len > 0;
            (flags, urgent, ect) = self.mark_segment(flags, seq, new_data);
        }
        let acked = self.acknowledging(cx, seq, flags);
        Outgoing { offset, len: len as u16, more, urgent, ect, ..acked }
    }

    /// What urgent data and ECN add to a segment: flags, the urgent pointer, ECT.
    #[cold]
    fn mark_segment(
        &mut self,
        mut flags: Flags,
        seq: SeqNumber,
        new_data: bool,
    ) -> (Flags, u16, bool) {
        let mut urgent = 0;
        if self.is(Flag::Urgent) {
            if seq.before(self.snd_up) {
                // RFC 9293 §3.1: a positive offset, as far as its field goes
                urgent = seq.steps_to(self.snd_up).min(0xffff) as u16;
                flags = flags.with(Flags::URG);
            } else {
                self.take(Flag::Urgent);
            }
        }
        // RFC 3168 §6.1.2, §6.1.5: new data only
        let ect = self.is(Flag::Ecn) && new_data;
        if ect && self.take(Flag::OweCwr) {
            flags = flags.with(Flags::CWR);
        }
        (flags, urgent, ect)
    }

    /// An ACK without payload, if one is due.
    fn bare_ack(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        if self.take(Flag::KeepAliveProbe) {
            // RFC 9293 §3.8.4: an octet that the peer has had already makes it answer
            return Some(self.acknowledging(cx, self.snd_una - 1, Flags::ACK));
        }
        self.is(Flag::AckNow).then(|| self.acknowledging(cx, self.textless_seq(), Flags::ACK))
    }

    /// The ACK that is owed for one segment alone, if another is about to arrive.
    pub fn ack_of_its_own(&mut self, cx: &Context<'_>) -> Option<Outgoing> {
        let owed = self.state.is_synchronized() && self.is(Flag::AckEach) && self.is(Flag::AckNow);
        owed.then(|| self.acknowledging(cx, self.textless_seq(), Flags::ACK))
    }

    /// The sequence number of a segment without text: SND.NXT, which after a time-out is SND.MAX, but
    /// never beyond the right edge of the window that the peer has announced. The peer drops what
    /// lies beyond that edge, and the ACK with it (RFC 9293 §3.10.7.4, first check). After a probe, or
    /// when the window has shrunk, SND.NXT lies there (Linux: `tcp_acceptable_seq`).
    ///
    /// A RST has this number too. It is the largest that RCV.NXT of the peer can be: the peer drops a
    /// RST below RCV.NXT without a word, but challenges one above it, and the answer to the challenge
    /// has the exact number (RFC 5961 §3.2).
    #[inline]
    pub(super) fn textless_seq(&self) -> SeqNumber {
        let edge = self.snd_una + self.snd_wnd;
        if self.snd_max.at_or_before(edge) { self.snd_max } else { self.seq_at_edge(edge) }
    }

    #[cold]
    fn seq_at_edge(&self, edge: SeqNumber) -> SeqNumber {
        let beyond = edge.steps_to(self.snd_max) as u32;
        // RFC 7323 §2.4: an edge that moved left by less than one unit of the scale was rounded, and
        // what it announced before still holds. A closed window is no such case: SND.UNA is right
        // whether it was rounded or not
        let rounded = self.snd_wnd > 0 && beyond < 1 << self.snd_scale;
        // before the handshake is complete the window begins behind our SYN
        if rounded || !self.state.is_synchronized() { self.snd_max } else { edge }
    }

    /// A segment without payload that acknowledges all that was received.
    #[inline(always)]
    fn acknowledging(&mut self, cx: &Context<'_>, seq: SeqNumber, flags: Flags) -> Outgoing {
        let window = self.window_field(cx.config, cx.pool);
        self.rcv_adv = self.rcv_adv.later(self.rcv_nxt + (window << self.rcv_scale));
        self.last_ack_sent = self.rcv_nxt;
        self.flags &= !(Flag::AckNow as u32 | Flag::AckEach as u32);
        self.ack_at = if self.is(Flag::Paced) { self.pace_at } else { Instant::FAR };
        self.pending_acks = 0;
        let timestamps = self.is(Flag::Timestamps).then(|| self.timestamps_now(cx.now));
        let mut sack = SackBlocks::EMPTY;
        if self.has_blocks() {
            sack = self.sack_blocks(cx);
            if self.owes_dsack() {
                cx.counters.dsack_sent.bump();
                self.dsack = Default::default();
            }
        }
        let flags = if self.is(Flag::OweEce) { flags.with(Flags::ECE) } else { flags };
        Outgoing {
            seq,
            ack: self.rcv_nxt,
            flags,
            window: window as u16,
            options: Options { timestamps, sack, ..Options::default() },
            offset: 0,
            len: 0,
            more: false,
            urgent: 0,
            ect: false,
        }
    }

    fn time_round_trip(&mut self, cx: &Context<'_>, seq: SeqNumber) {
        self.set(Flag::Timing);
        self.rtt_seq = seq;
        self.rtt_start_us = micros(cx.now);
    }
}

/// What a segment takes from the send chain.
struct Carried {
    offset: u32,
    len: u32,
    fin: bool,
    sent_before: bool,
}
