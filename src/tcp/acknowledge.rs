//! What the ACK field of an acceptable segment does: RFC 9293 §3.10.7.4, fifth check; RFC 5961 §5;
//! RFC 6298 §5; RFC 3168 §6.1.2.

use super::acceptable::millis;
use super::connection::{Arrival, CloseReason, Connection, Context, Flag};
use super::handshake::micros;
use super::loss::AckNews;
use super::state::{State, StateEvent};
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

/// A round trip by timestamps that is longer is none, in milliseconds.
const MOST_MS: u32 = 600_000;

impl Connection {
    /// Takes in the ACK and the window. False: drop the segment.
    pub(super) fn acknowledge(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        arrival: &mut Arrival<'_>,
    ) -> bool {
        let ack = segment.ack;
        if !self.is_ack_in_range(ack) {
            cx.counters.invalid_ack.bump();
            self.challenge(cx); // RFC 5961 §5.2
            return false;
        }
        let flight = self.flight();
        let was_open = self.snd_wnd > 0;
        let mut news = AckNews { acked: 0, duplicate: false, flight, rtt_us: None, round: false };
        if self.snd_una.before(ack) {
            news.acked = self.snd_una.steps_to(ack) as u32;
            news.round = self.is(Flag::Timing) && ack.after(self.rtt_seq);
            news.rtt_us = self.sample_round_trip(cx, segment);
            self.snd_una_advances(cx, ack, arrival);
        }
        let window_changed = self.update_window(cx, segment, news.acked > 0);
        if was_open && self.snd_wnd == 0 && window_changed.is_some() {
            cx.counters.zero_window.bump();
        }
        let window_changed = window_changed == Some(true);
        // RFC 5681 §2
        news.duplicate = news.acked == 0
            && flight > 0
            && ack == self.snd_una
            && segment.seq_len() == 0
            && !window_changed
            && !self.is(Flag::Persist);
        let sack = self.is(Flag::Sack);
        if self.recovery != 0
            || (sack && !segment.options.sack.is_empty())
            || (!sack && news.duplicate)
        {
            self.ack_with_loss(cx, segment, &news);
        } else if news.acked > 0 {
            self.grow(cx, &news);
        }
        if self.is(Flag::Ecn) && segment.flags.ece() && self.snd_una.at_or_after(self.reduced_at) {
            cx.counters.ecn_reductions.bump(); // RFC 3168 §6.1.2
            self.reduce(cx, flight);
        }
        if news.acked > 0 {
            self.time_the_rest(cx);
            if self.owes_fin() && self.snd_una == self.snd_max && self.is(Flag::FinSent) {
                self.note_fin_acked(cx, arrival);
            }
        }
        if self.is(Flag::Persist) || self.snd_wnd == 0 {
            self.retries = 0; // the peer lives, its window is just shut (RFC 9293 §3.8.6.1)
        }
        true
    }

    /// `SND.UNA < SEG.ACK =< SND.MAX`: takes what is acknowledged off the queue.
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
        self.rtt.path_works();
        self.retries = 0;
        self.set_stalled(cx.now);
        if self.is(Flag::WantsRoom) {
            self.offer_room(cx, arrival);
        }
    }

    /// The round trip that an ACK for new data measures, in microseconds: of the segment that is
    /// timed, or else by its timestamp (RFC 7323 §4.1), to the millisecond.
    fn sample_round_trip(&mut self, cx: &Context<'_>, segment: &Segment<'_>) -> Option<u32> {
        if self.is(Flag::Timing) && segment.ack.after(self.rtt_seq) {
            self.take(Flag::Timing);
            let us = micros(cx.now).wrapping_sub(self.rtt_start_us);
            self.rtt.measured(us);
            return Some(us);
        }
        if !self.is(Flag::Timestamps) {
            return None;
        }
        let echo = segment.options.timestamps.map_or(0, |ts| ts.echo);
        let ms = millis(cx.now).wrapping_add(self.ts_offset).wrapping_sub(echo);
        if echo == 0 || ms > MOST_MS || self.echoes_the_first(cx, echo) {
            return None;
        }
        if !self.is(Flag::Timing) {
            self.rtt.measured_coarsely(ms);
        }
        Some(ms * 1_000)
    }

    /// Is this the echo of something from before a retransmission? If that was answered and the
    /// answer lost, its round trip would have the whole time-out in it, and the next one twice as much.
    fn echoes_the_first(&self, cx: &Context<'_>, echo: u32) -> bool {
        if self.recovery == 0 {
            return self.retries > 0;
        }
        let first = cx.recovery.at(self.recovery).first_again_at;
        first.is_some_and(|first| self.is_echo_from_before(cx.now, echo, first))
    }

    /// Is `echo` a timestamp of ours from before `at`? The clock of timestamps comes round, so nothing
    /// can be said of what is 24 days past.
    pub(super) fn is_echo_from_before(&self, now: Instant, echo: u32, at: Instant) -> bool {
        let age_ms = (now.nanos() / 1_000_000).wrapping_sub(at.nanos() / 1_000_000);
        let then = millis(at).wrapping_add(self.ts_offset);
        age_ms < 1 << 31 && (echo.wrapping_sub(then) as i32) < 0
    }

    /// RFC 6298 §5.2 and §5.3, after an ACK for new data.
    fn time_the_rest(&mut self, cx: &Context<'_>) {
        if self.snd_una == self.snd_max {
            self.disarm_retransmit();
            self.take(Flag::Persist);
        } else if !self.is(Flag::Persist) && !self.is(Flag::ReorderTimer) {
            self.arm_retransmit(cx);
        }
    }

    fn note_fin_acked(&mut self, cx: &mut Context<'_>, arrival: &mut Arrival<'_>) {
        let Some(next) = self.state.next(StateEvent::FinAcked) else { return };
        self.state = next;
        self.set(Flag::FinAcked);
        match next {
            State::TimeWait => arrival.time_wait = true,
            State::Closed => self.end(cx, arrival, CloseReason::Finished),
            _ => {
                self.watch_orphan(cx);
                // who waits for the outcome of a close learns of it
                arrival.writable |= self.is(Flag::Lingering);
            }
        }
    }

    /// RFC 9293 §3.10.7.4: take the window of the newest segment, and say whether it differs; `None` if
    /// the segment is not the newest.
    fn update_window(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        advances: bool,
    ) -> Option<bool> {
        if segment.ack.before(self.snd_una) {
            return None; // its window counts from an ACK that is past
        }
        // an ACK that advances is the newest, though its segment fills a gap behind others
        let newer = advances
            || self.snd_wl1.before(segment.seq)
            || (self.snd_wl1 == segment.seq && self.snd_wl2.at_or_before(segment.ack));
        if !newer {
            return None;
        }
        let window = u32::from(segment.window) << self.snd_scale;
        let changed = window != self.snd_wnd;
        if window > 0 && self.take(Flag::Persist) {
            // the window opens: what was probed goes out as usual
            self.take(Flag::Probe);
            self.rtt.path_works();
            self.disarm_retransmit();
            if self.snd_una != self.snd_max {
                self.arm_retransmit(cx);
            }
        }
        self.snd_wnd = window;
        self.max_snd_wnd = self.max_snd_wnd.max(window);
        self.snd_wl1 = self.snd_wl1.later(segment.seq);
        self.snd_wl2 = segment.ack;
        Some(changed)
    }
}
