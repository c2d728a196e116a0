//! Rates: what running totals did between two readings.

use core::time::Duration;

/// Running totals of one side at one time, read while the engine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections established.
    pub connections: u64,
    /// Requests answered.
    pub requests: u64,
    /// Payload octets sent.
    pub bytes_sent: u64,
    /// Payload octets received.
    pub bytes_received: u64,
    /// Frames received.
    pub packets_rx: u64,
    /// Frames sent.
    pub packets_tx: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Clock cycles in polls that found something to do.
    pub busy_cycles: u64,
    /// Clock cycles in all polls.
    pub total_cycles: u64,
    /// Polls.
    pub turns: u64,
}

impl Totals {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Totals) -> Totals {
        let Totals {
            connections,
            requests,
            bytes_sent,
            bytes_received,
            packets_rx,
            packets_tx,
            retransmitted,
            busy_cycles,
            total_cycles,
            turns,
        } = earlier;
        Totals {
            connections: self.connections.saturating_sub(*connections),
            requests: self.requests.saturating_sub(*requests),
            bytes_sent: self.bytes_sent.saturating_sub(*bytes_sent),
            bytes_received: self.bytes_received.saturating_sub(*bytes_received),
            packets_rx: self.packets_rx.saturating_sub(*packets_rx),
            packets_tx: self.packets_tx.saturating_sub(*packets_tx),
            retransmitted: self.retransmitted.saturating_sub(*retransmitted),
            busy_cycles: self.busy_cycles.saturating_sub(*busy_cycles),
            total_cycles: self.total_cycles.saturating_sub(*total_cycles),
            turns: self.turns.saturating_sub(*turns),
        }
    }

    /// Adds the totals of another engine of the same side.
    #[must_use]
    pub fn plus(&self, other: &Totals) -> Totals {
        let Totals {
            connections,
            requests,
            bytes_sent,
            bytes_received,
            packets_rx,
            packets_tx,
            retransmitted,
            busy_cycles,
            total_cycles,
            turns,
        } = other;
        Totals {
            connections: self.connections + connections,
            requests: self.requests + requests,
            bytes_sent: self.bytes_sent + bytes_sent,
            bytes_received: self.bytes_received + bytes_received,
            packets_rx: self.packets_rx + packets_rx,
            packets_tx: self.packets_tx + packets_tx,
            retransmitted: self.retransmitted + retransmitted,
            busy_cycles: self.busy_cycles + busy_cycles,
            total_cycles: self.total_cycles + total_cycles,
            turns: self.turns + turns,
        }
    }

    /// Part of the cycles that found something to do, from 0 to 1.
    pub fn busy(&self) -> f64 {
        ratio(self.busy_cycles, self.total_cycles)
    }
}

/// `amount` in each second of `span`; 0 for an empty span.
pub fn per_second(amount: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { amount as f64 / span.as_secs_f64() }
}

/// `part / whole`, 0 if there is no whole.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A number as a person reads it: `1234`, `12.3 k`, `4.56 M`.
pub fn human(number: f64) -> String {
    match number.abs() {
        n if n < 10.0 && n.fract() != 0.0 => format!("{number:.2}"),
        n if n < 10_000.0 => format!("{number:.0}"),
        n if n < 1e6 => format!("{:.1} k", number / 1e3),
        n if n < 1e9 => format!("{:.2} M", number / 1e6),
        _ => format!("{:.2} G", number / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_the_earlier_one_and_what_came_since() {
        let earlier =
            Totals { requests: 5, busy_cycles: 10, total_cycles: 20, ..Totals::default() };
        let later = Totals { requests: 9, busy_cycles: 40, total_cycles: 80, ..Totals::default() };
        let since = later.since(&earlier);
        assert_eq!(since.requests, 4);
        assert_eq!(since.busy(), 0.5);
        assert_eq!(earlier.plus(&since), later);
    }

    #[test]
    fn rates_and_numbers() {
        assert_eq!(per_second(10, Duration::from_millis(500)), 20.0);
        assert_eq!(per_second(10, Duration::ZERO), 0.0);
        assert_eq!(human(0.25), "0.25");
        assert_eq!(human(9_999.0), "9999");
        assert_eq!(human(12_345.0), "12.3 k");
        assert_eq!(human(4_560_000.0), "4.56 M");
        assert_eq!(human(2.5e9), "2.50 G");
    }
}
