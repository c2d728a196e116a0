//! Tail loss probes (RFC 8985 §7): the end of a flight, behind which nothing can show a loss, is asked
//! about before the retransmission timer runs out.

use super::acceptable::millis;
use super::connection::{Connection, Context, Flag};
use super::loss::AckNews;
use super::recovery::{Phase, Tail};
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

impl Connection {
    /// The probe timer ran out (RFC 8985 §7.3): a probe is to be sent.
    pub(super) fn request_tail_probe(&mut self, cx: &mut Context<'_>) {
        if self.recovery_link(cx).is_some() {
            cx.counters.loss_probes.bump();
            self.set(Flag::ProbeTail);
        }
        self.arm_retransmit(cx);
    }

    /// What a probe was sent as.
    pub(super) fn note_tail(&mut self, cx: &mut Context<'_>, end: SeqNumber, again: bool) {
        if self.recovery != 0 {
            let tail = Tail { end, again, at_ms: millis(cx.now) };
            cx.recovery.at_mut(self.recovery).tail = Some(tail);
        }
    }

    /// When a tail loss probe would be due, in nanoseconds from now (RFC 8985 §7.2).
    #[inline]
    pub(super) fn probe_timeout(&self) -> Option<u64> {
        /// The timers of a peer and ours are no finer than this.
        const LEAST_NS: u64 = 1_000_000;
        /// How long a peer may hold back the ACK of a single segment.
        const HELD_BACK_NS: u64 = 200_000_000;
        if !self.is(Flag::Sack) || self.recovery != 0 || self.rtt.srtt_us == 0 {
            return None;
        }
        let pto = (u64::from(self.rtt.srtt_us) * 2_000).max(LEAST_NS);
        let single = self.flight() <= self.mss.into();
        Some(if single { pto + HELD_BACK_NS } else { pto })
    }

    /// The end of a tail loss probe: RFC 8985 §7.4.2.
    pub(super) fn judge_tail(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        news: &AckNews,
        superfluous: Option<(SeqNumber, SeqNumber)>,
    ) {
        let recovery = cx.recovery.at_mut(self.recovery);
        let Some(tail) = recovery.tail else { return };
        if self.snd_una.before(tail.end) {
            return;
        }
        let twice = superfluous.is_some_and(|(_, end)| end == tail.end);
        let echoes_first = self.is(Flag::Timestamps)
            && segment.options.timestamps.is_some_and(|ts| {
                (ts.echo.wrapping_sub(tail.at_ms.wrapping_add(self.ts_offset)) as i32) < 0
            });
        recovery.tail = None;
        if tail.again && !twice && !echoes_first && recovery.phase == Phase::Open {
            // the probe repaired a loss that nothing else has shown
            cx.counters.loss_probe_recovery.bump();
            self.reduce(cx, news.flight);
        }
    }
}
