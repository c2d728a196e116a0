//! Engines: their configuration from arguments, and their loops on lcores.

use super::checks;
use super::lcores::{Said, Switch};
use super::setup::Plug;
use crate::app::Tally;
use crate::cli::Failure;
use crate::cli::args::{AddressCheck, Common, Neighbour};
use crate::cli::profile::{Kind, Profile, Role};
use crate::cli::tcp_args::read_secret;
use crate::engine::{App, Config, Cycles, Engine, Limits, ListenOptions, Mailbox, Metrics, Runner};
use crate::net::address::{Cidr, Interface};
use crate::net::claim::{ClaimConfig, OnDuplicate};
use crate::port::dpdk::{DpdkPort, Tsc};
use crate::tcp;
use crate::tcp::cookie::CookieSecret;
use crate::wire::MacAddr;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// An engine on its port.
pub type OnPort<A> = Runner<DpdkPort, A, Tsc>;

/// What a run may read of an engine that runs on an lcore, and how it may talk to it.
#[derive(Clone)]
pub struct Gauges {
    /// What its application counts.
    pub tally: Arc<Tally>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Its cycles.
    pub cycles: Arc<Cycles>,
    /// Octets of a TIME-WAIT entry over IPv4 and over IPv6.
    pub time_wait_bytes: (usize, usize),
    /// Octets of a half-open connection over IPv4 and over IPv6.
    pub syn_cache_bytes: (usize, usize),
    /// TCP's habits at the start.
    pub habits: tcp::Config,
    /// Its limits.
    pub limits: Limits,
    /// By which it may be asked something.
    pub mailbox: Arc<Mailbox>,
    /// The clock that the engine goes by.
    pub clock: Tsc,
}

impl Gauges {
    /// The gauges of an engine.
    pub fn of<A: App>(runner: &OnPort<A>, tally: &Arc<Tally>) -> Self {
        let stack = runner.engine().stack();
        Gauges {
            tally: tally.clone(),
            metrics: stack.metrics().clone(),
            cycles: runner.cycles().clone(),
            time_wait_bytes: stack.time_wait_bytes_per_entry(),
            syn_cache_bytes: stack.syn_cache_bytes_per_entry(),
            habits: stack.tcp_config().clone(),
            limits: *stack.limits(),
            mailbox: stack.mailbox().clone(),
            clock: *runner.clock(),
        }
    }
}

/// Addresses of one side: those of the command line, else those of the role.
pub fn addresses(given: &[Cidr], role: &Role) -> Vec<Cidr> {
    if given.is_empty() { role.addresses.clone() } else { given.to_vec() }
}

/// The Ethernet address of a configuration before its port is there.
const NO_PORT_YET: MacAddr = MacAddr([2, 0, 0, 0, 0, 0]);

/// The configuration of the engines of one side, checked; the port's Ethernet address is put in by
/// [`on_port`]. `connections` is what the application will have at one time, if that is known.
pub fn config(
    common: &Common,
    profile: &Profile,
    role: &Role,
    addresses: &[Cidr],
    connections: Option<u64>,
) -> Result<Config, Failure> {
    let mut interface = Interface::new(NO_PORT_YET, addresses.to_vec());
    interface.mtu = profile.device.mtu;
    interface.vlan = common.vlan;
    interface.neighbours = common.neighbour.iter().map(|&Neighbour(ip, mac)| (ip, mac)).collect();
    let gateways = if common.gateway.is_empty() && common.address.is_empty() {
        &role.gateways
    } else {
        &common.gateway
    };
    for gateway in gateways {
        match gateway {
            IpAddr::V4(via) => interface.gateway_ipv4 = Some(*via),
            IpAddr::V6(via) => interface.gateway_ipv6 = Some(*via),
        }
    }
    let mut config = Config::new(interface, seed(common.tcp.seed)?);
    // nobody else is on the ends of rings
    if profile.device.kind != Kind::Ring {
        config.claim = claim(common);
        config.report_groups = true;
    }
    common.tcp.apply(&mut config.tcp, &mut config.limits);
    if let Some(file) = &common.tcp.syn_secret {
        let key = read_secret(file).map_err(Failure::Arguments)?;
        config.cookie_secret = Some(CookieSecret { key, epoch: Duration::ZERO }); // see `on_port`
    }
    let most = u64::from(config.limits.max_connections);
    match connections {
        Some(wanted) if wanted > most && common.tcp.max_connections.is_some() => {
            return Err(Failure::Arguments(format!(
                "--connections {wanted}: --max-connections is {most}, at least as many are expected"
            )));
        }
        Some(wanted) if wanted > most => config.limits.max_connections = wanted as u32,
        _ => {}
    }
    config.check().map_err(|error| checks::of_config(&error, common, &profile.name))?;
    Ok(config)
}

