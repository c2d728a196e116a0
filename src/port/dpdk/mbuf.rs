//! Buffers, by the batch.
//!
//! A [`Batch`] owns the buffers in it: it gives them back when it is cleared or dropped, unless
//! they were handed to a device before. Nothing outside this file touches a field of an `rte_mbuf`.

use core::sync::atomic::{AtomicU16, Ordering};

use dpdk_sys::{rte_mbuf, rte_mempool};

use super::pool::{self, HEADROOM};
use super::queue::FastPath;
use crate::port::{RxChecksum, TxOffload};

/// Flags of buffers whose data is not their own.
const NOT_DIRECT: u64 = dpdk_sys::RTE_MBUF_F_EXTERNAL | dpdk_sys::RTE_MBUF_F_INDIRECT;
/// In a packet type: some kind of IPv6.
const PTYPE_IPV6: u32 = 0x40;
/// Where the lengths of the IP and of the TCP header start in the word of transmit offloads.
const L3_LEN_SHIFT: u32 = 7;
const L4_LEN_SHIFT: u32 = 16;

/// Buffers that this value owns; their pools are kept alive by the port that holds the batch.
///
/// Invariant: entries `0..len` point at live buffers that nobody else uses, but for those that were
/// taken out of their places and are null.
pub(super) struct Batch {
    mbufs: Box<[*mut rte_mbuf]>,
    len: usize,
    /// How many entries are null.
    taken: usize,
    path: FastPath,
}

