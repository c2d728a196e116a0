//! Reports for people: a table at the end, a line now and then.

use super::histogram::{Summary, human_ns};
use super::interval::Interval;
use super::rate::{Totals, human, per_second};
use super::report::{
    Bytes, Connections, Cycles, FailureRow, Judged, LoopbackSide, Pacing, Packets, Report,
    Requests, Side, Syn, TimeLeft, TimeWait, is_time,
};
use crate::tcp::TimeWaitPolicy;
use core::fmt::Write;
use core::time::Duration;

/// Width of the column of names.
const NAME: usize = 12;

/// The table that a run ends with.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    let cores =
        if report.cores == 1 { "1 core".to_owned() } else { format!("{} cores", report.cores) };
    let side_cores = if report.client.is_some() { " a side" } else { "" };
    let pacing = match report.pacing {
        Pacing::Closed => ", closed loop",
        Pacing::Open => ", open loop",
        Pacing::Peer => "",
    };
    line(
        &mut out,
        format_args!(
            "{} {}: profile {}, {cores}{side_cores}{pacing}, {:.2} s measured",
            report.command, report.workload, report.profile, report.duration_s
        ),
    );
    latencies(&mut out, report);
    if let Some(overhead) = &report.overhead {
        row(&mut out, "measuring", &overhead.line());
    }
    row(&mut out, "connections", &connections(&report.connections));
    if !is_held(report) {
        row(&mut out, "requests", &requests(report));
    }
    for FailureRow { count, example, .. } in &report.failures {
        row(&mut out, "failures", &format!("{count}  {example}"));
    }
    match (&report.side, &report.client, &report.server) {
        (Some(side), ..) => {
            row(&mut out, "bytes", &bytes(&report.bytes));
            sides(&mut out, "", side);
        }
        (None, client, server) => {
            for (name, side) in [("client", client), ("server", server)] {
                if let Some(LoopbackSide { bytes: payload, side, .. }) = side {
                    line(&mut out, format_args!("{name}"));
                    row(&mut out, "  bytes", &bytes(payload));
                    sides(&mut out, "  ", side);
                }
            }
        }
    }
    for Judged { criterion, value, met } in &report.expect {
        let verdict = if *met { "met" } else { "MISSED" };
        let figure = criterion.split(['<', '>', '=', '!']).next().unwrap_or_default();
        let found = match value {
            None => "not measured".to_owned(),
            Some(value) if is_time(figure) => human_ns(*value),
            Some(value) => human(*value),
        };
        row(&mut out, "expect", &format!("{criterion}: {found}, {verdict}"));
    }
    out
}

/// Are connections held, without requests?
fn is_held(report: &Report) -> bool {
    matches!(report.workload.as_str(), "connect" | "stream")
}

/// The line that tells, every so often, what happened since the last one, and how late, if that is
/// recorded.
pub fn periodic(
    at: Duration,
    side: &str,
    window: &Totals,
    span: Duration,
    open_now: u64,
    times: Option<&Interval>,
) -> String {
    let rate = |amount| human(per_second(amount, span));
    let megabits = |octets: u64| per_second(octets * 8, span) / 1e6;
    let late = times.filter(|times| times.count > 0).map_or_else(String::new, |times| {
        let [p50, p99] = [times.p50, times.p99].map(|nanos| human_ns(nanos as f64));
        format!("  p50 {p50:>9}  p99 {p99:>9}")
    });
    format!(
        "{:7.1} s {side:<6} conn/s {:>8}  req/s {:>8}  open {:>7}  rx {:>8} pps {:>8.1} Mbit/s  tx {:>8} pps {:>8.1} Mbit/s  retrans {:>5}  busy {:>3.0} %{late}",
        at.as_secs_f64(),
        rate(window.connections),
        rate(window.requests),
        open_now,
        rate(window.packets_rx),
        megabits(window.bytes_received),
        rate(window.packets_tx),
        megabits(window.bytes_sent),
        window.retransmitted,
        window.busy() * 100.0,
    )
}

