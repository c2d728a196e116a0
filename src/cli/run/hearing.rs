//! Does the other end still answer? A run whose server is gone need not be waited for.

use super::side::SideGauges;
use core::time::Duration;
use std::time::Instant;

/// What had happened when a segment was received last.
#[derive(Clone, Copy, Debug)]
pub struct Hearing {
    /// Segments received.
    heard: u64,
    /// Segments sent again.
    repeated: u64,
    at: Instant,
    /// Has any been received at all?
    ever: bool,
}

impl Hearing {
    /// Begins to listen to the peer of a side.
    pub fn new(side: &SideGauges, now: Instant) -> Self {
        let (heard, repeated) = counted(side);
        Hearing { heard, repeated, at: now, ever: false }
    }

    /// Looks whether something has been received since the last time.
    pub fn look(&mut self, side: &SideGauges, now: Instant) {
        self.note(counted(side), now);
    }

    fn note(&mut self, (heard, repeated): (u64, u64), now: Instant) {
        if heard != self.heard {
            *self = Hearing { heard, repeated, at: now, ever: true };
        }
    }

    /// For how long the peer has not answered, though segments were sent again to it; `None` if it owes
    /// no answer. An idle connection is silent, too, but repeats nothing.
    pub fn silence(&self, side: &SideGauges, now: Instant) -> Option<Duration> {
        self.silence_of(counted(side), now)
    }

    fn silence_of(&self, (heard, repeated): (u64, u64), now: Instant) -> Option<Duration> {
        let owes = heard == self.heard && (repeated != self.repeated || !self.ever);
        owes.then(|| now - self.at)
    }
}

/// Segments received and segments sent again.
fn counted(side: &SideGauges) -> (u64, u64) {
    let tcp = |of: fn(&crate::tcp::Counters) -> u64| side.sum(|engine| of(&engine.metrics.tcp));
    (tcp(|tcp| tcp.in_segs.get()), tcp(|tcp| tcp.retrans_segs.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_silent_that_is_asked_again_and_does_not_answer() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut hearing = Hearing { heard: 7, repeated: 1, at: began, ever: false };
        let silent = |hearing: &Hearing, counts, seconds| hearing.silence_of(counts, at(seconds));
        assert_eq!(silent(&hearing, (7, 1), 2), Some(Duration::from_secs(2)), "never heard of");
        hearing.note((8, 1), at(3));
        assert_eq!(silent(&hearing, (8, 1), 60), None, "nothing was asked again");
        assert_eq!(silent(&hearing, (8, 2), 5), Some(Duration::from_secs(2)));
        hearing.note((8, 2), at(5)); // nothing new
        assert_eq!(silent(&hearing, (8, 3), 6), Some(Duration::from_secs(3)));
        assert_eq!(silent(&hearing, (9, 3), 6), None, "it has just answered");
        hearing.note((9, 3), at(6));
        assert_eq!(silent(&hearing, (9, 3), 9), None);
    }
}
