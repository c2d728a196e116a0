//! One receive and one transmit queue of a device: the way of a packet.

use std::sync::Arc;

use dpdk_sys::{rte_eth_fp_ops, rte_mbuf};

use super::config::Offloads;
use super::error::PortError;
use super::ethdev::{Device, ETHERNET_HEADER};
use super::info::device_stats;
use super::mbuf::Batch;
use super::pool::Pool;
use crate::port::{Capabilities, Port, PortStats, RxChecksum, RxFrame, TxOffload};

/// The longest burst.
pub const MAX_BURST: usize = 512;
/// How many frames may wait for room in the device's ring.
const MAX_PENDING: usize = 2 * MAX_BURST;
/// How many buffers are taken from the pool at once for sending.
const STASH: usize = 32;

/// Who carries out bursts, and takes and frees buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastPath {
    /// Rust, over the tables that the inline functions of DPDK use.
    #[default]
    Rust,
    /// Those functions themselves, called through C: slower, and what the other is compared with.
    Shim,
}

/// One receive and one transmit queue of a device.
///
/// May be used by any thread, one at a time; it is fastest on an lcore of EAL (or a registered
/// thread), which has a cache of buffers. A received frame of several segments is joined if it fits
/// into the first, and dropped otherwise (counted in `rx_missed`).
pub struct DpdkPort {
    /// The burst functions of the port.
    functions: *const rte_eth_fp_ops,
    queue: u16,
    burst: u16,
    /// How many pending frames make a flush.
    flush_at: usize,
    /// How many pending frames are enough: the caller keeps the others.
    hold_at: usize,
    /// Does a pending frame leave something to the device?
    prepare: bool,
    path: FastPath,
    granted: Offloads,
    max_frame: usize,
    /// Is the device started? If not, nothing is received and nothing sent.
    started: bool,
    received: Batch,
    stash: Batch,
    pending: Batch,
    pending_octets: u64,
    stats: PortStats,
    // The batches above are dropped before what keeps their pools alive.
    pool: Pool,
    device: Arc<Device>,
}

// SAFETY: the queue pair belongs to this value alone (the device hands each out once), so moving it
// moves all access to it; the functions are a static table of DPDK.
unsafe impl Send for DpdkPort {}

impl DpdkPort {
    pub(super) fn new(
        device: Arc<Device>,
        queue: u16,
        pool: Pool,
        granted: Offloads,
        mtu: u16,
    ) -> Self {
        let max_frame = (usize::from(mtu) + ETHERNET_HEADER).min(pool.data_room());
        let mut port = DpdkPort {
            // SAFETY: an open port's id is below the length of the table.
            functions: unsafe {
                (&raw const dpdk_sys::rte_eth_fp_ops)
                    .cast::<rte_eth_fp_ops>()
                    .add(device.id().into())
            },
            queue,
            burst: 0,
            flush_at: 0,
            hold_at: 0,
            prepare: false,
            path: FastPath::Rust,
            granted,
            max_frame,
            started: true,
            received: Batch::with_capacity(MAX_BURST),
            stash: Batch::with_capacity(STASH),
            pending: Batch::with_capacity(MAX_PENDING),
            pending_octets: 0,
            stats: PortStats::default(),
            pool,
            device,
        };
        port.set_burst(32);
        port
    }

    /// Sets how many frames are received at once, and how many make a full burst to send; brought
    /// into 1 to [`MAX_BURST`].
    pub fn set_burst(&mut self, frames: usize) {
        self.burst = frames.clamp(1, MAX_BURST) as u16;
        self.flush_at = (self.pending.len() + usize::from(self.burst)).min(MAX_PENDING);
        self.hold_at = (2 * usize::from(self.burst)).min(MAX_PENDING);
    }

    /// How many frames are received at once, at most.
    pub fn burst(&self) -> usize {
        self.burst.into()
    }

    /// Chooses who carries out bursts, and takes and frees buffers.
    pub fn set_fast_path(&mut self, path: FastPath) {
        self.path = path;
        for batch in [&mut self.received, &mut self.stash, &mut self.pending] {
            batch.set_path(path);
        }
    }