/// How addresses on a link with others are taken.
fn claim(common: &Common) -> ClaimConfig {
    let on_duplicate = match common.address_check {
        AddressCheck::On | AddressCheck::Off => OnDuplicate::Yield,
        AddressCheck::Warn => OnDuplicate::Keep,
    };
    let claim = ClaimConfig::on_a_link(common.address_check_time, on_duplicate);
    let probes = if common.address_check == AddressCheck::Off { 0 } else { claim.probes };
    ClaimConfig { probes, ..claim }
}

/// Puts an engine with `app` on each queue of a port; `app` is told which one it is for.
pub fn on_port<A: App>(
    plug: Plug,
    config: &Config,
    clock: Tsc,
    mut app: impl FnMut(usize) -> A,
) -> Result<Vec<OnPort<A>>, Failure> {
    let mut config = config.clone();
    config.interface.mac = plug.mac;
    if let Some(secret) = &mut config.cookie_secret {
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        secret.epoch = today.saturating_sub(Duration::from_nanos(clock.now().nanos()));
    }
    if config.report_groups && config.interface.has_ipv6() {
        plug.device.receive_multicast();
    }
    let each = plug.queues.into_iter().enumerate();
    each.map(|(index, port)| {
        if index > 0 {
            // the engine of the first queue speaks for all
            (config.claim, config.report_groups) = (ClaimConfig::default(), false);
        }
        let engine =
            Engine::new(config.clone(), app(index)).map_err(|error| checks::of_limits(&error))?;
        Ok(Runner::new(port, engine, clock))
    })
    .collect()
}

/// Listens on all addresses of an engine.
pub fn listen<A: App>(runner: &mut OnPort<A>, config: &Config, port: u16) -> Result<(), Failure> {
    let options = ListenOptions { backlog: config.limits.max_connections, ..Default::default() };
    let families: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    for any in families {
        if config.interface.addresses.iter().any(|cidr| cidr.addr.is_ipv4() == any.is_ipv4()) {
            let stack = runner.engine_mut().stack_mut();
            stack
                .listen(SocketAddr::new(any, port), options)
                .map_err(|error| Failure::Run(format!("--port {port}: {error}")))?;
        }
    }
    Ok(())
}

/// Polls an engine until it is told to halt, and gives it back.
pub fn drive<A: App>(mut runner: OnPort<A>, switch: &Switch) -> OnPort<A> {
    loop {
        match switch.said() {
            Said::Nothing => {
                runner.poll_once();
            }
            Said::Halt => return runner,
            Said::Burst(frames) => {
                runner.port_mut().set_burst(frames.into());
                switch.taken(frames);
            }
            Said::Restart => {
                // On an error the peer is not there yet; the next restart tries again.
                let _ = runner.port_mut().restart();
                switch.restarted();
            }
        }
    }
}

/// Polls two engines in turn until they are told to halt, and gives them back.
pub fn drive_both<A: App, B: App>(
    mut one: OnPort<A>,
    mut other: OnPort<B>,
    switch: &Switch,
) -> (OnPort<A>, OnPort<B>) {
    loop {
        match switch.said() {
            Said::Nothing => {
                one.poll_once();
                other.poll_once();
            }
            Said::Halt => return (one, other),
            Said::Burst(frames) => {
                one.port_mut().set_burst(frames.into());
                other.port_mut().set_burst(frames.into());
                switch.taken(frames);
            }
            Said::Restart => switch.restarted(), // rings lose no peer
        }
    }
}

/// 32 octets that nobody can guess, or those that a number stands for.
fn seed(number: Option<u64>) -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    if let Some(number) = number {
        seed[..8].copy_from_slice(&number.to_le_bytes());
        return Ok(seed);
    }
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .map_err(|error| Failure::Run(format!("/dev/urandom cannot be read: {error}")))?;
    Ok(seed)
}
