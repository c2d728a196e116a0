//! What an application counts, written by its engine's thread and read by any other.

use crate::tcp::CloseReason;
use crate::tcp::counters::Counter;

/// Running totals of one application. One thread writes, everyone may read.
///
/// `opened = closed + failed + reset + open_now`, always.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections begun; at a server, accepted.
    pub opened: Counter,
    /// Connections established.
    pub established: Counter,
    /// Connections that ended in an orderly way.
    pub closed: Counter,
    /// Connections that were refused, timed out, gave up, or were cut short.
    pub failed: Counter,
    /// Established connections ended by a RST of either side.
    pub reset: Counter,
    /// Connections that have not ended yet.
    pub open_now: Counter,
    /// Most connections at one time.
    pub peak: Counter,
    /// Requests answered to the last octet.
    pub requests: Counter,
    /// Those of them whose answer says that something is wrong (an HTTP status of 400 or above).
    pub refused: Counter,
    /// Requests that were never answered: their connection failed, or the run was over.
    pub unanswered: Counter,
    /// Requests that were given up because the answer took longer than allowed.
    pub timed_out: Counter,
    /// Connections among those that ended in an orderly way that the peer closed though it had not been
    /// asked to.
    pub closed_by_peer: Counter,
    /// Payload octets handed to TCP.
    pub bytes_sent: Counter,
    /// Payload octets taken from TCP.
    pub bytes_received: Counter,
}

/// How a connection ended, as a report sorts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A FIN from each side.
    Orderly,
    /// A RST of either side, after it was established.
    Reset,
    /// Anything else.
    Failed,
}

impl Ending {
    /// Sorts the end of an established connection.
    pub fn of_established(reason: CloseReason) -> Ending {
        match reason {
            CloseReason::Finished => Ending::Orderly,
            CloseReason::Reset | CloseReason::Aborted => Ending::Reset,
            _ => Ending::Failed,
        }
    }
}

impl Tally {
    /// A connection was begun.
    #[inline]
    pub fn opened(&self) {
        self.opened.bump();
        self.open_now.bump();
        self.peak.raise_to(self.open_now.get());
    }

    /// A listener's connection: begun and established at once.
    #[inline]
    pub fn accepted(&self) {
        self.opened();
        self.established.bump();
    }

    /// A connection ended.
    #[inline]
    pub fn ended(&self, ending: Ending) {
        self.open_now.sub(1);
        match ending {
            Ending::Orderly => self.closed.bump(),
            Ending::Reset => self.reset.bump(),
            Ending::Failed => self.failed.bump(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opened_is_what_ended_and_what_is_open() {
        let tally = Tally::default();
        for reason in [CloseReason::Finished, CloseReason::Reset, CloseReason::TimedOut] {
            tally.accepted();
            tally.accepted();
            tally.ended(Ending::of_established(reason));
        }
        let Tally { opened, closed, failed, reset, open_now, peak, .. } = &tally;
        assert_eq!((opened.get(), closed.get(), reset.get(), failed.get()), (6, 1, 1, 1));
        assert_eq!((open_now.get(), peak.get()), (3, 4));
    }
}
