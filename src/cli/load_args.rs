//! The arguments of a load, and what they say together.

use super::Failure;
use super::args::{AppName, small, socket, wrong};
use super::expect::Criterion;
use super::tcp_args::Switch;
use super::units;
use crate::app::workload::{Arrival, CloseBy, Direction, Shape, http};
use crate::net::address::Cidr;
use clap::{Args, ValueEnum};
use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;

/// Largest request, response.
const MAX_MESSAGE: u64 = 1 << 30;

/// Options of a client.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// What to do
    #[arg(long, value_enum, default_value_t = Workload::Crr)]
    pub workload: Workload,
    /// The server [default: the profile's server address, and the port of the server that the workload
    /// is for: connect, crr, rr 9000, http 80, stream 9 or 19]
    #[arg(long, value_name = "ADDR:PORT", value_parser = socket)]
    pub connect: Option<SocketAddr>,
    /// Take the client's addresses by turns from all hosts of this network, to have more than one address's
    /// 32768 ports; the server needs a route to it (loopback: has one)
    #[arg(long, value_name = "CIDR")]
    pub client_addresses: Option<Cidr>,
    /// Connections at one time
    #[arg(long, value_name = "N", default_value = "64", value_parser = |t: &str| units::count(t, 1, 10_000_000))]
    pub connections: u64,
    /// Open loop: connections (connect, crr) or requests (rr, http) begun in a second [default: closed
    /// loop]
    #[arg(long, value_name = "N/s", value_parser = units::rate)]
    pub rate: Option<f64>,
    /// Time in which the rate (closed loop: the number of connections) grows from nothing
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::time)]
    pub ramp: Duration,
    /// Spacing of an open loop [default: fixed]
    #[arg(long, value_enum, requires = "rate")]
    pub arrival: Option<ArrivalArg>,
    /// Requests under way on a connection (rr, http)
    #[arg(long, value_name = "N", default_value = "1", value_parser = |t: &str| small(t, 1, 1_024))]
    pub pipeline: u16,
    /// Requests before a connection is closed [default: crr 1, rr and http no limit]
    #[arg(long, value_name = "N", value_parser = |t: &str| units::count(t, 1, 4_000_000_000))]
    pub requests_per_connection: Option<u64>,
    /// Who closes then: client or server by FIN (and has the TIME-WAIT), or the client by RST [default:
    /// server; connect and stream: client]
    #[arg(long, value_enum)]
    pub close: Option<CloseArg>,
    /// Which way octets go (stream) [default: send]
    #[arg(long, value_enum)]
    pub direction: Option<DirectionArg>,
    /// What to ask for (http) [default: /]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// The host to ask for it [default: that of --connect]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// A field of the request's head (http); repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// How long a connection is held (connect, stream), so that a rate opens as many as are closed
    /// [default: to the end]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub hold: Option<Duration>,
    /// How long connections and requests that are under way at the end of a run may take to end; sooner if
    /// the server does not answer any more
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time)]
    pub drain: Duration,
    /// Give a request up whose answer takes longer, and its connection with it (crr, rr, http); crr counts
    /// from the SYN [default: wait to the end]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub request_timeout: Option<Duration>,
    /// Record how long things take; off = only counts and rates [default: on]
    #[arg(long, value_enum)]
    pub record: Option<Switch>,
    /// Write the percentile distribution of the service time (open loop: of the latency)
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write the histograms of each interval as a log that HdrHistogram's tools read
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Write the rates and percentiles of each interval as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// What is expected of the result, such as 'latency.p99<200us' or 'errors==0': a figure of the JSON
    /// result, <, <=, ==, !=, >= or >, and a bound; repeatable. Exit status 3 if one is missed
    #[arg(long, value_name = "EXPR")]
    pub expect: Vec<Criterion>,
}

/// What client and server of the workloads have to agree on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sizes of the workloads crr and rr, the same at client and server")]
pub struct ShapeArgs {
    /// Octets of a request
    #[arg(long, value_name = "B", default_value = "64", value_parser = |t: &str| units::size(t, 1, MAX_MESSAGE))]
    pub request_size: u64,
    /// Octets of a response
    #[arg(long, value_name = "B", default_value = "64", value_parser = |t: &str| units::size(t, 1, MAX_MESSAGE))]
    pub response_size: u64,
}

/// The workloads of `client` and `loopback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Open connections and hold them
    Connect,
    /// Connect, request, response, close
    Crr,
    /// Requests and responses over connections that stay
    Rr,
    /// As many octets as get through
    Stream,
    /// Requests and responses of HTTP/1.1, to any server
    Http,
}

impl Workload {
    /// Its name as the command line spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Workload::Connect => "connect",
            Workload::Crr => "crr",
            Workload::Rr => "rr",
            Workload::Stream => "stream",
            Workload::Http => "http",
        }
    }
}

/// Which way octets go, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionArg {
    /// To a server that takes them (discard)
    Send,
    /// From a server that gives them (chargen)
    Receive,
    /// Both, with a server that does both (chargen)
    Both,
}

/// Spacing of arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalArg {
    /// Even
    Fixed,
    /// Exponentially distributed gaps
    Poisson,
}

/// Who closes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CloseArg {
    /// The client, by FIN
    Client,
    /// The server, by FIN
    Server,
    /// The client, by RST
    Reset,
}

