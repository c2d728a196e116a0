//! The options for TCP's habits and limits.

use super::args::small;
use super::{files, units};
use crate::engine::Limits;
use crate::tcp::congestion::Algorithm;
use crate::tcp::{self, SynCookies, TimeWaitPolicy};
use clap::{Args, ValueEnum};
use core::time::Duration;
use std::path::{Path, PathBuf};

/// Habits and limits of TCP.
#[derive(Debug, Args)]
#[command(next_help_heading = "TCP options")]
pub struct TcpArgs {
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long; 480s at most [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = msl)]
    pub msl: Option<Duration>,
    /// Maximum segment lifetime towards hosts on the same link [default: that of --msl]
    #[arg(long, value_name = "TIME", value_parser = msl)]
    pub msl_on_link: Option<Duration>,
    /// What a 4-tuple in TIME-WAIT may be reused for [default: reuse]
    #[arg(long, value_enum)]
    pub time_wait: Option<TimeWaitArg>,
    /// Ignore RST in TIME-WAIT [default: on]
    #[arg(long, value_enum)]
    pub rfc1337: Option<Switch>,
    /// SO_LINGER: off, 0s = close by RST, or a time to wait for the last ACK [default: off]
    #[arg(long, value_name = "TIME|off", value_parser = linger)]
    pub linger: Option<Linger>,
    /// Connections of an engine at one time [default: 262144]
    #[arg(long, value_name = "N", value_parser = |t: &str| units::count(t, 1, 100_000_000))]
    pub max_connections: Option<u64>,
    /// Entries in TIME-WAIT of an engine [default: 4194304]
    #[arg(long, value_name = "N", value_parser = |t: &str| units::count(t, 1, 100_000_000))]
    pub max_time_wait: Option<u64>,
    /// Half-open connections of an engine [default: 65536]
    #[arg(long, value_name = "N", value_parser = |t: &str| units::count(t, 1, 100_000_000))]
    pub syn_cache: Option<u64>,
    /// Octets that all connections of an engine together may hold, sent and received [default: 1G]
    #[arg(long, value_name = "B", value_parser = |t: &str| units::size(t, 1 << 16, 1 << 42))]
    pub buffer_memory: Option<u64>,
    /// SYN cookies: auto = while the SYN cache or a backlog has no room [default: auto]
    #[arg(long, value_enum)]
    pub syn_cookies: Option<SynCookiesArg>,
    /// File with the secret of SYN cookies, 32 hexadecimal digits, for hosts that share an address
    /// and have clocks that agree [default: random]
    #[arg(long, value_name = "FILE")]
    pub syn_secret: Option<PathBuf>,
    /// SYNs that a source (IPv4 address, IPv6 /64) may send in a second [default: off]
    #[arg(long, value_name = "N|off", value_parser = syn_limit)]
    pub syn_limit: Option<SynLimit>,
    /// Congestion control [default: cubic]
    #[arg(long, value_enum)]
    pub congestion: Option<Congestion>,
    /// Leave slow start when the delay rises, HyStart++ of RFC 9406 [default: on]
    #[arg(long, value_enum)]
    pub hystart: Option<Switch>,
    /// Initial congestion window, in segments [default: 10]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 1, 255))]
    pub initial_window: Option<u16>,
    /// Spread a window over the round trip instead of sending it at once [default: off]
    #[arg(long, value_enum)]
    pub pacing: Option<Switch>,
    /// Largest segment to announce and send, in octets of payload [default: by the MTU]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 88, 65_495))]
    pub mss: Option<u16>,
    /// Smallest retransmission time-out [default: 200ms]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub rto_min: Option<Duration>,
    /// Longest wait of an ACK for company [default: 40ms]
    #[arg(long, value_name = "TIME", value_parser = delayed_ack)]
    pub delayed_ack: Option<Duration>,
    /// Segments that a new connection acknowledges without delay [default: 16]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 0, 255))]
    pub quick_acks: Option<u16>,
    /// Send what there is without waiting for a full segment, Nagle's algorithm off [default: off]
    #[arg(long, value_enum)]
    pub nodelay: Option<Switch>,
    /// SACK, RFC 2018, and with it RACK and tail loss probes [default: on]
    #[arg(long, value_enum)]
    pub sack: Option<Switch>,
    /// ECN, RFC 3168 [default: off]
    #[arg(long, value_enum)]
    pub ecn: Option<Switch>,
    /// Timestamps, RFC 7323 [default: on]
    #[arg(long, value_enum)]
    pub timestamps: Option<Switch>,
    /// Take segments that lack the timestamp agreed on, which RFC 7323 says to drop [default: off]
    #[arg(long, value_enum)]
    pub tolerate_missing_timestamps: Option<Switch>,
    /// Window scaling, RFC 7323 [default: on]
    #[arg(long, value_enum)]
    pub window_scale: Option<Switch>,
    /// Octets that a connection may hold unsent and unacknowledged [default: 1M]
    #[arg(long, value_name = "B", value_parser = |t: &str| units::size(t, 2_048, 1 << 30))]
    pub send_buffer: Option<u64>,
    /// Octets that a connection may hold unread, the limit of its window [default: 1M]
    #[arg(long, value_name = "B", value_parser = |t: &str| units::size(t, 2_048, (1 << 30) - 1))]
    pub receive_buffer: Option<u64>,
    /// Challenge ACKs of a connection in a second, RFC 5961 [default: 10]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 0, 255))]
    pub challenge_acks: Option<u16>,
    /// Give up a connection whose data has waited this long for its ACK [default: by retries]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub user_timeout: Option<Duration>,
    /// Reset a closed connection whose peer takes nothing for this long [default: 100s]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub orphan_timeout: Option<Duration>,
    /// Secret of sequence numbers, ports and hashes, for runs that repeat [default: random]
    #[arg(long, value_name = "N", value_parser = |t: &str| units::count(t, 0, u64::MAX))]
    pub seed: Option<u64>,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Switch {
    On,
    Off,
}

