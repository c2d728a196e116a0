//! Which frames the port still holds: a time-out that fires while its segment waits in our own queue is
//! no time-out of the peer. Linux asks `skb_still_in_host_queue()` and counts the same.
//!
//! Frames leave a port in the order in which they were handed to it, so one instant says it all: what
//! was handed over before it has left. It is found by marking the last frame that waits and looking
//! when that one has gone, so nothing is kept for a frame.

use crate::time::Instant;

/// A port whose frames wait no longer than this is not stalled: the round trips that a connection
/// measures contain such waits.
const STALL_NS: u64 = 1_000_000;

/// Since when frames wait in the port.
#[derive(Clone, Copy, Debug)]
pub struct Departures {
    /// What was handed over at this time or later may still wait; `FAR` = nothing waits.
    held_since: Instant,
    /// The marked frame: when it was handed over, and how many frames had been by then.
    mark: Option<(Instant, u64)>,
    /// The last stall: what was handed over between these times left at the second.
    stall: (Instant, Instant),
}

impl Default for Departures {
    fn default() -> Self {
        Departures { held_since: Instant::FAR, mark: None, stall: (Instant::FAR, Instant::ZERO) }
    }
}

impl Departures {
    /// May a frame wait in the port?
    #[inline]
    pub fn any_waits(&self) -> bool {
        self.mark.is_some()
    }

    /// At the end of a turn: of all `handed_over` frames so far the last `waiting` have not left.
    pub fn note(&mut self, now: Instant, waiting: u64, handed_over: u64) {
        let gone = handed_over.saturating_sub(waiting);
        match self.mark {
            None if waiting > 0 => {
                self.held_since = now;
                self.mark = Some((now, handed_over));
            }
            Some((at, count)) if gone >= count || waiting == 0 => {
                if now.nanos_since(self.held_since) >= STALL_NS {
                    self.stall = (self.held_since, now);
                }
                let waits = waiting > 0;
                self.held_since = if waits { at } else { Instant::FAR };
                self.mark = waits.then_some((now, handed_over));
            }
            _ => {}
        }
    }

    /// When a frame left that was handed over at `at`, if it left late: now, if it still waits.
    pub fn late(&self, at: Instant, now: Instant) -> Option<Instant> {
        if at >= self.held_since {
            return Some(now);
        }
        (self.stall.0 <= at && at < self.stall.1).then_some(self.stall.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn nothing_is_late_in_a_port_that_sends_at_once() {
        let mut port = Departures::default();
        for turn in 0..9 {
            port.note(at(turn), 0, 10 * turn);
            assert!(!port.any_waits() && port.late(at(turn), at(turn)).is_none());
        }
    }

    #[test]
    fn what_a_stuck_port_holds_has_not_left_and_then_left_late() {
        let mut port = Departures::default();
        port.note(at(10), 5, 20); // 15 have left
        assert_eq!(port.late(at(9), at(300)), None, "what went before has left");
        for turn in 11..300 {
            port.note(at(turn), 5, 20);
            assert_eq!(port.late(at(10), at(turn)), Some(at(turn)));
            assert_eq!(port.late(at(turn), at(turn)), Some(at(turn)));
        }
        port.note(at(300), 0, 25);
        assert_eq!(port.late(at(10), at(500)), Some(at(300)));
        assert_eq!(port.late(at(299), at(500)), Some(at(300)));
        assert_eq!((port.late(at(9), at(500)), port.late(at(300), at(500))), (None, None));
    }

    /// A queue that is never empty, but flows: what is older than it is long has left.
    #[test]
    fn a_queue_that_flows_holds_nothing_for_long() {
        let mut port = Departures::default();
        for turn in 0..1_000 {
            // each millisecond ten frames come and ten go, and forty wait
            port.note(at(turn), 40, 40 + 10 * turn);
        }
        assert!(port.any_waits());
        let late = |ms| port.late(at(ms), at(999)).is_some();
        assert!(late(999) && late(996), "these wait");
        assert!(!late(900), "this has left long ago");
    }
}
