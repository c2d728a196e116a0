//! What the benchmarks over DPDK have in common.

use lastack::cli::hugepages;

/// EAL options for lcores 0 to `lcores` - 1, each on the processor of its number: 64 MB of hugepages if
/// twice that is free, so that the system keeps some, plain memory otherwise.
pub fn eal_options(lcores: usize) -> Vec<String> {
    let enough = hugepages::free_mb() >= 128;
    let memory = if enough { "--in-memory -m 64" } else { "--no-huge --no-shconf -m 64" };
    let lcores: Vec<String> = (0..lcores).map(|n| format!("{n}@{n}")).collect();
    let options = format!(
        "{memory} --no-pci --no-telemetry --file-prefix lastack_bench --lcores {}",
        lcores.join(",")
    );
    options.split_whitespace().map(str::to_owned).collect()
}

/// Is a part of a benchmark asked for: by its name, or because none is named?
#[allow(dead_code)]
pub fn is_asked_for(part: &str) -> bool {
    let mut parts = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    parts.peek().is_none() || parts.any(|arg| arg == part)
}

/// Two lcores if there are as many processors, else one.
#[allow(dead_code)] // of which some benchmarks use one only
pub fn one_or_two() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get()).min(2)
}

/// Octets of memory that this process has resident.
#[allow(dead_code)]
pub fn resident_bytes() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * 4_096
}
