//! The arguments, as clap reads them. What they say together is checked by [`Command::check`].

use super::Failure;
use super::expect::Criterion;
use super::offline_args::{CompletionsArgs, DoctorArgs, ManArgs, ReportArgs};
use super::tcp_args::{Switch, TcpArgs};
use super::units;
use crate::app::workload::{Arrival, CloseBy, Direction, Shape, http};
use crate::net::address::{Cidr, is_host};
use crate::wire::MacAddr;
use clap::{Args, Parser, Subcommand, ValueEnum};
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use core::time::Duration;
use std::path::{Path, PathBuf};

/// Largest request, response.
const MAX_MESSAGE: u64 = 1 << 30;

/// The program.
#[derive(Debug, Parser)]
#[command(
    name = "lastack",
    version,
    long_version = super::version::long(),
    about = "A kernel-bypass TCP endpoint on DPDK",
    override_usage = "lastack [EAL OPTIONS --] COMMAND [OPTIONS]",
    after_help = "EAL options come first and end with `--`; without them the profile's are used.\n\
                  Sizes take k, M, G; times ns, us, ms, s; rates k, M.\n\
                  Exit status: 0 done, 1 the run failed, 2 bad arguments, 3 a criterion was missed.",
    args_override_self = false
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run client and server engines in one process, over rings: no NIC, no root, no hugepages
    Loopback(Loopback),
    /// Serve an application on a port
    Server(Server),
    /// Load a server
    Client(Client),
    /// Make tables and pictures of saved results, compare runs, and merge those of several hosts
    Report(ReportArgs),
    /// Say what this machine lacks, and the command that mends each finding
    Doctor(DoctorArgs),
    /// Write the manual page
    Man(ManArgs),
    /// Write the completions of a shell
    Completions(CompletionsArgs),
}

/// `loopback`
#[derive(Debug, Args)]
pub struct Loopback {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub load: LoadArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,
}

/// `server`
#[derive(Debug, Args)]
pub struct Server {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    /// What to serve
    #[arg(long, value_enum, default_value_t = AppName::Http)]
    pub app: AppName,
    /// TCP port [default: echo 7, discard 9, chargen 19, http 80, rr 9000]
    #[arg(long, value_name = "N", value_parser = port)]
    pub port: Option<u16>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,
}

/// `client`
#[derive(Debug, Args)]
pub struct Client {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub load: LoadArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,
}

/// Options of every command that runs an engine.
#[derive(Debug, Args)]
pub struct Common {
    /// Profile: ring, tap, af_packet, af_xdp, memif, pci, or a file [default: ring for loopback]
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// The device that the profile is to use: an interface (af_packet, af_xdp), a PCI address (pci)
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Address and prefix of this side, IPv4 or IPv6; repeatable (loopback: the client's, then the server's)
    #[arg(long, value_name = "CIDR")]
    pub address: Vec<Cidr>,
    /// Gateway; repeatable, one for IPv4 and one for IPv6
    #[arg(long, value_name = "ADDR", value_parser = ip)]
    pub gateway: Vec<IpAddr>,
    /// Static neighbour; repeatable
    #[arg(long, value_name = "IP=MAC")]
    pub neighbour: Vec<Neighbour>,
    /// VLAN that all frames belong to, 1 to 4094
    #[arg(long, value_name = "ID", value_parser = vlan)]
    pub vlan: Option<u16>,
    /// Engines on each side, each on a core of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = |t: &str| small(t, 1, 16))]
    pub cores: u16,
    /// Frames received and sent at once, 1 to 64 [default: 32]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 1, 64))]
    pub burst: Option<u16>,
    /// Length of a run, warm-up included [default: 10s; server and -i: until it is ended]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub duration: Option<Duration>,
    /// Time from the start that is not measured
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::time)]
    pub warmup: Duration,
    /// Time between lines on what happens; 0 = only the summary [default: 1; with -i 0]
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    pub stats_period: Option<Duration>,
    /// Read commands at a prompt: `start` and `stop` runs, show and set; `help` lists them
    #[arg(short, long)]
    pub interactive: bool,
    /// Begin a run at once, with a prompt, too (a server serves at once in any case)
    #[arg(short, long, requires = "interactive")]
    pub auto_start: bool,
    /// Carry out the commands of this file, as at the prompt, and with -i before those
    #[arg(long, value_name = "FILE")]
    pub cmdline_file: Option<PathBuf>,
    /// End at the first line of that file that is wrong
    #[arg(long, requires = "cmdline_file")]
    pub cmdline_strict: bool,
    /// Write the result, of several runs the last one's, as JSON; `-` = to the standard output in place of
    /// the table
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub tcp: TcpArgs,
}

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

