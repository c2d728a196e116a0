//! Bindings to the DPDK that is installed, made from its headers when this crate is built.
//!
//! Nothing here is safe or convenient, and nothing is checked in: layouts such as the burst
//! functions of a port ([`rte_eth_fp_ops`]) or the buffer cache of a core
//! ([`rte_mempool_cache`]) are part of one ABI of DPDK and may change with the next. What cannot be
//! called from Rust (static inline functions, macros, thread-local variables) is behind the
//! functions of the shim, whose names start with `dpx_`.
//!
//! The build needs `pkg-config`, the headers of DPDK 22.11 or newer, a C compiler and libclang.

/// The version of DPDK that the bindings were made from, such as `22.11.4`.
pub const VERSION: &str = env!("DPDK_VERSION");

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    rustdoc::all,
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{align_of, offset_of, size_of};

    #[test]
    fn a_buffer_header_is_two_cache_lines() {
        assert_eq!(size_of::<rte_mbuf>(), 128);
        assert_eq!(align_of::<rte_mbuf>(), 64);
        assert_eq!(offset_of!(rte_mbuf, buf_addr), 0);
        assert_eq!(offset_of!(rte_mbuf, ol_flags), 24);
        assert_eq!(offset_of!(rte_mbuf, next), 64, "the second line starts with the chain");
    }

    #[test]
    fn receive_and_transmit_functions_have_a_cache_line_each() {
        assert_eq!(size_of::<rte_eth_fp_ops>(), 128);
        assert_eq!(offset_of!(rte_eth_fp_ops, tx_pkt_burst), 64);
    }

    #[test]
    fn the_buffer_cache_has_room_for_twice_its_largest_size() {
        let objects = 2 * RTE_MEMPOOL_CACHE_MAX_SIZE as usize;
        assert_eq!(offset_of!(rte_mempool_cache, objs) % 64, 0);
        assert_eq!(size_of::<rte_mempool_cache>(), 64 + objects * size_of::<usize>());
    }

    #[test]
    fn offload_flags_came_through_with_their_values() {
        assert_eq!(RTE_ETH_RX_OFFLOAD_TCP_CKSUM, 1u64 << 3);
        assert_eq!(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, 1u64 << 1);
        assert_eq!(RTE_MBUF_F_TX_TCP_CKSUM, 1u64 << 52);
        assert_eq!(RTE_ETH_RSS_NONFRAG_IPV4_TCP, 1u64 << 4);
    }

    #[test]
    fn the_library_that_is_loaded_is_the_one_that_was_bound() {
        // SAFETY: the function only formats a constant of the library and may be called before EAL.
        let version = unsafe { core::ffi::CStr::from_ptr(rte_version()) };
        let version = version.to_str().expect("ASCII");
        assert_eq!(version.split_whitespace().last(), Some(VERSION), "{version}");
    }
}
