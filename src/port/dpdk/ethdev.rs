//! Ethernet devices: opening, configuring, starting and closing them.

use core::ffi::{CStr, c_char};
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::eal::Eal;
use super::error::PortError;
use super::info::{DeviceInfo, device_info};
use super::log::Watch;
use super::pool::{HEADROOM, Pool};
use super::queue::DpdkPort;
use super::ring_pair::Wire;

/// Octets of an Ethernet header, and of the VLAN tag that may follow it.
pub(super) const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;

/// An open Ethernet device. Copies share it; it is stopped and closed when the last copy and the
/// last of its queue pairs are gone.
#[derive(Clone)]
pub struct EthDev {
    shared: Arc<Device>,
}

pub(super) struct Device {
    id: u16,
    name: String,
    /// Held during every control call: the drivers leave it to us that there is one at a time.
    control: Mutex<Control>,
    /// Made by us, so taken from its bus when it is closed.
    remove: bool,
    /// The rings below the device, if it is one end of a [`RingPair`](super::RingPair). After the
    /// fields above, because it must outlive the open port.
    _wire: Option<Arc<Wire>>,
    eal: Eal,
}

/// What may change while a device is open.
pub(super) struct Control {
    started: Option<Started>,
    /// The pools of all configurations so far: the driver may keep buffers until it is closed.
    pools: Vec<Pool>,
}

struct Started {
    pool: Pool,
    granted: Offloads,
    mtu: u16,
    /// Which queue pairs are handed out.
    taken: Vec<bool>,
}

/// Work that a device may take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Verify the checksums of IPv4 and TCP on receive.
    pub rx_checksum: bool,
    /// Fill in the checksums of IPv4 and TCP on transmit.
    pub tx_checksum: bool,
}

/// How a device shall be started.
#[derive(Clone, Debug)]
pub struct EthDevConfig {
    /// How many queue pairs.
    pub queues: u16,
    /// Descriptors of each receive queue; adjusted to what the device can have.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue; adjusted to what the device can have.
    pub tx_descriptors: u16,
    /// The MTU, octets; the device's own if absent.
    pub mtu: Option<u16>,
    /// The buffers that it receives into and sends from.
    pub pool: Pool,
    /// What is wanted; the device gets what it also reports.
    pub offloads: Offloads,
    /// Receive frames for any address, and all multicast.
    pub promiscuous: bool,
}

impl EthDevConfig {
    /// One queue pair of 1,024 descriptors each, every offload, the device's own MTU.
    pub fn new(pool: Pool) -> Self {
        EthDevConfig {
            queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: None,
            pool,
            offloads: Offloads { rx_checksum: true, tx_checksum: true },
            promiscuous: false,
        }
    }
}

impl EthDev {
    /// The names of all devices that EAL has, open or not.
    pub fn available(_eal: &Eal) -> Vec<String> {
        let mut names = Vec::new();
        for id in 0..dpdk_sys::RTE_MAX_ETHPORTS as u16 {
            // SAFETY: EAL is initialised while the handle lives; any id may be asked about.
            if unsafe { dpdk_sys::rte_eth_dev_is_valid_port(id) } != 0 {
                names.extend(name_of(id));
            }
        }
        names
    }

    /// Opens the device with this name, such as `net_tap0` or `0000:00:05.0`.
    ///
    /// # Errors
    /// If there is none, or it is open.
    pub fn by_name(eal: &Eal, name: &str) -> Result<EthDev, PortError> {
        let id = id_of(name)?;
        Self::open(eal, id, Ownership::Borrowed, None)
    }

    /// Opens the device with this port id.
    ///
    /// # Errors
    /// If there is none, or it is open.
    pub fn by_id(eal: &Eal, id: u16) -> Result<EthDev, PortError> {
        // SAFETY: EAL is initialised while `eal` lives; any id may be asked about.
        if unsafe { dpdk_sys::rte_eth_dev_is_valid_port(id) } == 0 {
            return Err(PortError::NoSuchPort(format!("{id}")));
        }
        Self::open(eal, id, Ownership::Borrowed, None)
    }

