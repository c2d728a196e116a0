//! `loopback`: client and server in one process, over a pair of ring ports.

use super::client::{
    Alarm, Clients, Results, check_outputs, join, launch, load_parts, port_drops, profile, timing,
    widen,
};
use super::engines::{self, Gauges, OnPort};
use super::prompt::{Prompt, Script};
use super::readings::Readings;
use super::setup::{self, Plug, Setup, Sides};
use super::side::SideGauges;
use super::watch::{Signals, wait_until, watch};
use crate::app::Tally;
use crate::app::chargen::Chargen;
use crate::app::discard::Discard;
use crate::app::http::Http;
use crate::app::workload::{Crr, Direction, Responder, Rr, Stream, Workload, http};
use crate::cli::Failure;
use crate::cli::args::{self, Loopback};
use crate::cli::profile::Kind;
use crate::engine::{App, Config};
use crate::measure::report::Report;
use crate::net::address::Cidr;
use crate::net::route::Route;
use crate::port::dpdk::LcoreHandle;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;

/// How long the server's side may take to see the end of what the client's side has ended.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs the command.
pub fn run(eal: &[String], arguments: &Loopback) -> Result<(), Failure> {
    let shape = arguments.shape.shape();
    let most = |config: &Config| config.limits.max_connections;
    let responder = |tally, config: &_| Responder::new(shape, tally, most(config));
    match (arguments.load.workload, arguments.load.direction()) {
        (args::Workload::Crr, _) => run_workload::<Crr, _>(eal, arguments, responder),
        (args::Workload::Rr, _) => run_workload::<Rr, _>(eal, arguments, responder),
        (args::Workload::Connect, _) => run_workload::<Stream, _>(eal, arguments, responder),
        (args::Workload::Stream, Direction::Send) => {
            run_workload::<Stream, _>(eal, arguments, |tally, _| Discard::new(tally))
        }
        (args::Workload::Stream, _) => {
            let chargen = |tally, config: &_| Chargen::new(tally, most(config));
            run_workload::<Stream, _>(eal, arguments, chargen)
        }
        (args::Workload::Http, _) => {
            let http = |tally, config: &_| Http::new(tally, most(config));
            run_workload::<http::Http, _>(eal, arguments, http)
        }
    }
}

fn run_workload<W: Workload + Send + 'static, S: App + Send + 'static>(
    eal: &[String],
    arguments: &Loopback,
    server: impl Fn(Arc<Tally>, &Config) -> S,
) -> Result<(), Failure> {
    let Loopback { common, load, shape } = arguments;
    let profile = profile(common, Some("ring"))?;
    if profile.device.kind != Kind::Ring {
        return Err(Failure::Arguments(format!(
            "--profile {}: loopback runs over rings; use --profile ring, or server and client",
            profile.name
        )));
    }
    check_outputs(common, load)?;
    let script = Script::of(common)?;
    let processors = setup::loopback_processors(common)?;
    let [client_addresses, server_addresses] = split(&common.address)?;
    let client_addresses = engines::addresses(&client_addresses, &profile.client);
    let server_addresses = engines::addresses(&server_addresses, &profile.server);
    let habit = SocketAddr::new(server_addresses[0].addr, load.server().port());
    let remote = load.connect.unwrap_or(habit);
    if !server_addresses.iter().any(|cidr| cidr.addr == remote.ip()) {
        return Err(Failure::Arguments(format!(
            "--connect {remote}: an address of the server's side is expected, as {habit}"
        )));
    }

    let config_of = |role, addresses: &[Cidr]| {
        engines::config(common, &profile, role, addresses, Some(load.connections))
    };
    let mut client_config = config_of(&profile.client, &client_addresses)?;
    let mut server_config = config_of(&profile.server, &server_addresses)?;
    widen(&mut client_config, load, remote)?;
    if let Some(to) = load.client_addresses {
        let of_family = |cidr: &&Cidr| cidr.addr.is_ipv4() == to.addr.is_ipv4();
        let via = client_addresses.iter().find(of_family).map(|cidr| cidr.addr);
        server_config.interface.routes.extend(via.map(|via| Route { to, via }));
    }
    let setup = Setup::start(profile, eal, &processors, Sides::Both)?;
    let signals = Signals::catch()?;
    let [client_plug, server_plug] = setup.ring_pair(common.cores, common.burst)?;
    let parts = load_parts(common, load, shape, remote, common.cores.into())?;
    let mut clients = Clients::<W>::build(client_plug, &client_config, &setup, parts)?;
    let (servers, server_gauges) =
        servers(server_plug, &server_config, &setup, server, remote.port())?;

    let halts = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let down = Alarm::default();
    let running = start(&setup, clients.runners.drain(..).collect(), servers, &halts, &down)?;
    let timing = timing(common, common.duration_of_client());
    let sides = [&clients.gauges, &server_gauges];
    let mut readings = Readings::of(&clients.controls, common, load)?;
    let steered = readings.steered();
    let prompt = Prompt::start(script, &sides, Some(steered));
    let ended = || down.rang() || prompt.wants_to_end();
    let windows = watch(&timing, &signals, &sides, &mut readings, ended);
    clients.stop(&down);
    wait_until(SETTLE, || down.rang() || server_gauges.open_now() == 0);
    for halt in &halts {
        halt.store(true, Ordering::Relaxed);
    }
    let (client_runners, server_runners) = running.join()?;

    let hz = setup.clock.hz();
    let results = Results::of(&client_runners, readings)?;
    let mut report = Report {
        command: "loopback".to_owned(),
        client: Some(clients.gauges.whole(&windows[0], hz, &port_drops(&client_runners))),
        server: Some(server_gauges.whole(&windows[1], hz, &port_drops(&server_runners))),
        ..results.report(common, load, &setup.profile, &clients.gauges, &windows[0])
    };
    drop((client_runners, server_runners));
    let told = prompt.end();
    results.publish(&mut report, common, load).and(told)
}

