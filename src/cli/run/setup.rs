//! What a run stands on: EAL, buffers and ports.

use super::checks;
use super::claim::Claim;
use super::watch::Signals;
use crate::cli::args::Common;
use crate::cli::machine::Machine;
use crate::cli::profile::{Device, Kind, Profile, Role};
use crate::cli::{Failure, cores, eal as options, files, hugepages};
use crate::engine::Limits;
use crate::net::address::Cidr;
use crate::port::dpdk::{
    DpdkPort, Eal, EthDev, EthDevConfig, Offloads, Pool, PoolConfig, PortError, RingPair,
    RingPairConfig, Tsc, captured,
};
use crate::wire::MacAddr;
use std::time::Duration;

/// How long a client waits for its link, that is for the process at the other end.
const LINK_WAIT: Duration = Duration::from_secs(10);

/// A started port with its Ethernet address.
pub struct Plug {
    /// Its queue pairs.
    pub queues: Vec<DpdkPort>,
    /// Its address.
    pub mac: MacAddr,
    /// The device.
    pub device: EthDev,
}

/// EAL with what was asked for.
pub struct Setup {
    /// EAL.
    pub eal: Eal,
    /// The clock of all engines.
    pub clock: Tsc,
    /// What ports are made of.
    pub profile: Profile,
    /// The devices that no other process may use meanwhile.
    _claim: Claim,
}

impl Setup {
    /// Starts EAL for engines on these processors, with buffers for these sides. What the machine
    /// lacks for it is an error; what figures suffer from is told. `limits` are those of each engine.
    pub fn start(
        profile: Profile,
        given: &[String],
        processors: &[u32],
        sides: Sides<'_>,
        limits: &[Limits],
    ) -> Result<Setup, Failure> {
        let engines = processors.len();
        let machine = Machine::this();
        let (roles, addresses, count): (&[&Role], &[Cidr], _) = match sides {
            Sides::Client(addresses) => (&[&profile.client], addresses, 1),
            Sides::Server(addresses) => (&[&profile.server], addresses, 1),
            Sides::Both => (&[&profile.client, &profile.server], &[], 2),
        };
        let mut findings: Vec<_> = machine.processors_in_sys().into_iter().collect();
        findings.extend(machine.for_roles(&profile, roles, addresses));
        findings.extend(checks::reserves(&machine, limits)?);
        let mut ours = profile.eal.options.clone();
        if !options::decides_memory(given) {
            findings.push(machine.memory(&profile, count));
            let needed = profile.buffers.memory_mb(count);
            ours.extend(hugepages::options(profile.eal.hugepages, needed, hugepages::free_mb()));
        }
        checks::told(&findings, &profile.name)?;
        let claim = Claim::take(&profile, roles, addresses)?;
        if options::decides_cores(given) {
            checks::allowed(given, &cores::allowed())?;
        } else {
            ours.push(cores::option(processors));
        }
        let all = options::merge(&ours, given);
        // what is asked for is printed by EAL itself, and ends the process
        let asks = options::has(&all, &["-h", "--help", "-v", "--version"]);
        let eal = if asks { Eal::init(&all) } else { captured(|| Eal::init(&all)) };
        let eal = eal.map_err(|error| checks::of_eal(&error, given))?;
        let lcores = eal.lcores();
        if lcores.len() < engines {
            return Err(Failure::Arguments(format!(
                "-l: {engines} engines need as many lcores, EAL has {}: name more",
                lcores.len()
            )));
        }
        let run_on = checks::processors(&eal, &lcores[..engines])?;
        checks::told(&machine.for_engines(&run_on, engines.max(count as usize)), &profile.name)?;
        for note in &profile.notes {
            files::say(&format!("lastack: {note}"));
        }
        Ok(Setup { clock: Tsc::new(), eal, profile, _claim: claim })
    }

    fn pool(&self, name: &str) -> Result<Pool, Failure> {
        let buffers = self.profile.buffers;
        let room = self.profile.device.mtu.saturating_add(18).max(2_048);
        let config = PoolConfig {
            buffers: buffers.count,
            cache: buffers.cache,
            data_room: room,
            ..PoolConfig::default()
        };
        Pool::new(&self.eal, name, config).map_err(Failure::run)
    }

    /// Two ports back to back with `queues` queue pairs each: the client's and the server's.
    pub fn ring_pair(&self, queues: u16, burst: Option<u16>) -> Result<[Plug; 2], Failure> {
        let config = RingPairConfig {
            queues,
            ring_size: self.profile.buffers.queue.into(),
            mtu: self.profile.device.mtu,
            pools: [self.pool("client")?, self.pool("server")?],
        };
        let pair = RingPair::new(&self.eal, "loop", &config).map_err(Failure::run)?;
        Ok([plug(&pair.a, queues, burst)?, plug(&pair.b, queues, burst)?])
    }

