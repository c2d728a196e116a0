//! Stamps the DPDK version into the binary.
fn main() {}
