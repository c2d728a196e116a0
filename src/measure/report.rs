//! The result of a run: the object that `--json` writes.
//!
//! Keys are fixed; more may come to stand beside them. Times are nanoseconds, rates are for a second
//! of the measured window.
//!
//! Counts (connections, requests, bytes, packets, drops, `tcp`) are of the whole run, so that they
//! add up with one another. Rates, cycles and histograms are of the measured window alone: from the
//! end of the warm-up to the moment when no more work was begun. A request that was under way at
//! that moment is still waited for and recorded, else the slowest would be missing.

use super::histogram::Summary;
use super::interval::Interval;
use super::overhead::Overhead;
use super::rate::{Totals, per_second, ratio};
use crate::port::version_of_dpdk;
use crate::tcp::{SynCookies, TimeWaitPolicy};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the shape below.
pub const SCHEMA: u32 = 1;

/// The kinds of time that a result tells, the one that says most first.
pub const KINDS: [&str; 4] = ["latency", "service", "connect", "close"];

/// What a result calls the times that the client itself came late.
pub const BEHIND: &str = "behind";

/// What a result calls the times that requests waited which were never answered.
pub const UNANSWERED: &str = "unanswered";

/// Is the figure at this path, such as `latency.p99`, a time in nanoseconds?
pub fn is_time(path: &str) -> bool {
    path.split_once('.').is_some_and(|(kind, figure)| {
        (KINDS.contains(&kind) || [BEHIND, UNANSWERED].contains(&kind)) && figure != "count"
    })
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the program that made the report.
    pub version: String,
    /// The version of DPDK that it ran with, such as `22.11.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpdk: Option<String>,
    /// `loopback`, `server` or `client`.
    pub command: String,
    /// The workload, or for a server its application.
    pub workload: String,
    /// The profile's name.
    pub profile: String,
    /// Engines on each side.
    pub cores: u32,
    /// Length of the measured window in seconds.
    pub duration_s: f64,
    /// Did the client keep to a schedule of its own?
    #[serde(rename = "loop")]
    pub pacing: Pacing,
    /// Connections, as the client counts them (a server without a client: as the server does).
    pub connections: Connections,
    /// Requests.
    pub requests: Requests,
    /// Payload.
    pub bytes: Bytes,
    /// Intended start to the last octet of the response; `None` unless the loop is open.
    pub latency: Option<Summary>,
    /// Request sent to the last octet of the response.
    pub service: Option<Summary>,
    /// SYN sent to established.
    pub connect: Option<Summary>,
    /// Our FIN to the final state.
    pub close: Option<Summary>,
    /// How late the client itself began what was due while a connection was free for it; `None` unless
    /// the loop is open. What is late by this is no fault of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Summary>,
    /// How long requests waited that were not answered: to the end of the run, or until they were given up.
    /// In an open loop `latency` counts them with that, which bounds its percentiles from below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Summary>,
    /// What measuring cost; `None` of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
    /// Connections that failed, those reset though nobody was asked to reset any, and requests that were
    /// answered with an error, given up or never answered.
    #[serde(default)]
    pub errors: u64,
    /// Why the run failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// How many seconds the server had owed an answer when the run ended; `None` if it had answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer_s: Option<f64>,
    /// Why connections failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureRow>,
    /// What was expected of the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Judged>,
    /// What the client did from one periodic line to the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
    /// What the engines of the only side did (commands `server` and `client`).
    #[serde(flatten)]
    pub side: Option<Side>,
    /// What the client's engines did (command `loopback`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<LoopbackSide>,
    /// What the server's engines did (command `loopback`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<LoopbackSide>,
}

impl Report {
    /// A report with a place for every figure, all of them zero.
    pub fn blank() -> Self {
        Report {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dpdk: version_of_dpdk(),
            command: String::new(),
            workload: String::new(),
            profile: String::new(),
            cores: 0,
            duration_s: 0.0,
            pacing: Pacing::Peer,
            connections: Connections::default(),
            requests: Requests::default(),
            bytes: Bytes::default(),
            latency: Some(Summary::default()),
            service: Some(Summary::default()),
            connect: Some(Summary::default()),
            close: Some(Summary::default()),
            behind: Some(Summary::default()),
            unanswered: Some(Summary::default()),
            overhead: Some(Overhead::default()),
            errors: 0,
            error: None,
            no_answer_s: None,
            failures: Vec::new(),
            expect: Vec::new(),
            intervals: Vec::new(),
            side: Some(Side::default()),
            client: None,
            server: None,
        }
    }
}