/// Addresses of the command line: the client's and the server's by turns.
fn split(given: &[Cidr]) -> Result<[Vec<Cidr>; 2], Failure> {
    if !given.len().is_multiple_of(2) {
        return Err(Failure::Arguments(
            "--address: loopback takes them in pairs, the client's and then the server's"
                .to_owned(),
        ));
    }
    let side = |first: usize| given.iter().copied().skip(first).step_by(2).collect();
    Ok([side(0), side(1)])
}

fn servers<S: App>(
    plug: Plug,
    config: &Config,
    setup: &Setup,
    server: impl Fn(Arc<Tally>, &Config) -> S,
    port: u16,
) -> Result<(Vec<OnPort<S>>, SideGauges), Failure> {
    let mut tallies = Vec::new();
    let device = plug.device.clone();
    let mut runners = engines::on_port(plug, config, setup.clock, |_| {
        let tally = Arc::<Tally>::default();
        tallies.push(tally.clone());
        server(tally, config)
    })?;
    for runner in &mut runners {
        engines::listen(runner, config, port)?;
    }
    let engines = runners.iter().zip(&tallies).map(|(r, tally)| Gauges::of(r, tally)).collect();
    Ok((runners, SideGauges { name: "server", engines, device }))
}

/// The engines of both sides, the client's first.
type Joined<W, S> = (Vec<OnPort<W>>, Vec<OnPort<S>>);

/// Loops on lcores.
enum Running<W, S> {
    /// Each engine has its own.
    Apart(Vec<LcoreHandle<OnPort<S>>>, Vec<LcoreHandle<OnPort<W>>>),
    /// One lcore polls both sides in turn.
    Together(LcoreHandle<(OnPort<W>, OnPort<S>)>),
}

fn start<W: Workload + Send + 'static, S: App + Send + 'static>(
    setup: &Setup,
    mut clients: Vec<OnPort<W>>,
    mut servers: Vec<OnPort<S>>,
    [client_halt, server_halt]: &[Arc<AtomicBool>; 2],
    down: &Alarm,
) -> Result<Running<W, S>, Failure> {
    if setup.eal.lcores().len() == 1 {
        let (client, server, halt) = (clients.remove(0), servers.remove(0), client_halt.clone());
        let work = move || engines::drive_both(client, server, &halt);
        return Ok(Running::Together(launch(setup, 0, down, work)?));
    }
    let first_client = servers.len();
    let mut server_handles = Vec::new();
    for (place, server) in servers.into_iter().enumerate() {
        let halt = server_halt.clone();
        let work = move || engines::drive(server, &halt);
        server_handles.push(launch(setup, place, down, work)?);
    }
    let mut client_handles = Vec::new();
    for (place, client) in clients.into_iter().enumerate() {
        let halt = client_halt.clone();
        let work = move || engines::drive(client, &halt);
        client_handles.push(launch(setup, first_client + place, down, work)?);
    }
    Ok(Running::Apart(server_handles, client_handles))
}

impl<W: Workload + Send + 'static, S: App + Send + 'static> Running<W, S> {
    fn join(self) -> Result<Joined<W, S>, Failure> {
        match self {
            Running::Together(handle) => {
                let (client, server) = join(handle)?;
                Ok((vec![client], vec![server]))
            }
            Running::Apart(servers, clients) => {
                let clients = clients.into_iter().map(join).collect::<Result<_, _>>();
                let servers = servers.into_iter().map(join).collect::<Result<_, _>>();
                Ok((clients?, servers?))
            }
        }
    }
}