impl LoadArgs {
    pub(super) fn check(&self) -> Result<(), Failure> {
        use Workload::{Connect, Crr, Http, Stream};
        let name = self.workload.name();
        let pipeline = self.pipeline;
        if let Some(many) = self.requests_per_connection.filter(|many| *many != 1)
            && self.workload == Crr
        {
            return Err(wrong(format!(
                "--requests-per-connection {many}: crr makes 1 on each connection; use --workload rr"
            )));
        }
        if self.workload == Crr && pipeline != 1 {
            return Err(wrong(format!(
                "--pipeline {pipeline}: crr has 1 request under way; use --workload rr"
            )));
        }
        let held = matches!(self.workload, Connect | Stream);
        if held && (self.pipeline != 1 || self.requests_per_connection.is_some()) {
            let option =
                if self.pipeline != 1 { "--pipeline" } else { "--requests-per-connection" };
            return Err(wrong(format!("{option}: {name} makes no requests; use rr or http")));
        }
        if held && self.close == Some(CloseArg::Server) {
            return Err(wrong(format!(
                "--close server: nobody asks the server of {name} to close; client or reset is expected"
            )));
        }
        for (option, given, of) in [
            ("--direction", self.direction.is_some(), Stream),
            ("--path", self.path.is_some(), Http),
            ("--host", self.host.is_some(), Http),
            ("--header", !self.header.is_empty(), Http),
        ] {
            if given && self.workload != of {
                let of = of.name();
                return Err(wrong(format!("{option} is for --workload {of}, not for {name}")));
            }
        }
        if self.workload == Stream
            && let Some(rate) = self.rate
        {
            return Err(wrong(format!(
                "--rate {rate}: stream sends what gets through; leave it out, or use another workload"
            )));
        }
        if held && self.request_timeout.is_some() {
            return Err(wrong(format!(
                "--request-timeout: {name} makes no requests; use crr, rr or http"
            )));
        }
        if self.request_timeout == Some(Duration::ZERO) {
            return Err(wrong("--request-timeout 0s: a time above zero is expected"));
        }
        if !held && self.hold.is_some() {
            return Err(wrong(format!(
                "--hold is for --workload connect and stream, not for {name}"
            )));
        }
        if !self.records() {
            let file = [("--hgrm", &self.hgrm), ("--hlog", &self.hlog)];
            if let Some((option, _)) = file.iter().find(|(_, file)| file.is_some()) {
                return Err(wrong(format!(
                    "{option}: with --record off there are no times to write"
                )));
            }
            if let Some(criterion) = self.expect.iter().find(|expect| expect.needs_times()) {
                return Err(wrong(format!(
                    "--expect {criterion}: with --record off there are no times"
                )));
            }
        }
        if self.workload == Http {
            self.request("host")?;
        }
        if let Some(criterion) = self.expect.iter().find(|expect| expect.needs_open_loop())
            && self.rate.is_none()
        {
            return Err(wrong(format!(
                "--expect {criterion}: a closed loop has no {}; give --rate, or expect of service",
                criterion.first_key()
            )));
        }
        Ok(())
    }

    /// Are times recorded?
    pub fn records(&self) -> bool {
        self.record != Some(Switch::Off)
    }

    /// Arrivals in a second and their spacing, if the loop is open.
    pub fn pace(&self) -> Option<(f64, Arrival)> {
        let arrival = match self.arrival {
            None | Some(ArrivalArg::Fixed) => Arrival::Fixed,
            Some(ArrivalArg::Poisson) => Arrival::Poisson,
        };
        self.rate.map(|rate| (rate, arrival))
    }

    /// Requests before a connection is closed; `None` = it stays.
    pub fn requests_per_connection(&self) -> Option<u32> {
        match self.workload {
            Workload::Crr => Some(1),
            _ => self.requests_per_connection.map(|requests| requests as u32),
        }
    }

    /// Which way octets go.
    pub fn direction(&self) -> Direction {
        match self.direction {
            _ if self.workload != Workload::Stream => Direction::Idle,
            None | Some(DirectionArg::Send) => Direction::Send,
            Some(DirectionArg::Receive) => Direction::Receive,
            Some(DirectionArg::Both) => Direction::Both,
        }
    }

    /// The server that a workload is for.
    pub fn server(&self) -> AppName {
        match (self.workload, self.direction()) {
            (Workload::Http, _) => AppName::Http,
            (Workload::Stream, Direction::Send) => AppName::Discard,
            (Workload::Stream, _) => AppName::Chargen,
            _ => AppName::Rr,
        }
    }

    /// What is asked for in HTTP, of this `host` if no other is named.
    ///
    /// # Errors
    /// [`Failure::Arguments`] that names the option.
    pub fn request(&self, host: &str) -> Result<http::Request, Failure> {
        let (host, path) = (self.host.as_deref().unwrap_or(host), self.path.as_deref());
        http::Request::get(host, path.unwrap_or("/"), &self.header).map_err(|error| {
            let option = match error {
                http::BadRequest::Host(_) => "--host",
                http::BadRequest::Path(_) => "--path",
                http::BadRequest::Field(_) => "--header",
            };
            wrong(format!("{option} {error}"))
        })
    }

    /// Who closes then.
    pub fn close(&self) -> CloseBy {
        match self.close {
            Some(CloseArg::Client) => CloseBy::Client,
            Some(CloseArg::Server) => CloseBy::Server,
            Some(CloseArg::Reset) => CloseBy::Reset,
            None if matches!(self.workload, Workload::Connect | Workload::Stream) => {
                CloseBy::Client
            }
            None => CloseBy::Server,
        }
    }
}

impl ShapeArgs {
    /// The sizes.
    pub fn shape(&self) -> Shape {
        Shape { request_size: self.request_size as u32, response_size: self.response_size as u32 }
    }
}