    /// Stops the device and starts it again, as it was: `net_memif` connects to its server at the start
    /// of the device and at no other time. If it cannot be started, nothing is received and nothing
    /// sent until a later call starts it.
    ///
    /// # Errors
    /// If another queue pair of the device is in use (the device goes on), or the driver objects.
    pub fn restart(&mut self) -> Result<(), PortError> {
        self.received.clear();
        let restarted = self.device.restart();
        self.started = match &restarted {
            Ok(()) => true,
            Err(PortError::QueueInUse(..)) => self.started,
            Err(_) => false,
        };
        restarted
    }

    /// How many frames wait to be handed to the device.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Which of its port's queues this is.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Enough is pending: is it less after a flush?
    #[cold]
    fn flush_for_room(&mut self) -> bool {
        self.tx_flush();
        self.pending.len() < self.hold_at
    }

    /// Takes what the device does not accept (its checksum cannot be made) out of the way.
    #[cold]
    fn drop_refused(&mut self) {
        self.pending.discard_first();
        self.pending_octets = self.pending.octets();
        self.stats.tx_dropped += 1;
    }
}

impl Port for DpdkPort {
    #[inline]
    fn rx_burst(&mut self) -> usize {
        self.received.clear();
        if !self.started {
            return 0;
        }
        let (functions, port, queue, burst) =
            (self.functions, self.device.id(), self.queue, self.burst);
        // SAFETY: the batch has room for a burst, the device is started (only this value could stop it
        // meanwhile), and the queue belongs to it alone. What is received is ours.
        unsafe {
            match self.path {
                FastPath::Rust => {
                    self.received.fill(|mbufs| receive(functions, port, queue, mbufs, burst));
                }
                FastPath::Shim => {
                    self.received.fill(|to| dpdk_sys::dpx_rx_burst(port, queue, to, burst));
                }
            }
        }
        if self.received.len() > 0 {
            let (octets, dropped) = self.received.settle_received();
            self.stats.rx_packets += self.received.len() as u64;
            self.stats.rx_bytes += octets;
            self.stats.rx_missed += dropped;
        }
        self.received.len()
    }

    #[inline]
    fn rx_frame(&self, index: usize) -> RxFrame<'_> {
        let checksum = if self.granted.rx_checksum {
            self.received.checksum(index)
        } else {
            RxChecksum::Unknown
        };
        RxFrame { bytes: self.received.bytes(index), checksum }
    }

    #[inline]
    fn rx_answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        if self.pending.is_full() {
            return false;
        }
        let Some(room) = self.received.room_at(index, self.max_frame) else { return false };
        if room.len() < longest {
            return false;
        }
        let len = write(room);
        self.received.seal_at(index, len);
        self.received.take_at(index, &mut self.pending);
        self.pending_octets += len as u64;
        if self.pending.len() >= self.flush_at {
            self.tx_flush();
        }
        true
    }

    #[inline]
    fn tx_room(&mut self) -> Option<&mut [u8]> {
        if self.pending.len() >= self.hold_at && !self.flush_for_room() {
            return None;
        }
        if self.stash.len() == 0 {
            // SAFETY: this value keeps the pool alive. The last few buffers of a pool are not
            // enough for a bulk, so one at a time is tried too.
            let some = unsafe {
                self.stash.allocate(self.pool.raw(), STASH)
                    || self.stash.allocate(self.pool.raw(), 1)
            };
            if !some {
                self.stats.tx_no_buffer += 1;
                return None;
            }
        }
        Some(self.stash.last_room(self.max_frame))
    }

    #[inline]
    fn tx_commit(&mut self, len: usize, offload: TxOffload) {
        assert!(self.stash.len() > 0, "no buffer was asked for");
        assert!(len <= self.max_frame, "{len} octets are more than a frame");
        if offload != TxOffload::None {
            assert!(self.granted.tx_checksum, "the device does no checksums");
            self.prepare = true;
        }
        if self.pending.is_full() {
            self.tx_flush();
            if self.pending.is_full() {
                self.stats.tx_dropped += 1;
                return; // the buffer stays for the next frame
            }
        }
        self.stash.seal_last(len, offload);
        self.stash.move_last(&mut self.pending);
        self.pending_octets += len as u64;
        if self.pending.len() >= self.flush_at {
            self.tx_flush();
        }
    }

    #[inline]
    fn tx_flush(&mut self) {
        let before = self.pending.len();
        if before == 0 || !self.started {
            return;
        }
        let (functions, port, queue) = (self.functions, self.device.id(), self.queue);
        let (prepare, path) = (self.prepare, self.path);
        let mut refused = false;
        // SAFETY: the device is started (only this value could stop it meanwhile), and the queue
        // belongs to it alone. The device owns what it says it took.
        unsafe {
            self.pending.hand_over(|mbufs, count| {
                let mut ready = count;
                if prepare {
                    ready = dpdk_sys::dpx_tx_prepare(port, queue, mbufs, count);
                    refused = ready < count;
                }
                let sent = match path {
                    FastPath::Rust => transmit(functions, port, queue, mbufs, ready),
                    FastPath::Shim => dpdk_sys::dpx_tx_burst(port, queue, mbufs, ready),
                };
                refused &= sent == ready;
                sent
            });
        }
        self.stats.tx_packets += (before - self.pending.len()) as u64;
        let left = if self.pending.len() == 0 { 0 } else { self.pending.octets() };
        self.stats.tx_bytes += self.pending_octets - left;
        self.pending_octets = left;
        if refused {
            self.drop_refused();
        }
        self.prepare &= self.pending.len() > 0;
        self.flush_at = (self.pending.len() + usize::from(self.burst)).min(MAX_PENDING);
    }

    #[inline]
    fn tx_waiting(&self) -> usize {
        self.pending.len()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { tx_tcp_checksum: self.granted.tx_checksum, max_frame: self.max_frame }
    }

    /// Of this queue pair; but what the device missed is counted for the whole device, and shown by
    /// queue 0.
    fn stats(&self) -> PortStats {
        let mut stats = self.stats;
        if self.queue == 0 {
            let _control = self.device.control();
            let device = device_stats(self.device.id());
            stats.rx_missed += device.rx_missed + device.rx_no_buffer;
        }
        stats
    }
}

