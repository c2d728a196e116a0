//! The handshake: RFC 9293 §3.5, §3.10.7.3, and the options that only a SYN may carry.

use super::acceptable::{millis, ts_age_clock};
use super::config::Config;
use super::congestion::Controller;
use super::connection::{Arrival, Birth, CloseReason, Connection, Context, Flag};
use super::half_open::{Answer, DEFAULT_MSS_V4, DEFAULT_MSS_V6, Handshake, LARGEST_UNSCALED};
use super::state::{State, StateEvent};
use crate::time::Instant;
use crate::wire::options::{Options, Timestamps};
use crate::wire::tcp::{Flags, Segment};

/// No peer may make us send smaller segments than this, in octets (CVE-2019-11479).
const SMALLEST_MSS: u16 = 64;
/// How long after a RST that clears its way a SYN goes again, in nanoseconds: the RST is to leave, and
/// to arrive, first. Linux waits for two jiffies, which is as long at its finest clock.
const SYN_AFTER_RST_NS: u64 = 2_000_000;
/// Octets that timestamps take in every segment, with their padding.
const TIMESTAMPS_LEN: u16 = 12;

impl Connection {
    /// RFC 9293 §3.10.7.3: ACK, RST, SYN, and the rest.
    pub(super) fn arrives_in_syn_sent<'a>(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'a>,
        arrival: &mut Arrival<'a>,
    ) {
        let flags = segment.flags;
        let acknowledges_syn =
            flags.ack() && self.snd_una.before(segment.ack) && segment.ack == self.snd_max;
        if flags.ack() && !acknowledges_syn {
            if !flags.rst() {
                arrival.reset = Some(segment.ack);
                self.hurry_syn(cx);
            }
            return;
        }
        if flags.rst() {
            if acknowledges_syn {
                self.end(cx, arrival, CloseReason::Refused);
            }
            return;
        }
        if !flags.syn() {
            return;
        }
        self.take_syn(cx.config, cx.now, segment);
        if !acknowledges_syn {
            // simultaneous open: our SYN goes out again, now with an ACK (figure 7)
            self.state = self.state.next(StateEvent::SynArrives).unwrap_or(self.state);
            self.snd_nxt = self.snd_una;
            return;
        }
        self.establish(cx, arrival);
        self.set(Flag::AckNow);
        if !segment.payload.is_empty() || flags.fin() {
            let text = Segment { seq: segment.seq + 1, ..*segment };
            self.take_text(cx, &text, arrival);
        }
    }

    /// The peer has a connection of this 4-tuple that we know nothing of, half-open or in TIME-WAIT
    /// (RFC 9293 §3.5.1 figure 9): our RST removes it, and then the SYN can do what it could not. So
    /// it need not wait for its time-out; but only once, so that who forges ACKs gets no SYN for each.
    fn hurry_syn(&mut self, cx: &Context<'_>) {
        let sent_once = self.is(Flag::Timing); // Karn: so the SYN is timed
        let at = cx.now.plus_nanos(SYN_AFTER_RST_NS);
        if sent_once && !self.is(Flag::EarlyTimer) && at < self.retransmit_at {
            self.set(Flag::EarlyTimer);
            self.retransmit_at = at;
        }
    }

    /// That time is over: the SYN goes again (line 7 of the figure). No time ran out, so that the
    /// time-out stays what it is and the window does too.
    pub(super) fn resend_syn(&mut self) {
        self.take(Flag::Timing); // Karn: which one will be answered is not known
        self.snd_nxt = self.snd_una;
    }

    /// A connection in SYN-RECEIVED whose SYN-ACK has been sent and is acknowledged by the segment that
    /// is to arrive next: what was kept of the handshake, or was in a cookie, becomes a connection.
    pub fn complete(
        birth: &Birth,
        config: &Config,
        now: Instant,
        handshake: &Handshake,
        answer: Answer,
    ) -> Self {
        let mut new = Self::accept(birth, config, now, &handshake.syn(&birth.tuple));
        new.snd_nxt = birth.iss + 1;
        new.snd_max = new.snd_nxt;
        new.set_stalled(now);
        new.retries = answer.retries;
        if new.is(Flag::WindowScale) {
            // a challenge ACK of the half-open connection may have announced a little more, since it
            // can only say whole units; the window never shrinks (RFC 9293 §3.8.6)
            let challenged = u32::from(handshake.window_field(config)) << new.rcv_scale;
            new.rcv_adv = new.rcv_adv.later(new.rcv_nxt + challenged);
        }
        if let (Some(sent_us), 0) = (answer.sent_us, answer.retries) {
            new.set(Flag::Timing); // Karn: what was sent once
            new.rtt_seq = birth.iss;
            new.rtt_start_us = sent_us;
        }
        new
    }

    /// Takes in the peer's SYN: its sequence number, window and options.
    pub(super) fn take_syn(&mut self, config: &Config, now: Instant, syn: &Segment<'_>) {
        self.rcv_nxt = syn.seq + 1;
        self.rcv_adv = self.rcv_nxt + self.receive_limit(config).min(LARGEST_UNSCALED);
        self.tune_seq = self.rcv_adv;
        self.start_tuning(now);
        self.last_ack_sent = self.rcv_nxt;
        self.snd_wnd = syn.window.into();
        self.max_snd_wnd = self.snd_wnd;
        self.snd_wl1 = syn.seq;
        self.snd_wl2 = self.snd_una;
        let unstated = if self.tuple.is_v4() { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
        let theirs = syn.options.mss.unwrap_or(unstated).max(SMALLEST_MSS);
        self.mss = self.our_mss.min(theirs);
        if let (true, Some(shift)) = (config.window_scale, syn.options.window_scale) {
            self.set(Flag::WindowScale);
            self.snd_scale = shift.min(14); // RFC 7323 §2.3
            self.rcv_scale = config.scale_for_buffer();
        }
        if let (true, Some(ts)) = (config.timestamps, syn.options.timestamps) {
            self.set(Flag::Timestamps);
            self.ts_recent = ts.value;
            self.ts_recent_at = ts_age_clock(now);
            self.mss -= TIMESTAMPS_LEN; // RFC 6691 §2: the MSS does not count options
        }
        if config.sack && syn.options.sack_permitted {
            self.set(Flag::Sack);
        }
        // RFC 3168 §6.1.1: ECE and CWR ask for ECN, ECE alone grants it
        let asks = Flags::ECE | Flags::CWR;
        let wanted = if syn.flags.ack() { Flags::ECE } else { asks };
        if config.ecn && syn.flags.0 & asks.0 == wanted.0 {
            self.set(Flag::Ecn);
        }
        self.begin_with_window(config, config.initial_window);
    }

    /// The ACK check in SYN-RECEIVED (RFC 9293 §3.10.7.4, fifth check). False: go no further.
    pub(super) fn check_handshake_ack(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        arrival: &mut Arrival<'_>,
    ) -> bool {
        if !self.snd_una.before(segment.ack) || segment.ack.after(self.snd_max) {
            arrival.reset = self.take_challenge(cx).then_some(segment.ack); // RFC 5961 §7
            return false;
        }
        self.establish(cx, arrival);
        self.snd_wnd = u32::from(segment.window) << self.snd_scale;
        self.max_snd_wnd = self.max_snd_wnd.max(self.snd_wnd);
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
        true
    }

    /// Our SYN is acknowledged: the connection is established.
    fn establish(&mut self, cx: &mut Context<'_>, arrival: &mut Arrival<'_>) {
        self.snd_una += 1;
        self.snd_nxt = self.snd_nxt.later(self.snd_una);
        self.disarm_retransmit();
        if self.take(Flag::Timing) {
            self.rtt.measured(micros(cx.now).wrapping_sub(self.rtt_start_us));
        }
        if self.retries > 0 {
            self.rtt.note_handshake_retransmitted();
            self.begin_with_window(cx.config, 1); // RFC 5681 §3.1
            self.retries = 0;
        }
        let event = match self.state {
            State::SynSent => StateEvent::SynAckArrives,
            _ => StateEvent::SynAcked,
        };
        self.state = self.state.next(event).unwrap_or(self.state);
        if self.is(Flag::FinQueued) {
            // the application closed before the handshake was over (RFC 9293 §3.10.4)
            self.state = self.state.next(StateEvent::Close).unwrap_or(self.state);
        }
        self.set(Flag::WasEstablished);
        self.keep_alive_heard(cx);
        cx.counters.established.bump();
        arrival.opened = true;
    }

    /// The options of our SYN, or of the SYN-ACK that answers one.
    pub(super) fn syn_options(&self, config: &Config, now: Instant) -> Options {
        let answers = self.state == State::SynReceived;
        let offers = |wanted: bool, agreed: Flag| if answers { self.is(agreed) } else { wanted };
        let scale = config.scale_for_buffer();
        Options {
            mss: Some(self.our_mss),
            window_scale: offers(config.window_scale, Flag::WindowScale).then_some(scale),
            timestamps: offers(config.timestamps, Flag::Timestamps)
                .then(|| self.timestamps_now(now)),
            sack_permitted: offers(config.sack, Flag::Sack),
            ..Options::default()
        }
    }

    fn begin_with_window(&mut self, config: &Config, segments: u8) {
        let (algorithm, hystart) = (config.congestion, config.hystart);
        self.congestion = Controller::new(algorithm, hystart, segments, self.mss.into());
    }

    /// The timestamps option of a RST that leaves now, if timestamps are in use (RFC 7323 §3.2).
    pub(crate) fn timestamps_of_reset(&self, now: Instant) -> Option<Timestamps> {
        self.is(Flag::Timestamps).then(|| self.timestamps_now(now))
    }

    /// The timestamps option of a segment that leaves now.
    pub(super) fn timestamps_now(&self, now: Instant) -> Timestamps {
        Timestamps { value: millis(now).wrapping_add(self.ts_offset), echo: self.ts_recent }
    }
}

/// The clock for round-trip times: microseconds, wrapping.
pub(super) fn micros(now: Instant) -> u32 {
    (now.nanos() / 1_000) as u32
}
