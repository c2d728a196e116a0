//! Any DPDK ethdev port, behind an interface that is safe to call.
//!
//! ```text
//! Eal ──▶ Pool ──▶ EthDev (or a RingPair of two) ──start──▶ queue_pair(i) = DpdkPort: Port
//!  └─▶ launch(lcore, closure) ──▶ LcoreHandle                Tsc: the clock of the engines
//! ```
//!
//! Every value holds what it needs: a queue pair its device, a device its pools and rings, all of
//! them the [`Eal`]. So the order in which a program drops them does not matter, and EAL is cleaned
//! up when the last one is gone. One queue is claimed by one [`DpdkPort`] at a time, and one device
//! by one [`EthDev`], which is what makes them safe to move between threads.
//!
//! Bursts and the common path of buffers are Rust, over the same tables that the inline functions
//! of DPDK use (`rte_eth_fp_ops` and the mempool cache of each lcore); receive and transmit
//! callbacks are honoured, so captures and latency statistics work. [`FastPath::Shim`] switches a
//! port to the C functions, which tests compare with.
//!
//! This module and `dpdk-sys` are the only places with `unsafe`.

mod bare;
mod capture;
mod config;
mod eal;
mod error;
mod ethdev;
mod info;
mod lcore;
mod log;
mod mbuf;
mod pool;
mod queue;
mod ring_pair;
mod sniff;
mod streams;
mod timers;
mod tsc;

pub use bare::{BareCost, bare_cost};
pub use capture::captured;
pub use config::{EthDevConfig, Offloads};
pub use eal::Eal;
pub use error::{EalError, LaunchError, PortError};
pub use ethdev::EthDev;
pub use info::{DeviceInfo, DeviceStats, Link, Rss, RssCapability};
pub use lcore::{LcoreHandle, Registration};
pub use log::{set_log_level, set_log_output};
pub use pool::{Pool, PoolConfig};
pub use queue::{DpdkPort, FastPath, MAX_BURST};
pub use ring_pair::{RingPair, RingPairConfig};
pub use sniff::{Direction, SEEN_OCTETS, Seen, Sniffer};
pub use streams::stdout_was_closed;
pub use timers::RteTimers;
pub use tsc::Tsc;

/// The version of DPDK that this was built with, such as `22.11.4`.
pub const VERSION: &str = env!("LASTACK_DPDK_VERSION");

/// The version of DPDK that is loaded.
pub fn loaded_version() -> String {
    // SAFETY: the function returns a string constant of the library and needs no EAL.
    let version = unsafe { core::ffi::CStr::from_ptr(dpdk_sys::rte_version()) };
    version.to_string_lossy().trim_start_matches("DPDK ").to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
