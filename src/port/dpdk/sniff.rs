//! Looking at the frames of a device while others use it.
//!
//! A [`Sniffer`] gives DPDK a callback for each queue. The thread that bursts copies the beginning of
//! every frame into a bounded queue without locks, and some other thread takes it out. Without a
//! sniffer there is no callback, so a burst costs what it always did.
//!
//! DPDK unlinks a callback at once, but a burst that began before may still be about to call it, and
//! nobody can tell. So what such a burst may look at stays until none can be under way any more:
//!
//! ```text
//! drop ──▶ the queue of copies is taken out of the tap and freed: a late burst finds none
//!     └──▶ callback unlinked ──▶ kept, with its (now small) tap ──▶ freed when the queue pair is back
//! ```

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use std::panic::catch_unwind;
use std::sync::{Arc, PoisonError, RwLock};

use crossbeam_queue::ArrayQueue;
use dpdk_sys::{rte_eth_rxtx_callback, rte_mbuf};

use super::error::PortError;
use super::ethdev::{Device, EthDev};
use super::mbuf;
use super::tsc;

/// Octets that are copied of a frame: all headers, up to the options of TCP over IPv6 with a VLAN tag.
pub const SEEN_OCTETS: usize = 128;

/// Which frames of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Those that it received.
    Received,
    /// Those that it was given to send. One that it has no room for is seen again when it is given
    /// again.
    Sent,
}

/// A frame that passed.
#[derive(Clone, Copy)]
pub struct Seen {
    /// The time-stamp counter when its burst passed: see [`Tsc::at`](super::Tsc::at).
    pub cycles: u64,
    /// How long the frame was, octets.
    pub length: usize,
    /// The queue that it passed.
    pub queue: u16,
    kept: u16,
    octets: [u8; SEEN_OCTETS],
}

impl Seen {
    /// How the frame began, [`SEEN_OCTETS`] at most.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.kept.into()]
    }
}

impl core::fmt::Debug for Seen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Seen({} octets at {} on queue {})", self.length, self.cycles, self.queue)
    }
}

/// Where callbacks put what they see.
struct Tap {
    /// Emptied when the sniffer goes, which waits for callbacks that are putting something in. They
    /// never wait for it: what they do not get at once is not theirs any more.
    frames: RwLock<Option<ArrayQueue<Seen>>>,
    missed: AtomicU64,
}

impl Tap {
    /// Copies how the frames begin. Allocates nothing and waits for nobody.
    ///
    /// # Safety
    /// `mbufs` are live buffers that the caller owns meanwhile.
    unsafe fn take(&self, queue: u16, mbufs: &[*mut rte_mbuf]) {
        let Ok(frames) = self.frames.try_read() else { return };
        let Some(frames) = &*frames else { return };
        let cycles = tsc::read();
        let mut missed = 0;
        for &mbuf in mbufs {
            // SAFETY: the caller vouches for the buffer.
            let (start, length) = unsafe { mbuf::beginning(mbuf) };
            let kept = start.len().min(SEEN_OCTETS);
            let mut octets = [0; SEEN_OCTETS];
            octets[..kept].copy_from_slice(&start[..kept]);
            let seen = Seen { cycles, length, queue, kept: kept as u16, octets };
            missed += u64::from(frames.push(seen).is_err());
        }
        if missed > 0 {
            self.missed.fetch_add(missed, Ordering::Relaxed);
        }
    }
}

/// Sees the frames of a device in one direction, on all its queues, as long as it lives and the
/// device is not stopped. See [`EthDev::sniff`].
pub struct Sniffer {
    tap: Arc<Tap>,
    // So the port cannot be closed with a callback of it: DPDK would keep that for the next one.
    device: Arc<Device>,
}

impl EthDev {
    /// Begins to look at the frames that the device receives or sends, whoever uses its queues.
    /// `capacity` (at least 1) is how many wait for [`Sniffer::next`]; what comes when as many wait
    /// is only counted. There may be several sniffers at once.
    ///
    /// # Errors
    /// If the device is not started, or DPDK was built without callbacks or has no memory for them.
    pub fn sniff(&self, direction: Direction, capacity: usize) -> Result<Sniffer, PortError> {
        let frames = RwLock::new(Some(ArrayQueue::new(capacity.max(1))));
        let tap = Arc::new(Tap { frames, missed: AtomicU64::new(0) });
        // Made first, so that it removes what was added if a later queue fails.
        let sniffer = Sniffer { tap, device: self.shared.clone() };
        let mut control = sniffer.device.control();
        let queues = control.taken().len();
        if queues == 0 {
            return Err(PortError::NotStarted(self.name().to_owned()));
        }
        for queue in 0..queues as u16 {
            let added = control.callbacks.add(self.port_id(), queue, direction, &sniffer.tap);
            added.map_err(|code| PortError::Device {
                port: self.name().to_owned(),
                step: "adding a callback",
                code,
                detail: String::new(),
            })?;
        }
        drop(control);
        Ok(sniffer)
    }
}

impl Sniffer {
    /// The next frame, in the order in which they passed each queue.
    pub fn next(&self) -> Option<Seen> {
        self.tap.frames.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.pop()
    }

    /// How many frames passed and were not kept, because too many waited.
    pub fn missed(&self) -> u64 {
        self.tap.missed.load(Ordering::Relaxed)
    }
}

