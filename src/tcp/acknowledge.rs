//! What the ACK field of an acceptable segment does: RFC 9293 §3.10.7.4, fifth check; RFC 5961 §5;
//! RFC 6298 §5; RFC 5681 §3.2 and RFC 6582 §3.2.

use super::acceptable::millis;
use super::congestion::Congestion;
use super::connection::{Arrival, CloseReason, Connection, Context, Flag};
use super::handshake::micros;
use super::state::{State, StateEvent};
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

/// Duplicate ACKs that mean a loss (RFC 5681 §3.2).
const DUPLICATE_THRESHOLD: u8 = 3;

impl Connection {
    /// Takes in the ACK and the window. False: drop the segment.
    pub(super) fn acknowledge(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        arrival: &mut Arrival<'_>,
    ) -> bool {
        let ack = segment.ack;
        if ack.after(self.snd_max) || ack.before(self.snd_una - self.max_snd_wnd) {
            cx.counters.invalid_ack.bump();
            self.challenge(cx); // RFC 5961 §5.2
            return false;
        }
        let outstanding = self.snd_una != self.snd_max;
        let advances = self.snd_una.before(ack);
        if advances {
            self.snd_una_advances(cx, ack, arrival);
        }
        let window_changed = self.update_window(cx, segment);
        if !advances
            && outstanding
            && ack == self.snd_una
            && segment.seq_len() == 0
            && !window_changed
            && !self.is(Flag::Persist)
        {
            self.duplicate_ack_arrives(cx);
        }
        if self.is(Flag::Persist) {
            self.retries = 0; // the peer lives, its window is just shut (RFC 9293 §3.8.6.1)
        }
        true
    }

    /// `SND.UNA < SEG.ACK =< SND.NXT`.
    fn snd_una_advances(
        &mut self,
        cx: &mut Context<'_>,
        ack: SeqNumber,
        arrival: &mut Arrival<'_>,
    ) {
        let acked = self.snd_una.steps_to(ack) as u32;
        let bytes = acked.min(self.send.len());
        self.send.consume(cx.pool, bytes as usize);
        self.snd_una = ack;
        self.snd_nxt = self.snd_nxt.later(ack);
        if self.is(Flag::Timing) && ack.after(self.rtt_seq) {
            self.take(Flag::Timing);
            self.rtt.measured(micros(cx.now).wrapping_sub(self.rtt_start_us));
        }
        self.rtt.path_works();
        self.retries = 0;
        self.duplicate_acks = 0;
        self.stalled_ms = millis(cx.now);
        let mss = u32::from(self.mss);
        if !self.is(Flag::Recovering) {
            self.congestion.on_ack(acked, mss);
        } else if ack.at_or_after(self.recover) {
            self.take(Flag::Recovering);
            self.congestion.on_recovered(self.flight(), mss);
        } else {
            self.congestion.on_partial_ack(acked, mss);
            self.set(Flag::RetransmitOne);
        }
        if self.snd_una == self.snd_max {
            self.retransmit_at = Instant::FAR;
            self.take(Flag::Persist);
        } else if !self.is(Flag::Persist) {
            self.arm_retransmit(cx); // RFC 6298 §5.3
        }
        if self.is(Flag::WantsRoom) && self.send.len() <= cx.config.send_buffer / 2 {
            self.take(Flag::WantsRoom);
            arrival.writable = true;
        }
        if acked > bytes && self.state.awaits_fin_ack() {
            self.fin_is_acknowledged(cx, arrival);
        }
    }

    fn fin_is_acknowledged(&mut self, cx: &mut Context<'_>, arrival: &mut Arrival<'_>) {
        let Some(next) = self.state.next(StateEvent::FinAcked) else { return };
        self.state = next;
        self.set(Flag::FinAcked);
        match next {
            State::TimeWait => arrival.time_wait = true,
            State::Closed => self.end(cx, arrival, CloseReason::Finished),
            _ => self.watch_fin_wait_2(cx),
        }
    }

    /// RFC 9293 §3.10.7.4: take the window of the newest segment. True if it differs.
    fn update_window(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> bool {
        let newer = self.snd_wl1.before(segment.seq)
            || (self.snd_wl1 == segment.seq && self.snd_wl2.at_or_before(segment.ack));
        if !newer {
            return false;
        }
        let window = u32::from(segment.window) << self.snd_scale;
        let changed = window != self.snd_wnd;
        if window == 0 && self.snd_wnd > 0 {
            cx.counters.zero_window.bump();
        }
        if window > 0 && self.take(Flag::Persist) {
            // the window opens: what was probed goes out as usual
            self.take(Flag::Probe);
            self.rtt.path_works();
            self.retransmit_at = Instant::FAR;
            if self.snd_una != self.snd_max {
                self.arm_retransmit(cx);
            }
        }
        self.snd_wnd = window;
        self.max_snd_wnd = self.max_snd_wnd.max(window);
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
        changed
    }

    fn duplicate_ack_arrives(&mut self, cx: &mut Context<'_>) {
        let mss = u32::from(self.mss);
        self.duplicate_acks = self.duplicate_acks.saturating_add(1);
        if self.is(Flag::Recovering) {
            self.congestion.on_duplicate_in_recovery(mss);
        } else if self.duplicate_acks == DUPLICATE_THRESHOLD
            && (self.snd_una - 1).at_or_after(self.recover)
        {
            // RFC 6582 §3.2 step 2
            cx.counters.fast_retrans.bump();
            self.congestion.on_loss(self.flight(), mss);
            self.recover = self.snd_max;
            self.set(Flag::Recovering);
            self.set(Flag::RetransmitOne);
        }
    }

    /// Is the octet at `seq` on its way (RFC 5927 §4.1: what an ICMP error must quote)?
    pub fn is_in_flight(&self, seq: SeqNumber) -> bool {
        self.snd_una.at_or_before(seq) && seq.before(self.snd_max)
    }

    /// Octets sent and not acknowledged.
    pub(super) fn flight(&self) -> u32 {
        self.snd_una.steps_to(self.snd_max) as u32
    }
}