impl Report {
    /// Its times by [kind](KINDS), what the client came late itself, and how long requests waited in vain.
    pub fn times(&self) -> [(&'static str, Option<Summary>); 6] {
        let [latency, service, connect, close] = KINDS;
        [
            (latency, self.latency),
            (service, self.service),
            (connect, self.connect),
            (close, self.close),
            (BEHIND, self.behind),
            (UNANSWERED, self.unanswered),
        ]
    }

    /// Adds the counts and rates of a run of another host at the same time. What does not add up, as
    /// percentiles, stays as it is.
    pub fn add(&mut self, other: &Report) {
        let Report { connections, requests, bytes, .. } = other;
        self.cores += other.cores;
        self.duration_s = self.duration_s.max(other.duration_s);
        self.errors += other.errors;
        self.connections.opened += connections.opened;
        self.connections.established += connections.established;
        self.connections.closed += connections.closed;
        self.connections.failed += connections.failed;
        self.connections.reset += connections.reset;
        self.connections.closed_by_peer += connections.closed_by_peer;
        self.connections.per_s += connections.per_s;
        self.connections.peak += connections.peak;
        self.requests.completed += requests.completed;
        self.requests.per_s += requests.per_s;
        self.requests.not_started += requests.not_started;
        self.requests.refused += requests.refused;
        self.requests.unanswered += requests.unanswered;
        self.requests.timed_out += requests.timed_out;
        for FailureRow { kind, count, example } in &other.failures {
            let alike = |row: &&mut FailureRow| row.kind == *kind && row.example == *example;
            match self.failures.iter_mut().find(alike) {
                Some(row) => row.count += count,
                None => self.failures.push(FailureRow {
                    kind: kind.clone(),
                    count: *count,
                    example: example.clone(),
                }),
            }
        }
        self.bytes.sent += bytes.sent;
        self.bytes.received += bytes.received;
        self.bytes.sent_per_s += bytes.sent_per_s;
        self.bytes.received_per_s += bytes.received_per_s;
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// For programs: `setup` (it never began), `no_answer`, `no_connection`, `no_response`,
    /// `error_responses`, `connections_lost`, `output` (results could not be written) or `run`.
    pub kind: String,
    /// For people: the line that the program ended with.
    pub message: String,
}

impl RunError {
    /// An error of this kind.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        RunError { kind: kind.to_owned(), message: message.into() }
    }
}

/// The result of a run that has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the program.
    pub version: String,
    /// `loopback`, `server` or `client`.
    pub command: String,
    /// Why there is no more.
    pub error: RunError,
}

/// Connections that failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRow {
    /// The reason, in a word for scripts: `refused`, `no_valid_response`, `cut_short`, ...
    pub kind: String,
    /// How many.
    pub count: u64,
    /// The first of them in words.
    pub example: String,
}

/// A criterion, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// As it was given.
    pub criterion: String,
    /// The figure; `None` if there is none.
    pub value: Option<f64>,
    /// Was it met?
    pub met: bool,
}

/// Who decides when a request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// The answer to the one before: there is only service time.
    Closed,
    /// A schedule: latency counts from the intended start.
    Open,
    /// The peer: this side only serves.
    Peer,
}

/// Connections over the whole run. `opened = closed + failed + reset + still open`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Begun; at a server, accepted.
    pub opened: u64,
    /// Established.
    pub established: u64,
    /// Ended in an orderly way, a FIN from each side.
    pub closed: u64,
    /// Refused, unreachable, timed out, or given up.
    pub failed: u64,
    /// Ended by a RST, from either side.
    pub reset: u64,
    /// Among those that were closed: the peer did so, unasked.
    #[serde(default)]
    pub closed_by_peer: u64,
    /// Established in a second of the measured window.
    pub per_s: f64,
    /// Most at one time.
    pub peak: u64,
}

/// Requests and their responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Answered to the last octet, in the whole run.
    pub completed: u64,
    /// In a second of the measured window.
    pub per_s: f64,
    /// Due by the schedule before the end, but never begun, for want of a free connection. Their
    /// waiting is in no histogram: with more than a few of them the rate was too high.
    pub not_started: u64,
    /// Answered, but with an error (an HTTP status of 400 or above).
    #[serde(default)]
    pub refused: u64,
    /// Never answered: their connection failed, or the run was over.
    #[serde(default)]
    pub unanswered: u64,
    /// Given up since the answer took longer than `--request-timeout` allows.
    #[serde(default)]
    pub timed_out: u64,
}

/// Payload octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bytes {
    /// Sent in the whole run.
    pub sent: u64,
    /// Received in the whole run.
    pub received: u64,
    /// Sent in a second of the measured window.
    pub sent_per_s: f64,
    /// Received in a second of the measured window.
    pub received_per_s: f64,
}

/// What the engines of one side did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Frames.
    pub packets: Packets,
    /// Clock cycles.
    pub cycles: Cycles,
    /// TIME-WAIT.
    pub time_wait: TimeWait,
    /// Half-open connections.
    pub syn: Syn,
    /// How often the link of the port went down.
    #[serde(default)]
    pub link_downs: u64,
    /// Frames that were received and handled, by kind. With those that `drops` tells of, but for
    /// `answer_shed`, `control_queue`, `icmp_limited` and what ports lost, they are all that were received.
    #[serde(default)]
    pub handled: BTreeMap<String, u64>,
    /// Frames that went no further, by reason.
    pub drops: BTreeMap<String, u64>,
    /// TCP counters under `nstat`'s names.
    pub tcp: BTreeMap<String, u64>,
}

