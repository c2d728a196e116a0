//! What a load is told at its beginning.

use super::super::http;
use super::super::schedule::Arrival;
use super::super::stream::Direction;
use crate::net::range::HostRange;
use core::net::SocketAddr;
use core::time::Duration;

/// Who closes a connection first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseBy {
    /// The client, by FIN: TIME-WAIT is the client's.
    Client,
    /// The server, by FIN: TIME-WAIT is the server's.
    Server,
    /// The client, by RST: no TIME-WAIT.
    Reset,
}

/// Sizes that client and server have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Octets of a request, at least 1.
    pub request_size: u32,
    /// Octets of a response, at least 1.
    pub response_size: u32,
}

/// What a workload shall do.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// The server.
    pub remote: SocketAddr,
    /// The addresses that connections come from by turns; `None` = the one that the stack chooses.
    pub sources: Option<HostRange>,
    /// Connections at a time, at least 1.
    pub connections: u32,
    /// Requests under way on each connection, at least 1.
    pub pipeline: u16,
    /// Arrivals in a second and their spacing for an open loop; `None` = closed loop.
    pub pace: Option<(f64, Arrival)>,
    /// Sizes.
    pub shape: Shape,
    /// What the workload `http` asks for.
    pub http: Option<http::Request>,
    /// Which way octets go in the workload [`Stream`](crate::app::workload::Stream).
    pub direction: Direction,
    /// Requests before a connection is closed; `None` = it stays.
    pub requests_per_connection: Option<u32>,
    /// Who closes it then.
    pub close: CloseBy,
    /// What begins within this time from the start is not recorded.
    pub warmup: Duration,
    /// How long the rate (open loop) or the number of connections (closed loop) grows from nothing.
    pub ramp: Duration,
    /// How long the workload [`Stream`](crate::app::workload::Stream) holds a connection; `None` = to the end.
    pub hold: Option<Duration>,
    /// How long what is under way may go on after the stop.
    pub drain: Duration,
    /// How long an answer may take before its request is given up; `None` = to the end.
    pub request_timeout: Option<Duration>,
    /// Are times recorded?
    pub record: bool,
    /// Seed of the schedule.
    pub seed: u64,
}

impl LoadConfig {
    /// A closed loop of one connection to `remote` at a time, that never ends by itself and carries one
    /// octet each way; all of it is recorded.
    pub const fn new(remote: SocketAddr) -> Self {
        LoadConfig {
            remote,
            sources: None,
            connections: 1,
            pipeline: 1,
            pace: None,
            shape: Shape { request_size: 1, response_size: 1 },
            http: None,
            direction: Direction::Idle,
            requests_per_connection: None,
            close: CloseBy::Client,
            warmup: Duration::ZERO,
            ramp: Duration::ZERO,
            hold: None,
            drain: super::DRAIN,
            request_timeout: None,
            record: true,
            seed: 0,
        }
    }
}
