//! Ports of DPDK through the safe interface: without hugepages, in one process, over rings; and, in
//! processes and network namespaces of their own, over net_tap and net_memif.

#[path = "dpdk_port/child.rs"]
mod child;
#[path = "dpdk_port/eal.rs"]
mod eal;
#[path = "dpdk_port/memif.rs"]
mod memif;
#[path = "dpdk_port/rings.rs"]
mod rings;
#[path = "dpdk_port/sniff.rs"]
mod sniff;
#[path = "dpdk_port/tap.rs"]
mod tap;

use std::sync::OnceLock;

use lastack::port::dpdk::{DpdkPort, Eal, Pool, PoolConfig};
use lastack::port::{Port, TxOffload};

/// EAL options that need no privilege and leave no file. Lcores float over the first two CPUs.
fn eal_options(prefix: &str, lcores: &str) -> Vec<String> {
    let options = format!(
        "--no-huge -m 128 --no-pci --no-telemetry --no-shconf --lcores {lcores} --file-prefix {prefix}"
    );
    options.split_whitespace().map(str::to_owned).collect()
}

/// EAL for all tests that run in the process of the test run.
fn shared_eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        Eal::init(&eal_options("lastack_ports", "0@(0-1),1@(0-1)")).expect("EAL without hugepages")
    })
}

fn pool(eal: &Eal, name: &str, buffers: u32) -> Pool {
    let config = PoolConfig { buffers, cache: 128, ..PoolConfig::default() };
    Pool::new(eal, name, config).expect("a pool")
}

/// Sends one complete frame.
fn send(port: &mut DpdkPort, frame: &[u8]) {
    let room = port.tx_room().expect("a buffer");
    room[..frame.len()].copy_from_slice(frame);
    port.tx_commit(frame.len(), TxOffload::None);
}
