//! `client`: loads a server at the other end of a port. What it builds serves `loopback` too.

use super::engines::{self, Gauges, OnPort};
use super::outcome;
use super::prompt::Script;
use super::rig::Rig;
use super::session::{self, Job};
use super::setup::{self, Plug, Setup, Sides, Wait};
use super::side::SideGauges;
use super::watch::Signals;
use crate::app::Tally;
use crate::app::discard::Discard;
use crate::app::workload::http::Http;
use crate::app::workload::{Control, Crr, Load, LoadConfig, Rr, Stream, Workload};
use crate::cli::Failure;
use crate::cli::args::{Client, Common};
use crate::cli::load_args::{self, LoadArgs, ShapeArgs};
use crate::cli::profile::{Kind, Profile};
use crate::engine::Config;
use crate::net::range::HostRange;
use core::net::SocketAddr;
use std::sync::Arc;

/// Runs the command.
pub fn run(eal: &[String], arguments: &Client) -> Result<(), Failure> {
    match arguments.load.workload {
        load_args::Workload::Crr => run_workload::<Crr>(eal, arguments),
        load_args::Workload::Rr => run_workload::<Rr>(eal, arguments),
        load_args::Workload::Http => run_workload::<Http>(eal, arguments),
        load_args::Workload::Connect | load_args::Workload::Stream => {
            run_workload::<Stream>(eal, arguments)
        }
    }
}

fn run_workload<W: Workload + Send + 'static>(
    eal: &[String],
    arguments: &Client,
) -> Result<(), Failure> {
    let Client { common, load, shape } = arguments;
    let profile = profile(common, None)?;
    check_device(common, &profile)?;
    outcome::check_outputs(common, Some(load))?;
    let script = Script::of(common)?;
    let remote = remote(load, &profile);
    let addresses = engines::addresses(&common.address, &profile.client);
    let connections = Some(load.connections);
    let mut config = engines::config(common, &profile, &profile.client, &addresses, connections)?;
    widen(&mut config, load, remote)?;
    let setup = Setup::start(
        profile,
        eal,
        &setup::client_processor(),
        Sides::Client(&addresses),
        &[config.limits],
    )?;
    let signals = Signals::catch()?;
    let plug = setup.device(&setup.profile.client, common.burst, Wait::ForLink(&signals))?;
    let parts = load_parts(common, load, shape, remote, 1)?;
    let clients = Clients::<W>::build(plug, &config, &setup, parts)?;
    let job = Job {
        command: "client",
        workload: load.workload.name(),
        common,
        load: Some(load),
        remote: Some(remote),
    };
    let mut rig = Rig::<W, Discard>::new(setup, Some(clients), None);
    rig.take_addresses(&signals)?;
    session::run(rig, &job, script, &signals)
}

/// The profile of a command; `otherwise` if none is named.
pub fn profile(common: &Common, otherwise: Option<&str>) -> Result<Profile, Failure> {
    let name = common.profile.as_deref().or(otherwise).ok_or_else(|| {
        let known: Vec<&str> = Profile::names().filter(|name| *name != "ring").collect();
        Failure::Arguments(format!("--profile is needed: {}, or a file", known.join(", ")))
    })?;
    Profile::load(name)?.with_device(common.device.as_deref())
}

/// Commands on a device need one, and have one engine, since flows are not spread over queues.
pub fn check_device(common: &Common, profile: &Profile) -> Result<(), Failure> {
    if profile.device.kind == Kind::Ring {
        return Err(Failure::Arguments(format!(
            "--profile {}: rings are for loopback; server and client want another profile",
            profile.name
        )));
    }
    if common.cores == 1 {
        return Ok(());
    }
    Err(Failure::Arguments(format!(
        "--cores {}: 1 is expected; a port of profile {} is polled by one engine",
        common.cores, profile.name
    )))
}

/// The server to connect to.
fn remote(load: &LoadArgs, profile: &Profile) -> SocketAddr {
    let addr = profile.client.peer.unwrap_or(profile.server.addresses[0].addr);
    load.connect.unwrap_or(SocketAddr::new(addr, load.server().port()))
}