    /// Makes a device, as `--vdev` or `-a` would, and opens it; it is taken away again when it is
    /// closed. `devargs` is its name and arguments, such as `net_tap0,iface=dtap0`.
    ///
    /// # Errors
    /// If the driver refuses: no privilege, no such driver, wrong arguments, a name in use.
    pub fn probe(eal: &Eal, devargs: &str) -> Result<EthDev, PortError> {
        let c_devargs =
            CString::new(devargs).map_err(|_| PortError::BadName(devargs.to_owned()))?;
        let name = devargs.split(',').next().unwrap_or(devargs);
        if id_of(name).is_ok() {
            return Err(PortError::PortInUse(name.to_owned()));
        }
        let watch = Watch::start();
        // SAFETY: EAL is initialised while `eal` lives; the string is copied.
        let code = unsafe { dpdk_sys::rte_dev_probe(c_devargs.as_ptr()) };
        let said = watch.said("the driver gave no reason");
        let refused = || PortError::Probe { devargs: devargs.to_owned(), detail: said.clone() };
        if code < 0 {
            return Err(refused());
        }
        let id = id_of(name).map_err(|_| refused())?;
        Self::open(eal, id, Ownership::Ours, None)
    }

    pub(super) fn open(
        eal: &Eal,
        id: u16,
        ownership: Ownership,
        wire: Option<Arc<Wire>>,
    ) -> Result<EthDev, PortError> {
        let name = name_of(id).ok_or_else(|| PortError::NoSuchPort(format!("{id}")))?;
        let mut open = eal.shared.open_ports.lock().unwrap_or_else(PoisonError::into_inner);
        if core::mem::replace(&mut open[usize::from(id)], true) {
            return Err(PortError::PortInUse(name));
        }
        drop(open);
        let control = Mutex::new(Control { started: None, pools: Vec::new() });
        let remove = ownership == Ownership::Ours;
        let device = Device { id, name, control, remove, _wire: wire, eal: eal.clone() };
        Ok(EthDev { shared: Arc::new(device) })
    }

    /// The name of the device.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The id that DPDK gave it.
    pub fn port_id(&self) -> u16 {
        self.shared.id
    }

    /// What it can do.
    pub fn info(&self) -> DeviceInfo {
        let _control = self.control();
        device_info(&self.shared.raw_info())
    }

    /// The address of the device; one of our own making (02:00:00:00:00:id) if it has none.
    pub fn mac(&self) -> [u8; 6] {
        let _control = self.control();
        let mut raw = dpdk_sys::rte_ether_addr::default();
        // SAFETY: the port is open while `self` lives; on failure the address stays zero.
        unsafe { dpdk_sys::rte_eth_macaddr_get(self.shared.id, &raw mut raw) };
        let [high, low] = self.shared.id.to_be_bytes();
        if raw.addr_bytes == [0; 6] { [2, 0, 0, 0, high, low] } else { raw.addr_bytes }
    }

    /// Sets the address of the device.
    ///
    /// # Errors
    /// If the device cannot change it.
    pub fn set_mac(&self, mac: [u8; 6]) -> Result<(), PortError> {
        let _control = self.control();
        let mut raw = dpdk_sys::rte_ether_addr { addr_bytes: mac };
        self.shared.step("setting the address", || {
            // SAFETY: the port is open while `self` lives; the address is copied.
            unsafe { dpdk_sys::rte_eth_dev_default_mac_addr_set(self.shared.id, &raw mut raw) }
        })
    }

    /// The MTU, octets.
    pub fn mtu(&self) -> u16 {
        let _control = self.control();
        self.shared.mtu()
    }

    /// Configures the device and its queues, and starts it.
    ///
    /// # Errors
    /// If it is started already, has fewer queues, cannot have the MTU, or the buffers of the pool
    /// are too small for a frame; or whatever the driver objects to.
    pub fn start(&self, config: &EthDevConfig) -> Result<(), PortError> {
        let mut control = self.control();
        let device = &*self.shared;
        if control.started.is_some() {
            return Err(PortError::AlreadyStarted(device.name.clone()));
        }
        let raw = device.raw_info();
        let info = device_info(&raw);
        if config.queues == 0 || config.queues > info.max_queues {
            return Err(PortError::TooManyQueues {
                port: device.name.clone(),
                asked: config.queues,
                max: info.max_queues,
            });
        }
        let mtu = config.mtu.unwrap_or_else(|| device.mtu());
        let needed = usize::from(mtu) + ETHERNET_HEADER + VLAN_TAG;
        if needed > config.pool.data_room() {
            return Err(PortError::BufferTooSmall { needed, room: config.pool.data_room() });
        }

        control.pools.push(config.pool.clone());
        let granted = device.configure(config, &raw, &info)?;
        device.step("starting", || {
            // SAFETY: the port is open and configured, and control calls have the lock.
            unsafe { dpdk_sys::rte_eth_dev_start(device.id) }
        })?;
        if config.promiscuous {
            // SAFETY: the port is open and started. A driver that cannot receives everything
            // anyway, or says so in its link; neither is a reason to fail.
            unsafe {
                dpdk_sys::rte_eth_promiscuous_enable(device.id);
                dpdk_sys::rte_eth_allmulticast_enable(device.id);
            }
        }
        control.started = Some(Started {
            pool: config.pool.clone(),
            granted,
            mtu: device.mtu(),
            taken: vec![false; config.queues.into()],
        });
        Ok(())
    }

