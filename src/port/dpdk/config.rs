//! How a device shall be started, and the steps that make it so.

use super::error::PortError;
use super::ethdev::Device;
use super::info::DeviceInfo;
use super::pool::Pool;

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

impl Device {
    /// Configures the open, stopped device and its queues. Returns which of the wanted offloads it
    /// was given. `raw` and `info` are what the driver says of itself.
    pub(super) fn configure(
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
                sys::rte_eth_dev_configure(self.id(), config.queues, config.queues, &raw const conf)
            }
        })?;
        if let Some(mtu) = config.mtu {
            self.step("setting the MTU", || {
                // SAFETY: the port is open and configured.
                match unsafe { sys::rte_eth_dev_set_mtu(self.id(), mtu) } {
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
                    self.id(),
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
        let socket = unsafe { sys::rte_eth_dev_socket_id(self.id()) }.cast_unsigned();
        for queue in 0..config.queues {
            self.step("setting up a receive queue", || {
                // SAFETY: the port is open, configured and stopped; the pool is kept in `pools`
                // until the port is closed.
                unsafe {
                    sys::rte_eth_rx_queue_setup(
                        self.id(),
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
                        self.id(),
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
