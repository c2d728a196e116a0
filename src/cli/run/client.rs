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
use crate::cli::args::{self, Client, Common, LoadArgs, ShapeArgs};
use crate::cli::profile::{Kind, Profile};
use crate::engine::Config;
use crate::net::range::HostRange;
use core::net::SocketAddr;
use std::sync::Arc;

/// Runs the command.
pub fn run(eal: &[String], arguments: &Client) -> Result<(), Failure> {
    match arguments.load.workload {
        args::Workload::Crr => run_workload::<Crr>(eal, arguments),
        args::Workload::Rr => run_workload::<Rr>(eal, arguments),
        args::Workload::Http => run_workload::<Http>(eal, arguments),
        args::Workload::Connect | args::Workload::Stream => run_workload::<Stream>(eal, arguments),
    }
}

fn run_workload<W: Workload + Send + 'static>(
    eal: &[String],
    arguments: &Client,
) -> Result<(), Failure> {
    let Client { common, load, shape } = arguments;
    let profile = profile(common, None)?;
    check_device(common, &profile)?;
    check_outputs(common, load)?;
    let script = Script::of(common)?;
    let remote = remote(load, &profile)?;
    let addresses = engines::addresses(&common.address, &profile.client);
    let connections = Some(load.connections);
    let mut config = engines::config(common, &profile, &profile.client, &addresses, connections)?;
    widen(&mut config, load, remote)?;
    let setup = Setup::start(profile, eal, &setup::client_processor(), Sides::Client(&addresses))?;
    let signals = Signals::catch()?;
    let plug = setup.device(&setup.profile.client, common.burst, Wait::ForLink)?;
    let parts = load_parts(common, load, shape, remote, 1)?;
    let clients = Clients::<W>::build(plug, &config, &setup, parts)?;
    let job = Job { command: "client", workload: load.workload.name(), common, load: Some(load) };
    session::run(Rig::<W, Discard>::new(setup, Some(clients), None), &job, script, &signals)
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

/// Are the files of the results such that they can be written?
pub fn check_outputs(common: &Common, load: &LoadArgs) -> Result<(), Failure> {
    outcome::check_writable("--json", common.json.as_deref())?;
    outcome::check_writable("--hlog", load.hlog.as_deref())?;
    outcome::check_writable("--csv", load.csv.as_deref())?;
    outcome::check_writable("--hgrm", load.hgrm.as_deref())
}

/// The server to connect to.
fn remote(load: &LoadArgs, profile: &Profile) -> Result<SocketAddr, Failure> {
    let first = profile.server.addresses.first().map(|cidr| cidr.addr);
    let port = load.server().port();
    let habit = profile.client.peer.or(first).map(|addr| SocketAddr::new(addr, port));
    load.connect.or(habit).ok_or_else(|| {
        Failure::Arguments(format!("--connect is needed: profile {} has no peer", profile.name))
    })
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
        args::Workload::Http => Some(load.request(&host(remote))?),
        _ => None,
    };
    let part = |index: u64| LoadConfig {
        remote,
        sources: load.client_addresses.map(HostRange::of),
        connections: (load.connections / engines + u64::from(index < load.connections % engines))
            as u32,
        pipeline: load.pipeline,
        pace: load.pace().map(|(rate, arrival)| (rate / engines as f64, arrival)),
        shape: shape.shape(),
        http: http.clone(),
        direction: load.direction(),
        requests_per_connection: load.requests_per_connection(),
        close: load.close(),
        warmup: common.warmup,
        ramp: load.ramp,
        hold: load.hold,
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
                descriptors: setup.profile.buffers.queue,
                lcores: Vec::new(),
            },
            controls,
        })
    }
}
