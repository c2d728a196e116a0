//! Stamps the version of DPDK into the binary, and lets it find a DPDK that is not the system's.

use std::env;

/// Where the dynamic linker looks by itself.
const SYSTEM: [&str; 2] = ["/usr/lib", "/lib"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Set by dpdk-sys for the crates that depend on it; without the feature there is nothing to do.
    let Ok(version) = env::var("DEP_DPDK_VERSION") else { return };
    println!("cargo::rustc-env=LASTACK_DPDK_VERSION={version}");

    // Link arguments do not travel from a dependency to the binary, library names do.
    let libdir = env::var("DEP_DPDK_LIBDIR").unwrap_or_default();
    if !libdir.is_empty() && !SYSTEM.iter().any(|prefix| libdir.starts_with(prefix)) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libdir}");
    }
}
