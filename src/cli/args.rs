//! The arguments, as clap reads them; those of a load are in [`load_args`](super::load_args). What they say
//! together is checked by [`Command::check`].

use super::Failure;
use super::load_args::{LoadArgs, ShapeArgs};
use super::offline_args::{CompletionsArgs, DoctorArgs, ManArgs, ReportArgs};
use super::profile::NameParser;
use super::tcp_args::TcpArgs;
use super::units;
use crate::app::http::Patience;
use crate::net::address::{Cidr, is_host};
use crate::wire::MacAddr;
use clap::{Args, Parser, Subcommand, ValueEnum};
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use core::time::Duration;
use std::path::{Path, PathBuf};

/// The program.
#[derive(Debug, Parser)]
#[command(
    name = "lastack",
    version,
    long_version = super::version::long(),
    about = "A kernel-bypass TCP endpoint on DPDK",
    override_usage = "lastack [EAL OPTIONS --] COMMAND [OPTIONS]",
    after_help = "EAL options come first and end with `--`; without them the profile's are used.\n\
                  Sizes take k, M, G; times ns, us, ms, s, m, h and sums such as 1h30m; rates k, M.\n\
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
    /// How long a client may take for the head of a request (http) [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub header_timeout: Option<Duration>,
    /// How long a connection may be without a request (http) [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub idle_timeout: Option<Duration>,
    /// How long a client may take nothing of a response (http) [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub write_timeout: Option<Duration>,
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
    #[arg(long, value_name = "NAME|FILE", value_parser = NameParser, hide_possible_values = true)]
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
    /// What to do if another station has an address of this side (rings are not checked)
    #[arg(long, value_enum, value_name = "MODE", default_value_t = AddressCheck::On)]
    pub address_check: AddressCheck,
    /// How long that is found out, by three probes, before addresses are used
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = units::time)]
    pub address_check_time: Duration,
    /// VLAN that all frames belong to, 1 to 4094
    #[arg(long, value_name = "ID", value_parser = vlan)]
    pub vlan: Option<u16>,
    /// Engines on each side, each on a core of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = |t: &str| small(t, 1, 16))]
    pub cores: u16,
    /// Frames received and sent at once, 1 to 64 [default: 32]
    #[arg(long, value_name = "N", value_parser = |t: &str| small(t, 1, 64))]
    pub burst: Option<u16>,
    /// Length of a run, warm-up included; 0 or forever = until it is ended [default: 10s; server and -i:
    /// forever]
    #[arg(long, value_name = "TIME", value_parser = units::length)]
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

/// What a duplicate of an address does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AddressCheck {
    /// End the run
    On,
    /// Say it and go on
    Warn,
    /// Do not look
    Off,
}

impl AddressCheck {
    /// Its name as the command line spells it.
    pub const fn name(self) -> &'static str {
        match self {
            AddressCheck::On => "on",
            AddressCheck::Warn => "warn",
            AddressCheck::Off => "off",
        }
    }
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

pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
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
            Command::Server(server) => {
                server.check()?;
                (&server.common, None)
            }
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

impl Server {
    fn check(&self) -> Result<(), Failure> {
        for (option, time) in [
            ("--header-timeout", self.header_timeout),
            ("--idle-timeout", self.idle_timeout),
            ("--write-timeout", self.write_timeout),
        ] {
            if time.is_some() && self.app != AppName::Http {
                let app = self.app.name();
                return Err(wrong(format!("{option} is for --app http, not for {app}")));
            }
            if time == Some(Duration::ZERO) {
                return Err(wrong(format!("{option} 0s: a time above zero is expected")));
            }
        }
        Ok(())
    }

    /// How long its HTTP server waits for clients.
    pub fn patience(&self) -> Patience {
        let default = Patience::default();
        Patience {
            header: self.header_timeout.unwrap_or(default.header),
            idle: self.idle_timeout.unwrap_or(default.idle),
            write: self.write_timeout.unwrap_or(default.write),
            ..default
        }
    }
}

pub(super) fn wrong(line: impl Into<String>) -> Failure {
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
        if let Some(duration) = duration.filter(|duration| *duration <= self.warmup) {
            let warmup = self.warmup;
            return Err(wrong(format!(
                "--warmup {warmup:?}: a time shorter than --duration {duration:?} is expected"
            )));
        }
        let time = self.address_check_time;
        if time < Duration::from_millis(3) || time > Duration::from_secs(60) {
            return Err(wrong(format!(
                "--address-check-time {time:?}: 3ms to 60s is expected; --address-check off checks nothing"
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

    /// How long a client runs; `None` = until a signal or `quit`.
    pub fn duration_of_client(&self) -> Option<Duration> {
        let duration = self.duration.or((!self.interactive).then_some(Self::DURATION));
        duration.filter(|duration| *duration != units::FOREVER)
    }

    /// How long a server runs, likewise.
    pub fn duration_of_server(&self) -> Option<Duration> {
        self.duration.filter(|duration| *duration != units::FOREVER)
    }

    /// Time between lines on what happens.
    pub fn stats_period(&self) -> Duration {
        self.stats_period.unwrap_or(Duration::from_secs(u64::from(!self.interactive)))
    }
}
