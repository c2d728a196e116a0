//! The timers of a connection. A timer is a deadline that is written down; the engine files the
//! earliest one in its wheel, and a later one is only found out when the wheel looks.

use super::congestion::Control;
use super::connection::{CloseReason, Connection, Context, Flag};
use super::handshake::micros;
use super::state::State;
use crate::time::{Instant, nanos};
use core::time::Duration;

/// What a timer that ran out has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing was due yet.
    NotDue,
    /// There is something to send.
    Send,
    /// The application need not wait any longer for its close to be acknowledged (SO_LINGER).
    LingerOver,
    /// Nobody owns the connection and the peer has had its time: it is to be reset.
    Orphaned,
    /// The connection is given up.
    Ended(CloseReason),
}

impl Connection {
    /// The earliest deadline, `Instant::FAR` if no timer runs.
    #[inline]
    pub fn deadline(&self) -> Instant {
        self.retransmit_at.min(self.ack_at).min(self.life_at)
    }

    /// Time has passed (RFC 9293 §3.10.8).
    pub fn on_timer(&mut self, cx: &mut Context<'_>) -> Expiry {
        let mut expiry = Expiry::NotDue;
        if self.ack_at <= cx.now {
            self.ack_at = Instant::FAR;
            if !self.take(Flag::Paced) {
                cx.counters.delayed_acks.bump();
                self.set(Flag::AckNow);
            } else if self.pending_acks > 0 {
                self.set(Flag::AckNow);
            }
            expiry = Expiry::Send;
        }
        if self.retransmit_at <= cx.now {
            expiry = self.retransmission_due(cx);
        }
        if self.life_at <= cx.now && !matches!(expiry, Expiry::Ended(_)) {
            let due = self.life_due(cx);
            expiry = if due == Expiry::NotDue { expiry } else { due };
        }
        if let Expiry::Ended(_) = expiry {
            self.stop();
            self.send.clear(cx.pool);
            self.clear_reassembly(cx);
            self.clear_recovery(cx);
        }
        expiry
    }

    /// RFC 6298 §5.4 to §5.7, or a zero-window probe (RFC 9293 §3.8.6.1).
    fn retransmission_due(&mut self, cx: &mut Context<'_>) -> Expiry {
        if let Some(later) = self.departs_late(cx) {
            cx.counters.host_queues.bump();
            self.retransmit_at = later;
            return Expiry::NotDue;
        }
        self.retransmit_at = Instant::FAR;
        if self.take(Flag::ReorderTimer) {
            self.arm_retransmit(cx);
            self.mark_overtaken_lost(cx);
            return Expiry::Send;
        }
        if self.take(Flag::EarlyTimer) {
            if self.state.is_synchronized() {
                self.request_tail_probe(cx);
            } else {
                self.resend_syn();
            }
            return Expiry::Send;
        }
        if self.is_given_up(cx) {
            cx.counters.abort_on_timeout.bump();
            return Expiry::Ended(CloseReason::TimedOut);
        }
        self.retries = self.retries.saturating_add(1);
        self.rtt.back_off();
        self.take(Flag::Timing); // Karn: what is sent again is not timed
        if self.is(Flag::Persist) {
            self.set(Flag::Probe);
            self.arm_retransmit(cx);
            return Expiry::Send;
        }
        cx.counters.timeouts.bump();
        let (flight, mss) = (self.flight(), u32::from(self.mss));
        if self.state.is_synchronized() {
            self.lose_all(cx);
        } else {
            self.snd_nxt = self.snd_una;
        }
        self.congestion.on_timeout(flight, mss, micros(cx.now), self.retries == 1);
        self.recover = self.snd_max; // RFC 6582 §3.2 step 4
        self.reduced_at = self.snd_max;
        Expiry::Send
    }

    /// The retransmission timer has run out, but what it was started for still waits in the port, or
    /// left it less than a time-out ago: when is the time-out? RFC 6298 §5.1 starts the timer when a
    /// packet is *sent*. A user timeout is not put off.
    fn departs_late(&self, cx: &Context<'_>) -> Option<Instant> {
        let early = self.is(Flag::EarlyTimer);
        if self.is(Flag::ReorderTimer) || (early && !self.state.is_synchronized()) {
            return None; // started by what has arrived
        }
        let rto = self.rtt.rto_nanos(cx.config);
        let wait = if early { self.probe_timeout().map_or(rto, |pto| pto.min(rto)) } else { rto };
        let started = self.retransmit_at.nanos().saturating_sub(wait);
        let stalled = self.stalled_for_ms(cx.now).saturating_mul(1_000_000);
        if cx.config.user_timeout.is_some_and(|timeout| stalled >= nanos(timeout)) {
            return None;
        }
        let left = if self.is(Flag::Probe) {
            cx.now // the last probe has not even been handed over
        } else {
            cx.departures.late(Instant::from_nanos(started), cx.now)?
        };
        Some(left.plus_nanos(wait)).filter(|later| *later > cx.now)
    }

