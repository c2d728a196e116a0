//! Any DPDK ethdev port.
