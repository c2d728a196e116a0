//! Closing, aborting and being reset: RFC 9293 §3.6, §3.10.4, §3.10.5.

use super::buffer::Pool;
use super::config::Config;
use super::connection::{Arrival, CloseReason, Connection, Context, Flag};
use super::state::{State, StateEvent};
use super::time_wait::Farewell;
use crate::time::Instant;
use crate::wire::seq::SeqNumber;

/// Times that a full send buffer may take to be acknowledged without an owner, in orphan time-outs.
const ORPHAN_STEPS: u32 = 8;

impl Connection {
    /// The application has nothing more to send: our FIN follows what is queued (RFC 9293 §3.10.4).
    /// False if the sending side was closed before.
    pub fn shutdown(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is(Flag::FinQueued) || !self.state.may_send() {
            return false;
        }
        self.set(Flag::FinQueued);
        // RFC 9293 §3.10.4: ESTABLISHED becomes FIN-WAIT-1 at once ("in any case"), but CLOSE-WAIT
        // lasts until the FIN is sent
        if self.state == State::Established {
            self.state = self.state.next(StateEvent::Close).unwrap_or(self.state);
        }
        self.keep_alive_heard(cx);
        true
    }

    /// Our FIN leaves: CLOSE-WAIT becomes LAST-ACK (RFC 9293 §3.10.4).
    pub(super) fn fin_leaves(&mut self) {
        self.set(Flag::FinSent);
        if self.state == State::CloseWait {
            self.state = self.state.next(StateEvent::Close).unwrap_or(self.state);
        }
    }

    /// The application has let go of the connection: it neither reads nor writes any more.
    pub fn release(&mut self, cx: &mut Context<'_>) {
        self.set(Flag::Released);
        self.take(Flag::Lingering);
        self.watch_orphan(cx);
    }

    /// The application waits until all is acknowledged, at most until `deadline` (SO_LINGER).
    pub fn linger_until(&mut self, deadline: Instant) {
        self.set(Flag::Lingering);
        self.life_at = deadline;
    }

    /// Is our FIN, and so all that we have sent, acknowledged?
    pub fn all_is_acknowledged(&self) -> bool {
        self.is(Flag::FinSent) && self.snd_una == self.snd_max
    }

    /// A connection without an owner ends in bounded time in every state. In FIN-WAIT-2 the peer has
    /// `fin_wait_2` to close. Before, it must acknowledge an eighth of a send buffer, or what is left,
    /// in each `orphan_timeout`: a window that is kept shut, or opened by an octet at a time, need not
    /// be waited for when no user is left (RFC 9293 §3.8.6.1, RFC 6429 §3).
    pub(super) fn watch_orphan(&mut self, cx: &Context<'_>) {
        if !self.is(Flag::Released) {
            return;
        }
        if self.state == State::FinWait2 {
            self.life_at = cx.now + cx.config.fin_wait_2;
            return;
        }
        let owed = self.send.len() + u32::from(self.owes_fin());
        let step = (cx.config.send_buffer / ORPHAN_STEPS).max(self.mss.into());
        self.tune_seq = self.snd_una + owed.min(step);
        self.life_at = cx.now + cx.config.orphan_timeout;
    }

    /// Ends the connection from our side (RFC 9293 §3.10.5). Returns the sequence number of the RST
    /// that the peer is owed, if it is owed one.
    pub fn abort(&mut self) -> Option<SeqNumber> {
        let owed = match self.state {
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => Some(self.textless_seq()),
            State::Closed | State::Listen | State::SynSent | State::TimeWait => None,
        };
        self.stop();
        owed
    }

    /// What was to be sent, and what waits out of order, is of no use after an abort: memory that others
    /// may need.
    pub fn discard_after_abort(&mut self, cx: &mut Context<'_>) {
        self.send.clear(cx.pool);
        self.clear_reassembly(cx);
        self.clear_recovery(cx);
    }

    /// A valid RST arrived (RFC 9293 §3.10.7.4, second check).
    pub(super) fn take_reset(&mut self, cx: &mut Context<'_>, arrival: &mut Arrival<'_>) {
        let reason = match self.state {
            State::SynReceived if self.is(Flag::Active) => CloseReason::Refused,
            // both sides had closed and have all the other's text: only an ACK of a FIN was lost
            State::Closing | State::LastAck if self.send.is_empty() => CloseReason::Finished,
            _ => CloseReason::Reset,
        };
        if matches!(self.state, State::Established | State::CloseWait) {
            cx.counters.estab_resets.bump();
        }
        self.end(cx, arrival, reason);
    }

    /// The connection ends here.
    pub(super) fn end(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &mut Arrival<'_>,
        reason: CloseReason,
    ) {
        arrival.ended = Some(reason);
        arrival.time_wait = false;
        self.stop();
        self.send.clear(cx.pool);
        self.clear_reassembly(cx);
        self.clear_recovery(cx);
    }

    /// CLOSED, with no timer left.
    pub(crate) fn stop(&mut self) {
        self.state = State::Closed;
        self.stop_timers();
    }

    pub(crate) fn stop_timers(&mut self) {
        self.retransmit_at = Instant::FAR;
        self.ack_at = Instant::FAR;
        self.life_at = Instant::FAR;
    }

    /// What TIME-WAIT needs to know of this connection.
    pub fn farewell(&self, config: &Config, pool: &Pool) -> Farewell {
        Farewell {
            tuple: self.tuple,
            snd_nxt: self.snd_max,
            rcv_nxt: self.rcv_nxt,
            window: self.window_field(config, pool) as u16,
            scale: self.rcv_scale,
            ts_recent: self.is(Flag::Timestamps).then_some(self.ts_recent),
        }
    }
}
