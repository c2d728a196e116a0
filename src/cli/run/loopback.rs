//! `loopback`: client and server in one process, over a pair of ring ports.

use super::client::{Clients, load_parts, profile, widen};
use super::engines;
use super::outcome;
use super::prompt::Script;
use super::rig::Rig;
use super::server::Servers;
use super::session::{self, Job};
use super::setup::{self, Setup, Sides};
use super::watch::Signals;
use crate::app::Tally;
use crate::app::chargen::Chargen;
use crate::app::discard::Discard;
use crate::app::http::Http;
use crate::app::workload::{Crr, Direction, Responder, Rr, Stream, Workload, http};
use crate::cli::Failure;
use crate::cli::args::Loopback;
use crate::cli::load_args;
use crate::cli::profile::Kind;
use crate::engine::App;
use crate::net::address::Cidr;
use crate::net::route::Route;
use core::net::SocketAddr;
use std::sync::Arc;

/// Runs the command.
pub fn run(eal: &[String], arguments: &Loopback) -> Result<(), Failure> {
    let shape = arguments.shape.shape();
    let responder = |tally, most| Responder::new(shape, tally, most);
    match (arguments.load.workload, arguments.load.direction()) {
        (load_args::Workload::Crr, _) => run_workload::<Crr, _>(eal, arguments, responder),
        (load_args::Workload::Rr, _) => run_workload::<Rr, _>(eal, arguments, responder),
        (load_args::Workload::Connect, _) => run_workload::<Stream, _>(eal, arguments, responder),
        (load_args::Workload::Stream, Direction::Send) => {
            run_workload::<Stream, _>(eal, arguments, |tally, _| Discard::new(tally))
        }
        (load_args::Workload::Stream, _) => run_workload::<Stream, _>(eal, arguments, Chargen::new),
        (load_args::Workload::Http, _) => run_workload::<http::Http, _>(eal, arguments, Http::new),
    }
}

fn run_workload<W: Workload + Send + 'static, S: App + Send + 'static>(
    eal: &[String],
    arguments: &Loopback,
    server: impl Fn(Arc<Tally>, u32) -> S,
) -> Result<(), Failure> {
    let Loopback { common, load, shape } = arguments;
    let profile = profile(common, Some("ring"))?;
    if profile.device.kind != Kind::Ring {
        return Err(Failure::Arguments(format!(
            "--profile {}: loopback runs over rings; use --profile ring, or server and client",
            profile.name
        )));
    }
    outcome::check_outputs(common, Some(load))?;
    let script = Script::of(common)?;
    let processors = setup::loopback_processors(common)?;
    let [client_addresses, server_addresses] = split(&common.address)?;
    let client_addresses = engines::addresses(&client_addresses, &profile.client);
    let server_addresses = engines::addresses(&server_addresses, &profile.server);
    let both = |cidr: &&Cidr| server_addresses.iter().any(|other| other.addr == cidr.addr);
    if let Some(cidr) = client_addresses.iter().find(both) {
        return Err(Failure::Arguments(format!(
            "--address {cidr}: another for each side is expected, client and server have it"
        )));
    }
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
        server_config.check().map_err(|error| {
            Failure::Arguments(format!("--client-addresses {to}: at the server {error}"))
        })?;
    }
    let mut limits = vec![client_config.limits; common.cores.into()];
    limits.extend(vec![server_config.limits; common.cores.into()]);
    let setup = Setup::start(profile, eal, &processors, Sides::Both, &limits)?;
    let signals = Signals::catch()?;
    let [client_plug, server_plug] = setup.ring_pair(common.cores, common.burst)?;
    let parts = load_parts(common, load, shape, remote, common.cores.into())?;
    let clients = Clients::<W>::build(client_plug, &client_config, &setup, parts)?;
    let servers = Servers::build(server_plug, &server_config, &setup, server, remote.port())?;
    let job = Job {
        command: "loopback",
        workload: load.workload.name(),
        common,
        load: Some(load),
        remote: Some(remote),
    };
    session::run(Rig::new(setup, Some(clients), Some(servers)), &job, script, &signals)
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
