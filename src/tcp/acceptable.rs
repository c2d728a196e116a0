//! May this segment be looked at? RFC 9293 §3.10.7.4 first, second and fourth check; RFC 7323 §5
//! (PAWS); RFC 5961 §3 and §4 (blind attacks).

use super::connection::{Connection, Context, Flag};
use super::state::State;
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

/// The age of TS.Recent is counted in units of 2^44 ns, about five hours: 16 bits last for 36 years.
const TS_AGE_SHIFT: u32 = 44;
/// TS.Recent of more units says nothing any more (RFC 7323 §5.5: after 24 days). Two instants that are
/// so many units apart are between 24 and 24.3 days apart.
const TS_RECENT_LIFE: u16 =
    (24 * 24 * 3_600 * 1_000_000_000_u64).div_ceil(1 << TS_AGE_SHIFT) as u16;

/// The four rows of the acceptability test (RFC 9293 §3.4, table 6): does a segment that takes
/// `len` octets of sequence space from `seq` touch the window of `window` octets from `rcv_nxt`?
pub fn in_window(seq: SeqNumber, len: u32, rcv_nxt: SeqNumber, window: u32) -> bool {
    let inside = |point: SeqNumber| {
        let offset = rcv_nxt.steps_to(point);
        offset >= 0 && (offset as u32) < window
    };
    match (len, window) {
        (0, 0) => seq == rcv_nxt,
        (0, _) => inside(seq),
        (_, 0) => false,
        (len, _) => inside(seq) || inside(seq + (len - 1)),
    }
}

/// What the first checks make of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Go on with the ACK.
    Accept,
    /// Drop it; an ACK was scheduled where one is due.
    Drop,
    /// It is a SYN-ACK for a simultaneous open: go on without its SYN (RFC 9293 §3.5, figure 7).
    AcceptWithoutSyn,
    /// It resets the connection.
    Reset,
}

