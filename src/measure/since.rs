//! What a run added to counters that had counted before.
//!
//! Engines outlive runs that a prompt starts and stops, and so do their counters. Counts of a run are
//! what came since it began; what is a level or a rate stays what it is, and how late TIME-WAIT expired is
//! of the whole time.

use super::report::{Bytes, Connections, LoopbackSide, Packets, Requests, Side, Syn, TimeWait};
use std::collections::BTreeMap;

impl LoopbackSide {
    /// What came since `before`, which is the same side when the run began.
    #[must_use]
    pub fn since(self, before: &LoopbackSide) -> LoopbackSide {
        let LoopbackSide { connections, requests, bytes, side } = before;
        LoopbackSide {
            connections: self.connections.since(connections),
            requests: self.requests.since(requests),
            bytes: self.bytes.since(bytes),
            side: self.side.since(side),
        }
    }
}

impl Connections {
    fn since(self, before: &Connections) -> Self {
        let Connections { opened, established, closed, failed, reset, closed_by_peer, .. } = before;
        Connections {
            opened: self.opened.saturating_sub(*opened),
            established: self.established.saturating_sub(*established),
            closed: self.closed.saturating_sub(*closed),
            failed: self.failed.saturating_sub(*failed),
            reset: self.reset.saturating_sub(*reset),
            closed_by_peer: self.closed_by_peer.saturating_sub(*closed_by_peer),
            ..self
        }
    }
}

impl Requests {
    fn since(self, before: &Requests) -> Self {
        let Requests { completed, refused, unanswered, timed_out, .. } = before;
        Requests {
            completed: self.completed.saturating_sub(*completed),
            refused: self.refused.saturating_sub(*refused),
            unanswered: self.unanswered.saturating_sub(*unanswered),
            timed_out: self.timed_out.saturating_sub(*timed_out),
            ..self
        }
    }
}

impl Bytes {
    fn since(self, before: &Bytes) -> Self {
        let Bytes { sent, received, sent_per_s: _, received_per_s: _ } = before;
        Bytes {
            sent: self.sent.saturating_sub(*sent),
            received: self.received.saturating_sub(*received),
            ..self
        }
    }
}

impl Side {
    fn since(self, before: &Side) -> Self {
        let Side { packets, cycles: _, time_wait, syn, link_downs, handled, drops, tcp } = before;
        Side {
            packets: self.packets.since(packets),
            time_wait: self.time_wait.since(time_wait),
            syn: self.syn.since(syn),
            link_downs: self.link_downs.saturating_sub(*link_downs),
            handled: counts_since(self.handled, handled),
            drops: counts_since(self.drops, drops),
            tcp: counts_since(self.tcp, tcp),
            ..self
        }
    }
}

impl Packets {
    fn since(self, before: &Packets) -> Self {
        let Packets { rx, tx, rx_per_s: _, tx_per_s: _ } = before;
        Packets { rx: self.rx.saturating_sub(*rx), tx: self.tx.saturating_sub(*tx), ..self }
    }
}

impl TimeWait {
    /// Entries that are there, and how late they are, are as they are.
    fn since(self, before: &TimeWait) -> Self {
        let TimeWait { entered, expired, reused, recycled, rst_ignored, fin_reacked, .. } = before;
        TimeWait {
            entered: self.entered.saturating_sub(*entered),
            expired: self.expired.saturating_sub(*expired),
            reused: self.reused.saturating_sub(*reused),
            recycled: self.recycled.saturating_sub(*recycled),
            rst_ignored: self.rst_ignored.saturating_sub(*rst_ignored),
            fin_reacked: self.fin_reacked.saturating_sub(*fin_reacked),
            ..self
        }
    }
}

impl Syn {
    fn since(self, before: &Syn) -> Self {
        let Syn { received, cookies_sent, cookies_accepted, cookies_rejected, .. } = before;
        Syn {
            received: self.received.saturating_sub(*received),
            cookies_sent: self.cookies_sent.saturating_sub(*cookies_sent),
            cookies_accepted: self.cookies_accepted.saturating_sub(*cookies_accepted),
            cookies_rejected: self.cookies_rejected.saturating_sub(*cookies_rejected),
            cache_overflow: self.cache_overflow.saturating_sub(before.cache_overflow),
            limited: self.limited.saturating_sub(before.limited),
            ..self
        }
    }
}

/// Counters by name, without what they had before.
fn counts_since(
    mut now: BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    for (name, count) in &mut now {
        *count = count.saturating_sub(before.get(name).copied().unwrap_or(0));
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_of_the_run_and_levels_are_what_they_are() {
        let side = |n: u64| LoopbackSide {
            connections: Connections {
                opened: 10 * n,
                closed: 9 * n,
                closed_by_peer: 8 * n,
                peak: n,
                ..Default::default()
            },
            requests: Requests {
                completed: 100 * n,
                refused: n,
                unanswered: 2 * n,
                timed_out: 3 * n,
                ..Requests::default()
            },
            bytes: Bytes { sent: 7 * n, received: 8 * n, ..Bytes::default() },
            side: Side {
                packets: Packets { rx: 5 * n, tx: 6 * n, ..Packets::default() },
                time_wait: TimeWait { entered: 3 * n, current: n, ..TimeWait::default() },
                syn: Syn { received: 2 * n, cache_peak: n, ..Syn::default() },
                tcp: BTreeMap::from([("InSegs".to_owned(), 4 * n)]),
                ..Side::default()
            },
        };
        let LoopbackSide { connections, requests, bytes, side } = side(5).since(&side(2));
        assert_eq!((connections.opened, connections.closed, connections.peak), (30, 27, 5));
        assert_eq!((requests.completed, requests.refused), (300, 3));
        assert_eq!((requests.unanswered, requests.timed_out), (6, 9));
        assert_eq!(connections.closed_by_peer, 24);
        assert_eq!((bytes.sent, bytes.received), (21, 24));
        assert_eq!((side.packets.rx, side.packets.tx), (15, 18));
        assert_eq!((side.time_wait.entered, side.time_wait.current), (9, 5));
        assert_eq!((side.syn.received, side.syn.cache_peak), (6, 5));
        assert_eq!(side.tcp["InSegs"], 12);
    }

    #[test]
    fn a_counter_that_was_cleared_meanwhile_is_not_below_zero() {
        let counts = |n| BTreeMap::from([("port_rx_missed".to_owned(), n)]);
        assert_eq!(counts_since(counts(1), &counts(5)), counts(0));
    }
}
