//! What the prompt shows of a side.

use super::readings::Board;
use super::side::SideGauges;
use crate::engine::Limits;
use crate::measure::histogram::{human_duration, human_ns};
use crate::measure::rate::{human, per_second};
use crate::measure::report::TimeLeft;
use crate::measure::table::times;
use crate::tcp::{self, Counters, SynCookies, TimeWaitPolicy};
use core::fmt::Write;
use std::collections::BTreeMap;
use std::time::Instant;

/// When a side was last shown, and what had expired.
pub struct Last {
    at: Instant,
    expired: u64,
}

impl Last {
    /// A side that was never shown.
    pub fn of(side: &SideGauges, now: Instant) -> Self {
        Last { at: now, expired: side.time_wait().expired }
    }
}

fn row(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "  {name:<18} {text}"); // a string takes all
}

/// `show time-wait`
pub fn time_wait(side: &SideGauges, last: &mut Last, now: Instant) -> String {
    let mut out = format!("{}\n", side.name);
    let of = side.time_wait();
    let sum = |of: fn(&Counters) -> u64| side.sum(|engine| of(&engine.metrics.tcp));
    let limit = side.sum(|engine| engine.limits.max_time_wait.into());
    let megabytes = |entries: u64| (entries * of.bytes_per_entry) as f64 / 1e6;
    row(
        &mut out,
        "entries",
        &format!(
            "now {} ({:.1} MB)  peak {} ({:.1} MB)  limit {limit}  octets an entry {} (IPv6 {})",
            of.current,
            megabytes(of.current),
            of.peak,
            megabytes(of.peak),
            of.bytes_per_entry,
            of.bytes_per_entry_ipv6
        ),
    );
    if let Some(engine) = side.engines.first() {
        let in_force = &engine.metrics.in_force;
        let on_link = in_force.msl_on_link();
        let on_link = on_link.map(|msl| format!(", on the link {}", human_duration(msl * 2)));
        let two_msl = human_duration(in_force.msl() * 2);
        let text = format!(
            "{}  2·MSL of entries from now on {two_msl}{}",
            policy(in_force.time_wait()),
            on_link.unwrap_or_default()
        );
        row(&mut out, "policy", &text);
    }
    let left = of.left.iter().map(|TimeLeft { below_s, entries }| match below_s {
        Some(seconds) => format!("under {seconds} s {entries}"),
        None => format!("more {entries}"),
    });
    let left: Vec<String> = left.collect();
    row(
        &mut out,
        "time left",
        if left.is_empty() { "·".to_owned() } else { left.join("  ") }.as_str(),
    );
    let span = now - last.at;
    let rate = per_second(of.expired.saturating_sub(last.expired), span);
    row(
        &mut out,
        "over",
        &format!(
            "entered {}  expired {}, {}/s in the last {}",
            of.entered,
            of.expired,
            human(rate),
            human_duration(span)
        ),
    );
    row(
        &mut out,
        "reused",
        &format!(
            "by timestamp {}  by sequence number {}  by us {}  refused {}",
            sum(|tcp| tcp.tw_reused_timestamp.get()),
            sum(|tcp| tcp.tw_reused_sequence.get()),
            sum(|tcp| tcp.tw_reused_active.get()),
            sum(|tcp| tcp.tw_refused.get()),
        ),
    );
    row(&mut out, "recycled", &format!("at the limit {}", of.recycled));
    row(
        &mut out,
        "segments",
        &format!(
            "FIN again {}  2·MSL begun anew {}  ACKs held back {}  RST ignored {}",
            of.fin_reacked,
            sum(|tcp| tcp.tw_restarted.get()),
            sum(|tcp| tcp.tw_ack_skipped.get()),
            of.rst_ignored,
        ),
    );
    row(
        &mut out,
        "late",
        &format!(
            "p99 {}  max {}  overdue now {}",
            human_ns(of.lag_p99 as f64),
            human_ns(of.lag_max as f64),
            of.backlog
        ),
    );
    *last = Last { at: now, expired: of.expired };
    out
}

/// `show syn`
pub fn syn(side: &SideGauges) -> String {
    let mut out = format!("{}\n", side.name);
    let of = side.syn();
    let sum = |of: fn(&Counters) -> u64| side.sum(|engine| of(&engine.metrics.tcp));
    let limit = side.sum(|engine| engine.limits.syn_cache.into());
    let (cookies_now, per_second) = side
        .engines
        .first()
        .map_or((0, None), |engine| (of.cookies_active, engine.metrics.in_force.syn_limit()));
    let text = format!(
        "now {}  peak {}  limit {limit}  octets an entry {} (IPv6 {})",
        of.cache_current, of.cache_peak, of.bytes_per_entry, of.bytes_per_entry_ipv6
    );
    row(&mut out, "cache", &text);
    let text = format!(
        "received {}  answered again {}  given up {}",
        of.received,
        sum(|tcp| tcp.synack_retrans.get()),
        sum(|tcp| tcp.attempt_fails.get()),
    );
    row(&mut out, "SYNs", &text);
    let active = if cookies_now > 0 { ", active" } else { "" };
    let text = format!(
        "{}{active}  sent {}  good {}  bad {}  for want of room {}",
        cookies(of.mode),
        of.cookies_sent,
        of.cookies_accepted,
        of.cookies_rejected,
        sum(|tcp| tcp.full_do_cookies.get()),
    );
    row(&mut out, "cookies", &text);
    let per_second = per_second.map_or_else(|| "off".to_owned(), |limit| format!("{limit}/s"));
    let text = format!("{per_second}  dropped {}", of.limited);
    row(&mut out, "limit of a source", &text);
    let text = format!(
        "no room {}  backlog full {}  in all {}",
        sum(|tcp| tcp.full_drop.get()),
        sum(|tcp| tcp.listen_overflows.get()),
        sum(|tcp| tcp.listen_drops.get()),
    );
    row(&mut out, "dropped", &text);
    out
}