    /// Has the peer been silent for too long (R2 and the user timeout of RFC 9293 §3.8.3)?
    fn is_given_up(&self, cx: &Context<'_>) -> bool {
        let limit = match self.state {
            State::SynSent => cx.config.syn_retries,
            State::SynReceived => cx.config.synack_retries,
            _ => cx.config.data_retries,
        };
        let stalled_ms = self.stalled_for_ms(cx.now);
        let over = |timeout| stalled_ms.saturating_mul(1_000_000) >= nanos(timeout);
        let orphan_is_shut_out =
            self.is(Flag::Persist) && self.is(Flag::Released) && self.rtt.backoff() >= limit;
        self.retries >= limit || cx.config.user_timeout.is_some_and(over) || orphan_is_shut_out
    }

    /// Starts the retransmission timer (or the persist timer, which shares it) from now.
    pub(super) fn arm_retransmit(&mut self, cx: &Context<'_>) {
        let rto = self.rtt.rto_nanos(cx.config);
        let mut at = cx.now.plus_nanos(rto);
        if let Some(timeout) = cx.config.user_timeout {
            let stalled = self.stalled_for_ms(cx.now).saturating_mul(1_000_000);
            at = at.min(cx.now.plus_nanos(nanos(timeout).saturating_sub(stalled).max(1_000_000)));
        }
        self.disarm_retransmit();
        if let Some(pto) = self.probe_timeout()
            && pto < rto
            && !self.is(Flag::Persist)
        {
            self.set(Flag::EarlyTimer);
            at = at.min(cx.now.plus_nanos(pto));
        }
        self.retransmit_at = at;
    }

    /// What waits for the peer has done so since now, for the user timeout and for what idleness means
    /// to the congestion window. 40 bits of milliseconds last for 34 years, as no silence does.
    #[inline]
    pub(super) fn set_stalled(&mut self, now: Instant) {
        let ms = now.nanos() / 1_000_000;
        (self.stalled_ms, self.stalled_high) = (ms as u32, (ms >> 32) as u8);
    }

    /// For how long it has, in milliseconds.
    #[inline]
    pub(super) fn stalled_for_ms(&self, now: Instant) -> u64 {
        let since = u64::from(self.stalled_high) << 32 | u64::from(self.stalled_ms);
        (now.nanos() / 1_000_000).wrapping_sub(since) & 0xff_ffff_ffff
    }

    /// The end of SO_LINGER, an orphan's time, or keep-alive (RFC 9293 §3.8.4).
    fn life_due(&mut self, cx: &mut Context<'_>) -> Expiry {
        self.life_at = Instant::FAR;
        if self.take(Flag::Lingering) {
            self.watch_orphan(cx); // the one timer was the wait's
            return Expiry::LingerOver;
        }
        if self.is(Flag::Released) {
            return self.judge_orphan(cx);
        }
        let (true, Some(keep_alive)) = (self.is(Flag::KeepAlive), cx.config.keep_alive) else {
            return Expiry::NotDue;
        };
        if self.snd_una != self.snd_max {
            // unacknowledged data is its own probe
            self.life_at = cx.now + keep_alive.interval;
            return Expiry::NotDue;
        }
        if self.probe_is_held(cx, keep_alive.interval) {
            cx.counters.host_queues.bump();
            self.life_at = cx.now + keep_alive.interval;
            return Expiry::NotDue;
        }
        if self.probes >= keep_alive.count {
            cx.counters.abort_on_timeout.bump();
            return Expiry::Ended(CloseReason::TimedOut);
        }
        self.probes += 1;
        cx.counters.keep_alives.bump();
        self.set(Flag::KeepAliveProbe);
        self.life_at = cx.now + keep_alive.interval;
        Expiry::Send
    }

    /// Is the last keep-alive probe still to be sent, or does it wait in the port?
    fn probe_is_held(&self, cx: &Context<'_>, interval: Duration) -> bool {
        let late = || cx.departures.late(cx.now - interval, cx.now);
        self.is(Flag::KeepAliveProbe)
            || (self.probes > 0 && late().is_some_and(|left| left + interval > cx.now))
    }

    /// An orphan has had its time: did the peer take enough meanwhile?
    #[cold]
    fn judge_orphan(&mut self, cx: &Context<'_>) -> Expiry {
        if self.state == State::FinWait2 {
            cx.counters.fin_wait_2_timeout.bump();
        } else if self.snd_una.at_or_after(self.tune_seq) {
            self.watch_orphan(cx);
            return Expiry::NotDue;
        } else {
            cx.counters.orphan_timeout.bump();
        }
        Expiry::Orphaned
    }

    /// Switches keep-alive on, from now, or off.
    pub fn set_keep_alive(&mut self, cx: &Context<'_>, on: bool) {
        if on {
            self.set(Flag::KeepAlive);
            self.keep_alive_heard(cx);
        } else if self.take(Flag::KeepAlive) && !self.is(Flag::Lingering) {
            self.life_at = Instant::FAR;
        }
    }

    /// The peer was heard from: keep-alive begins anew.
    #[inline]
    pub(super) fn keep_alive_heard(&mut self, cx: &Context<'_>) {
        if !self.is(Flag::KeepAlive) || self.life_is_taken() {
            return;
        }
        let synchronized = self.state.is_synchronized();
        if let (true, Some(keep_alive)) = (synchronized, cx.config.keep_alive) {
            self.probes = 0;
            self.life_at = cx.now + keep_alive.idle;
        }
    }

    /// Does `life_at` bound SO_LINGER, or the life without an owner?
    fn life_is_taken(&self) -> bool {
        self.is(Flag::Lingering) || self.is(Flag::Released)
    }
}
