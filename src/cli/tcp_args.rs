//! The options for TCP's habits and limits.

use super::args::small;
use super::units;
use crate::engine::Limits;
use crate::tcp::{self, TimeWaitPolicy};
use clap::{Args, ValueEnum};
use core::time::Duration;

/// Habits and limits of TCP.
#[derive(Debug, Args)]
#[command(next_help_heading = "TCP options")]
pub struct TcpArgs {
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub msl: Option<Duration>,
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
    /// Congestion control
    #[arg(long, value_enum, default_value_t = Congestion::Newreno)]
    pub congestion: Congestion,
    /// Largest segment to announce and send, in octets of payload [default: by the MTU]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 88, 65_495))]
    pub mss: Option<u16>,
    /// Smallest retransmission time-out [default: 200ms]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub rto_min: Option<Duration>,
    /// Timestamps, RFC 7323 [default: on]
    #[arg(long, value_enum)]
    pub timestamps: Option<Switch>,
    /// Window scaling, RFC 7323 [default: on]
    #[arg(long, value_enum)]
    pub window_scale: Option<Switch>,
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

/// Congestion controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Congestion {
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

impl TcpArgs {
    /// Puts what was said in the place of defaults.
    pub fn apply(&self, tcp: &mut tcp::Config, limits: &mut Limits) {
        let TcpArgs {
            msl,
            time_wait,
            rfc1337,
            linger,
            max_connections,
            max_time_wait,
            congestion: Congestion::Newreno,
            mss,
            rto_min,
            timestamps,
            window_scale,
        } = self;
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        let on = |switch: &Option<Switch>| switch.map(|switch| switch == Switch::On);
        set(&mut tcp.msl, *msl);
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
        set(&mut tcp.timestamps, on(timestamps));
        set(&mut tcp.window_scale, on(window_scale));
        tcp.mss = mss.or(tcp.mss);
        set(&mut limits.max_connections, max_connections.map(|n| n as u32));
        set(&mut limits.max_time_wait, max_time_wait.map(|n| n as u32));
    }
}
