//! What a device says of itself: abilities, link, counters.

use core::ffi::CStr;

use dpdk_sys::rte_eth_dev_info;

use super::ethdev::EthDev;

/// What a device can do, as its driver reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name of the driver, such as `net_tap`.
    pub driver: String,
    /// How many queue pairs it can have.
    pub max_queues: u16,
    /// The largest MTU, octets; `u16::MAX` if there is no limit.
    pub max_mtu: u16,
    /// The longest frame it receives, octets.
    pub max_rx_frame: u32,
    /// Receive offloads, as `RTE_ETH_RX_OFFLOAD_*` bits.
    pub rx_offloads: u64,
    /// Transmit offloads, as `RTE_ETH_TX_OFFLOAD_*` bits.
    pub tx_offloads: u64,
    /// How it can spread flows over queues, if it can.
    pub rss: Option<RssCapability>,
}

/// How a device can spread flows over queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssCapability {
    /// What it can hash, as `RTE_ETH_RSS_*` bits.
    pub hash_types: u64,
    /// Entries of the redirection table.
    pub table_size: u16,
    /// Octets of the hash key.
    pub key_size: u8,
}

/// The state of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Is it up? A software port without a peer also says so.
    pub up: bool,
    /// Its speed, Mbit/s.
    pub speed_mbps: u32,
    /// Does it send and receive at once?
    pub full_duplex: bool,
}

/// Counters of a device, over all its queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Frames dropped because the receive ring was full.
    pub rx_missed: u64,
    /// Erroneous frames.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Times that no receive buffer could be had.
    pub rx_no_buffer: u64,
}

/// How a started device spreads flows over its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// What is hashed, as `RTE_ETH_RSS_*` bits.
    pub hash_types: u64,
    /// The key of the Toeplitz hash.
    pub key: Vec<u8>,
    /// The queue for each hash value, modulo the length.
    pub table: Vec<u16>,
}

/// Octets of the hash key of a driver that does not report a size.
const TOEPLITZ_KEY: u8 = 40;

pub(super) fn device_info(raw: &rte_eth_dev_info) -> DeviceInfo {
    let driver = if raw.driver_name.is_null() {
        String::new()
    } else {
        // SAFETY: a driver's name is a C string of the driver, which stays loaded.
        unsafe { CStr::from_ptr(raw.driver_name) }.to_string_lossy().into_owned()
    };
    // A driver that names hash types but has no table cannot be told where flows shall go.
    let spreads = raw.flow_type_rss_offloads != 0 && raw.reta_size > 0;
    let key_size = if raw.hash_key_size == 0 { TOEPLITZ_KEY } else { raw.hash_key_size };
    DeviceInfo {
        driver,
        max_queues: raw.max_rx_queues.min(raw.max_tx_queues),
        max_mtu: max_mtu(raw),
        max_rx_frame: raw.max_rx_pktlen,
        rx_offloads: raw.rx_offload_capa,
        tx_offloads: raw.tx_offload_capa,
        rss: spreads.then_some(RssCapability {
            hash_types: raw.flow_type_rss_offloads,
            table_size: raw.reta_size,
            key_size,
        }),
    }
}

/// Many drivers say how long a frame may be and leave the MTU at its largest value; DPDK then takes
/// a header and a frame check sequence off, and so do we.
fn max_mtu(raw: &rte_eth_dev_info) -> u16 {
    const HEADER_AND_FCS: u32 = 14 + 4;
    if raw.max_mtu != u16::MAX || raw.max_rx_pktlen == 0 {
        return raw.max_mtu;
    }
    u16::try_from(raw.max_rx_pktlen.saturating_sub(HEADER_AND_FCS)).unwrap_or(u16::MAX)
}

impl EthDev {
    /// The state of the link now, without waiting for a negotiation.
    pub fn link(&self) -> Link {
        let _control = self.control();
        let mut raw = dpdk_sys::rte_eth_link::default();
        // SAFETY: the port is open while `self` lives, and control calls have the lock.
        let code = unsafe { dpdk_sys::rte_eth_link_get_nowait(self.port_id(), &raw mut raw) };
        if code != 0 {
            return Link::default();
        }
        Link {
            up: u32::from(raw.link_status()) == dpdk_sys::RTE_ETH_LINK_UP,
            speed_mbps: if raw.link_speed == u32::MAX { 0 } else { raw.link_speed },
            full_duplex: u32::from(raw.link_duplex()) == dpdk_sys::RTE_ETH_LINK_FULL_DUPLEX,
        }
    }

