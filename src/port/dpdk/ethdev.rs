//! Ethernet devices: opening, configuring, starting and closing them.

use core::ffi::{CStr, c_char};
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::config::{EthDevConfig, Offloads};
use super::eal::Eal;
use super::error::PortError;
use super::info::{DeviceInfo, device_info};
use super::log::Watch;
use super::pool::Pool;
use super::queue::DpdkPort;
use super::ring_pair::Wire;
use super::sniff::Callbacks;

/// Octets of an Ethernet header, and of the VLAN tag that may follow it.
pub(super) const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;

/// An open Ethernet device. Copies share it; it is stopped and closed when the last copy and the
/// last of its queue pairs are gone.
#[derive(Clone)]
pub struct EthDev {
    pub(super) shared: Arc<Device>,
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
    wire: Option<Arc<Wire>>,
    eal: Eal,
}

/// What may change while a device is open.
pub(super) struct Control {
    started: Option<Started>,
    /// The pools of all configurations so far: the driver may keep buffers until it is closed.
    pools: Vec<Pool>,
    /// Those of sniffers.
    pub(super) callbacks: Callbacks,
}

struct Started {
    pool: Pool,
    granted: Offloads,
    mtu: u16,
    /// Which queue pairs are handed out.
    taken: Vec<bool>,
}

impl Control {
    /// Which queue pairs are handed out; none at all if the device is not started.
    pub(super) fn taken(&self) -> &[bool] {
        self.started.as_ref().map_or(&[], |started| &started.taken)
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
        // The lock first: while it is held nothing closes, so the port that has the id now keeps it.
        let mut open = eal.shared.open_ports.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name_of(id).ok_or_else(|| PortError::NoSuchPort(format!("{id}")))?;
        if core::mem::replace(&mut open[usize::from(id)], true) {
            return Err(PortError::PortInUse(name));
        }
        drop(open);
        let control = Mutex::new(Control {
            started: None,
            pools: Vec::new(),
            callbacks: Callbacks::default(),
        });
        let remove = ownership == Ownership::Ours;
        let device = Device { id, name, control, remove, wire, eal: eal.clone() };
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
        if mtu > info.max_mtu {
            return Err(PortError::MtuTooLarge {
                port: device.name.clone(),
                asked: mtu,
                max: info.max_mtu,
            });
        }
        let needed = usize::from(mtu) + ETHERNET_HEADER + VLAN_TAG;
        if needed > config.pool.data_room() {
            return Err(PortError::BufferTooSmall { needed, room: config.pool.data_room() });
        }

        control.pools.push(config.pool.clone());
        if let Some(wire) = &device.wire {
            wire.keep(&config.pool);
        }
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

    /// Lets all multicast frames of the link in, those of neighbour discovery among them. A driver
    /// that cannot do it filters nothing as a rule, and is not complained of.
    pub fn receive_multicast(&self) {
        let _control = self.control();
        let _watch = Watch::start();
        // SAFETY: the port is open while `self` lives, and control calls have the lock.
        unsafe { dpdk_sys::rte_eth_allmulticast_enable(self.shared.id) };
    }

    /// What the started device was given to do; nothing if it is not started.
    pub fn granted(&self) -> Offloads {
        self.control().started.as_ref().map(|started| started.granted).unwrap_or_default()
    }

    /// Stops the device. Its sniffers see nothing more, also when it is started again.
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
        // SAFETY: the port is open, and nobody bursts on it, for the reason below.
        unsafe { control.callbacks.clear(device.id) };
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

    /// Stops the started device and starts it again. The caller has one of its queue pairs and does not
    /// burst on it meanwhile, nor afterwards if this fails.
    pub(super) fn restart(&self) -> Result<(), PortError> {
        let control = self.control();
        let mut taken = (0..).zip(control.taken()).filter(|(_, taken)| **taken);
        if let Some((queue, _)) = taken.nth(1) {
            return Err(PortError::QueueInUse(self.name.clone(), queue));
        }
        // SAFETY: the port is open, control calls have the lock, and the only queue pair that is handed
        // out is that of the caller, so nobody bursts. One that is stopped already stays stopped.
        self.step("stopping", || unsafe { dpdk_sys::rte_eth_dev_stop(self.id) })?;
        // SAFETY: as above; it is configured, since it was started before.
        self.step("starting", || unsafe { dpdk_sys::rte_eth_dev_start(self.id) })
    }

    /// Takes a queue pair back.
    pub(super) fn give_back(&self, queue: u16) {
        let mut control = self.control();
        if let Some(started) = &mut control.started {
            started.taken[usize::from(queue)] = false;
        }
        // SAFETY: the only one that could burst on the queue has just let it go.
        unsafe { control.callbacks.free(|of| of == queue) };
    }

    fn raw_info(&self) -> dpdk_sys::rte_eth_dev_info {
        let mut info = dpdk_sys::rte_eth_dev_info::default();
        // SAFETY: the port is open; on failure the structure stays zero and so promises nothing.
        unsafe { dpdk_sys::rte_eth_dev_info_get(self.id, &raw mut info) };
        info
    }

    pub(super) fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: the port is open.
        match unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.id, &raw mut mtu) } {
            0 if mtu > 0 => mtu,
            _ => 1500, // what DPDK itself takes for granted of a device that is not configured
        }
    }

    /// Runs one step of the control plane and makes an error of its code.
    pub(super) fn step(
        &self,
        step: &'static str,
        call: impl FnOnce() -> i32,
    ) -> Result<(), PortError> {
        let watch = Watch::start();
        let code = call();
        if code >= 0 {
            return Ok(());
        }
        let detail = watch.said("");
        Err(PortError::Device { port: self.name.clone(), step, code, detail })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let started = self.control().started.take().is_some();
        let _watch = Watch::start(); // there is nobody to tell of a driver's complaints
        // Closing gives the id back to DPDK, which may give it to another thread's device at once. That
        // thread waits in `open` until the id is marked free.
        let mut open = self.eal.shared.open_ports.lock().unwrap_or_else(PoisonError::into_inner);
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