    /// The port of a server or of a client.
    pub fn device(&self, role: &Role, burst: Option<u16>, wait: Wait<'_>) -> Result<Plug, Failure> {
        let Device { kind, mtu, checksum_offload, .. } = self.profile.device;
        let name = role.device.as_deref().unwrap_or_default();
        let (pool, queue) = (self.pool("buffers")?, self.profile.buffers.queue);
        let asked = Offloads { rx_checksum: checksum_offload, tx_checksum: checksum_offload };
        let open = || {
            captured(|| {
                let device = match kind {
                    Kind::Vdev => EthDev::probe(&self.eal, name),
                    Kind::Ring | Kind::Probed => {
                        EthDev::by_name(&self.eal, name.split(',').next().unwrap_or(name))
                    }
                }?;
                device.start(&EthDevConfig {
                    rx_descriptors: queue,
                    tx_descriptors: queue,
                    mtu: (device.mtu() != mtu).then_some(mtu),
                    offloads: asked,
                    ..EthDevConfig::new(pool.clone())
                })?;
                Ok(device)
            })
        };
        let device = match wait {
            Wait::No => open().map_err(Failure::run)?,
            Wait::ForLink(signals) => open_with_peer(open, signals)?,
        };
        if let Some(line) = checks::refused(device.name(), asked, device.granted()) {
            files::say(&format!("lastack: {line}"));
        }
        plug(&device, 1, burst)
    }
}

/// What a run has a port for, and the addresses that the port is to have.
#[derive(Clone, Copy, Debug)]
pub enum Sides<'a> {
    /// A client.
    Client(&'a [Cidr]),
    /// A server.
    Server(&'a [Cidr]),
    /// Both, wired to each other.
    Both,
}

/// Shall a port be waited for until its other end is there?
#[derive(Clone, Copy, Debug)]
pub enum Wait<'a> {
    /// Yes, unless there is a signal.
    ForLink(&'a Signals),
    /// No.
    No,
}

/// Opens a device whose driver may want its peer to be there, and waits for the link.
fn open_with_peer(
    open: impl Fn() -> Result<EthDev, PortError>,
    signals: &Signals,
) -> Result<EthDev, Failure> {
    let until = std::time::Instant::now() + LINK_WAIT;
    let in_time = || {
        std::thread::sleep(Duration::from_millis(50));
        std::time::Instant::now() < until && !signals.caught()
    };
    let device = loop {
        match open() {
            Ok(device) => break device,
            // From the beginning again: a driver that has failed to start may not be of use.
            Err(error @ PortError::Device { step: "starting", .. }) => {
                if !in_time() {
                    return Err(Failure::Run(format!("{error}; is the server running?")));
                }
            }
            Err(error) => return Err(Failure::run(error)),
        }
    };
    while !device.link().up {
        if !in_time() {
            let name = device.name();
            let remedy = match name.starts_with("net_memif") {
                true => "start the server, with the same profile, first",
                false => "see to its other end",
            };
            return Err(Failure::Run(format!("the link of {name} is down: {remedy}")));
        }
    }
    Ok(device)
}

fn plug(device: &EthDev, queues: u16, burst: Option<u16>) -> Result<Plug, Failure> {
    let mut plug = Plug { queues: Vec::new(), mac: our_mac(device), device: device.clone() };
    for index in 0..queues {
        let mut queue = device.queue_pair(index).map_err(Failure::run)?;
        if let Some(frames) = burst {
            queue.set_burst(frames.into());
        }
        plug.queues.push(queue);
    }
    Ok(plug)
}

/// Our MAC address on a port. `net_tap` gives the port's address to the kernel's end of the TAP, so ours
/// differs: with one address for both, the kernel would lose its link-local address to ours, and a
/// bridge would deliver our frames to the kernel.
pub fn our_mac(device: &EthDev) -> MacAddr {
    let mut mac = MacAddr(device.mac());
    if device.name().starts_with("net_tap") {
        mac.0[5] ^= 1;
    }
    mac
}

/// The processors for the engines of a loopback run: one for each, or a single one that polls both
/// sides in turn if there is no other.
pub fn loopback_processors(common: &Common) -> Result<Vec<u32>, Failure> {
    let mut allowed = cores::allowed();
    let wanted = 2 * usize::from(common.cores);
    let alone = common.cores == 1 && allowed.len() == 1;
    if wanted > allowed.len() && !alone {
        return Err(Failure::Arguments(format!(
            "--cores {}: both sides need {wanted} processors, {} may be used",
            common.cores,
            allowed.len()
        )));
    }
    allowed.truncate(wanted);
    Ok(allowed)
}

/// The processor of a server: the first.
pub fn server_processor() -> Vec<u32> {
    cores::allowed().into_iter().take(1).collect()
}

/// The processor of a client: the last, so that a server in another process has its own.
pub fn client_processor() -> Vec<u32> {
    cores::allowed().into_iter().last().into_iter().collect()
}