    /// The counters of the device.
    pub fn device_stats(&self) -> DeviceStats {
        let _control = self.control();
        device_stats(self.port_id())
    }

    /// The driver's own counters, by name.
    pub fn xstats(&self) -> Vec<(String, u64)> {
        let _control = self.control();
        let port = self.port_id();
        // SAFETY: the port is open while `self` lives; without a table only the number is asked for.
        let count = unsafe { dpdk_sys::rte_eth_xstats_get(port, core::ptr::null_mut(), 0) };
        let Ok(count) = u32::try_from(count) else { return Vec::new() };
        let mut values = vec![dpdk_sys::rte_eth_xstat::default(); count as usize];
        let mut names = vec![dpdk_sys::rte_eth_xstat_name::default(); count as usize];
        // SAFETY: both tables have room for `count` entries.
        let (valued, named) = unsafe {
            (
                dpdk_sys::rte_eth_xstats_get(port, values.as_mut_ptr(), count),
                dpdk_sys::rte_eth_xstats_get_names(port, names.as_mut_ptr(), count),
            )
        };
        if valued != named || u32::try_from(named) != Ok(count) {
            return Vec::new(); // the number of counters changed in between
        }
        let name_of = |id: u64| {
            let name = names.get(usize::try_from(id).ok()?)?;
            let octets = name.name.iter().map(|&octet| octet as u8);
            let octets: Vec<u8> = octets.take_while(|&octet| octet != 0).collect();
            Some(String::from_utf8_lossy(&octets).into_owned())
        };
        values.iter().filter_map(|stat| Some((name_of(stat.id)?, stat.value))).collect()
    }

    /// Sets the counters of the device to 0. Those of its queue pairs
    /// ([`Port::stats`](crate::port::Port::stats)) go on.
    pub fn clear_stats(&self) {
        let _control = self.control();
        // SAFETY: the port is open while `self` lives. A driver without such counters says so, and
        // then there is nothing to clear.
        unsafe {
            dpdk_sys::rte_eth_stats_reset(self.port_id());
            dpdk_sys::rte_eth_xstats_reset(self.port_id());
        }
    }

    /// How the started device spreads flows over its queues, if it does.
    pub fn rss(&self) -> Option<Rss> {
        /// Entries of the redirection table that one structure of the interface holds.
        const GROUP: usize = 64;
        let capability = self.info().rss?;
        let _control = self.control();
        let mut key = vec![0u8; capability.key_size.into()];
        let mut conf = dpdk_sys::rte_eth_rss_conf {
            rss_key: key.as_mut_ptr(),
            rss_key_len: capability.key_size,
            rss_hf: 0,
        };
        let size = usize::from(capability.table_size);
        let mut groups = vec![dpdk_sys::rte_eth_rss_reta_entry64::default(); size.div_ceil(GROUP)];
        for group in &mut groups {
            group.mask = u64::MAX;
        }
        // SAFETY: the port is open while `self` lives; key and table have the sizes that the driver
        // reported, and live during the calls.
        let codes = unsafe {
            [
                dpdk_sys::rte_eth_dev_rss_hash_conf_get(self.port_id(), &raw mut conf),
                dpdk_sys::rte_eth_dev_rss_reta_query(
                    self.port_id(),
                    groups.as_mut_ptr(),
                    capability.table_size,
                ),
            ]
        };
        if codes != [0, 0] {
            return None;
        }
        let table = groups.iter().flat_map(|group| group.reta).take(size).collect();
        Some(Rss { hash_types: conf.rss_hf, key, table })
    }
}

pub(super) fn device_stats(port: u16) -> DeviceStats {
    let mut raw = dpdk_sys::rte_eth_stats::default();
    // SAFETY: the caller has the port open; on failure the structure stays zero.
    unsafe { dpdk_sys::rte_eth_stats_get(port, &raw mut raw) };
    DeviceStats {
        rx_packets: raw.ipackets,
        tx_packets: raw.opackets,
        rx_bytes: raw.ibytes,
        tx_bytes: raw.obytes,
        rx_missed: raw.imissed,
        rx_errors: raw.ierrors,
        tx_errors: raw.oerrors,
        rx_no_buffer: raw.rx_nombuf,
    }
}
