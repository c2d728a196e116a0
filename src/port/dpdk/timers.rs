//! DPDK's own timers (`rte_timer`, Programmer's Guide "Timer Library"), to compare with: nothing in
//! lastack runs on them.

use super::eal::Eal;
use super::error::PortError;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Timers of DPDK under the keys `0..count`, on the lcore that makes them.
pub struct RteTimers {
    timers: Box<[dpdk_sys::rte_timer]>,
    fired: Box<AtomicU64>,
    lcore: u32,
    _eal: Eal,
    /// Its list belongs to the lcore: it stays in the thread.
    _local: PhantomData<*mut ()>,
}

/// What a timer does when it fires: counts.
unsafe extern "C" fn count(_: *mut dpdk_sys::rte_timer, fired: *mut c_void) {
    // SAFETY: `start` gave the counter of the `RteTimers`, which stops all timers before it goes.
    unsafe { &*fired.cast::<AtomicU64>() }.fetch_add(1, Relaxed);
}

impl RteTimers {
    /// So many timers, none of them running.
    ///
    /// # Errors
    /// [`PortError::Timers`] if the library has no memory.
    ///
    /// # Panics
    /// If the calling thread is no lcore.
    pub fn new(eal: &Eal, count: u32) -> Result<Self, PortError> {
        // SAFETY: reads a variable of the calling thread.
        let lcore = unsafe { dpdk_sys::dpx_lcore_id() };
        assert!(lcore != dpdk_sys::LCORE_ID_ANY, "timers of DPDK run on lcores");
        // SAFETY: EAL is initialised, since there is a handle; being called again is allowed.
        let status = unsafe { dpdk_sys::rte_timer_subsystem_init() };
        if status < 0 && status != -libc::EALREADY {
            return Err(PortError::Timers { code: -status });
        }
        let mut timers: Box<[dpdk_sys::rte_timer]> =
            (0..count).map(|_| Default::default()).collect();
        for timer in &mut timers {
            // SAFETY: the timer is ours and not known to the library.
            unsafe { dpdk_sys::rte_timer_init(timer) };
        }
        Ok(RteTimers {
            timers,
            fired: Box::default(),
            lcore,
            _eal: eal.clone(),
            _local: PhantomData,
        })
    }

    /// Starts a timer, or starts it anew, to fire in so many cycles of the time-stamp counter.
    ///
    /// # Panics
    /// If there is no such timer.
    #[inline]
    pub fn start(&mut self, key: u32, cycles: u64) {
        let fired = core::ptr::from_ref(&*self.fired).cast_mut().cast();
        // SAFETY: the timer does not move while it runs and is stopped before it goes, as is the
        // counter; this thread is the lcore.
        let status = unsafe {
            dpdk_sys::rte_timer_reset(
                &mut self.timers[key as usize],
                cycles,
                dpdk_sys::SINGLE,
                self.lcore,
                Some(count),
                fired,
            )
        };
        assert_eq!(status, 0, "a timer of this lcore can be started");
    }

    /// Stops a timer, if it runs.
    ///
    /// # Panics
    /// If there is no such timer.
    #[inline]
    pub fn stop(&mut self, key: u32) {
        // SAFETY: the timer has been initialised.
        let status = unsafe { dpdk_sys::rte_timer_stop(&mut self.timers[key as usize]) };
        assert_eq!(status, 0, "a timer of this lcore can be stopped");
    }

    /// Fires what is due; returns how many have fired since the beginning.
    pub fn manage(&mut self) -> u64 {
        // SAFETY: this thread is the lcore whose timers these are.
        unsafe { dpdk_sys::rte_timer_manage() };
        self.fired.load(Relaxed)
    }
}

impl Drop for RteTimers {
    fn drop(&mut self) {
        for key in 0..self.timers.len() as u32 {
            self.stop(key);
        }
    }
}