/// Policies of TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeWaitArg {
    /// A new SYN waits for the end of 2·MSL
    Strict,
    /// An acceptable SYN reopens the connection (RFC 6191)
    Reuse,
    /// No TIME-WAIT; for benchmarks only
    Off,
}

/// When SYNs are answered with cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SynCookiesArg {
    /// Never: without room a SYN is dropped
    Off,
    /// From when there is no room until half of it is free
    Auto,
    /// Always
    Always,
}

impl From<SynCookiesArg> for SynCookies {
    fn from(arg: SynCookiesArg) -> Self {
        match arg {
            SynCookiesArg::Off => SynCookies::Off,
            SynCookiesArg::Auto => SynCookies::Auto,
            SynCookiesArg::Always => SynCookies::Always,
        }
    }
}

/// What `--syn-limit` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynLimit(pub Option<u16>);

pub(super) fn syn_limit(text: &str) -> Result<SynLimit, String> {
    match text {
        "off" => Ok(SynLimit(None)),
        number => small(number, 1, 65_534)
            .map(|number| SynLimit(Some(number)))
            .map_err(|error| format!("{error}, or off")),
    }
}

/// The secret in a file: 32 hexadecimal digits, white space around them.
///
/// # Errors
/// What is wrong with the file.
pub fn read_secret(path: &Path) -> Result<[u8; 16], String> {
    let name = path.display();
    let text = files::read(path, 4_096).map_err(|why| format!("--syn-secret {name}: {why}"))?;
    let digits = text.trim();
    let hexadecimal = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| hexadecimal);
    number.map(u128::to_be_bytes).ok_or_else(|| {
        format!("--syn-secret {name}: 32 hexadecimal digits are expected, as `openssl rand -hex 16` prints")
    })
}

/// Congestion controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Congestion {
    /// RFC 9438
    Cubic,
    /// RFC 5681, RFC 6582
    Newreno,
}

/// What `--linger` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger(pub Option<Duration>);

fn linger(text: &str) -> Result<Linger, String> {
    match text {
        "off" => Ok(Linger(None)),
        time => units::time(time)
            .map(|time| Linger(Some(time)))
            .map_err(|error| format!("{error}, or off")),
    }
}