impl core::fmt::Debug for Sniffer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sniffer(port {}, {} missed)", self.device.id(), self.missed())
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        *self.tap.frames.write().unwrap_or_else(PoisonError::into_inner) = None;
        let mut control = self.device.control();
        let taken = control.taken().to_vec();
        control.callbacks.remove(self.device.id(), |tap| Arc::ptr_eq(tap, &self.tap));
        // SAFETY: a queue that is not handed out has no burst, and none is while we have the lock.
        unsafe {
            control.callbacks.free(|queue| !taken.get(usize::from(queue)).is_some_and(|t| *t))
        };
    }
}

/// A callback that DPDK has: its own record, and what that points at.
struct Callback {
    direction: Direction,
    queue: u16,
    record: NonNull<rte_eth_rxtx_callback>,
    tap: Arc<Tap>,
}

// SAFETY: the record is memory of DPDK's heap, which any thread may give back; only DPDK reads it.
unsafe impl Send for Callback {}

/// The callbacks of a device.
#[derive(Default)]
pub(super) struct Callbacks {
    /// Those that bursts call.
    added: Vec<Callback>,
    /// Those that a burst from before they were removed may still be looking at.
    removed: Vec<Callback>,
}

impl Callbacks {
    /// Adds a callback to a queue of an open port; on failure the `errno`.
    fn add(
        &mut self,
        port: u16,
        queue: u16,
        direction: Direction,
        tap: &Arc<Tap>,
    ) -> Result<(), c_int> {
        let argument = Arc::as_ptr(tap).cast::<c_void>().cast_mut();
        // SAFETY: the functions have the signatures of callbacks and do not unwind; the tap that they
        // are given lives until the callback is freed, since it is kept with its record.
        let record = unsafe {
            match direction {
                Direction::Received => {
                    dpdk_sys::rte_eth_add_rx_callback(port, queue, Some(on_received), argument)
                }
                Direction::Sent => {
                    dpdk_sys::rte_eth_add_tx_callback(port, queue, Some(on_sent), argument)
                }
            }
        };
        let Some(record) = NonNull::new(record.cast_mut()) else {
            // SAFETY: reads a thread-local variable of EAL.
            return Err(unsafe { dpdk_sys::dpx_errno() });
        };
        self.added.push(Callback { direction, queue, record, tap: tap.clone() });
        Ok(())
    }

    /// Removes the callbacks of some taps from an open port. They stay in memory.
    fn remove(&mut self, port: u16, which: impl Fn(&Arc<Tap>) -> bool) {
        for callback in self.added.extract_if(.., |callback| which(&callback.tap)) {
            let Callback { direction, queue, record, .. } = callback;
            // SAFETY: the port is open and its control calls have the lock; the record is what the
            // same queue gave when the callback was added.
            let code = unsafe {
                match direction {
                    Direction::Received => {
                        dpdk_sys::rte_eth_remove_rx_callback(port, queue, record.as_ptr())
                    }
                    Direction::Sent => {
                        dpdk_sys::rte_eth_remove_tx_callback(port, queue, record.as_ptr())
                    }
                }
            };
            if code == 0 {
                self.removed.push(callback);
            } else {
                // It may still be called, so it stays for good. DPDK has no reason to refuse.
                core::mem::forget(callback);
            }
        }
    }

    /// Removes all callbacks from a port that has no queue pair handed out.
    ///
    /// # Safety
    /// No burst runs on the port.
    pub(super) unsafe fn clear(&mut self, port: u16) {
        self.remove(port, |_| true);
        // SAFETY: the caller vouches for it.
        unsafe { self.free(|_| true) };
    }

    /// Frees removed callbacks of queues that are idle.
    ///
    /// # Safety
    /// No burst that began before they were removed runs on these queues.
    pub(super) unsafe fn free(&mut self, idle: impl Fn(u16) -> bool) {
        for callback in self.removed.extract_if(.., |callback| idle(callback.queue)) {
            // SAFETY: the record comes from DPDK's heap and was unlinked; the caller vouches that
            // nobody looks at it, nor at the tap, which goes with the callback.
            unsafe { dpdk_sys::rte_free(callback.record.as_ptr().cast()) };
        }
    }

    /// How many are called, and how many are only kept.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.added.len(), self.removed.len())
    }
}

unsafe extern "C" fn on_received(
    _port: u16,
    queue: u16,
    mbufs: *mut *mut rte_mbuf,
    received: u16,
    _room: u16,
    tap: *mut c_void,
) -> u16 {
    // SAFETY: DPDK passes the buffers that were received and the argument of the callback.
    unsafe { look(queue, mbufs, received, tap) };
    received
}

unsafe extern "C" fn on_sent(
    _port: u16,
    queue: u16,
    mbufs: *mut *mut rte_mbuf,
    count: u16,
    tap: *mut c_void,
) -> u16 {
    // SAFETY: DPDK passes the buffers that are to be sent and the argument of the callback.
    unsafe { look(queue, mbufs, count, tap) };
    count
}

/// # Safety
/// `mbufs` are `count` live buffers of the burst, and `tap` is the live [`Tap`] of the callback.
unsafe fn look(queue: u16, mbufs: *mut *mut rte_mbuf, count: u16, tap: *mut c_void) {
    if count == 0 {
        return;
    }
    // A panic must not cross into C; what it was about to show is no reason to end a run.
    let _ = catch_unwind(|| {
        // SAFETY: the caller vouches for both. The tap is freed only when no burst can be here.
        unsafe {
            let mbufs = core::slice::from_raw_parts(mbufs, count.into());
            (*tap.cast::<Tap>()).take(queue, mbufs);
        }
    });
}