/// The applications of `server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AppName {
    /// Every octet back
    Echo,
    /// Nothing
    Discard,
    /// A pattern without end
    Chargen,
    /// HTTP/1.1: / and /bytes/N
    Http,
    /// Responses of a fixed size, for the workloads crr and rr
    Rr,
}

impl AppName {
    /// Its name as the command line spells it.
    pub const fn name(self) -> &'static str {
        match self {
            AppName::Echo => "echo",
            AppName::Discard => "discard",
            AppName::Chargen => "chargen",
            AppName::Http => "http",
            AppName::Rr => "rr",
        }
    }

    /// The port that it listens at by habit.
    pub const fn port(self) -> u16 {
        match self {
            AppName::Echo => 7,
            AppName::Discard => 9,
            AppName::Chargen => 19,
            AppName::Http => 80,
            AppName::Rr => RR_PORT,
        }
    }
}

/// The port of the server of the workloads `connect`, `crr` and `rr`.
const RR_PORT: u16 = 9_000;

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

/// A neighbour whose Ethernet address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour(pub IpAddr, pub MacAddr);

impl FromStr for Neighbour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "IP=MAC is expected, as in 198.18.0.1=02:00:00:00:00:01".to_owned();
        let (ip, mac) = text.split_once('=').ok_or_else(expected)?;
        Ok(Neighbour(ip.parse().map_err(|_| expected())?, mac.parse().map_err(|_| expected())?))
    }
}

pub(super) fn small(text: &str, least: u16, most: u16) -> Result<u16, String> {
    units::count(text, least.into(), most.into()).map(|number| number as u16)
}

fn port(text: &str) -> Result<u16, String> {
    small(text, 1, u16::MAX)
}

fn vlan(text: &str) -> Result<u16, String> {
    small(text, 1, 4_094)
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "an IPv4 or IPv6 address is expected".to_owned())
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    let good = text.parse().ok().filter(|socket: &SocketAddr| socket.port() != 0);
    let good =
        good.ok_or("ADDR:PORT is expected, as in 198.18.0.2:80 or [2001:db8::2]:80".to_owned())?;
    if is_host(good.ip()) {
        return Ok(good);
    }
    Err("the address of one host on a network is expected, as in 198.18.0.2:80".to_owned())
}

impl Command {
    /// Checks what the options say together.
    ///
    /// # Errors
    /// [`Failure::Arguments`] that names the options.
    pub fn check(&self) -> Result<(), Failure> {
        let (common, load) = match self {
            Command::Loopback(Loopback { common, load, .. })
            | Command::Client(Client { common, load, .. }) => (common, Some(load)),
            Command::Server(Server { common, .. }) => (common, None),
            Command::Report(_) | Command::Doctor(_) | Command::Man(_) | Command::Completions(_) => {
                return Ok(());
            }
        };
        common.check(load.is_some())?;
        let Some(load) = load else { return Ok(()) };
        let loopback = matches!(self, Command::Loopback(_));
        load.expect.iter().try_for_each(|expect| expect.fits(loopback)).map_err(wrong)?;
        load.check()
    }
}

fn wrong(line: impl Into<String>) -> Failure {
    Failure::Arguments(line.into())
}

impl Common {
    /// How long a client runs if nothing is said.
    const DURATION: Duration = Duration::from_secs(10);

    fn check(&self, bounded: bool) -> Result<(), Failure> {
        let bounded = bounded && !self.interactive;
        let duration = self.duration.or(bounded.then_some(Self::DURATION));
        let commands = self.interactive || self.cmdline_file.is_some();
        if commands && self.json.as_deref() == Some(Path::new("-")) {
            return Err(wrong(
                "--json -: with -i or --cmdline-file answers go to the standard output; name a file",
            ));
        }
        if duration == Some(Duration::ZERO) {
            return Err(wrong("--duration 0s: a time above zero is expected"));
        }
        if let Some(duration) = duration.filter(|duration| *duration <= self.warmup) {
            let warmup = self.warmup;
            return Err(wrong(format!(
                "--warmup {warmup:?}: a time shorter than --duration {duration:?} is expected"
            )));
        }
        for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
            let mut given = self.gateway.iter().filter(|gateway| family(gateway));
            if let (Some(first), Some(second)) = (given.next(), given.next()) {
                return Err(wrong(format!(
                    "--gateway {second}: one for IPv4 and one for IPv6 is expected, {first} is given too"
                )));
            }
        }
        Ok(())
    }

    /// How long to run if there is an end to it at all; `None` = until a signal or `quit`.
    pub fn duration_of_client(&self) -> Option<Duration> {
        self.duration.or((!self.interactive).then_some(Self::DURATION))
    }

    /// Time between lines on what happens.
    pub fn stats_period(&self) -> Duration {
        self.stats_period.unwrap_or(Duration::from_secs(u64::from(!self.interactive)))
    }
}

impl LoadArgs {
    fn check(&self) -> Result<(), Failure> {
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
