//! Pools of buffers, and the two ways to take from and give to them: the cache of the calling lcore
//! in Rust, and the rest in C.
//!
//! A cache belongs to one lcore id and a thread has its id to itself, so the id is looked up at each
//! call (once per burst): a port may move between threads at any time. A thread without an id has no
//! cache and works on the common store, which any number of threads may use at once.

use core::ffi::c_void;
use core::ptr::NonNull;
use std::ffi::CString;
use std::sync::Arc;

use dpdk_sys::{rte_mbuf, rte_mempool, rte_mempool_cache};

use super::eal::Eal;
use super::error::PortError;
use super::queue::FastPath;

/// What a pool shall be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// How many buffers. Best is a power of two less one.
    pub buffers: u32,
    /// How many buffers each lcore may keep for itself; at most 512, and small against `buffers`.
    pub cache: u32,
    /// Room for a frame in each buffer, octets, without the headroom.
    pub data_room: u16,
    /// The NUMA node, or any.
    pub socket: Option<u16>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig { buffers: 8191, cache: 256, data_room: 2048, socket: None }
    }
}

/// A pool of buffers. Copies share it; it is freed with the last.
#[derive(Clone)]
pub struct Pool {
    pub(super) shared: Arc<PoolShared>,
}

pub(super) struct PoolShared {
    raw: NonNull<rte_mempool>,
    data_room: u16,
    _eal: Eal,
}

// SAFETY: a mempool is made for use by many threads (DPDK Programmer's Guide, Mempool Library); what
// is not, the cache of an lcore, is only touched by the thread that has its id.
unsafe impl Send for PoolShared {}
// SAFETY: as above.
unsafe impl Sync for PoolShared {}

impl Pool {
    /// Makes a pool; its name (1 to 15 characters) must be new in the process.
    ///
    /// # Errors
    /// If the name is taken or unfit, memory is short, or the mempool driver was not loaded.
    pub fn new(eal: &Eal, name: &str, config: PoolConfig) -> Result<Pool, PortError> {
        let c_name = c_name(name)?;
        let room = config.data_room.saturating_add(HEADROOM);
        // SAFETY: EAL is initialised while `eal` lives; the name is a C string that is copied.
        let raw = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                c_name.as_ptr(),
                config.buffers,
                config.cache,
                0,
                room,
                config.socket.map_or(dpdk_sys::SOCKET_ID_ANY, i32::from),
            )
        };
        let Some(raw) = NonNull::new(raw) else {
            // SAFETY: reads a thread-local variable of EAL.
            let code = unsafe { dpdk_sys::dpx_errno() };
            return Err(PortError::Pool { name: name.to_owned(), code });
        };
        let shared = PoolShared { raw, data_room: room - HEADROOM, _eal: eal.clone() };
        Ok(Pool { shared: Arc::new(shared) })
    }

    /// How many buffers there are in all.
    pub fn size(&self) -> u32 {
        // SAFETY: the pool lives while `self` does, and its size never changes.
        unsafe { (*self.raw()).size }
    }

    /// How many buffers can still be taken, the caches of all lcores counted.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives while `self` does; the count reads a snapshot of each cache.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.raw()) }
    }

    /// How many buffers are taken.
    pub fn in_use(&self) -> u32 {
        self.size().saturating_sub(self.available())
    }

    /// Room for a frame in each buffer, octets.
    pub fn data_room(&self) -> usize {
        usize::from(self.shared.data_room)
    }

    pub(super) fn raw(&self) -> *mut rte_mempool {
        self.shared.raw.as_ptr()
    }
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size())
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

impl Drop for PoolShared {
    fn drop(&mut self) {
        let raw = self.raw.as_ptr();
        // SAFETY: the pool was made by `Pool::new`, and devices, rings and ports that use it hold a
        // `Pool`. Should a driver have kept a buffer all the same, the pool is left alone.
        unsafe {
            if dpdk_sys::rte_mempool_avail_count(raw) == (*raw).size {
                dpdk_sys::rte_mempool_free(raw);
            }
        }
    }
}

/// Octets before the frame in each buffer.
pub(super) const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;

/// A name as C wants it.
pub(super) fn c_name(name: &str) -> Result<CString, PortError> {
    let fit = (1..=15).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let bad = || PortError::BadName(name.to_owned());
    if fit { CString::new(name).map_err(|_| bad()) } else { Err(bad()) }
}

/// The cache of the calling lcore, if the thread is one and the pool has caches.
///
/// # Safety
/// `pool` is a live mempool.
#[inline(always)]
unsafe fn cache(pool: *mut rte_mempool) -> Option<NonNull<rte_mempool_cache>> {
    // SAFETY: the shim reads a thread-local variable; the caller vouches for the pool, whose table
    // of caches has an entry for each possible lcore id.
    unsafe {
        let lcore = dpdk_sys::dpx_lcore_id();
        if (*pool).cache_size == 0 || lcore >= dpdk_sys::RTE_MAX_LCORE {
            return None;
        }
        NonNull::new((*pool).local_cache.add(lcore as usize))
    }
}

/// Takes `count` buffers as they are in the pool, all or none.
///
/// # Safety
/// `pool` is a live mempool of packet buffers and `out` has room for `count` pointers.
#[inline]
pub(super) unsafe fn take(
    pool: *mut rte_mempool,
    out: *mut *mut rte_mbuf,
    count: usize,
    path: FastPath,
) -> bool {
    // SAFETY: the caller vouches for the arguments. The cache belongs to this thread alone, and its
    // first `len` entries are buffers that nobody else has.
    unsafe {
        if path == FastPath::Rust
            && let Some(cache) = cache(pool)
        {
            let cache = cache.as_ptr();
            let len = (*cache).len as usize;
            if len >= count {
                let from = (&raw const (*cache).objs).cast::<*mut rte_mbuf>().add(len - count);
                core::ptr::copy_nonoverlapping(from, out, count);
                (*cache).len = (len - count) as u32;
                return true;
            }
        }
        dpdk_sys::dpx_mempool_get_bulk(pool, out.cast(), count as u32) == 0
    }
}

/// Gives back buffers of one pool.
///
/// # Safety
/// `pool` is a live mempool, and the `count` buffers at `mbufs` are of it, owned by the caller, not
/// shared, and in the state that buffers have in a pool (one segment, no attachment).
#[inline]
pub(super) unsafe fn give(pool: *mut rte_mempool, mbufs: *const *mut rte_mbuf, count: usize) {
    // SAFETY: the caller vouches for the arguments. The cache belongs to this thread alone and has
    // room for `flushthresh` entries.
    unsafe {
        if let Some(cache) = cache(pool) {
            let cache = cache.as_ptr();
            let len = (*cache).len as usize;
            if len + count <= (*cache).flushthresh as usize {
                let to = (&raw mut (*cache).objs).cast::<*mut rte_mbuf>().add(len);
                core::ptr::copy_nonoverlapping(mbufs, to, count);
                (*cache).len = (len + count) as u32;
                return;
            }
        }
        dpdk_sys::dpx_mempool_put_bulk(pool, mbufs.cast::<*mut c_void>(), count as u32);
    }
}