/// One side of a loopback run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopbackSide {
    /// Connections as this side counts them.
    pub connections: Connections,
    /// Requests as this side counts them.
    pub requests: Requests,
    /// Payload as this side counts it.
    pub bytes: Bytes,
    /// What its engines did.
    #[serde(flatten)]
    pub side: Side,
}

/// Frames over the whole run, and their rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Packets {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
    /// Received in a second of the measured window.
    pub rx_per_s: f64,
    /// Sent in a second of the measured window.
    pub tx_per_s: f64,
}

/// Cycles of the time stamp counter, in the measured window.
///
/// Only polls that received, sent or fired something count as busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    /// Cycles in a second.
    pub tsc_hz: u64,
    /// Busy part, from 0 to 1.
    pub busy: f64,
    /// Busy cycles for each frame received or sent.
    pub per_packet: f64,
    /// Busy cycles for each request.
    pub per_request: f64,
    /// Busy cycles for each connection established.
    pub per_connection: f64,
}

impl Cycles {
    /// The cycles of a measured window.
    pub fn of(window: &Totals, tsc_hz: u64) -> Self {
        let each = |count| ratio(window.busy_cycles, count);
        Cycles {
            tsc_hz,
            busy: window.busy(),
            per_packet: each(window.packets_rx + window.packets_tx),
            per_request: each(window.requests),
            per_connection: each(window.connections),
        }
    }
}

/// TIME-WAIT over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeWait {
    /// What was done with a 4-tuple in TIME-WAIT.
    #[serde(default)]
    pub policy: TimeWaitPolicy,
    /// Entries at the end.
    pub current: u64,
    /// Most entries at one time.
    pub peak: u64,
    /// Connections that entered.
    pub entered: u64,
    /// Entries whose 2·MSL ran out.
    pub expired: u64,
    /// Entries that gave way to a new incarnation (RFC 6191), either way.
    pub reused: u64,
    /// Entries given up because the limit was reached.
    pub recycled: u64,
    /// RSTs ignored (RFC 1337).
    pub rst_ignored: u64,
    /// Repeated FINs acknowledged again.
    pub fin_reacked: u64,
    /// Memory of one IPv4 entry in octets, its table slot and wheel link included.
    pub bytes_per_entry: u64,
    /// Memory of one IPv6 entry in octets, its table slot and wheel link included.
    #[serde(default)]
    pub bytes_per_entry_ipv6: u64,
    /// Entries that were overdue at the end, by more than 134 ms.
    #[serde(default)]
    pub backlog: u64,
    /// How late entries expired, in nanoseconds: 99 of 100 were not later than this.
    #[serde(default)]
    pub lag_p99: u64,
    /// How late the latest expired, in nanoseconds.
    #[serde(default)]
    pub lag_max: u64,
    /// Entries at the end by the time that they had left, those with the least first.
    #[serde(default)]
    pub left: Vec<TimeLeft>,
}

/// Entries with less time left than this, and not less than that of the row before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeLeft {
    /// Seconds; `None` = no bound.
    pub below_s: Option<f64>,
    /// Entries.
    pub entries: u64,
}

/// Half-open connections over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Syn {
    /// When SYNs are answered with cookies.
    pub mode: SynCookies,
    /// SYNs received by listeners.
    pub received: u64,
    /// SYN cookies sent.
    pub cookies_sent: u64,
    /// SYN cookies that came back and were good.
    pub cookies_accepted: u64,
    /// SYN cookies that came back and were not.
    pub cookies_rejected: u64,
    /// Entries of the SYN cache at the end.
    pub cache_current: u64,
    /// The most that there were at a time.
    pub cache_peak: u64,
    /// SYNs that found no room, in the cache or in the backlog.
    pub cache_overflow: u64,
    /// Listeners that answer with cookies because they had no room.
    pub cookies_active: u64,
    /// SYNs dropped by the limit of their source.
    pub limited: u64,
    /// Octets that an IPv4 entry of the SYN cache takes, all in.
    pub bytes_per_entry: u64,
    /// The same over IPv6.
    pub bytes_per_entry_ipv6: u64,
}

impl Requests {
    /// Of `whole` run, with the rate of its `window`.
    pub fn of(whole: &Totals, window: &Totals, span: Duration) -> Self {
        Requests {
            completed: whole.requests,
            per_s: per_second(window.requests, span),
            ..Requests::default()
        }
    }
}

impl Bytes {
    /// Of `whole` run, with the rates of its `window`.
    pub fn of(whole: &Totals, window: &Totals, span: Duration) -> Self {
        Bytes {
            sent: whole.bytes_sent,
            received: whole.bytes_received,
            sent_per_s: per_second(window.bytes_sent, span),
            received_per_s: per_second(window.bytes_received, span),
        }
    }
}

impl Packets {
    /// Of `whole` run, with the rates of its `window`.
    pub fn of(whole: &Totals, window: &Totals, span: Duration) -> Self {
        Packets {
            rx: whole.packets_rx,
            tx: whole.packets_tx,
            rx_per_s: per_second(window.packets_rx, span),
            tx_per_s: per_second(window.packets_tx, span),
        }
    }
}

#[cfg(test)]
mod tests;