/// Gives a client all the addresses that its connections are to come from.
pub fn widen(config: &mut Config, load: &LoadArgs, remote: SocketAddr) -> Result<(), Failure> {
    let Some(net) = load.client_addresses else { return Ok(()) };
    let wrong = |line| Err(Failure::Arguments(format!("--client-addresses {net}: {line}")));
    let range = HostRange::of(net);
    if range.is_ipv4() != remote.is_ipv4() {
        return wrong(format!("addresses of the server's family are expected, it is {remote}"));
    }
    if range.has(remote.ip()) {
        return wrong(format!("the server's address {} is one of them", remote.ip()));
    }
    config.interface.ranges.push(net);
    match config.check() {
        Ok(()) => Ok(()),
        Err(error) => wrong(error.to_string()),
    }
}

/// What each of `engines` engines does of a load: connections and rate are divided.
pub fn load_parts(
    common: &Common,
    load: &LoadArgs,
    shape: &ShapeArgs,
    remote: SocketAddr,
    engines: u64,
) -> Result<Vec<LoadConfig>, Failure> {
    let http = match load.workload {
        load_args::Workload::Http => Some(load.request(&host(remote))?),
        _ => None,
    };
    let part = |index: u64| LoadConfig {
        remote,
        sources: load.client_addresses.map(HostRange::of),
        connections: (load.connections / engines + u64::from(index < load.connections % engines))
            as u32,
        pipeline: load.pipeline,
        // those that have connections share the rate
        pace: load
            .pace()
            .map(|(rate, arrival)| (rate / engines.min(load.connections) as f64, arrival)),
        shape: shape.shape(),
        http: http.clone(),
        direction: load.direction(),
        requests_per_connection: load.requests_per_connection(),
        close: load.close(),
        warmup: common.warmup,
        ramp: load.ramp,
        hold: load.hold,
        drain: load.drain,
        request_timeout: load.request_timeout,
        record: load.records(),
        seed: index,
    };
    Ok((0..engines).map(part).filter(|part| part.connections > 0).collect())
}

/// The host that a request names if no other is given (RFC 9110 §7.2): without the usual port.
fn host(remote: SocketAddr) -> String {
    match remote {
        SocketAddr::V6(v6) if v6.port() == 80 => format!("[{}]", v6.ip()),
        _ if remote.port() == 80 => remote.ip().to_string(),
        _ => remote.to_string(),
    }
}

/// The engines of the client's side.
pub struct Clients<W> {
    /// On their ports, until they are launched.
    pub runners: Vec<OnPort<W>>,
    /// What they count.
    pub gauges: SideGauges,
    /// The switches of their workloads.
    pub controls: Vec<Arc<Control>>,
}