/// A maximum segment lifetime.
pub(super) fn msl(text: &str) -> Result<Duration, String> {
    match units::time(text)? {
        time if tcp::Config::is_msl(time) => Ok(time),
        _ => Err("a time above zero and up to 480s is expected, as in 30s".to_owned()),
    }
}

/// RFC 5681 §4.2: less than half a second.
fn delayed_ack(text: &str) -> Result<Duration, String> {
    match units::time(text)? {
        time if time < Duration::from_millis(500) => Ok(time),
        _ => Err("a time under 500ms is expected, as in 40ms".to_string()),
    }
}

impl TcpArgs {
    /// Puts what was said in the place of defaults.
    pub fn apply(&self, tcp: &mut tcp::Config, limits: &mut Limits) {
        let TcpArgs {
            msl,
            msl_on_link,
            time_wait,
            rfc1337,
            linger,
            max_connections,
            max_time_wait,
            buffer_memory,
            congestion,
            hystart,
            initial_window,
            pacing,
            mss,
            rto_min,
            delayed_ack,
            quick_acks,
            nodelay,
            sack,
            ecn,
            timestamps,
            tolerate_missing_timestamps,
            window_scale,
            send_buffer,
            receive_buffer,
            challenge_acks,
            user_timeout,
            orphan_timeout,
            syn_cache,
            syn_cookies,
            syn_limit,
            syn_secret: _,
            seed: _,
        } = self;
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        let on = |switch: &Option<Switch>| switch.map(|switch| switch == Switch::On);
        set(&mut tcp.msl, *msl);
        tcp.msl_on_link = msl_on_link.or(tcp.msl_on_link);
        set(
            &mut tcp.time_wait,
            time_wait.map(|policy| match policy {
                TimeWaitArg::Strict => TimeWaitPolicy::Strict,
                TimeWaitArg::Reuse => TimeWaitPolicy::Reuse,
                TimeWaitArg::Off => TimeWaitPolicy::Off,
            }),
        );
        set(&mut tcp.rfc1337, on(rfc1337));
        set(&mut tcp.linger, linger.map(|Linger(time)| time));
        set(&mut tcp.rto_min, *rto_min);
        set(
            &mut tcp.congestion,
            congestion.map(|algorithm| match algorithm {
                Congestion::Cubic => Algorithm::Cubic,
                Congestion::Newreno => Algorithm::NewReno,
            }),
        );
        set(&mut tcp.hystart, on(hystart));
        set(&mut tcp.initial_window, initial_window.map(|n| n as u8));
        set(&mut tcp.pacing, on(pacing));
        set(&mut tcp.delayed_ack, *delayed_ack);
        set(&mut tcp.quick_acks, quick_acks.map(|n| n as u8));
        set(&mut tcp.nodelay, on(nodelay));
        set(&mut tcp.sack, on(sack));
        set(&mut tcp.ecn, on(ecn));
        set(&mut tcp.timestamps, on(timestamps));
        set(&mut tcp.tolerate_missing_timestamps, on(tolerate_missing_timestamps));
        set(&mut tcp.window_scale, on(window_scale));
        set(&mut tcp.send_buffer, send_buffer.map(|octets| octets as u32));
        set(&mut tcp.receive_buffer, receive_buffer.map(|octets| octets as u32));
        set(&mut tcp.challenge_acks_per_s, challenge_acks.map(|n| n as u8));
        set(&mut tcp.syn_cookies, syn_cookies.map(SynCookies::from));
        set(&mut tcp.syn_limit_per_s, syn_limit.map(|SynLimit(limit)| limit));
        set(&mut limits.syn_cache, syn_cache.map(|n| n as u32));
        set(&mut tcp.orphan_timeout, *orphan_timeout);
        tcp.user_timeout = user_timeout.or(tcp.user_timeout);
        tcp.mss = mss.or(tcp.mss);
        set(&mut limits.max_connections, max_connections.map(|n| n as u32));
        set(&mut limits.buffer_bytes, *buffer_memory);
        set(&mut limits.max_time_wait, max_time_wait.map(|n| n as u32));
    }
}