/// The same of a client, beside a bar that shows how far its run is.
pub fn brief(row: &Interval) -> String {
    let mut text =
        format!("  {} conn/s  {} req/s", human(row.connections_per_s), human(row.requests_per_s));
    if row.count > 0 {
        let [p50, p99] = [row.p50, row.p99].map(|nanos| human_ns(nanos as f64));
        let _ = write!(text, "  p50 {p50}  p99 {p99}"); // a string takes all
    }
    text
}

fn line(out: &mut String, text: core::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

fn row(out: &mut String, name: &str, text: &str) {
    line(out, format_args!("{name:<NAME$}{text}"));
}

/// The latency table, with a row for each histogram that has anything in it.
fn latencies(out: &mut String, report: &Report) {
    let times = report.times().into_iter().filter_map(|(kind, of)| of.map(|of| (kind, of)));
    let table = self::times(&times.collect::<Vec<_>>());
    out.push_str(&table);
    if !table.is_empty() && report.pacing == Pacing::Closed && !is_held(report) {
        line(
            out,
            format_args!(
                "closed loop: no request waits for its turn, so there is only service time"
            ),
        );
    }
}

/// A table of times, with a row for each of which there is any.
pub fn times(of: &[(&str, Summary)]) -> String {
    let mut text = String::new();
    let out = &mut text;
    let rows: Vec<&(&str, Summary)> = of.iter().filter(|(_, summary)| summary.count > 0).collect();
    if rows.is_empty() {
        return text;
    }
    line(
        out,
        format_args!(
            "{:<NAME$}{:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"
        ),
    );
    for (name, summary) in rows {
        let Summary { count, min, mean, p50, p90, p99, p99_9, p99_99, max } = *summary;
        let [min, p50, p90, p99, p99_9, p99_99, max] =
            [min, p50, p90, p99, p99_9, p99_99, max].map(|nanos| human_ns(nanos as f64));
        let mean = human_ns(mean);
        line(
            out,
            format_args!(
                "{name:<NAME$}{count:>10} {min:>10} {mean:>10} {p50:>10} {p90:>10} {p99:>10} {p99_9:>10} {p99_99:>10} {max:>10}"
            ),
        );
    }
    text
}

fn connections(of: &Connections) -> String {
    let Connections { opened, established, closed, failed, reset, closed_by_peer, per_s, peak } =
        of;
    let by_peer = match closed_by_peer {
        0 => String::new(),
        count => format!(" ({count} by the peer)"),
    };
    format!(
        "{} /s  opened {opened}  established {established}  closed {closed}{by_peer}  failed {failed}  reset {reset}  peak {peak}",
        human(*per_s)
    )
}

fn requests(report: &Report) -> String {
    let Requests { completed, per_s, not_started, refused, unanswered, timed_out } =
        &report.requests;
    let mut text = format!("{} /s  completed {completed}", human(*per_s));
    if *refused > 0 {
        let _ = write!(text, "  ANSWERED WITH AN ERROR {refused}");
    }
    if *unanswered > 0 {
        let _ = write!(text, "  UNANSWERED {unanswered}");
    }
    if *timed_out > 0 {
        let _ = write!(text, "  TIMED OUT {timed_out}");
    }
    if *not_started > 0 {
        let _ = write!(text, "  NOT STARTED {not_started}: {}", why_not_started(report));
    }
    text
}

/// Why there was no connection that was free for a request.
fn why_not_started(report: &Report) -> String {
    match report.no_answer_s {
        Some(seconds) if seconds >= 1.0 => {
            format!("the server had not answered for {seconds:.1} s at the end")
        }
        _ if report.connections.established == 0 => "no connection was established".to_owned(),
        _ if report.errors > report.requests.refused => {
            "connections failed or were reset meanwhile".to_owned()
        }
        _ => "the rate is more than the connections carry".to_owned(),
    }
}

fn bytes(of: &Bytes) -> String {
    let Bytes { sent, received, sent_per_s, received_per_s } = of;
    format!(
        "sent {sent} ({:.1} Mbit/s)  received {received} ({:.1} Mbit/s)",
        sent_per_s * 8.0 / 1e6,
        received_per_s * 8.0 / 1e6
    )
}

fn sides(out: &mut String, indent: &str, side: &Side) {
    let Side { packets, cycles, time_wait, syn, link_downs, handled, drops, tcp } = side;
    let named = |name: &str| format!("{indent}{name}");
    let Packets { rx, tx, rx_per_s, tx_per_s } = packets;
    let text = format!("rx {rx} ({} pps)  tx {tx} ({} pps)", human(*rx_per_s), human(*tx_per_s));
    row(out, &named("packets"), &text);
    let Cycles { tsc_hz, busy, per_packet, per_request, per_connection } = cycles;
    let text = format!(
        "{per_packet:.0} /packet  {per_request:.0} /request  {per_connection:.0} /connection  busy {:.0} %  at {:.2} GHz",
        busy * 100.0,
        *tsc_hz as f64 / 1e9
    );
    row(out, &named("cycles"), &text);
    for text in time_wait_rows(time_wait) {
        row(out, &named("time-wait"), &text);
    }
    if let Some(text) = syn_row(syn) {
        row(out, &named("syn"), &text);
    }
    if *link_downs > 0 {
        row(out, &named("link"), &format!("went down {link_downs} times"));
    }
    for (name, counts) in [("handled", handled), ("drops", drops), ("tcp", tcp)] {
        let text: Vec<String> = counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !text.is_empty() {
            row(out, &named(name), &text.join("  "));
        }
    }
}

/// What there is to say of SYNs, if any found no room, came for a cookie or were too many.
pub fn syn_row(of: &Syn) -> Option<String> {
    let Syn { received, cookies_sent, cookies_accepted, cookies_rejected, .. } = of;
    let Syn { cache_current, cache_peak, cache_overflow, limited, .. } = of;
    (cookies_sent + cookies_rejected + cache_overflow + limited > 0).then(|| {
        format!(
            "received {received}  cookies {cookies_sent}  good {cookies_accepted}  bad {cookies_rejected}  \
             cache now {cache_current}  peak {cache_peak}  no room {cache_overflow}  over the limit {limited}"
        )
    })
}

/// What there is to say of TIME-WAIT, if there was any, or if there could be none.
pub fn time_wait_rows(of: &TimeWait) -> Vec<String> {
    if of.policy == TimeWaitPolicy::Off {
        return vec!["OFF: no real TCP is without, so these are figures of a benchmark".to_owned()];
    }
    if of.entered == 0 {
        return Vec::new();
    }
    let TimeWait { current, peak, entered, expired, reused, recycled, bytes_per_entry, .. } = of;
    let mut rows = vec![
        format!(
            "entered {entered}  now {current}  peak {peak}  expired {expired}  reused {reused}  recycled {recycled}"
        ),
        format!(
            "{bytes_per_entry} octets an entry (IPv6 {})  {:.1} MB at the peak  overdue {}  late p99 {}  max {}",
            of.bytes_per_entry_ipv6,
            (peak * bytes_per_entry) as f64 / 1e6,
            of.backlog,
            human_ns(of.lag_p99 as f64),
            human_ns(of.lag_max as f64),
        ),
    ];
    if !of.left.is_empty() {
        let each = of.left.iter().map(|TimeLeft { below_s, entries }| match below_s {
            Some(seconds) => format!("under {seconds} s {entries}"),
            None => format!("more {entries}"),
        });
        rows.push(format!("time left: {}", each.collect::<Vec<_>>().join("  ")));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn report(pacing: Pacing) -> Report {
        let summary = Summary {
            count: 1_000,
            min: 900,
            mean: 2_500.0,
            p50: 2_000,
            p90: 5_000,
            p99: 1_500_000,
            p99_9: 2_000_000,
            p99_99: 2_000_000,
            max: 3_000_000_000,
        };
        Report {
            command: "client".to_owned(),
            workload: "crr".to_owned(),
            profile: "ring".to_owned(),
            cores: 1,
            duration_s: 5.0,
            pacing,
            connections: Connections {
                opened: 12,
                established: 12,
                closed: 7,
                closed_by_peer: 6,
                per_s: 2.5,
                ..Connections::default()
            },
            requests: Requests {
                completed: 10,
                per_s: 2.0,
                not_started: 3,
                unanswered: 4,
                timed_out: 5,
                ..Requests::default()
            },
            failures: vec![FailureRow {
                kind: "no_answer".to_owned(),
                count: 5,
                example: "no answer for 12 s".to_owned(),
            }],
            latency: None,
            service: Some(summary),
            close: None,
            side: Some(Side {
                drops: BTreeMap::from([("checksum".to_owned(), 1), ("vlan".to_owned(), 0)]),
                ..Side::default()
            }),
            ..Report::blank()
        }
    }

    #[test]
    fn table_shows_what_there_is_and_nothing_else() {
        let mut report = report(Pacing::Closed);
        let text = table(&report);
        let service = text.lines().find(|line| line.starts_with("service")).unwrap();
        let fields: Vec<&str> = service.split_whitespace().collect();
        assert_eq!(fields[1..6], ["1000", "900", "ns", "2.50", "us"]);
        assert!(service.ends_with("3.00 s"));
        let header = text.lines().nth(1).unwrap();
        assert_eq!(header.len(), service.len(), "columns are aligned");
        assert!(text.contains("closed loop"));
        assert!(!text.lines().any(|line| line.starts_with("connect ")), "nothing was recorded");
        assert!(text.contains("checksum 1") && !text.contains("vlan"));
        assert!(text.contains("UNANSWERED 4  TIMED OUT 5  NOT STARTED 3"));
        assert!(text.contains("\nfailures    5  no answer for 12 s\n"), "{text}");
        assert!(text.contains("closed 7 (6 by the peer)  failed"), "{text}");
        let why = |text: &str| {
            let (_, why) = text.split_once("NOT STARTED 3: ").expect("it is told");
            why.lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(why(&text), "the rate is more than the connections carry");
        report.errors = 1;
        assert_eq!(why(&table(&report)), "connections failed or were reset meanwhile");
        report.connections.established = 0;
        assert_eq!(why(&table(&report)), "no connection was established");
        report.no_answer_s = Some(6.04);
        assert_eq!(why(&table(&report)), "the server had not answered for 6.0 s at the end");
    }

    #[test]
    fn loopback_shows_both_sides() {
        let both = Report {
            side: None,
            client: Some(LoopbackSide::default()),
            server: Some(LoopbackSide::default()),
            ..report(Pacing::Open)
        };
        let text = table(&both);
        assert!(text.contains("\nclient\n") && text.contains("\nserver\n"), "{text}");
        assert!(text.contains("1 core a side, open loop"));
    }

    #[test]
    fn periodic_line_is_of_its_interval() {
        let window = Totals {
            requests: 500_000,
            bytes_sent: 1_250_000,
            busy_cycles: 1,
            total_cycles: 2,
            ..Totals::default()
        };
        let text = periodic(
            Duration::from_secs(3),
            "client",
            &window,
            Duration::from_millis(500),
            4,
            None,
        );
        assert!(text.contains("req/s   1.00 M"), "{text}");
        assert!(text.contains("20.0 Mbit/s") && text.ends_with("busy  50 %"), "{text}");
        let times = Interval { count: 9, p50: 1_500, p99: 2_000_000, ..Interval::default() };
        let span = Duration::from_millis(500);
        let text = periodic(Duration::from_secs(3), "client", &window, span, 4, Some(&times));
        assert!(text.ends_with("busy  50 %  p50   1.50 us  p99   2.00 ms"), "{text}");
    }
}