    /// What the started device was given to do; nothing if it is not started.
    pub fn granted(&self) -> Offloads {
        self.control().started.as_ref().map(|started| started.granted).unwrap_or_default()
    }

    /// Stops the device.
    ///
    /// # Errors
    /// If it is not started, or one of its queue pairs is in use.
    pub fn stop(&self) -> Result<(), PortError> {
        let mut control = self.control();
        let device = &*self.shared;
        let started = control.started.as_ref();
        let started = started.ok_or_else(|| PortError::NotStarted(device.name.clone()))?;
        if let Some(queue) = started.taken.iter().position(|&taken| taken) {
            return Err(PortError::QueueInUse(device.name.clone(), queue as u16));
        }
        device.step("stopping", || {
            // SAFETY: the port is open and started, and nobody bursts on it, since no queue pair
            // is handed out and none can be while we have the lock.
            unsafe { dpdk_sys::rte_eth_dev_stop(device.id) }
        })?;
        control.started = None;
        Ok(())
    }

    /// Hands out queue pair `index` of the started device. It comes back when the
    /// [`DpdkPort`] is dropped.
    ///
    /// # Errors
    /// If the device is not started, has no such queue, or it is handed out already.
    pub fn queue_pair(&self, index: u16) -> Result<DpdkPort, PortError> {
        let mut control = self.control();
        let name = || self.shared.name.clone();
        let started = control.started.as_mut().ok_or_else(|| PortError::NotStarted(name()))?;
        let taken = started.taken.get_mut(usize::from(index));
        let taken = taken.ok_or_else(|| PortError::NoSuchQueue(name(), index))?;
        if core::mem::replace(taken, true) {
            return Err(PortError::QueueInUse(name(), index));
        }
        let (pool, granted, mtu) = (started.pool.clone(), started.granted, started.mtu);
        drop(control);
        Ok(DpdkPort::new(self.shared.clone(), index, pool, granted, mtu))
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.shared.control()
    }
}

impl core::fmt::Debug for EthDev {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "EthDev({} {})", self.shared.id, self.shared.name)
    }
}

/// Who made a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// EAL, from its command line.
    Borrowed,
    /// This program, while running.
    Ours,
}

impl Device {
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a queue pair back.
    pub(super) fn give_back(&self, queue: u16) {
        if let Some(started) = &mut self.control().started {
            started.taken[usize::from(queue)] = false;
        }
    }

    fn raw_info(&self) -> dpdk_sys::rte_eth_dev_info {
        let mut info = dpdk_sys::rte_eth_dev_info::default();
        // SAFETY: the port is open; on failure the structure stays zero and so promises nothing.
        unsafe { dpdk_sys::rte_eth_dev_info_get(self.id, &raw mut info) };
        info
    }

    fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: the port is open.
        match unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.id, &raw mut mtu) } {
            0 if mtu > 0 => mtu,
            _ => 1500, // what DPDK itself takes for granted of a device that is not configured
        }
    }

    /// Runs one step of the control plane and makes an error of its code.
    fn step(&self, step: &'static str, call: impl FnOnce() -> i32) -> Result<(), PortError> {
        let watch = Watch::start();
        let code = call();
        if code >= 0 {
            return Ok(());
        }
        let detail = watch.said("");
        Err(PortError::Device { port: self.name.clone(), step, code, detail })
    }

    fn configure(
        &self,
        config: &EthDevConfig,
        raw: &dpdk_sys::rte_eth_dev_info,
        info: &DeviceInfo,
    ) -> Result<Offloads, PortError> {
        use dpdk_sys as sys;
        let rx = sys::RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | sys::RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
        let tx = sys::RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | sys::RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        let granted = Offloads {
            rx_checksum: config.offloads.rx_checksum && info.rx_offloads & rx == rx,
            tx_checksum: config.offloads.tx_checksum && info.tx_offloads & tx == tx,
        };

        let mut conf = sys::rte_eth_conf::default();
        conf.rxmode.mtu = u32::from(config.mtu.unwrap_or_else(|| self.mtu()));
        conf.rxmode.offloads = if granted.rx_checksum { rx } else { 0 };
        conf.txmode.offloads = if granted.tx_checksum { tx } else { 0 };
        if let (2.., Some(rss)) = (config.queues, info.rss) {
            conf.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_RSS;
            let wanted = sys::RTE_ETH_RSS_NONFRAG_IPV4_TCP | sys::RTE_ETH_RSS_NONFRAG_IPV6_TCP;
            conf.rx_adv_conf.rss_conf.rss_hf = rss.hash_types & wanted;
        }
        self.step("configuring", || {
            // SAFETY: the port is open and stopped; the configuration is copied.
            unsafe {
                sys::rte_eth_dev_configure(self.id, config.queues, config.queues, &raw const conf)
            }
        })?;
        if let Some(mtu) = config.mtu {
            self.step("setting the MTU", || {
                // SAFETY: the port is open and configured.
                match unsafe { sys::rte_eth_dev_set_mtu(self.id, mtu) } {
                    // It has no MTU of its own; the one of the configuration holds.
                    code if code == -libc::ENOTSUP => 0,
                    code => code,
                }
            })?;
        }

        let (mut rx_descriptors, mut tx_descriptors) =
            (config.rx_descriptors, config.tx_descriptors);
        self.step("choosing the ring sizes", || {
            // SAFETY: the port is open; both numbers are adjusted in place.
            unsafe {
                sys::rte_eth_dev_adjust_nb_rx_tx_desc(
                    self.id,
                    &raw mut rx_descriptors,
                    &raw mut tx_descriptors,
                )
            }
        })?;
        let mut rx_conf = raw.default_rxconf;
        rx_conf.offloads = conf.rxmode.offloads;
        let mut tx_conf = raw.default_txconf;
        tx_conf.offloads = conf.txmode.offloads;
        // SAFETY: the port is open.
        let socket = unsafe { sys::rte_eth_dev_socket_id(self.id) }.cast_unsigned();
        for queue in 0..config.queues {
            self.step("setting up a receive queue", || {
                // SAFETY: the port is open, configured and stopped; the pool is kept in `pools`
                // until the port is closed.
                unsafe {
                    sys::rte_eth_rx_queue_setup(
                        self.id,
                        queue,
                        rx_descriptors,
                        socket,
                        &raw const rx_conf,
                        config.pool.raw(),
                    )
                }
            })?;
            self.step("setting up a transmit queue", || {
                // SAFETY: as above.
                unsafe {
                    sys::rte_eth_tx_queue_setup(
                        self.id,
                        queue,
                        tx_descriptors,
                        socket,
                        &raw const tx_conf,
                    )
                }
            })?;
        }
        Ok(granted)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let started = self.control().started.take().is_some();
        let _watch = Watch::start(); // there is nobody to tell of a driver's complaints
        // SAFETY: the last handle and the last queue pair are gone, so nobody else uses the port;
        // pools and rings are fields and are dropped after this.
        unsafe {
            if started {
                dpdk_sys::rte_eth_dev_stop(self.id);
            }
            dpdk_sys::rte_eth_dev_close(self.id);
            if self.remove
                && let Ok(name) = CString::new(self.name.as_str())
            {
                dpdk_sys::rte_eal_hotplug_remove(bus_of(&self.name).as_ptr(), name.as_ptr());
            }
        }
        let mut open = self.eal.shared.open_ports.lock().unwrap_or_else(PoisonError::into_inner);
        open[usize::from(self.id)] = false;
    }
}

/// The bus that a device of this name sits on.
fn bus_of(name: &str) -> &'static CStr {
    if name.contains(':') { c"pci" } else { c"vdev" }
}

fn name_of(id: u16) -> Option<String> {
    let mut name: [c_char; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize] = [0; _];
    // SAFETY: a name with its NUL has at most so many octets.
    let code = unsafe { dpdk_sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr()) };
    // SAFETY: on success it is a C string.
    (code == 0).then(|| unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}

fn id_of(name: &str) -> Result<u16, PortError> {
    let c_name = CString::new(name).map_err(|_| PortError::BadName(name.to_owned()))?;
    let mut id = 0;
    // SAFETY: the name is a C string.
    match unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(c_name.as_ptr(), &raw mut id) } {
        0 => Ok(id),
        _ => Err(PortError::NoSuchPort(name.to_owned())),
    }
}

/// Room in a buffer is counted without the headroom, so it must not be the one that DPDK counts.
const _: () = assert!(HEADROOM > 0);