impl<W: Workload + Send + 'static> Clients<W> {
    /// An engine for each part of the load.
    pub fn build(
        mut plug: Plug,
        config: &Config,
        setup: &Setup,
        parts: Vec<LoadConfig>,
    ) -> Result<Self, Failure> {
        plug.queues.truncate(parts.len());
        let device = plug.device.clone();
        let mut controls = Vec::new();
        let mut tallies = Vec::new();
        let runners = engines::on_port(plug, config, setup.clock, |index| {
            let (tally, control) = (Arc::<Tally>::default(), Arc::<Control>::default());
            let load = Load::new(parts[index].clone(), tally.clone(), control.clone());
            controls.push(control);
            tallies.push(tally);
            W::new(load, config.limits.max_connections)
        })?;
        let engines = runners.iter().zip(&tallies).map(|(r, tally)| Gauges::of(r, tally)).collect();
        Ok(Clients {
            runners,
            gauges: SideGauges {
                name: "client",
                engines,
                device,
                link_downs: Default::default(),
                descriptors: setup.profile.buffers.queue,
                lcores: Vec::new(),
                switches: Vec::new(),
            },
            controls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use crate::cli::{Request, parse};

    fn client(line: &str) -> Client {
        let words = core::iter::once("lastack client").chain([line]).collect::<Vec<_>>().join(" ");
        match parse(words.split_whitespace().map(Into::into)) {
            Ok(Request::Run(_, command)) => match *command {
                Command::Client(client) => client,
                other => panic!("{other:?}"),
            },
            other => panic!("{line}: {other:?}"),
        }
    }

    /// What a run with these options is told before it has started anything.
    fn told(line: &str) -> String {
        let Client { common, load, .. } = client(line);
        let failure = profile(&common, Some("tap")).and_then(|profile| {
            check_device(&common, &profile)?;
            let remote = remote(&load, &profile);
            let addresses = engines::addresses(&common.address, &profile.client);
            let connections = Some(load.connections);
            let mut config =
                engines::config(&common, &profile, &profile.client, &addresses, connections)?;
            widen(&mut config, &load, remote)
        });
        let failure = failure.expect_err(line);
        assert_eq!(failure.status(), 2, "{line}");
        failure.to_string()
    }

    #[test]
    fn what_no_client_can_run_with_is_told_with_its_option() {
        let host =
            "a unicast address is needed, neither the network's own nor its broadcast address";
        let gateway = "it is to be another address on one of the configured networks";
        for (line, text) in [
            (
                "--profile ring",
                "--profile ring: rings are for loopback; server and client want another profile",
            ),
            (
                "--cores 2",
                "--cores 2: 1 is expected; a port of profile tap is polled by one engine",
            ),
            (
                "--address 198.18.0.0/24",
                &format!("--address: address 198.18.0.0/24 cannot be an interface's: {host}"),
            ),
            (
                "--address 198.18.0.9/24 --address 198.18.0.9/16",
                "--address: address 198.18.0.9 is given twice: once is expected",
            ),
            (
                "--gateway 198.18.9.9",
                &format!("--gateway: gateway 198.18.9.9 is not a neighbour: {gateway}"),
            ),
            (
                "--neighbour 198.18.0.1=ff:ff:ff:ff:ff:ff",
                "--neighbour: neighbour 198.18.0.1 at ff:ff:ff:ff:ff:ff: both are to be addresses of \
                 one station",
            ),
            (
                "--connections 6 --max-connections 5",
                "--connections 6: --max-connections is 5, at least as many are expected",
            ),
            (
                "--syn-secret /nowhere/at/all",
                "--syn-secret /nowhere/at/all: cannot be read: No such file or directory (os error 2)",
            ),
            (
                "--client-addresses 2001:db8:1::/64",
                "--client-addresses 2001:db8:1::/64: addresses of the server's family are expected, it \
                 is 198.18.0.1:9000",
            ),
            (
                "--client-addresses 198.18.0.0/24",
                "--client-addresses 198.18.0.0/24: the server's address 198.18.0.1 is one of them",
            ),
            (
                "--client-addresses 224.0.0.0/8",
                "--client-addresses 224.0.0.0/8: addresses 224.0.0.0/8 cannot be those of hosts on this \
                 interface: a unicast network is needed, and an address of its family beside it",
            ),
        ] {
            assert_eq!(told(line), text);
        }
        let failure = profile(&client("").common, None).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "--profile is needed: tap, af_packet, af_xdp, memif, pci, or a file"
        );
    }

    /// What no option has said is the profile's.
    #[test]
    fn what_a_profile_says_is_told_as_the_profiles() {
        let common = client("").common;
        for (from, to, text) in [
            ("mtu = 1500", "mtu = 1279", "--profile tap: MTU 1279 is below 1280 octets"),
            (
                "\"198.18.0.2/24\"",
                "\"198.18.0.255/24\"",
                "--profile tap: address 198.18.0.255/24 cannot be an interface's: a unicast address is \
                 needed, neither the network's own nor its broadcast address",
            ),
            (
                "[\"198.18.0.1\"",
                "[\"198.18.1.1\"",
                "--profile tap: gateway 198.18.1.1 is not a neighbour: it is to be another address on \
                 one of the configured networks",
            ),
        ] {
            let tap = include_str!("../../../dpdk-config/tap.toml").replace(from, to);
            let profile = Profile::parse(&tap).unwrap();
            let role = &profile.client;
            let failure = engines::config(&common, &profile, role, &role.addresses, None);
            assert_eq!(failure.unwrap_err().to_string(), text);
        }
    }
}