// SAFETY: the buffers belong to the batch alone, and buffers may be freed by any thread.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mbufs = vec![core::ptr::null_mut(); capacity].into_boxed_slice();
        Batch { mbufs, len: 0, taken: 0, path: FastPath::Rust }
    }

    pub(super) fn set_path(&mut self, path: FastPath) {
        self.path = path;
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.mbufs.len()
    }

    /// Lets `receive` write buffers from the start of the empty batch; it is given the place and
    /// returns how many it wrote.
    ///
    /// # Safety
    /// `receive` writes live buffers that it gives away, at most as many as the capacity.
    #[inline(always)]
    pub(super) unsafe fn fill(&mut self, receive: impl FnOnce(*mut *mut rte_mbuf) -> u16) {
        debug_assert_eq!(self.len, 0);
        self.len = usize::from(receive(self.mbufs.as_mut_ptr()));
        debug_assert!(self.len <= self.mbufs.len());
    }

    /// Lets `send` take buffers from the start; it is given the place and their number, and returns
    /// how many it took. The others move to the front.
    ///
    /// # Safety
    /// `send` owns as many buffers as it says, and has not touched the rest.
    #[inline(always)]
    pub(super) unsafe fn hand_over(&mut self, send: impl FnOnce(*mut *mut rte_mbuf, u16) -> u16) {
        let sent = usize::from(send(self.mbufs.as_mut_ptr(), self.len as u16));
        debug_assert!(sent <= self.len);
        if sent < self.len {
            self.mbufs.copy_within(sent..self.len, 0);
        }
        self.len -= sent;
    }

    /// Fills the empty batch with `count` fresh buffers of `pool`, or leaves it empty.
    ///
    /// # Safety
    /// `pool` is the live mempool of a [`pool::Pool`].
    #[inline]
    pub(super) unsafe fn allocate(&mut self, pool: *mut rte_mempool, count: usize) -> bool {
        assert!(self.len == 0 && count <= self.mbufs.len());
        let out = self.mbufs.as_mut_ptr();
        // SAFETY: there is room for `count`, and the caller vouches for the pool.
        if !unsafe { pool::take(pool, out, count, self.path) } {
            return false;
        }
        self.len = count;
        for &mbuf in &self.mbufs[..count] {
            // SAFETY: the pool has just given the buffer to us.
            unsafe { reset(mbuf) };
        }
        true
    }

    /// Gives every buffer back to its pool.
    #[inline]
    pub(super) fn clear(&mut self) {
        if self.taken > 0 {
            self.close_gaps();
        }
        if self.len > 0 {
            // SAFETY: the batch owns its buffers, and forgets them here.
            unsafe { free(&mut self.mbufs[..self.len], self.path) };
            self.len = 0;
        }
    }

    /// Forgets the places of buffers that were taken.
    fn close_gaps(&mut self) {
        let mut kept = 0;
        for index in 0..self.len {
            let mbuf = self.mbufs[index];
            self.mbufs[kept] = mbuf;
            kept += usize::from(!mbuf.is_null());
        }
        (self.len, self.taken) = (kept, 0);
    }

    /// Gives the first buffer back and keeps the order of the others.
    pub(super) fn discard_first(&mut self) {
        assert!(self.len > 0);
        self.mbufs[..self.len].rotate_left(1);
        self.len -= 1;
        // SAFETY: the batch owned the buffer, and has just forgotten it.
        unsafe { free(&mut self.mbufs[self.len..=self.len], self.path) };
    }

    /// Moves the last buffer to the end of `other`, which must have room.
    #[inline(always)]
    pub(super) fn move_last(&mut self, other: &mut Batch) {
        assert!(self.len > 0 && other.len < other.mbufs.len());
        self.len -= 1;
        other.mbufs[other.len] = self.mbufs[self.len];
        other.len += 1;
    }

    /// Moves the buffer at `index` to the end of `other`, which must have room, and leaves its place
    /// empty.
    #[inline(always)]
    pub(super) fn take_at(&mut self, index: usize, other: &mut Batch) {
        assert!(other.len < other.mbufs.len());
        other.mbufs[other.len] = self.live(index);
        other.len += 1;
        self.mbufs[index] = core::ptr::null_mut();
        self.taken += 1;
    }

    /// The buffer at `index`.
    #[inline(always)]
    fn live(&self, index: usize) -> *mut rte_mbuf {
        let mbuf = self.mbufs[..self.len][index];
        assert!(!mbuf.is_null(), "buffer {index} was taken");
        mbuf
    }

    /// Joins chains into one segment where they fit and gives back those that do not, keeping the
    /// order; asks the cache for the frames. Returns the octets of all frames and how many were
    /// given back.
    #[inline]
    pub(super) fn settle_received(&mut self) -> (u64, u64) {
        /// How far ahead the header of a buffer is asked for.
        const AHEAD: usize = 4;
        let mut octets = 0;
        let mut chained = false;
        for &mbuf in &self.mbufs[..self.len.min(AHEAD)] {
            prefetch(mbuf.cast());
        }
        for index in 0..self.len {
            if index + AHEAD < self.len {
                prefetch(self.mbufs[index + AHEAD].cast());
            }
            // SAFETY: the batch owns the buffer.
            unsafe {
                let mbuf = self.mbufs[index];
                prefetch((*mbuf).buf_addr.cast::<u8>().wrapping_add((*mbuf).data_off.into()));
                octets += u64::from((*mbuf).pkt_len);
                chained |= (*mbuf).nb_segs != 1;
            }
        }
        let dropped = if chained { self.join_chains(&mut octets) } else { 0 };
        (octets, dropped)
    }

    #[cold]
    fn join_chains(&mut self, octets: &mut u64) -> u64 {
        let mut kept = 0;
        for index in 0..self.len {
            // SAFETY: the batch owns the buffer with its chain; what is freed is not kept.
            unsafe {
                let mut mbuf = self.mbufs[index];
                if (*mbuf).nb_segs != 1 && dpdk_sys::dpx_mbuf_linearize(mbuf) != 0 {
                    *octets -= u64::from((*mbuf).pkt_len);
                    dpdk_sys::dpx_mbuf_free_bulk(&raw mut mbuf, 1);
                    continue;
                }
                self.mbufs[kept] = mbuf;
            }
            kept += 1;
        }
        let dropped = self.len - kept;
        self.len = kept;
        dropped as u64
    }

    /// The octets of a frame.
    #[inline(always)]
    pub(super) fn bytes(&self, index: usize) -> &[u8] {
        // SAFETY: the batch owns the buffer, and lends it as long as it is borrowed itself.
        unsafe { beginning(self.live(index)).0 }
    }

    /// What the device found out about the checksums of a frame.
    #[inline(always)]
    pub(super) fn checksum(&self, index: usize) -> RxChecksum {
        let mbuf = self.live(index);
        // SAFETY: the batch owns the buffer; every pattern of bits is a packet type.
        unsafe { verdict((*mbuf).ol_flags, (*mbuf).__bindgen_anon_1.packet_type) }
    }

    /// The room for a frame in the last buffer, at most `limit` octets.
    #[inline(always)]
    pub(super) fn last_room(&mut self, limit: usize) -> &mut [u8] {
        // SAFETY: the batch owns the buffer and lends it alone.
        unsafe { room(self.live(self.len - 1), limit) }
    }

    /// The room for a frame in the buffer at `index`, at most `limit` octets; `None` if its data may
    /// be used by others.
    #[inline(always)]
    pub(super) fn room_at(&mut self, index: usize, limit: usize) -> Option<&mut [u8]> {
        let mbuf = self.live(index);
        // SAFETY: the batch owns the buffer and lends it alone; nobody else refers to its data.
        unsafe { is_plain(mbuf).then(|| room(mbuf, limit)) }
    }

    /// Makes a frame to be sent of the first `len` octets of a received buffer's room.
    ///
    /// # Panics
    /// If there is not so much room.
    #[inline(always)]
    pub(super) fn seal_at(&mut self, index: usize, len: usize) {
        let mbuf = self.live(index);
        // SAFETY: the batch owns the buffer.
        unsafe {
            assert!(len <= usize::from((*mbuf).buf_len - (*mbuf).data_off), "no room for {len}");
            (*mbuf).data_len = len as u16;
            (*mbuf).pkt_len = len as u32;
            (*mbuf).ol_flags = 0; // what was found out on receipt; a plain buffer has no others
        }
    }

    /// Makes a frame of the first `len` octets of the last buffer's room.
    ///
    /// # Panics
    /// If there is not so much room.
    #[inline(always)]
    pub(super) fn seal_last(&mut self, len: usize, offload: TxOffload) {
        let mbuf = self.mbufs[..self.len][self.len - 1];
        // SAFETY: the batch owns the buffer.
        unsafe {
            assert!(len <= usize::from((*mbuf).buf_len - (*mbuf).data_off), "no room for {len}");
            (*mbuf).data_len = len as u16;
            (*mbuf).pkt_len = len as u32;
            if let TxOffload::TcpChecksum { ipv4, l2_len, l3_len, l4_len } = offload {
                let ip = if ipv4 {
                    dpdk_sys::RTE_MBUF_F_TX_IPV4 | dpdk_sys::RTE_MBUF_F_TX_IP_CKSUM
                } else {
                    dpdk_sys::RTE_MBUF_F_TX_IPV6
                };
                (*mbuf).ol_flags = dpdk_sys::RTE_MBUF_F_TX_TCP_CKSUM | ip;
                (*mbuf).__bindgen_anon_3.tx_offload = u64::from(l2_len)
                    | u64::from(l3_len) << L3_LEN_SHIFT
                    | u64::from(l4_len) << L4_LEN_SHIFT;
            }
        }
    }

    /// The octets of all frames.
    pub(super) fn octets(&self) -> u64 {
        (0..self.len).map(|index| self.bytes(index).len() as u64).sum()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The room for a frame in a buffer, from its data offset on, at most `limit` octets.
///
/// # Safety
/// The caller owns the buffer, alone, as long as it uses the room.
#[inline(always)]
unsafe fn room<'a>(mbuf: *mut rte_mbuf, limit: usize) -> &'a mut [u8] {
    // SAFETY: the caller vouches for the buffer; the memory of a pool is mapped and was zeroed by the
    // kernel or written since, so its octets have values.
    unsafe {
        let offset = (*mbuf).data_off;
        let room = usize::from((*mbuf).buf_len - offset).min(limit);
        let start = (*mbuf).buf_addr.cast::<u8>().add(offset.into());
        core::slice::from_raw_parts_mut(start, room)
    }
}

/// The octets of a frame's first segment, and the length of the whole frame.
///
/// # Safety
/// The buffer is live, and nobody writes to it as long as the octets are used.
#[inline(always)]
pub(super) unsafe fn beginning<'a>(mbuf: *const rte_mbuf) -> (&'a [u8], usize) {
    // SAFETY: the caller vouches for the buffer; whoever filled it vouches that `data_len` octets from
    // the offset are within it.
    unsafe {
        let start = (*mbuf).buf_addr.cast::<u8>().add((*mbuf).data_off.into());
        (core::slice::from_raw_parts(start, (*mbuf).data_len.into()), (*mbuf).pkt_len as usize)
    }
}