impl Drop for DpdkPort {
    fn drop(&mut self) {
        self.tx_flush();
        self.device.give_back(self.queue);
    }
}

/// `rte_eth_rx_burst()`: the driver's function, then the callbacks of the queue if it has some.
///
/// # Safety
/// `functions` are those of the started port `port`, which has the queue; the calling thread is
/// the only one that receives from it; `mbufs` has room for `count`.
#[inline(always)]
unsafe fn receive(
    functions: *const rte_eth_fp_ops,
    port: u16,
    queue: u16,
    mbufs: *mut *mut rte_mbuf,
    count: u16,
) -> u16 {
    // SAFETY: the caller vouches for all of it. The table is read anew in each call, as control
    // calls of other threads write it; the callbacks are a pointer that they exchange atomically.
    unsafe {
        let data = *(*functions).rxq.data.add(queue.into());
        let burst = (&raw const (*functions).rx_pkt_burst).read_volatile();
        let received = burst.unwrap_unchecked()(data, mbufs, count);
        let callbacks = callbacks((*functions).rxq.clbk, queue);
        if callbacks.is_null() {
            return received;
        }
        dpdk_sys::rte_eth_call_rx_callbacks(port, queue, mbufs, received, count, callbacks)
    }
}

/// `rte_eth_tx_burst()`: the callbacks of the queue if it has some, then the driver's function.
///
/// # Safety
/// As for [`receive`]; the first `count` buffers are the caller's, and those that are sent no
/// longer.
#[inline(always)]
unsafe fn transmit(
    functions: *const rte_eth_fp_ops,
    port: u16,
    queue: u16,
    mbufs: *mut *mut rte_mbuf,
    mut count: u16,
) -> u16 {
    // SAFETY: as in `receive`.
    unsafe {
        let data = *(*functions).txq.data.add(queue.into());
        let callbacks = callbacks((*functions).txq.clbk, queue);
        if !callbacks.is_null() {
            count = dpdk_sys::rte_eth_call_tx_callbacks(port, queue, mbufs, count, callbacks);
        }
        let burst = (&raw const (*functions).tx_pkt_burst).read_volatile();
        burst.unwrap_unchecked()(data, mbufs, count)
    }
}

/// The first callback of a queue, or null.
///
/// # Safety
/// `table` is the callback table of a port that has the queue.
#[inline(always)]
unsafe fn callbacks(table: *mut *mut core::ffi::c_void, queue: u16) -> *mut core::ffi::c_void {
    use core::sync::atomic::{AtomicPtr, Ordering};
    // SAFETY: the caller vouches for the table; all accesses to its entries are atomic. What the
    // callback points at was published with release order, and is only reached through it.
    unsafe { AtomicPtr::from_ptr(table.add(queue.into())).load(Ordering::Acquire) }
}
