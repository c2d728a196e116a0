//! What to send next: RFC 9293 §3.8.6 (windows, silly windows, probes), §3.7.4 (Nagle), and the
//! retransmissions that `acknowledge` and `timers` asked for.

use super::acceptable::millis;
use super::congestion::Congestion;
use super::connection::{Connection, Context, Flag, Outgoing};
use super::handshake::micros;
use super::state::State;
use crate::time::Instant;
use crate::wire::options::Options;
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

    fn syn(&mut self, cx: &mut Context<'_>, flags: Flags) -> Outgoing {
        let seq = self.snd_una;
        let first = self.snd_max == seq;
        self.snd_nxt = seq + 1;
        self.snd_max = self.snd_max.later(self.snd_nxt);
        if first {
            self.stalled_ms = millis(cx.now);
            self.time_round_trip(cx, seq);
        } else {
            cx.counters.retrans_segs.bump();
            self.take(Flag::Timing); // Karn
        }
        self.arm_retransmit(cx);
        let answers = flags.ack();
        // RFC 7323 §2.2: the window of a SYN is never scaled
        let window = if answers { self.receive_window() } else { cx.config.receive_buffer };
        Outgoing {
            seq,
            ack: if answers { self.rcv_nxt } else { SeqNumber::default() },
            flags,
            window: window.min(0xffff) as u16,
            options: self.syn_options(cx.config, cx.now),
            offset: 0,
            len: 0,
            more: false,
        }
    }

    /// New data, a retransmission, a FIN or a probe.
    fn data(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        let queued = self.send.len();
        let mss = u32::from(self.mss);
        if self.take(Flag::RetransmitOne) && self.snd_una != self.snd_max {
            let len = queued.min(mss);
            let fin = self.is(Flag::FinSent) && len == queued;
            self.arm_retransmit(cx);
            return Some(self.carry(cx, Carried { offset: 0, len, fin, sent_before: true }));
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
        let usable = self.snd_wnd.min(self.congestion.window()).saturating_sub(offset);
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
                    || (all && (idle || self.is(Flag::NoDelay)))
                    || len >= self.max_snd_wnd / 2));
        if !worth_it {
            if idle && self.retransmit_at == Instant::FAR {
                self.set(Flag::Persist); // RFC 9293 §3.8.6.1: ask again when the window has opened
                self.arm_retransmit(cx);
            }
            return None;
        }
        Some(self.carry(cx, Carried { offset, len, fin, sent_before }))
    }

    /// A zero-window probe: what fits, at least one octet, or the FIN if nothing else is left.
    /// SND.NXT stays where it is: the octet is not expected to get in.
    fn probe(&mut self, cx: &mut Context<'_>, unsent: u32) -> Outgoing {
        cx.counters.window_probes.bump();
        let len = unsent.min(self.snd_wnd.max(1)).min(self.mss.into());
        let fin = unsent == 0;
        let (snd_nxt, retransmit_at) = (self.snd_nxt, self.retransmit_at);
        let probe = self.carry(cx, Carried { offset: 0, len, fin, sent_before: false });
        self.snd_nxt = snd_nxt;
        self.retransmit_at = retransmit_at;
        self.take(Flag::Timing);
        Outgoing { more: false, ..probe }
    }

    /// A segment with payload or FIN, and all the book-keeping that its departure means.
    fn carry(&mut self, cx: &mut Context<'_>, carried: Carried) -> Outgoing {
        let Carried { offset, len, fin, sent_before } = carried;
        let seq = self.snd_una + offset;
        let end = seq + len + u32::from(fin);
        if sent_before {
            cx.counters.retrans_segs.bump();
            self.take(Flag::Timing); // Karn
        } else if !self.is(Flag::Timing) {
            self.time_round_trip(cx, seq);
        }
        if self.snd_una == self.snd_max {
            self.stalled_ms = millis(cx.now);
        }
        self.snd_nxt = self.snd_nxt.later(end);
        self.snd_max = self.snd_max.later(end);
        if self.retransmit_at == Instant::FAR {
            self.arm_retransmit(cx); // RFC 6298 §5.1
        }
        let mut flags = Flags::ACK;
        let last = offset + len == self.send.len();
        if last && len > 0 {
            flags = flags.with(Flags::PSH); // RFC 9293 §3.9.1.2: the end of what was written
        }
        if fin {
            flags = flags.with(Flags::FIN);
            self.set(Flag::FinSent);
        }
        let more = !last || (self.is(Flag::FinQueued) && !fin);
        let acked = self.acknowledging(cx, seq, flags);
        Outgoing { offset, len: len as u16, more, ..acked }
    }

    /// An ACK without payload, if one is due.
    fn bare_ack(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        if self.take(Flag::KeepAliveProbe) {
            // RFC 9293 §3.8.4: an octet that the peer has had already makes it answer
            return Some(self.acknowledging(cx, self.snd_una - 1, Flags::ACK));
        }
        // SND.MAX: after a time-out SND.NXT lies behind what the peer may have
        self.is(Flag::AckNow).then(|| self.acknowledging(cx, self.snd_max, Flags::ACK))
    }

    /// A segment without payload that acknowledges all that was received.
    fn acknowledging(&mut self, cx: &Context<'_>, seq: SeqNumber, flags: Flags) -> Outgoing {
        let announced = self.receive_window();
        let offer = self.window_to_offer(cx.config);
        let mut window = offer >> self.rcv_scale;
        if window << self.rcv_scale < announced {
            window += 1; // rounding down would move the right edge left (RFC 7323 §2.4)
        }
        let window = window.min(0xffff);
        self.rcv_adv = self.rcv_adv.later(self.rcv_nxt + (window << self.rcv_scale));
        self.last_ack_sent = self.rcv_nxt;
        self.take(Flag::AckNow);
        self.ack_at = Instant::FAR;
        self.pending_acks = 0;
        let timestamps = self.is(Flag::Timestamps).then(|| self.timestamps_now(cx.now));
        Outgoing {
            seq,
            ack: self.rcv_nxt,
            flags,
            window: window as u16,
            options: Options { timestamps, ..Options::default() },
            offset: 0,
            len: 0,
            more: false,
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