/// Asks the cache for a line that will be read.
#[inline(always)]
fn prefetch(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on memory and does not fault, whatever the address.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// What the flags of a received frame say of its checksums. A right TCP checksum in IPv4 whose
/// header was not checked is no verdict on both.
#[inline(always)]
fn verdict(flags: u64, packet_type: u32) -> RxChecksum {
    let ip = flags & dpdk_sys::RTE_MBUF_F_RX_IP_CKSUM_MASK;
    let l4 = flags & dpdk_sys::RTE_MBUF_F_RX_L4_CKSUM_MASK;
    let ip_bad = ip == dpdk_sys::RTE_MBUF_F_RX_IP_CKSUM_BAD;
    if ip_bad || l4 == dpdk_sys::RTE_MBUF_F_RX_L4_CKSUM_BAD {
        return RxChecksum::Bad;
    }
    let ip_good = ip == dpdk_sys::RTE_MBUF_F_RX_IP_CKSUM_GOOD || packet_type & PTYPE_IPV6 != 0;
    if ip_good && l4 == dpdk_sys::RTE_MBUF_F_RX_L4_CKSUM_GOOD {
        return RxChecksum::Good;
    }
    RxChecksum::Unknown
}

/// Makes a buffer from the pool ready for a frame. Only writes, so it does not wait for the buffer to
/// come into the cache. Of a buffer in a pool the reference count is 1, it has one segment and no
/// next one (DPDK Programmer's Guide, Mbuf Library); the second cache line is not touched, as the
/// offload lengths in it mean something only with a flag.
///
/// # Safety
/// The caller owns the buffer, which comes from a pool that [`pool::Pool::new`] made: so there is
/// room for the headroom, and its memory is not external, which a flag would have to say for good.
#[inline(always)]
unsafe fn reset(mbuf: *mut rte_mbuf) {
    // SAFETY: the caller owns the buffer.
    unsafe {
        (*mbuf).data_off = HEADROOM;
        (*mbuf).nb_segs = 1;
        (*mbuf).port = u16::MAX;
        (*mbuf).ol_flags = 0;
        (*mbuf).__bindgen_anon_1.packet_type = 0;
        (*mbuf).pkt_len = 0;
        (*mbuf).data_len = 0;
        (*mbuf).vlan_tci = 0;
        (*mbuf).vlan_tci_outer = 0;
    }
}

/// Can the buffer go back into its pool as it is?
///
/// # Safety
/// The caller owns (a reference to) the buffer.
#[inline(always)]
unsafe fn is_plain(mbuf: *mut rte_mbuf) -> bool {
    // SAFETY: the buffer is live; the count is only ever changed atomically.
    unsafe {
        let count = AtomicU16::from_ptr(&raw mut (*mbuf).refcnt).load(Ordering::Acquire);
        count == 1 && (*mbuf).nb_segs == 1 && (*mbuf).ol_flags & NOT_DIRECT == 0
    }
}

/// Frees buffers: runs of plain ones of one pool straight into it, the others by the shim.
///
/// # Safety
/// The caller owns the buffers and does not use them again.
#[inline]
unsafe fn free(mbufs: &mut [*mut rte_mbuf], path: FastPath) {
    // SAFETY: the caller gives the buffers away; a plain one satisfies what `give` asks for.
    unsafe {
        if path == FastPath::Shim {
            dpdk_sys::dpx_mbuf_free_bulk(mbufs.as_mut_ptr(), mbufs.len() as u32);
            return;
        }
        let mut start = 0;
        while start < mbufs.len() {
            let pool = (*mbufs[start]).pool;
            let mut end = start;
            while end < mbufs.len() && is_plain(mbufs[end]) && (*mbufs[end]).pool == pool {
                end += 1;
            }
            if end > start {
                pool::give(pool, mbufs[start..end].as_ptr(), end - start);
                start = end;
            } else {
                dpdk_sys::dpx_mbuf_free_bulk(&raw mut mbufs[start], 1);
                start += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dpdk_sys::*;

    #[test]
    fn a_verdict_needs_both_checksums() {
        let (ip_good, ip_bad) = (RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_IP_CKSUM_BAD);
        let (l4_good, l4_bad) = (RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD);
        for (flags, packet_type, expected) in [
            (0, 0, RxChecksum::Unknown),
            (ip_good, 0, RxChecksum::Unknown),
            (l4_good, 0, RxChecksum::Unknown),
            (l4_good, PTYPE_IPV6, RxChecksum::Good),
            (ip_good | l4_good, 0, RxChecksum::Good),
            (ip_bad | l4_good, 0, RxChecksum::Bad),
            (ip_good | l4_bad, 0, RxChecksum::Bad),
            (l4_bad, PTYPE_IPV6, RxChecksum::Bad),
            (RTE_MBUF_F_RX_IP_CKSUM_NONE | RTE_MBUF_F_RX_L4_CKSUM_NONE, 0, RxChecksum::Unknown),
        ] {
            assert_eq!(verdict(flags, packet_type), expected, "{flags:#x} {packet_type:#x}");
        }
    }

    #[test]
    fn offload_lengths_are_where_the_bit_fields_are() {
        let mut mbuf = rte_mbuf::default();
        mbuf.__bindgen_anon_3.tx_offload = 14 | 40 << L3_LEN_SHIFT | 60 << L4_LEN_SHIFT;
        // SAFETY: both members of the union are plain words.
        let fields = unsafe { mbuf.__bindgen_anon_3.__bindgen_anon_1 };
        assert_eq!(
            (fields.l2_len(), fields.l3_len(), fields.l4_len(), fields.tso_segsz()),
            (14, 40, 60, 0)
        );
    }
}
