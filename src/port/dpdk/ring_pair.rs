//! Two ports back to back inside the process, over rings: no kernel, no NIC, no privilege.
//!
//! A frame travels as a pointer: what one side sends, the other receives in the very same buffer and
//! gives back to the pool of the sender.

use core::ptr::NonNull;
use std::ffi::CString;
use std::sync::Arc;

use dpdk_sys::rte_ring;

use super::eal::Eal;
use super::error::PortError;
use super::ethdev::{EthDev, EthDevConfig, Offloads, Ownership};
use super::log::Watch;
use super::pool::{Pool, c_name};

/// How a pair shall be made.
#[derive(Clone, Debug)]
pub struct RingPairConfig {
    /// How many queue pairs each port has, 1 to 16. Queue i of one is wired to queue i of the other.
    pub queues: u16,
    /// How many frames fit into each ring, less one; a power of two.
    pub ring_size: u32,
    /// The MTU, octets.
    pub mtu: u16,
    /// The buffers that the first and the second port send from; may be the same.
    pub pools: [Pool; 2],
}

impl RingPairConfig {
    /// One queue pair each, rings of 1,024, an MTU of 1,500, and one pool for both.
    pub fn new(pool: Pool) -> Self {
        RingPairConfig { queues: 1, ring_size: 1024, mtu: 1500, pools: [pool.clone(), pool] }
    }
}

/// Two started ports, wired back to back. Their offloads are none.
#[derive(Clone, Debug)]
pub struct RingPair {
    /// The first port.
    pub a: EthDev,
    /// The second port.
    pub b: EthDev,
}

impl RingPair {
    /// Makes and starts a pair. `name` (1 to 8 letters, digits, _) must be new in the process.
    ///
    /// # Errors
    /// If the name is taken or unfit, a size is unfit, or memory is short.
    pub fn new(eal: &Eal, name: &str, config: &RingPairConfig) -> Result<RingPair, PortError> {
        if name.len() > 8 {
            return Err(PortError::BadName(name.to_owned()));
        }
        let max = dpdk_sys::RTE_PMD_RING_MAX_RX_RINGS as u16;
        if config.queues == 0 || config.queues > max {
            let (port, asked) = (name.to_owned(), config.queues);
            return Err(PortError::TooManyQueues { port, asked, max });
        }
        let mut wire = Wire { rings: Vec::new(), _pools: config.pools.clone(), _eal: eal.clone() };
        let mut rings: [Vec<*mut rte_ring>; 2] = [Vec::new(), Vec::new()];
        for queue in 0..config.queues {
            for (direction, rings) in ["ab", "ba"].into_iter().zip(&mut rings) {
                rings.push(wire.add(&format!("{name}_{direction}{queue}"), config.ring_size)?);
            }
        }
        let [ab, ba] = rings;
        let wire = Arc::new(wire);
        let a = port(eal, &format!("{name}_a"), &ba, &ab, &wire)?;
        let b = port(eal, &format!("{name}_b"), &ab, &ba, &wire)?;
        for (device, pool) in [&a, &b].into_iter().zip(&config.pools) {
            device.start(&EthDevConfig {
                queues: config.queues,
                mtu: Some(config.mtu),
                offloads: Offloads::default(),
                ..EthDevConfig::new(pool.clone())
            })?;
        }
        Ok(RingPair { a, b })
    }
}

/// The rings between two ports, and the pools of the frames that may be in them.
pub(super) struct Wire {
    rings: Vec<NonNull<rte_ring>>,
    _pools: [Pool; 2],
    _eal: Eal,
}

// SAFETY: the rings are only used by the drivers of the two ports, and here when both are closed.
unsafe impl Send for Wire {}
// SAFETY: as above.
unsafe impl Sync for Wire {}

impl Wire {
    /// Makes a ring. One queue pair belongs to one value, which cannot be used by two threads at
    /// once, so there is one producer and one consumer.
    fn add(&mut self, name: &str, size: u32) -> Result<*mut rte_ring, PortError> {
        let c_name = c_name(name)?;
        let flags = dpdk_sys::RING_F_SP_ENQ | dpdk_sys::RING_F_SC_DEQ;
        let _watch = Watch::start();
        // SAFETY: EAL is initialised while this value lives; the name is copied.
        let ring = unsafe {
            dpdk_sys::rte_ring_create(c_name.as_ptr(), size, dpdk_sys::SOCKET_ID_ANY, flags)
        };
        let Some(kept) = NonNull::new(ring) else {
            // SAFETY: reads a thread-local variable of EAL.
            let code = unsafe { dpdk_sys::dpx_errno() };
            return Err(PortError::Ring { name: name.to_owned(), code });
        };
        self.rings.push(kept);
        Ok(ring)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for ring in &self.rings {
            // SAFETY: each port holds the wire until it is closed, so nobody else uses the rings;
            // the pools of the buffers in them are dropped after this.
            unsafe {
                dpdk_sys::dpx_ring_drain(ring.as_ptr());
                dpdk_sys::rte_ring_free(ring.as_ptr());
            }
        }
    }
}

/// Makes a port over rings and opens it.
fn port(
    eal: &Eal,
    name: &str,
    rx: &[*mut rte_ring],
    tx: &[*mut rte_ring],
    wire: &Arc<Wire>,
) -> Result<EthDev, PortError> {
    let c_name = CString::new(name).map_err(|_| PortError::BadName(name.to_owned()))?;
    let watch = Watch::start();
    // SAFETY: EAL is initialised while `eal` lives; the rings live until both ports are closed,
    // because each port holds the wire.
    let id = unsafe {
        dpdk_sys::rte_eth_from_rings(
            c_name.as_ptr(),
            rx.as_ptr(),
            rx.len() as u32,
            tx.as_ptr(),
            tx.len() as u32,
            dpdk_sys::rte_socket_id(),
        )
    };
    let said = watch.said("the driver gave no reason");
    let id = u16::try_from(id)
        .map_err(|_| PortError::Probe { devargs: format!("net_ring_{name}"), detail: said })?;
    EthDev::open(eal, id, Ownership::Ours, Some(wire.clone()))
}