impl Connection {
    /// The checks that come before the ACK is looked at.
    pub(super) fn judge(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Judgement {
        let flags = segment.flags;
        if self.is(Flag::Timestamps) && !flags.rst() {
            match segment.options.timestamps {
                None if cx.config.tolerate_missing_timestamps => {}
                None => {
                    cx.counters.missing_timestamp.bump(); // RFC 7323 §3.2
                    return Judgement::Drop;
                }
                Some(ts) if self.is_older_than_recent(ts.value, cx.now) => {
                    cx.counters.paws_rejected.bump(); // RFC 7323 §5.3 R1
                    self.acknowledge_out_of_window(cx, segment);
                    return Judgement::Drop;
                }
                Some(_) => {}
            }
        }
        if self.state == State::SynReceived
            && flags.syn()
            && !flags.rst()
            && segment.seq + 1 == self.rcv_nxt
        {
            if flags.ack() {
                return Judgement::AcceptWithoutSyn;
            }
            if self.take_challenge(cx) {
                self.snd_nxt = self.snd_una; // the peer sent its SYN again: so do we our SYN-ACK
            }
            return Judgement::Drop;
        }
        let window = self.receive_window();
        // with a closed window valid ACKs and RSTs still count (RFC 9293 §3.10.7.4)
        let next_while_closed = window == 0 && segment.seq == self.rcv_nxt;
        let acceptable =
            next_while_closed || in_window(segment.seq, segment.seq_len(), self.rcv_nxt, window);
        if !acceptable {
            cx.counters.out_of_window.bump();
            if !flags.rst() {
                self.acknowledge_out_of_window(cx, segment);
            }
            return Judgement::Drop;
        }
        if flags.rst() {
            if segment.seq == self.rcv_nxt {
                return Judgement::Reset;
            }
            self.challenge(cx); // RFC 5961 §3.2
            return Judgement::Drop;
        }
        if flags.syn() {
            cx.counters.syn_challenge.bump();
            self.challenge(cx); // RFC 5961 §4.2
            return Judgement::Drop;
        }
        if !flags.ack() {
            return Judgement::Drop; // RFC 9293 §3.10.7.4, fifth check
        }
        Judgement::Accept
    }

    /// Octets that the peer may still send by what we have announced.
    pub(crate) fn receive_window(&self) -> u32 {
        self.rcv_nxt.steps_to(self.rcv_adv).max(0) as u32
    }

    /// Sends a challenge ACK unless this connection has used up its share for this second
    /// (RFC 5961 §7; per connection, since a global limit is a side channel, CVE-2016-5696).
    pub(super) fn challenge(&mut self, cx: &mut Context<'_>) {
        if self.take_challenge(cx) {
            cx.counters.challenge_ack.bump();
            self.set(Flag::AckNow);
        }
    }

    /// Counts an answer to a segment that is not acceptable, and says whether it may go out.
    pub(super) fn take_challenge(&mut self, cx: &Context<'_>) -> bool {
        let second = (cx.now.nanos() / 1_000_000_000) as u16;
        if self.challenge_second != second {
            self.challenge_second = second;
            self.challenges = 0;
        }
        if self.challenges >= cx.config.challenge_acks_per_s {
            cx.counters.challenge_ack_skipped.bump();
            return false;
        }
        self.challenges += 1;
        true
    }

    /// The ACK that an unacceptable segment is owed. One that brings nothing, or a SYN (RFC 5961 §4),
    /// is answered under the limit, so that two confused peers do not answer each other for ever; in
    /// SYN-RECEIVED, where no text can have been taken, all are.
    fn acknowledge_out_of_window(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) {
        let syn_received = self.state == State::SynReceived;
        if segment.seq_len() == 0 || segment.flags.syn() || syn_received {
            return self.challenge(cx);
        }
        let octets = segment.payload.len() as u32;
        // what can be no duplicate of the peer's is no reason to report one to it (RFC 5961 §5.2)
        if octets > 0 && segment.flags.ack() && self.is_ack_in_range(segment.ack) {
            self.report_dropped(cx, segment.seq, segment.seq + octets);
        }
        self.set(Flag::AckNow);
    }

    fn is_older_than_recent(&self, value: u32, now: Instant) -> bool {
        (value.wrapping_sub(self.ts_recent) as i32) < 0 && !self.is_ts_recent_void(now)
    }

    /// Is TS.Recent so old that the peer's clock may have come round (RFC 7323 §5.5)?
    #[cold]
    fn is_ts_recent_void(&self, now: Instant) -> bool {
        ts_age_clock(now).wrapping_sub(self.ts_recent_at) > TS_RECENT_LIFE
    }

    /// RFC 5961 §5.2: does the ACK say what was sent, and not what is older than any window?
    #[inline]
    pub(super) fn is_ack_in_range(&self, ack: SeqNumber) -> bool {
        !ack.after(self.snd_max) && !ack.before(self.snd_una - self.max_snd_wnd)
    }

    /// RFC 7323 §4.3 (2): the timestamp of a segment that covers the last ACK sent becomes TS.Recent.
    /// Only of a segment that has passed all checks: what is discarded leaves no trace.
    pub(super) fn note_timestamp(&mut self, now: Instant, segment: &Segment<'_>) {
        let Some(ts) = segment.options.timestamps else { return };
        if self.is(Flag::Timestamps)
            && segment.seq.at_or_before(self.last_ack_sent)
            && (ts.value.wrapping_sub(self.ts_recent) as i32 >= 0 || self.is_ts_recent_void(now))
        {
            self.ts_recent = ts.value;
            self.ts_recent_at = ts_age_clock(now);
        }
    }
}

/// The clock for the age of TS.Recent.
#[inline]
pub(super) fn ts_age_clock(now: Instant) -> u16 {
    (now.nanos() >> TS_AGE_SHIFT) as u16
}

/// The timestamp clock: one tick a millisecond (RFC 7323 §5.4 allows 1 ms to 1 s).
pub(crate) fn millis(now: Instant) -> u32 {
    (now.nanos() / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_rows() {
        let rcv_nxt = SeqNumber::new(u32::MAX - 4);
        let at = |offset: i32| SeqNumber::new(rcv_nxt.value().wrapping_add(offset as u32));
        let table = [
            (0, 0, 0, true),
            (1, 0, 0, false),
            (-1, 0, 0, false),
            (0, 0, 10, true),
            (9, 0, 10, true),
            (10, 0, 10, false),
            (-1, 0, 10, false),
            (0, 1, 0, false),
            (0, 1, 10, true),
            (-5, 5, 10, false),
            (-5, 6, 10, true),
            (-5, 30, 10, false), // begins before and ends behind: RFC 9293 rejects it by the letter
            (9, 100, 10, true),
            (10, 1, 10, false),
        ];
        for (offset, len, window, acceptable) in table {
            let found = in_window(at(offset), len, rcv_nxt, window);
            assert_eq!(found, acceptable, "offset {offset} len {len} window {window}");
        }
    }
}
