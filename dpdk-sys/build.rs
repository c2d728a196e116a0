//! Finds DPDK, makes the bindings and compiles the shim.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest DPDK whose headers the bindings are written for.
const OLDEST: &str = "22.11";

/// The libraries whose functions are called by name. Drivers are not among them: EAL loads them as
/// plugins. (The ring driver is, because it is also a library: two ports back to back are made by
/// calling it.)
const LIBRARIES: [&str; 12] = [
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
    "rte_eal",
    "rte_telemetry",
    "rte_kvargs",
    "rte_net",
    "rte_pdump",
    "rte_bus_vdev",
    "rte_net_ring",
    "rte_timer",
];

fn main() {
    for file in ["build.rs", "shim.c", "shim.h", "wrapper.h"] {
        println!("cargo::rerun-if-changed={file}");
    }
    for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "LIBCLANG_PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }

    pkg_config(&[&format!("--atleast-version={OLDEST}")]).unwrap_or_else(|why| fail(&why));
    let version = pkg_config(&["--modversion"]).unwrap_or_else(|why| fail(&why));
    let cflags = pkg_config(&["--cflags"]).unwrap_or_else(|why| fail(&why));
    let libdir = pkg_config(&["--variable=libdir"]).unwrap_or_else(|why| fail(&why));
    // Raw: `-include rte_config.h` and `-march` decide what the headers mean.
    let cflags: Vec<&str> = cflags.split_whitespace().collect();

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bind(&cflags, &out);
    compile_shim(&cflags);

    println!("cargo::rustc-link-search=native={libdir}");
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
    println!("cargo::rustc-env=DPDK_VERSION={version}");
    println!("cargo::metadata=version={version}");
    println!("cargo::metadata=libdir={libdir}");
}

/// What `pkg-config ARGUMENTS libdpdk` prints.
fn pkg_config(arguments: &[&str]) -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program)
        .args(arguments)
        .arg("libdpdk")
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{program} does not know libdpdk {OLDEST} or newer"))
    }
}

/// Ends the build with the remedy.
fn fail(why: &str) -> ! {
    println!(
        "cargo::error={why}. Install DPDK: apt-get install -y --no-install-recommends gcc libc6-dev \
         pkg-config libdpdk-dev libclang-dev (or point PKG_CONFIG_PATH at another one, or build \
         without it: --no-default-features)"
    );
    std::process::exit(1);
}

/// Gives flags one width; the headers mix `u32` and `u64`.
#[derive(Debug)]
struct Flags;

impl bindgen::callbacks::ParseCallbacks for Flags {
    fn int_macro(&self, name: &str, _value: i64) -> Option<bindgen::callbacks::IntKind> {
        let is_flag = name.starts_with("RTE_MBUF_F_")
            || name.starts_with("RTE_ETH_RSS_")
            || name.contains("_OFFLOAD_");
        is_flag.then_some(bindgen::callbacks::IntKind::U64)
    }
}

fn bind(cflags: &[&str], out: &Path) {
    let bindings = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(cflags)
        .clang_arg("-DALLOW_EXPERIMENTAL_API")
        .parse_callbacks(Box::new(Flags))
        // Offload flags are made with a function-like macro; without this they are all missing.
        .clang_macro_fallback()
        .clang_macro_fallback_build_dir(out)
        .allowlist_function(
            "rte_(eal|eth|pktmbuf|mbuf|mempool|ring|telemetry|tel|pdump|lcore|thread|malloc|dev|vdev)_.*",
        )
        .allowlist_function("rte_(free|get_tsc_hz|get_main_lcore|get_next_lcore|strerror|version)")
        .allowlist_function("rte_(socket_id|socket_count|log_set_(level_pattern|global_level)|openlog_stream)")
        .allowlist_function("rte_timer_(subsystem_init|init|reset|stop|manage)")
        .allowlist_function("dpx_.*")
        .allowlist_type("rte_(eth|mbuf|mempool|ring|tel|ether)_.*")
        .allowlist_var("RTE_(ETH|ETHER|MBUF|PKTMBUF|MAX|MEMPOOL|CACHE|LOG|PMD_RING)_.*")
        .allowlist_var("RING_F_.*|LCORE_ID_ANY|SOCKET_ID_ANY|SINGLE|rte_eth_fp_ops")
        .opaque_type("rte_arp_(hdr|ipv4)")
        .prepend_enum_name(false)
        .layout_tests(false)
        .derive_default(true)
        .derive_debug(false)
        .generate_comments(false)
        .formatter(bindgen::Formatter::None)
        .generate()
        .unwrap_or_else(|error| fail(&format!("the headers of DPDK cannot be read: {error}")));
    bindings.write_to_file(out.join("bindings.rs")).expect("OUT_DIR is writable");
}

fn compile_shim(cflags: &[&str]) {
    let mut build = cc::Build::new();
    build.file("shim.c").opt_level(3).define("ALLOW_EXPERIMENTAL_API", None);
    for flag in cflags {
        build.flag(flag);
    }
    build.flag("-Wno-deprecated-declarations").compile("dpx_shim");
}
