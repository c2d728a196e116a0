//! What a client did between one look and the next, for rates over time.

use super::histogram::Summary;
use super::rate::{Totals, per_second};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// One row of rates over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Seconds from the beginning of the run to the end of the interval.
    pub end_s: f64,
    /// Its length in seconds.
    pub span_s: f64,
    /// Connections established in a second.
    pub connections_per_s: f64,
    /// Requests answered in a second.
    pub requests_per_s: f64,
    /// Payload octets sent in a second.
    pub sent_per_s: f64,
    /// Payload octets received in a second.
    pub received_per_s: f64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Connections that were open at its end.
    pub open: u64,
    /// Busy part of the engines' cycles, from 0 to 1.
    pub busy: f64,
    /// Values recorded: of the latency in an open loop, of the service time in a closed one. The
    /// warm-up records none.
    pub count: u64,
    /// Half of them were not longer, in nanoseconds.
    pub p50: u64,
    /// 99 % were not longer, in nanoseconds.
    pub p99: u64,
    /// 99.9 % were not longer, in nanoseconds.
    pub p99_9: u64,
    /// The longest, in nanoseconds.
    pub max: u64,
}

impl Interval {
    /// An interval of `span` that ended `end` after the beginning.
    pub fn of(end: Duration, span: Duration, done: &Totals, open: u64, times: &Summary) -> Self {
        let rate = |amount| per_second(amount, span);
        Interval {
            end_s: end.as_secs_f64(),
            span_s: span.as_secs_f64(),
            connections_per_s: rate(done.connections),
            requests_per_s: rate(done.requests),
            sent_per_s: rate(done.bytes_sent),
            received_per_s: rate(done.bytes_received),
            retransmitted: done.retransmitted,
            open,
            busy: done.busy(),
            count: times.count,
            p50: times.p50,
            p99: times.p99,
            p99_9: times.p99_9,
            max: times.max,
        }
    }
}

/// Writes rows as comma-separated values, under the names of the fields. All are numbers, so that
/// nothing has to be quoted.
///
/// # Errors
/// Those of the writer.
pub fn write_csv(rows: &[Interval], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "end_s,span_s,connections_per_s,requests_per_s,sent_per_s,received_per_s,retransmitted,open,\
         busy,count,p50_ns,p99_ns,p99_9_ns,max_ns"
    )?;
    for row in rows {
        writeln!(
            out,
            "{:.6},{:.6},{:.3},{:.3},{:.1},{:.1},{},{},{:.4},{},{},{},{},{}",
            row.end_s,
            row.span_s,
            row.connections_per_s,
            row.requests_per_s,
            row.sent_per_s,
            row.received_per_s,
            row.retransmitted,
            row.open,
            row.busy,
            row.count,
            row.p50,
            row.p99,
            row.p99_9,
            row.max
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_value_for_each_name() {
        let done = Totals { requests: 30, busy_cycles: 1, total_cycles: 4, ..Totals::default() };
        let times = Summary { count: 30, p50: 7, max: 9, ..Summary::default() };
        let span = Duration::from_millis(500);
        let row = Interval::of(Duration::from_secs(2), span, &done, 3, &times);
        assert_eq!((row.requests_per_s, row.busy, row.open), (60.0, 0.25, 3));
        let mut csv = Vec::new();
        write_csv(&[row, row], &mut csv).unwrap();
        let text = String::from_utf8(csv).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!((lines.len(), lines[0].len()), (3, lines[1].len()));
        let column = lines[0].iter().position(|&name| name == "p50_ns").unwrap();
        assert_eq!(lines[1][column], "7");
    }
}