fn cookies(mode: SynCookies) -> &'static str {
    match mode {
        SynCookies::Off => "off",
        SynCookies::Auto => "auto",
        SynCookies::Always => "always",
    }
}

/// `show latency`
pub fn latency(board: &Board) -> String {
    let Some(last) = &board.last else {
        return "  nothing has been recorded yet: it is taken with each line of --stats-period, else each second\n".to_owned();
    };
    let mut out = times(&board.shown().by_kind().map(|(kind, of)| (kind, of.summary())));
    let [p50, p99, p99_9, max] =
        [last.p50, last.p99, last.p99_9, last.max].map(|nanos| human_ns(nanos as f64));
    let _ = writeln!(
        out,
        "last {:.1} s: {} values  p50 {p50}  p99 {p99}  p99.9 {p99_9}  max {max}  {} requests/s",
        last.span_s,
        last.count,
        human(last.requests_per_s)
    ); // a string takes all
    out
}

/// `show tcp stats`, without what was `cleared`.
pub fn tcp_stats(side: &SideGauges, cleared: Option<&BTreeMap<String, u64>>) -> String {
    let mut out = format!("{}\n", side.name);
    for (name, count) in side.tcp() {
        let before = cleared.and_then(|counts| counts.get(&name)).copied().unwrap_or(0);
        let count = count.saturating_sub(before);
        if count > 0 {
            let _ = writeln!(out, "  {name:<28} {count}"); // a string takes all
        }
    }
    out
}

fn policy(policy: TimeWaitPolicy) -> &'static str {
    match policy {
        TimeWaitPolicy::Strict => "strict",
        TimeWaitPolicy::Reuse => "reuse",
        TimeWaitPolicy::Off => "OFF",
    }
}

/// `show config cores`
pub fn config_cores(side: &SideGauges) -> String {
    let mut out = format!("{}\n", side.name);
    for (index, engine) in side.engines.iter().enumerate() {
        let lcore = side.lcores.get(index).map_or_else(|| "-".to_owned(), u32::to_string);
        let [busy, all] = [engine.cycles.busy.get(), engine.cycles.total.get()];
        let part = if all == 0 { 0.0 } else { busy as f64 / all as f64 * 100.0 };
        let text = format!(
            "lcore {lcore}  port {} queue {index}  turns {}  busy {part:.0} % of all its time",
            side.device.port_id(),
            human(engine.cycles.polls.get() as f64),
        );
        row(&mut out, &format!("engine {index}"), &text);
    }
    out
}

/// `show config tcp`
pub fn config_tcp(side: &SideGauges) -> String {
    let mut out = format!("{}\n", side.name);
    let Some(engine) = side.engines.first() else { return out };
    let Limits { max_connections, max_time_wait, .. } = engine.limits;
    let in_force = &engine.metrics.in_force;
    let switch = |on: bool| if on { "on" } else { "off" }.to_owned();
    let time = |time: Option<core::time::Duration>, none: &str| {
        time.map_or_else(|| none.to_owned(), human_duration)
    };
    let tcp::Config {
        rfc1337,
        rto_min,
        mss,
        window_scale,
        timestamps,
        tolerate_missing_timestamps,
        sack,
        ecn,
        congestion,
        hystart,
        pacing,
        send_buffer,
        receive_buffer,
        delayed_ack,
        quick_acks,
        initial_window,
        nodelay,
        linger,
        user_timeout,
        orphan_timeout,
        challenge_acks_per_s,
        ..
    } = &engine.habits;
    let rows = [
        ("msl", human_duration(in_force.msl())),
        ("msl-on-link", time(in_force.msl_on_link(), "that of msl")),
        ("time-wait", policy(in_force.time_wait()).to_owned()),
        ("rfc1337", switch(*rfc1337)),
        ("linger", time(*linger, "off")),
        ("max-connections", max_connections.to_string()),
        ("max-time-wait", max_time_wait.to_string()),
        ("syn-cache", engine.limits.syn_cache.to_string()),
        ("syn-cookies", cookies(in_force.syn_cookies()).to_owned()),
        ("syn-limit", in_force.syn_limit().map_or_else(|| "off".to_owned(), |n| n.to_string())),
        ("congestion", format!("{congestion:?}").to_lowercase()),
        ("hystart", switch(*hystart)),
        ("initial-window", initial_window.to_string()),
        ("pacing", switch(*pacing)),
        ("mss", mss.map_or_else(|| "by the MTU".to_owned(), |mss| mss.to_string())),
        ("rto-min", human_duration(*rto_min)),
        ("delayed-ack", human_duration(*delayed_ack)),
        ("quick-acks", quick_acks.to_string()),
        ("nodelay", switch(*nodelay)),
        ("sack", switch(*sack)),
        ("ecn", switch(*ecn)),
        ("timestamps", switch(*timestamps)),
        ("tolerate-missing-timestamps", switch(*tolerate_missing_timestamps)),
        ("window-scale", switch(*window_scale)),
        ("send-buffer", send_buffer.to_string()),
        ("receive-buffer", receive_buffer.to_string()),
        ("challenge-acks", challenge_acks_per_s.to_string()),
        ("user-timeout", time(*user_timeout, "by retries")),
        ("orphan-timeout", human_duration(*orphan_timeout)),
    ];
    for (name, value) in rows {
        row(&mut out, name, &value);
    }
    out
}
